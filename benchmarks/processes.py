"""Contests: every contestant in a process of its own, all alive at once, each doing a block of work in turn.

Blocks that follow each other within seconds meet the same state of the machine, so that their ratio means
something where the times themselves drift. The order moves by one place from round to round.
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
OURS = ("engine", "gpt_engine", "steps", "scan", "train", "lanes", "lanes_train", "convolutions")

T = TypeVar("T")


class Failed(RuntimeError):
    """A contestant's process ended, or never became ready."""


@dataclass(frozen=True)
class Contestant:
    """Who takes part.

    Args:
        label: Name in results.
        module: Which of `benchmarks.contestants` it runs.
        setting: What that is given.
        environment: Variables of its process, besides the ones here.
    """

    label: str
    module: str
    setting: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        """Its process."""
        python = sys.executable if self.module in OURS else peers_python()
        return [python, "-m", "benchmarks.contestants", self.module, json.dumps(self.setting)]


class Process:
    """A contestant's process.

    Raises:
        Failed: It ended before it was ready.
    """

    def __init__(self, contestant: Contestant):
        self.label = contestant.label
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            contestant.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=os.environ | contestant.environment,
        )
        self.ready = self._line() | {"start_seconds": time.perf_counter() - begun}

    def block(self) -> dict[str, Any]:
        """Have it do a block of work."""
        assert self._process.stdin is not None
        try:
            print(file=self._process.stdin, flush=True)
        except BrokenPipeError:
            self._fail()
        return self._line()

    def close(self) -> None:
        """Let it end."""
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
        last = self._errors.read().strip().splitlines()[-1:] or ["without a word"]
        self.close()
        raise Failed(f"{self.label}: ended with {self._process.returncode}: {last[0]}")


def contest(contestants: Sequence[Contestant], rounds: int) -> dict[str, dict[str, Any]]:
    """Run all, block by block in turn.

    Returns:
        Per label `{"ready": ..., "blocks": [...]}`, one block a round; or `{"error": ...}` for one that
        cannot take part.
    """
    found: dict[str, dict[str, Any]] = {}
    running: list[Process] = []
    try:
        for contestant in contestants:
            try:
                running.append(Process(contestant))
            except Failed as error:
                found[contestant.label] = _out(error)
            else:
                found[contestant.label] = {"ready": running[-1].ready, "blocks": []}
        for turn in range(rounds):
            for process in in_turn(running, turn):
                try:
                    found[process.label]["blocks"].append(process.block())
                except Failed as error:
                    found[process.label] = _out(error)
                    running.remove(process)
            told = {p.label: round(found[p.label]["blocks"][-1]["seconds"], 3) for p in running}
            print(f"round {turn + 1} of {rounds}: {told}", file=sys.stderr)
    finally:
        for process in running:
            process.close()
    return found


def in_turn(all_of_them: Sequence[T], turn: int) -> list[T]:
    """Return all in the order of this round: another one begins each time."""
    first = turn % max(1, len(all_of_them))
    return [*all_of_them[first:], *all_of_them[:first]]


def _out(error: Failed) -> dict[str, str]:
    print(error, file=sys.stderr)
    return {"error": str(error)}


def once(contestant: Contestant) -> dict[str, Any]:
    """Start a process, and return what it told with the seconds from its start to that line.

    Where it tells when its work `ended` (by `time.perf_counter`, a clock that all processes share), they are
    the seconds until then. The process ends by itself; how long that takes does not count.
    """
    begun = time.perf_counter()
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
        heard = time.perf_counter()
    if not line:
        raise Failed(f"{contestant.label}: ended with {process.returncode}")
    found = json.loads(line)
    return found | {"process_seconds": found.pop("ended", heard) - begun, "told_seconds": heard - begun}


def rates(found: dict[str, Any]) -> list[float]:
    """Return examples per second, block by block."""
    return [block["examples"] / block["seconds"] for block in found["blocks"]]


def ratios(ours: dict[str, Any], theirs: dict[str, Any]) -> list[float]:
    """Return how many times as fast `ours` was as `theirs`, round by round."""
    return [one / other for one, other in zip(rates(ours), rates(theirs), strict=True)]
