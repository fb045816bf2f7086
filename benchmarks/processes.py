"""Contests: each contestant is a process; all are alive at the same time and do a block of work in turn.

Blocks within seconds of each other meet the same state of the machine, so their ratio is meaningful even if
the times themselves drift. The order rotates by one from round to round.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

from benchmarks.peers import peers_python

ROOT = Path(__file__).parents[1]
# Contestants that run in this environment; the others run in the peers'.
OURS = (
    "engine",
    "gpt_engine",
    "parts",
    "steps",
    "scan",
    "train",
    "lanes",
    "lanes_train",
    "convolutions",
    "fusions",
    "objectives",
)

T = TypeVar("T")


class Failed(RuntimeError):
    """A contestant's process ended, or never became ready."""


@dataclass(frozen=True)
class Contestant:
    """One participant of a contest.

    Args:
        label: Its name in results.
        module: The module of `benchmarks.contestants` that it runs.
        setting: The setting passed to that module.
        environment: Additional environment variables of its process.
    """

    label: str
    module: str
    setting: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        """The command that starts its process."""
        python = sys.executable if self.module in OURS else peers_python()
        return [python, "-m", "benchmarks.contestants", self.module, json.dumps(self.setting)]


class Process:
    """The process of a contestant.

    Raises:
        Failed: The process ended before it was ready.
    """

    def __init__(self, contestant: Contestant):
        self.label = contestant.label
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        start = time.perf_counter()
        self._process = subprocess.Popen(
            contestant.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=os.environ | contestant.environment,
        )
        self.ready = self._line() | {"start_seconds": time.perf_counter() - start}

    def block(self) -> dict[str, Any]:
        """Run one block of work."""
        assert self._process.stdin is not None
        try:
            print(file=self._process.stdin, flush=True)
        except BrokenPipeError:
            self._fail()
        return self._line()

    def close(self) -> None:
        """End the process."""
        if not self._errors.closed:
            self._process.communicate()
            self._errors.close()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else self._fail()

    def _fail(self) -> NoReturn:
        self._process.wait()
        self._errors.seek(0)
        last_line = self._errors.read().strip().splitlines()[-1:] or ["no output"]
        self.close()
        raise Failed(f"{self.label}: ended with {self._process.returncode}: {last_line[0]}")


def contest(contestants: Sequence[Contestant], rounds: int) -> dict[str, dict[str, Any]]:
    """Run all contestants, block by block in turn.

    Returns:
        Per label `{"ready": ..., "blocks": [...]}` with one block per round, or `{"error": ...}` for a
        contestant that cannot run.
    """
    results: dict[str, dict[str, Any]] = {}
    running: list[Process] = []
    try:
        for contestant in contestants:
            try:
                running.append(Process(contestant))
            except Failed as error:
                results[contestant.label] = _out(error)
            else:
                results[contestant.label] = {"ready": running[-1].ready, "blocks": []}
        for number in range(rounds):
            for process in in_turn(running, number):
                try:
                    results[process.label]["blocks"].append(process.block())
                except Failed as error:
                    results[process.label] = _out(error)
                    running.remove(process)
            seconds = {p.label: round(results[p.label]["blocks"][-1]["seconds"], 3) for p in running}
            print(f"round {number + 1} of {rounds}: {seconds}", file=sys.stderr)
    finally:
        for process in running:
            process.close()
    return results


def in_turn(items: Sequence[T], number: int) -> list[T]:
    """Return the items in the order of this round; each round starts with another one."""
    first = number % max(1, len(items))
    return [*items[first:], *items[:first]]


def _out(error: Failed) -> dict[str, str]:
    print(error, file=sys.stderr)
    return {"error": str(error)}


def once(contestant: Contestant) -> dict[str, Any]:
    """Run one block in a new process; return its result with the seconds since the start of the process.

    If the result says when the work `ended` (by `time.perf_counter`, a clock that all processes share), the
    seconds are counted until then. The time that the process takes to exit is not counted.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        [*contestant.command, "--once"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=os.environ | contestant.environment,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        answered = time.perf_counter()
    if not line:
        raise Failed(f"{contestant.label}: ended with {process.returncode}")
    result = json.loads(line)
    return result | {
        "process_seconds": result.pop("ended", answered) - start,
        "told_seconds": answered - start,
    }


def rates(contestant: dict[str, Any]) -> list[float]:
    """Return examples per second, block by block."""
    return [block["examples"] / block["seconds"] for block in contestant["blocks"]]


def ratios(ours: dict[str, Any], theirs: dict[str, Any]) -> list[float]:
    """Return the speed of `ours` relative to `theirs`, round by round."""
    return [our_rate / their_rate for our_rate, their_rate in zip(rates(ours), rates(theirs), strict=True)]
