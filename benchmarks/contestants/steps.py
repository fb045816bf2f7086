"""The engine's own step in a plain compiled loop that returns only the state: telemetry off.

There is no loss or rate per step, no gradient norm, no per-layer statistics and no result code that ends the
loop, only what the update itself needs.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.contestants.task import problem, recipe
from thalweg.core.tree import lane as take_lane
from thalweg.engine import compilation, step
from thalweg.engine.backward import Lane
from thalweg.engine.group import LaneGroup, init_group


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates of one lane."""
    compilation.enable_cache()
    group, states = init_group(problem(setting), [recipe(setting)])
    held = [(0, take_lane(states, 0))]
    steps = setting["steps"]

    def block() -> dict[str, Any]:
        begun = time.perf_counter()
        for first in range(0, steps, group.program.capacity):
            held[0] = _advanced(group, *held[0], min(group.program.capacity, steps - first))
        return {
            "seconds": time.perf_counter() - begun,
            "examples": steps * setting["batch"],
            "steps": steps,
        }

    return block


def _advanced(group: LaneGroup, at: int, state: Any, steps: int) -> tuple[int, Any]:
    split, batches = group.feed.dispatch(group.splits, at, steps, group.program.capacity)
    order = (batches.indices[0], batches.sizes)
    state = _steps(group.program, group.inputs, split, order, jnp.int32(steps), state)
    return at + steps, jax.block_until_ready(state)


@partial(jax.jit, static_argnums=0)
def _steps(program: Any, inputs: Any, split: Any, order: Any, count: jax.Array, state: Any) -> Any:
    recipe = jax.tree.unflatten(program.recipe, take_lane(inputs.numbers, 0))
    lane = Lane(program, inputs, recipe, split)
    indices, sizes = order
    return jax.lax.fori_loop(
        0, count, lambda at, state: step.step(lane, state, (indices[at], sizes[at]))[0], state
    )
