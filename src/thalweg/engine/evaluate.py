"""Compiled evaluation: loss and metric over a whole part, and the outputs where they are asked for."""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.tree import lane as take_lane
from thalweg.engine.carrying import continues, in_order, over_stretches
from thalweg.engine.compiling import TRACES, with_one_compilation
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
    program: Program,
    inputs: Inputs,
    part: Part,
    weights: tuple[PyTree, PyTree],
    apart: int = 1,
    which: np.ndarray | None = None,
) -> Means:
    """Return the mean loss and metric of every lane over a part.

    Batch sums come back from the device in float32 and are added on the host in float64.

    Args:
        program, inputs: As for training.
        part: What is looked at.
        weights: Parameters and model state, stacked.
        apart: Distance between the examples that are looked at; 1 for all.
        which: Lanes to look at, `lane` of bool; None for all. The others cost nothing and come back as NaN.
    """
    begun = time.perf_counter()
    part, apart = in_order(part, weights[1], apart)
    turns, count = _turns(inputs, which)
    found = with_one_compilation(_sums, program, inputs, part, weights, turns, count, apart)
    dispatched = time.perf_counter() - begun
    examples = -(-part.count() // apart)
    loss, metric = (np.asarray(sums, np.float64).sum(axis=1) / examples for sums in found)
    return Means(loss, metric, examples, dispatched)


def losses_of(
    program: Program,
    inputs: Inputs,
    part: Part,
    weights: tuple[PyTree, PyTree],
    which: np.ndarray | None = None,
) -> np.ndarray:
    """Return every lane's loss on every example of a part, `lane example`; NaN for lanes not asked for.

    Args:
        program, inputs, part, weights, which: As for `evaluate`.
    """
    part, _ = in_order(part, weights[1], 1)
    turns, count = _turns(inputs, which)
    found = with_one_compilation(_losses, program, inputs, part, weights, turns, count)
    return np.asarray(found, np.float64)[:, : part.count()]


def _turns(inputs: Inputs, which: np.ndarray | None) -> tuple[np.ndarray, np.int32]:
    """Return the lanes to look at, first to last, and how many they are."""
    width = inputs.stream.shape[0]
    wanted = np.arange(width) < int(inputs.lanes) if which is None else which
    return np.argsort(~wanted, kind="stable").astype(np.int32), np.int32(wanted.sum())


@partial(jax.jit, static_argnames=("program", "apart"))
def _sums(
    program: Program,
    inputs: Inputs,
    part: Part,
    weights: tuple[PyTree, PyTree],
    turns: Int[Array, " lane"],
    count: Int[Array, ""],
    apart: int,
) -> tuple[Float[Array, "lane batch"], Float[Array, "lane batch"]]:
    TRACES.count("evaluate")
    starts = jnp.arange(0, part.count(), _rows(part) * apart)

    def of_lane(lane: tuple[PyTree, PyTree]) -> tuple[Array, Array]:
        def read(outputs: PyTree, targets: PyTree, counted: Array) -> tuple[Array, Array]:
            unit = inputs.target_scale
            scaled = (outputs, targets) if unit is None else (outputs * unit, targets * unit)
            losses = program.loss(outputs, targets)
            values = program.metric.per_example(*scaled)
            # where, not a product: a padding row must not turn an overflow into NaN.
            return jnp.where(counted, losses, 0).sum(), jnp.where(counted, values, 0).sum()

        if continues(part, lane[1]):
            return over_stretches(program, inputs, part, lane, read)
        return jax.lax.map(lambda first: read(*_forward(program, inputs, part, lane, first, apart)), starts)

    return _in_turn(of_lane, weights, turns, count)


@partial(jax.jit, static_argnames="program")
def _losses(
    program: Program,
    inputs: Inputs,
    part: Part,
    weights: tuple[PyTree, PyTree],
    turns: Int[Array, " lane"],
    count: Int[Array, ""],
) -> Float[Array, "lane example"]:
    starts = jnp.arange(0, part.count(), _rows(part))

    def of_lane(lane: tuple[PyTree, PyTree]) -> Array:
        def read(outputs: PyTree, targets: PyTree, counted: Array) -> Array:
            return program.loss(outputs, targets)

        if continues(part, lane[1]):
            return over_stretches(program, inputs, part, lane, read).T.reshape(-1)
        return jax.lax.map(
            lambda first: read(*_forward(program, inputs, part, lane, first, 1)), starts
        ).reshape(-1)

    return _in_turn(of_lane, weights, turns, count)


def _in_turn(
    of_lane: Callable[[PyTree], PyTree], lanes: PyTree, turns: Int[Array, " lane"], count: Int[Array, ""]
) -> PyTree:
    """Map a function over `count` of the lanes, one after another; NaN where a lane has no turn.

    The trip count is hidden from the compiler for the same reason as in the loop of training: a lane
    computes the same bits among others and alone.
    """
    shapes = jax.eval_shape(of_lane, take_lane(lanes, 0))
    width = turns.shape[0]
    blank = jax.tree.map(lambda leaf: jnp.full((width, *leaf.shape), jnp.nan, leaf.dtype), shapes)

    def body(turn: Array, found: PyTree) -> PyTree:
        one = of_lane(take_lane(lanes, turns[turn]))
        return jax.tree.map(lambda rows, row: rows.at[turns[turn]].set(row), found, one)

    return jax.lax.fori_loop(0, count, body, blank)


@partial(jax.jit, static_argnames="program")
def outputs_of(
    program: Program, inputs: Inputs, part: Part, params: PyTree, model_state: PyTree
) -> PyTree[Float[Array, "example ..."]]:
    """Return the model's outputs for every example of a part, one lane's parameters (no lane axis)."""
    TRACES.count("outputs")
    lane = (params, model_state)
    starts = jnp.arange(0, part.count(), _rows(part))
    found = jax.lax.map(lambda first: _forward(program, inputs, part, lane, first, 1)[0], starts)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[: part.count()], found)


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
