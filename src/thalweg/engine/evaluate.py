"""Compiled evaluation: loss and metric over a whole part, and the outputs where they are asked for."""

import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from thalweg.engine.loop import TRACES
from thalweg.engine.program import Inputs, Program, rebuilt
from thalweg.problem.data.part import Part
from thalweg.problem.models.adapter import apply

# Rows in a batch of evaluation: large enough for full matrix products, small enough to stay in cache.
EVALUATION_ROWS = 512


class Means(NamedTuple):
    """Means over a part.

    Args:
        loss, metric: `lane`; the metric before `Metric.finish`.
        examples: How many were looked at.
        dispatch_seconds: Until the program was on its way; at the first call that is its compilation.
    """

    loss: np.ndarray
    metric: np.ndarray
    examples: int
    dispatch_seconds: float


def evaluate(
    program: Program, inputs: Inputs, part: Part, weights: tuple[PyTree, PyTree], apart: int = 1
) -> Means:
    """Return the mean loss and metric of every lane over a part.

    Batch sums come back from the device in float32 and are added on the host in float64.

    Args:
        program, inputs: As for training.
        part: What is looked at.
        weights: Parameters and model state, stacked.
        apart: Distance between the examples that are looked at; 1 for all.
    """
    begun = time.perf_counter()
    found = _sums(program, inputs, part, *weights, apart)
    dispatched = time.perf_counter() - begun
    count = -(-part.count() // apart)
    loss, metric = (np.asarray(sums, np.float64).sum(axis=1) / count for sums in found)
    return Means(loss, metric, count, dispatched)


@partial(jax.jit, static_argnames=("program", "apart"))
def _sums(
    program: Program, inputs: Inputs, part: Part, params: PyTree, model_state: PyTree, apart: int
) -> tuple[Float[Array, "lane batch"], Float[Array, "lane batch"]]:
    TRACES["evaluate"] += 1
    starts = jnp.arange(0, part.count(), _rows(part) * apart)

    def of_lane(lane: tuple[PyTree, PyTree]) -> tuple[Array, Array]:
        def of_batch(first: Array) -> tuple[Array, Array]:
            outputs, targets, weights = _forward(program, inputs, part, lane, first, apart)
            unit = inputs.target_scale
            scaled = (outputs, targets) if unit is None else (outputs * unit, targets * unit)
            losses = program.loss(outputs, targets)
            values = program.metric.per_example(*scaled)
            # where, not a product: a padding row must not turn an overflow into NaN.
            return jnp.where(weights, losses, 0).sum(), jnp.where(weights, values, 0).sum()

        return jax.lax.map(of_batch, starts)

    return jax.lax.map(of_lane, (params, model_state))


@partial(jax.jit, static_argnames="program")
def outputs_of(
    program: Program, inputs: Inputs, part: Part, params: PyTree, model_state: PyTree
) -> PyTree[Float[Array, "example ..."]]:
    """Return the model's outputs for every example of a part, one lane's parameters (no lane axis)."""
    TRACES["outputs"] += 1
    lane = (params, model_state)
    starts = jnp.arange(0, part.count(), _rows(part))
    found = jax.lax.map(lambda first: _forward(program, inputs, part, lane, first, 1)[0], starts)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[: part.count()], found)


@partial(jax.jit, static_argnames="program")
def losses_of(
    program: Program, inputs: Inputs, part: Part, params: PyTree, model_state: PyTree
) -> Float[Array, " example"]:
    """Return the loss of every example of a part, one lane's parameters (no lane axis)."""

    def of_batch(first: Array) -> Array:
        outputs, targets, _ = _forward(program, inputs, part, (params, model_state), first, 1)
        return program.loss(outputs, targets)

    found = jax.lax.map(of_batch, jnp.arange(0, part.count(), _rows(part)))
    return found.reshape(-1)[: part.count()]


def _rows(part: Part) -> int:
    return min(EVALUATION_ROWS, part.count())


def _forward(
    program: Program, inputs: Inputs, part: Part, lane: tuple[PyTree, PyTree], first: Array, apart: int
) -> tuple[PyTree, PyTree, Array]:
    params, model_state = lane
    indices = first + apart * jnp.arange(_rows(part))
    batch, targets = part.batch(jnp.minimum(indices, part.count() - 1))
    built = rebuilt(program, inputs, params, model_state)
    outputs, _ = apply(built, inputs.prepared(batch), key=None, training=False)
    return outputs, targets, indices < part.count()
