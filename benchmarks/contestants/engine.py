"""Thalweg's bare engine loop: prepared once, then chunk after chunk, without log, evaluations or folder."""

import time
from collections.abc import Callable
from typing import Any

import jax

import thalweg as tw
from benchmarks.contestants.task import problem, recipe
from thalweg.engine import compilation, dispatch
from thalweg.engine.group import init_group


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates of an MLP on MNIST, plain SGD 0.01.

    With `longest` every dispatch has the maximum length instead of following the clock.
    """
    compilation.enable_cache()
    loop = Loop(problem(setting), [recipe(setting)], setting.get("longest", False))
    steps = setting["steps"]
    return lambda: {"seconds": loop.run(steps), "examples": steps * setting["batch"], "steps": steps}


class Longest(dispatch.ChunkLength):
    """A pace that does not look at the clock."""

    def __init__(self, capacity: int):
        super().__init__(capacity)
        self.steps = capacity

    def observe(self, steps: int, seconds: float) -> None:
        """Learn nothing."""


class Loop:
    """Lanes on their way through the bare loop."""

    def __init__(self, problem: tw.Problem, recipes: list[tw.Recipe], longest: bool = False):
        self.group, self._states = init_group(problem, recipes)
        capacity = self.group.program.capacity
        self._pace = Longest(capacity) if longest else dispatch.ChunkLength(capacity)
        self._step = 0

    def run(self, steps: int) -> float:
        """Make `steps` more updates of every lane; return the seconds they took."""
        begun = time.perf_counter()
        for moved in dispatch.run_chunks(
            self.group, self._states, self._step, self._step + steps, self._pace
        ):
            self._states = moved.states
        jax.block_until_ready(self._states)
        self._step += steps
        return time.perf_counter() - begun
