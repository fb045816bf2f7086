"""Thalweg's bare engine loop: prepared once, then chunk after chunk. No log, no evaluation, no folder."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import thalweg as tw
from thalweg.engine import cache, drive
from thalweg.engine.group import prepare as prepare_group


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates of an MLP on MNIST, plain SGD 0.01.

    With `longest` every dispatch is as long as it may be, instead of following the clock.
    """
    cache.enable()
    loop = Loop(problem(setting), [recipe(setting)], setting.get("longest", False))
    steps = setting["steps"]
    return lambda: {"seconds": loop.run(steps), "examples": steps * setting["batch"], "steps": steps}


def problem(setting: dict[str, Any]) -> tw.Problem:
    """Return MNIST's training part, or its first `rows`, with an MLP of `sizes` or a CNN of `channels`.

    For networks with other inputs than MNIST's the data are random points in two classes.
    """
    if "channels" not in setting and setting["sizes"][0] != 784:
        generator = np.random.default_rng(0)
        points = generator.normal(size=(10_000, setting["sizes"][0])).astype(np.float32)
        data = tw.load((points, (points.sum(axis=1) > 0).astype(np.int64)), validation=0.0)
    else:
        data = tw.load("mnist", folder=setting["folder"], validation=0.0)
    if "rows" in setting:
        first = tw.Rows(data.train.inputs[: setting["rows"]], data.train.targets[: setting["rows"]])
        data = dataclasses.replace(data, train=first)
    model = tw.CNN(setting["channels"]) if "channels" in setting else tw.MLP(setting["sizes"])
    return tw.Problem(model, data)


def recipe(setting: dict[str, Any], **more: Any) -> tw.Recipe:
    """Return plain SGD 0.01, the end of an epoch kept or dropped as the peers do it."""
    length = {} if "epochs" in more else {"steps": 2**30}
    return tw.Recipe(tw.SGD(lr=0.01), batch_size=setting["batch"], **(length | more))


class Longest(drive.Pace):
    """A pace that does not look at the clock."""

    def __init__(self, capacity: int):
        super().__init__(capacity)
        self.steps = capacity

    def observe(self, steps: int, seconds: float) -> None:
        """Learn nothing."""


class Loop:
    """Lanes on their way through the bare loop."""

    def __init__(self, problem: tw.Problem, recipes: list[tw.Recipe], longest: bool = False):
        self.group, self._states = prepare_group(problem, recipes)
        capacity = self.group.program.capacity
        self._pace = Longest(capacity) if longest else drive.Pace(capacity)
        self._step = 0

    def run(self, steps: int) -> float:
        """Make `steps` more updates of every lane; return the seconds they took."""
        begun = time.perf_counter()
        for moved in drive.chunks(self.group, self._states, self._step, self._step + steps, self._pace):
            self._states = moved.states
        jax.block_until_ready(self._states)
        self._step += steps
        return time.perf_counter() - begun
