"""Whole runs of `thalweg` processes, and the comparison with an undisturbed run."""

import atexit
import copy
import ctypes
import functools
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from tests.faults.system_calls import built

SAME = ("final.safetensors", "best.safetensors", "steps.parquet", "layers.parquet", "test.parquet")
FIGURES = (
    "steps",
    "epochs",
    "stopped",
    "weights",
    "best",
    "test_loss",
    "test_metric",
    "test_metrics",
    "validation_loss",
)
SMALL = ("digits", "--epochs", "12", "--checkpoint-every", "40")
BAD_INPUT, SHORTAGE, INTERRUPTED = 2, 4, 130
NO_COMPILER = "no C compiler (gcc or cc), or no LD_PRELOAD, here"
Done = subprocess.CompletedProcess[str]
BECOME_SUBREAPER = 36  # of <linux/prctl.h>


class Process:
    """A process that was forked by the starter; the part of `subprocess.Popen` that trials use.

    Args:
        pid: Its number.
        output: The file that its output and errors go to.
    """

    def __init__(self, pid: int, output: Path):
        self.pid, self._output = pid, output
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout: float = 600.0) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.002)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float = 600.0) -> tuple[str, None]:
        """Wait for its end; return what it wrote."""
        self.wait(timeout)
        return self._output.read_text(errors="replace"), None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class _Starter:
    """The process that forks all others; it has the library of faults if that can be built."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="thalweg-faults-"))
        atexit.register(self._end)
        self.library = built(self._folder)
        self._numbers = itertools.count()
        ctypes.CDLL(None).prctl(BECOME_SUBREAPER, 1, 0, 0, 0)
        preloaded = {} if self.library is None else {"LD_PRELOAD": str(self.library)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.starter"],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"JAX_PLATFORMS": "cpu"} | preloaded,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def start(self, module: str, *arguments: str, place: Path, unprivileged: bool, **more: str) -> Process:
        output = self._folder / f"{next(self._numbers)}.txt"
        output.touch()  # the process may be killed before it has opened it
        job = {"module": module, "arguments": arguments, "place": str(place), "output": str(output)}
        job |= {"environment": more, "unprivileged": unprivileged}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Process(int(self._answer()), output)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


starter = functools.cache(_Starter)


class Bench:
    """A folder to work in, with its own compilation cache and the undisturbed run to compare with.

    Args:
        place: The folder.
        arguments: Arguments of `thalweg fit` without the folder; none for no undisturbed run.
    """

    def __init__(self, place: Path, *arguments: str):
        self.place, self._arguments = place, arguments
        self._cache = place / "cache"
        self.whole, self.seconds = place / "whole", 0.0
        if not arguments:
            return
        assert self.run(*self.fit(self.whole)).returncode == 0
        shutil.rmtree(self.whole)  # again, with compiled programs, to measure the time
        start = time.perf_counter()
        assert self.run(*self.fit(self.whole)).returncode == 0
        self.seconds = time.perf_counter() - start

    def fit(self, folder: Path) -> list[str]:
        """Return the command that starts the run."""
        return ["fit", *self._arguments, "--out", str(folder), "-q"]

    def start(
        self, *arguments: str, module: str = "thalweg", unprivileged: bool = False, **more: str
    ) -> Process:
        """Start a process, by default of `thalweg`.

        Args:
            arguments: Its arguments.
            module: The module to run.
            unprivileged: Whether permissions of files count for it even if this process is root's.
            more: Further environment variables.
        """
        more = {"THALWEG_CACHE": str(self._cache)} | more
        return starter().start(module, *arguments, place=self.place, unprivileged=unprivileged, **more)

    def run(self, *arguments: str, unprivileged: bool = False, **more: str) -> Done:
        """Run a `thalweg` process to its end."""
        process = self.start(*arguments, unprivileged=unprivileged, **more)
        output, _ = process.communicate(timeout=600)
        assert process.returncode is not None
        return subprocess.CompletedProcess(arguments, process.returncode, output)

    def resume(self, folder: Path, **more: str) -> str | None:
        """Resume a run until it has ended; return what went wrong, or None."""
        done = self.run(*self.fit(folder), "--resume", "auto", **more)
        return (
            None if done.returncode == 0 else f"resuming ended with {done.returncode}: {done.stdout[-300:]}"
        )

    def different(self, folder: Path) -> str | None:
        """Return where a run differs from the undisturbed one, or None."""
        return different(self.whole, folder)


def small_bench(place: Path) -> Bench:
    """Return a bench for runs of half a second; all of them share one undisturbed run.

    Args:
        place: Where its runs are written.
    """
    bench = copy.copy(_small())
    bench.place = place
    return bench


@functools.cache
def _small() -> Bench:
    place = Path(tempfile.mkdtemp(prefix="thalweg-faults-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Bench(place, *SMALL)


def fault(root: Path, **settings: object) -> dict[str, str]:
    """Return the environment that arms the library of faults (`preload.c`).

    Args:
        root: The folder that is concerned.
        settings: The variables, without `FAULT_`, in lower case.
    """
    return {"FAULT_ROOT": str(root)} | {f"FAULT_{name.upper()}": str(at) for name, at in settings.items()}


def has_library() -> bool:
    """Return whether faults at system calls can be tried here."""
    return starter().library is not None


def refused_well(done: Done, codes: tuple[int, ...] = (0, BAD_INPUT)) -> str | None:
    """Return what is wrong with how a command ended: another code, or a traceback; or None."""
    if done.returncode in codes and "Traceback" not in done.stdout:
        return None
    return f"`{done.args[0]}` ended with {done.returncode}: {done.stdout[-300:]}"


def until_saved(folder: Path, process: Process) -> None:
    """Wait until the first checkpoint exists, or the process has ended."""
    while process.poll() is None and not list(folder.glob("checkpoints/step-*")):
        time.sleep(0.002)


def different(whole: Path, again: Path) -> str | None:
    """Return where two runs differ, apart from clock columns, or None."""
    for name in SAME:
        if (whole / name).exists() and not (again / name).exists():
            return f"{name} is missing"
        if (whole / name).exists() and (whole / name).read_bytes() != (again / name).read_bytes():
            return f"{name} differs"
    logs = [pl.read_parquet(folder / "evaluations.parquet").drop("seconds") for folder in (whole, again)]
    if not logs[0].equals(logs[1], null_equal=True):
        return "evaluations.parquet differs"
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, again)]
    wrong = [name for name in FIGURES if results[0].get(name) != results[1].get(name)]
    return f"result.json differs in {', '.join(wrong)}" if wrong else None
