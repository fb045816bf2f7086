"""Thalweg's lanes without run folder or log: planned as `tw.train` plans them, run by the same threads."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

import thalweg as tw
from benchmarks.contestants.task import problem, recipe
from thalweg.engine import compilation, dispatch
from thalweg.engine.feeds import resident
from thalweg.engine.group import init_group
from thalweg.engine.plan import LanePlan
from thalweg.engine.plan import plan as plan_lanes
from thalweg.run.session.scheduler import Advanced, run_shards


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates of `lanes` lanes that differ in their learning rate.

    With `seeds` they differ in their seed too; otherwise all read the same batches.
    """
    compilation.enable_cache()
    lanes, steps = setting["lanes"], setting["steps"]
    runner = Lanes(problem(setting), recipes(setting), setting.get("strict", False))

    def block() -> dict[str, Any]:
        return {
            "seconds": runner.run(steps),
            "examples": lanes * steps * setting["batch"],
            "lane_steps": lanes * steps,
            "plan": runner.plan.text(),
        }

    return block


def recipes(setting: dict[str, Any], **more: Any) -> list[tw.Recipe]:
    """Return recipes with learning rates from 1e-4 to 1e-1."""
    rates = np.geomspace(1e-4, 1e-1, setting["lanes"])
    base = recipe(setting, **more).to_dict()
    seeds = range(setting["lanes"]) if setting.get("seeds") else [0] * setting["lanes"]
    return [
        tw.Recipe.from_dict(base | {"optimizer": {"name": "sgd", "lr": float(rate)}, "seed": seed})
        for rate, seed in zip(rates, seeds, strict=True)
    ]


class Lanes:
    """All shards of a plan, which advance together."""

    def __init__(self, problem: tw.Problem, recipes: list[tw.Recipe], strict: bool):
        self.plan: LanePlan = plan_lanes(problem, recipes, strict=strict)
        parts = resident(problem.data)
        made = [
            init_group(
                problem,
                [recipes[lane] for lane in shard.lanes],
                splits=parts,
                width=shard.width,
                layout=shard.layout,
            )
            for shard in self.plan.shards
        ]
        self.groups = [group for group, _ in made]
        self._states = [states for _, states in made]
        self._paces = [dispatch.ChunkLength(group.program.capacity) for group in self.groups]
        self._step = 0

    def run(self, steps: int) -> float:
        """Make `steps` more updates of every lane; return the seconds they took."""
        stop = self._step + steps
        begun = time.perf_counter()
        run_shards(
            [self._shard(shard, stop) for shard in range(len(self.groups))],
            self.plan.workers,
            lambda: None,
        )
        jax.block_until_ready(self._states)
        self._step = stop
        return time.perf_counter() - begun

    def _shard(self, shard: int, stop: int) -> Iterator[Advanced]:
        at = self._step
        while at < stop:
            moved = dispatch.next_chunk(self.groups[shard], self._states[shard], at, stop, self._paces[shard])
            self._states[shard], at = moved.states, at + moved.steps
            yield Advanced(at / stop)
