"""How it is trained: by the command line and the public names, and nothing else."""

import contextlib
import io
import os
import platform
import runpy
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from bits.data import BATCH, blobs, library

Train = Callable[[Path], None]
# Trainings by name; their names do not depend on the library.
RUNS: dict[str, Train] = {}
STEPS = 110


def run(name: str) -> Callable[[Train], Train]:
    """Register a training under a name."""

    def register(train: Train) -> Train:
        RUNS[name] = train
        return train

    return register


def machine() -> dict[str, Any]:
    """Return what bits may depend on beside the library."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {name: version(name) for name in ("jax", "jaxlib", "equinox", "optax", "numpy")}
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in told if line.startswith("model name"))
    return {"python": platform.python_version(), "processor": processor, "cores": cores, **versions}


def small_net(classes: int = 3) -> Any:
    """Return a problem that a network of 83 parameters learns in seconds."""
    tw = library()
    return tw.Problem(tw.MLP([6, 8, classes]), blobs(classes))


def recipe_of(optimizer: Any = None, **settings: Any) -> Any:
    """Return a short recipe with these settings."""
    tw = library()
    length = {} if "epochs" in settings else {"steps": STEPS}
    return tw.Recipe(optimizer or tw.AdamW(lr=3e-3), **{"batch_size": BATCH, **length, **settings})


def fit(folder: Path, problem: Any = None, recipe: Any = None, **rest: Any) -> Any:
    """Train the small problem, or another one, into the folder `run`."""
    return library().train(problem or small_net(), recipe or recipe_of(), keep=folder / "run", **rest)


def thalweg(*arguments: object, code: int = 0) -> str:
    """Run the command in this process; return what it prints."""
    before, out, err = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = ["thalweg", *map(str, arguments)]
    ended: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_module("thalweg", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        ended = end.code or 0
    finally:
        sys.argv = before
    if ended != code:
        raise RuntimeError(f"thalweg {' '.join(map(str, arguments))}: exit code {ended}\n{err.getvalue()}")
    return out.getvalue()


class Interrupting:
    """Listens to a run, whatever the listener's methods are called, and interrupts it as Ctrl-C would.

    The first word of progress comes after the first dispatch, which ends at the first checkpoint at the
    latest: so the run stops at that step, whatever the clock says.
    """

    def __init__(self) -> None:
        self._done = False

    def __getattr__(self, name: str) -> Any:
        return self._hear

    def _hear(self, told: Any = None, *_: Any) -> None:
        if not self._done and getattr(told, "step", 0) > 0:
            self._done = True
            signal.raise_signal(signal.SIGINT)


def saving(folder: Path, every: str) -> Any:
    """Return where a run is kept and how often its state is saved, whatever the options are called."""
    tw = library()
    options = getattr(tw, "SaveOptions", None) or tw.Keeping
    return options(folder, every=every)


def interrupt(folder: Path, problem: Any, recipe: Any, **rest: Any) -> Any:
    """Interrupt a run at step 20, or where the listener is heard first."""
    return library().train(problem, recipe, keep=saving(folder, "20"), progress=Interrupting(), **rest)


def keep_table(folder: Path, name: str, frame: Any) -> None:
    """Write a table beside the runs, to be compared column by column."""
    pl.DataFrame(frame).write_parquet(folder / f"{name}.parquet")


def fit_lanes(folder: Path, recipes: list[Any], problem: Any = None, **rest: Any) -> Any:
    """Train recipes together into the folder `run`, and keep their table."""
    found = library().train(problem or small_net(), recipes, keep=folder / "run", **rest)
    keep_table(folder, "lanes", found.table)
    return found
