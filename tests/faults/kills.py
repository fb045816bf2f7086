"""SIGKILL of the writer at random times."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.tally import Line
from tests.faults.victim import check_left, scratch, write_by_thread, write_runs

QUICK, FULL = 300, 10_000
LONGEST_SECONDS = 0.05
PROMISE = (
    "the newest sound checkpoint is at least as new as the last one reported durable, "
    "and bit for bit as written"
)


def random_kills(full: bool) -> Iterator[Line]:
    """Kill writers after a random time, each in the folder that the previous one left."""
    for name, write in (("writer", write_runs), ("writer in a thread, under the lock", write_by_thread)):
        line = Line(f"SIGKILL at a random time: {name}", PROMISE)
        rng = random.Random(name)
        with scratch(fast=full) as place:
            _series(Path(place), write, (FULL if full else QUICK) // 2, rng, line)
        yield line


def _series(folder: Path, write: Callable, kills: int, rng: random.Random, line: Line) -> None:
    newest = None
    for _ in range(kills):
        durable, code = killed_writer(folder, write, (newest or 0) + 1, rng.uniform(0, LONGEST_SECONDS))
        left, wrong = check_left(folder, durable if durable is not None else newest)
        if wrong is None and code != -signal.SIGKILL:
            wrong = f"the writer ended with {code} before the kill"
        line.add(wrong)
        line.count("commits", (left or 0) - (newest or 0))
        line.count("kills that left a half-written checkpoint", int(_left_over(folder)))
        newest = left


def killed_writer(folder: Path, write: Callable, first: int, seconds: float) -> tuple[int | None, int]:
    """Run a writer in a process of its own and kill it.

    Returns:
        The last step that it reported durable, and how the process ended.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            write(folder, first, 1_000_000, lambda step: os.write(writing, step.to_bytes(8, "little")))
        finally:
            os._exit(code)
    os.close(writing)
    status = _waited(child, seconds)
    with os.fdopen(reading, "rb") as pipe:
        words = pipe.read()
    steps = [int.from_bytes(words[i : i + 8], "little") for i in range(0, len(words) - 7, 8)]
    return (steps[-1] if steps else None), os.waitstatus_to_exitcode(status)


def _waited(child: int, seconds: float) -> int:
    """Wait for some seconds, kill the process unless it has ended, and return how it ended."""
    end = time.monotonic() + seconds
    while seconds > 1 and time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    time.sleep(max(0.0, end - time.monotonic()))
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _left_over(folder: Path) -> bool:
    place = folder / "checkpoints"
    return place.is_dir() and any(name.startswith(".part-") for name in os.listdir(place))
