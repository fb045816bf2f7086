"""Thalweg as a user calls it: `tw.train(problem, recipe)`, with its history and evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import thalweg as tw
from benchmarks.contestants.task import problem, recipe
from thalweg.run.progress import Silent, Status


class Marks(Silent):
    """Notes when each step was heard of."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    def update(self, status: Status) -> None:
        """Note the first word of a step."""
        self.at.setdefault(status.step, time.perf_counter())


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `epochs` whole epochs.

    The seconds begin at the end of an epoch before them (made, not counted), as people watch a long run; with
    `cold` they begin at once, compilation included.
    """
    given = problem(setting)
    cold, epochs = setting.get("cold", False), setting["epochs"]
    made = recipe(setting, epochs=epochs + (0 if cold else 1), last_batch="drop")
    epoch_steps = given.data.train.count() // setting["batch"]

    def block() -> dict[str, Any]:
        marks, begun = Marks(), time.perf_counter()
        tw.train(given, made, progress=marks)
        first, ended = begun if cold else marks.at[epoch_steps], marks.at[epoch_steps * made.epochs]
        examples = epochs * epoch_steps * setting["batch"]
        return {"seconds": ended - first, "examples": examples, "ended": ended}

    return block
