"""Compiled evaluation: loss and metric over a whole part, and the outputs where they are asked for."""

from functools import partial

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


class Sums:
    """Means over a part, per lane: `loss` and the metric's raw mean (before `Metric.finish`)."""

    def __init__(self, loss: np.ndarray, metric: np.ndarray):
        self.loss, self.metric = loss, metric


def evaluate(program: Program, inputs: Inputs, part: Part, params: PyTree, model_state: PyTree) -> Sums:
    """Return the mean loss and metric of every lane over a part.

    Batch sums come back from the device in float32 and are added on the host in float64.
    """
    losses, metrics = _sums(program, inputs, part, params, model_state)
    count = part.count()
    return Sums(*(np.asarray(found, np.float64).sum(axis=1) / count for found in (losses, metrics)))


@partial(jax.jit, static_argnames="program")
def _sums(
    program: Program, inputs: Inputs, part: Part, params: PyTree, model_state: PyTree
) -> tuple[Float[Array, "lane batch"], Float[Array, "lane batch"]]:
    TRACES["evaluate"] += 1

    def of_lane(lane: tuple[PyTree, PyTree]) -> tuple[Array, Array]:
        def of_batch(first: Array) -> tuple[Array, Array]:
            outputs, targets, weights = _forward(program, inputs, part, lane, first)
            unit = inputs.target_scale
            scaled = (outputs, targets) if unit is None else (outputs * unit, targets * unit)
            losses = program.loss(outputs, targets)
            values = program.metric.per_example(*scaled)
            # where, not a product: a padding row must not turn an overflow into NaN.
            return jnp.where(weights, losses, 0).sum(), jnp.where(weights, values, 0).sum()

        return jax.lax.map(of_batch, _starts(part))

    return jax.lax.map(of_lane, (params, model_state))


@partial(jax.jit, static_argnames="program")
def outputs_of(
    program: Program, inputs: Inputs, part: Part, params: PyTree, model_state: PyTree
) -> PyTree[Float[Array, "example ..."]]:
    """Return the model's outputs for every example of a part, one lane's parameters (no lane axis)."""
    TRACES["outputs"] += 1
    lane = (params, model_state)
    found = jax.lax.map(lambda first: _forward(program, inputs, part, lane, first)[0], _starts(part))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[: part.count()], found)


def _starts(part: Part) -> Array:
    return jnp.arange(0, part.count(), _rows(part))


def _rows(part: Part) -> int:
    return min(EVALUATION_ROWS, part.count())


def _forward(
    program: Program, inputs: Inputs, part: Part, lane: tuple[PyTree, PyTree], first: Array
) -> tuple[PyTree, PyTree, Array]:
    params, model_state = lane
    indices = first + jnp.arange(_rows(part))
    batch, targets = part.batch(jnp.minimum(indices, part.count() - 1))
    built = rebuilt(program, inputs, params, model_state)
    outputs, _ = apply(built, inputs.prepared(batch), key=None, training=False)
    return outputs, targets, indices < part.count()
