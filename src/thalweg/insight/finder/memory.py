"""How large a batch fits in memory: what the compiled program says of itself, with a margin.

What a compiled update needs is nearly an affine function of the batch: weights, states and the resident data
whatever the batch, and activations for each example of it. Two compilations give both; where the answer lies
beyond them, a third one there corrects it downwards.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import psutil

from thalweg.engine.dispatch import run_chunk
from thalweg.engine.group import init_group
from thalweg.insight.finder.finding import Fits
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

# Share of the memory at hand that an answer leaves free, for evaluations, the best weights so far, fragments,
# and what other programs take later. Ours, and generous: an answer that is too small costs little.
MARGIN = 0.3
# Batches that are compiled first; the second large enough for activations to show beside everything else.
SMALL, LARGE = 32, 256


def fits(problem: Problem, recipe: Recipe, *, free: int | None = None, margin: float = MARGIN) -> Fits:
    """Return the largest batch whose compiled update fits in memory with a margin.

    Args:
        problem, recipe: What is learned, and how.
        free: Bytes at hand; None for what the device says, or on CPU what is available.
        margin: Share of them that stays free.
    """
    count = problem.data.train.count()
    at_hand = free_bytes() if free is None else free
    room = (1 - margin) * at_hand
    small, large = max(1, min(SMALL, count // 2)), min(LARGE, count)
    needed = {batch: update_bytes(problem, recipe, batch) for batch in {small, large}}
    each = max((needed[large] - needed[small]) / max(large - small, 1), 0.0)
    fixed = needed[small] - each * small
    batch = count if each == 0 else max(0, min(count, int((room - fixed) / each)))
    if batch > large:
        each = max(each, (update_bytes(problem, recipe, batch) - fixed) / batch)
        batch = max(0, min(count, int((room - fixed) / each)))
    return Fits(batch, int(fixed), each, int(at_hand), margin)


def update_bytes(problem: Problem, recipe: Recipe, batch: int) -> int:
    """Return the bytes that a compiled update of one lane needs: arguments, results and temporaries."""
    sized = dataclasses.replace(recipe, batch_size=batch, accumulate=1, rate_rule="none")
    group, states = init_group(problem, [sized])
    part, batches = group.feed.dispatch(group.splits, 0, 1, group.program.capacity)
    lowered = run_chunk.lower(group.program, group.inputs, part, batches, jnp.int32(1), states)
    told: Any = lowered.compile().memory_analysis()
    return int(
        told.argument_size_in_bytes
        + told.output_size_in_bytes
        + told.temp_size_in_bytes
        - told.alias_size_in_bytes
    )


def free_bytes() -> int:
    """Return the bytes at hand for a run: of the device, or of the machine where that is the device."""
    told = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in told:
        return int(told["bytes_limit"] - told.get("bytes_in_use", 0))
    return int(psutil.virtual_memory().available)
