"""How the runs train: with the command line and the public names only."""

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
# Runs by name; the names do not depend on the library.
RUNS: dict[str, Train] = {}
STEPS = 110


def run(name: str) -> Callable[[Train], Train]:
    """Register a run under a name."""

    def register(train: Train) -> Train:
        RUNS[name] = train
        return train

    return register


def machine() -> dict[str, Any]:
    """Return what bits may depend on besides the library."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {name: version(name) for name in ("jax", "jaxlib", "equinox", "optax", "numpy")}
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {"python": platform.python_version(), "processor": processor, "cores": cores, **versions}


def small_net(classes: int = 3) -> Any:
    """Return a problem that a network of 83 parameters learns in seconds."""
    tw = library()
    return tw.Problem(tw.MLP([6, 8, classes]), blobs(classes))


def recipe_of(optimizer: Any = None, **settings: Any) -> Any:
    """Return a short recipe with the given settings."""
    tw = library()
    length = {} if "epochs" in settings else {"steps": STEPS}
    return tw.Recipe(optimizer or tw.AdamW(lr=3e-3), **{"batch_size": BATCH, **length, **settings})


def fit(folder: Path, problem: Any = None, recipe: Any = None, **rest: Any) -> Any:
    """Train the small problem, or the given one, into the folder `run`."""
    return library().train(problem or small_net(), recipe or recipe_of(), keep=folder / "run", **rest)


def thalweg(*arguments: object, code: int = 0) -> str:
    """Run the command line in this process; return what it prints."""
    before, out, err = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = ["thalweg", *map(str, arguments)]
    exit_code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_module("thalweg", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        exit_code = end.code or 0
    finally:
        sys.argv = before
    if exit_code != code:
        raise RuntimeError(
            f"thalweg {' '.join(map(str, arguments))}: exit code {exit_code}\n{err.getvalue()}"
        )
    return out.getvalue()


class Interrupter:
    """A progress listener, whatever its methods are called, that interrupts a run as Ctrl-C does.

    Progress is first reported after the first dispatch, which ends at the first checkpoint at the latest. So
    the run stops at that step, however fast it is.
    """

    def __init__(self) -> None:
        self._done = False

    def __getattr__(self, name: str) -> Any:
        return self._report

    def _report(self, status: Any = None, *_: Any) -> None:
        if not self._done and getattr(status, "step", 0) > 0:
            self._done = True
            signal.raise_signal(signal.SIGINT)


def saving(folder: Path, every: str) -> Any:
    """Return the options for saving a run, whatever their class is called."""
    tw = library()
    options = getattr(tw, "SaveOptions", None) or tw.Keeping
    return options(folder, every=every)


def param_group(**settings: Any) -> Any:
    """Return a parameter group, whatever its class is called."""
    tw = library()
    return (getattr(tw, "ParamGroup", None) or tw.Group)(**settings)


def interrupt(folder: Path, problem: Any, recipe: Any, **rest: Any) -> Any:
    """Interrupt a run at step 20, or at the first progress report."""
    return library().train(problem, recipe, keep=saving(folder, "20"), progress=Interrupter(), **rest)


def keep_table(folder: Path, name: str, frame: Any) -> None:
    """Write a table next to the runs, to be compared column by column."""
    pl.DataFrame(frame).write_parquet(folder / f"{name}.parquet")


def fit_lanes(folder: Path, recipes: list[Any], problem: Any = None, **rest: Any) -> Any:
    """Train recipes together into the folder `run`, and save their table."""
    runs = library().train(problem or small_net(), recipes, keep=folder / "run", **rest)
    keep_table(folder, "lanes", runs.table)
    return runs
