"""Thalweg as a user calls it: `tw.train(problem, recipe)`, with its history and evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import thalweg as tw
from benchmarks.contestants.task import problem, recipe
from thalweg.run.progress import Silent, Status


class StepTimes(Silent):
    """Records the time at which each step was first reported."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    def update(self, status: Status) -> None:
        """Record the first report of a step."""
        self.at.setdefault(status.step, time.perf_counter())


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `epochs` whole epochs.

    The seconds start at the end of an uncounted first epoch, as in a long run; with `cold` they start at once
    and include compilation.
    """
    mnist = problem(setting)
    cold, epochs = setting.get("cold", False), setting["epochs"]
    full_recipe = recipe(setting, epochs=epochs + (0 if cold else 1), last_batch="drop")
    epoch_steps = mnist.data.train.count() // setting["batch"]

    def block() -> dict[str, Any]:
        times, start = StepTimes(), time.perf_counter()
        tw.train(mnist, full_recipe, progress=times)
        first, end = start if cold else times.at[epoch_steps], times.at[epoch_steps * full_recipe.epochs]
        examples = epochs * epoch_steps * setting["batch"]
        return {"seconds": end - first, "examples": examples, "ended": end}

    return block
