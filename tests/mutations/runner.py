"""Runs mutants, each in a process of its own that is forked after the large imports.

Nothing on disk changes: the process loads the mutant in place of the file. Processes that a test starts load
the file itself; tests of the command line call it in the process of the mutant.
"""

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import NamedTuple

# Loaded once, before the fork; importing them starts no backend and no thread.
import equinox  # noqa: F401
import jax  # noqa: F401
import optax  # noqa: F401
import polars  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pytest
import safetensors.numpy  # noqa: F401
import scipy.special  # noqa: F401

from tests.mutations.mutant import ROOT, SOURCE, Mutant

CAUGHT, UNNOTICED, ENDLESS, STILLBORN, UNCLEAR = "caught", "unnoticed", "endless", "stillborn", "unclear"
# A mutant counts as noticed because it never ends: after so many seconds of processor time, once all of its
# threads have slept for so many on the clock, or when both limits are far away but an hour has passed. The
# first is twice what the longest tests need.
PROCESSOR_SECONDS, IDLE_SECONDS, CLOCK_SECONDS = 400, 240, 3600
# pytest's exit codes: a failed test, an error before the first test, as of an import, and no test at all.
_WORDS = {0: UNNOTICED, 1: CAUGHT, 2: STILLBORN, 5: UNNOTICED}
_OPTIMISED = "mark.optimised"


class Outcome(NamedTuple):
    """What became of a mutant.

    Args:
        mutant: The mutant; None for the code as it is.
        word: `caught` by a failed test; `endless`, which is noticed too; `unnoticed`; `stillborn` where
            nothing could be imported; `unclear` for anything else.
        seconds: On the clock.
    """

    mutant: Mutant | None
    word: str
    seconds: float

    @property
    def noticed(self) -> bool:
        """Whether the tests fail."""
        return self.word in (CAUGHT, ENDLESS)


@dataclass
class _Running:
    """A process: its job, when it started, and when one of its threads was last seen to compute."""

    index: int
    job: "Job"
    started: float
    moved: float


class Job(NamedTuple):
    """A run of tests, with a mutant or (None) without; of those marked `optimised`, or of the others."""

    mutant: Mutant | None
    tests: tuple[str, ...]
    words: str = ""
    optimised: bool = False

    @property
    def rest(self) -> "Job | None":
        """The tests marked `optimised`, which have a session of their own; None if there are none."""
        marked = () if self.optimised else tuple(filter(_has_optimised, self.tests))
        return self._replace(tests=marked, optimised=True) if marked else None


def run_all(jobs: Sequence[Job], workers: int, tell: Callable[[Job, Outcome], None]) -> list[Outcome]:
    """Run all jobs, `workers` at a time; `tell` receives each outcome as it comes."""
    waiting, running, outcomes = list(enumerate(jobs)), dict[int, _Running](), dict[int, Outcome]()
    while waiting or running:
        while waiting and len(running) < workers:
            index, job = waiting.pop(0)
            now = time.monotonic()
            running[_start(job)] = _Running(index, job, now, now)
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            _end_idle(running)
            time.sleep(0.1)
            continue
        ended = running.pop(child)
        job, word, seconds = ended.job, _word(status), time.monotonic() - ended.started
        if word == UNNOTICED and (rest := job.rest) is not None:
            waiting.insert(0, (ended.index, rest))
            continue
        outcomes[ended.index] = Outcome(job.mutant, word, seconds)
        tell(job, outcomes[ended.index])
    return [outcomes[index] for index in range(len(jobs))]


def _has_optimised(name: str) -> bool:
    """Return whether a file of tests, or one in the folder, has some that are marked `optimised`."""
    place = ROOT / "tests" / name
    files = [place] if place.is_file() else place.rglob("test_*.py")
    return any(_OPTIMISED in file.read_text(encoding="utf-8") for file in files)


def _word(status: int) -> str:
    if os.WIFSIGNALED(status):  # out of time, or out of stack
        return ENDLESS if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else CAUGHT
    return _WORDS.get(os.WEXITSTATUS(status), UNCLEAR)


def _end_idle(running: dict[int, _Running]) -> None:
    """End the processes that wait for something that never comes."""
    now = time.monotonic()
    for child, state in running.items():
        if not _sleeps(child):
            state.moved = now
        if now - state.moved > IDLE_SECONDS or now - state.started > CLOCK_SECONDS:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)


def _sleeps(child: int) -> bool:
    """Return whether all threads of a process wait; a thread that waits for a processor does not."""
    states = []
    for path in Path(f"/proc/{child}/task").glob("*/stat"):
        with contextlib.suppress(OSError, IndexError):
            states.append(path.read_text().rpartition(")")[2].split()[0])
    return bool(states) and set(states) <= {"S"}


def _start(job: Job) -> int:
    """Start a process that runs the tests; return its number."""
    child = os.fork()
    if child:
        return child
    code = 3
    with contextlib.suppress(BaseException):
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 5))
        if job.mutant is not None:
            _plant(job.mutant)
        code = _run_tests(job)
    os._exit(code)


def _plant(mutant: Mutant) -> None:
    """Let this process load the mutant in place of the file."""
    target, text = str(SOURCE / mutant.file), mutant.text()
    honest = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> object:
        if self.get_filename(fullname) == target:
            return compile(text, target, "exec", dont_inherit=True)
        return honest(self, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def _run_tests(job: Job) -> int:
    quiet = os.open(os.environ.get("MUTATION_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    os.environ["COMMANDS_HERE"] = "1"  # tests/doors/process.py
    chosen = ["-k", job.words] if job.words else []
    chosen += ["--optimised"] if job.optimised else []
    files = [str(ROOT / "tests" / name) for name in job.tests]
    options = ["-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "--repeats", *chosen]
    return int(pytest.main([*options, *files]))
