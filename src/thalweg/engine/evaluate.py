"""Compiled evaluation: loss and metric over a whole split, and predictions to keep.

A model that carries its state reads a text as in training under `shuffle = "continued"`: the text is cut into
a few stretches that are read in parallel, each window starts from the state that the previous one left, and
only the first window of a stretch starts from zeros.
"""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.device import on_cpu
from thalweg.core.tree import lane as take_lane
from thalweg.core.tree import row, with_row
from thalweg.engine.compilation import TRACES, compile_once
from thalweg.engine.layout.fast_matmul import fast
from thalweg.engine.program import BATCH, Inputs, Program, rebuilt
from thalweg.problem.data.split import Split, Windows
from thalweg.problem.models.adapter import RecurrentCarry, apply, apply_from_carry

# Rows in a batch of evaluation: enough for full matrix products, few enough to stay in cache.
EVALUATION_ROWS = 512
# Batched lanes share this many rows, but each has at least the second number.
BATCHED_ROWS, FEWEST_ROWS = 1024, 16
# Stretches of a text that are read in parallel: enough for full matrix products, few enough that windows
# which start from zeros weigh little.
STRETCHES = 32
# What to keep of a batch's outputs, `example ...`; None if nothing can be kept of such outputs.
Predict = Callable[[PyTree], Array | None]
# What to compute from (outputs, targets, which rows count) of a batch.
Reduce = Callable[[PyTree, PyTree, Array], Any]


class Means(NamedTuple):
    """Means over a split.

    Args:
        loss, metric: `lane`; the metric before `Metric.finish`.
        examples: Number of examples evaluated.
        dispatch_seconds: Until the program was dispatched; at the first call this is its compilation.
        predictions: What was kept of the outputs, `lane example ...`; None if nothing was requested.
    """

    loss: np.ndarray
    metric: np.ndarray
    examples: int
    dispatch_seconds: float
    predictions: np.ndarray | None = None


def evaluate(
    program: Program,
    inputs: Inputs,
    split: Split,
    weights: tuple[PyTree, PyTree],
    stride: int = 1,
    which: np.ndarray | None = None,
    predict: Predict | None = None,
) -> Means:
    """Return the mean loss and metric of every lane over a split.

    Batch sums are computed on the device in float32 and added on the host in float64.

    Args:
        program, inputs: As for training.
        split: What to evaluate on.
        weights: Parameters and model state, stacked.
        stride: Evaluate every `stride`-th example; 1 for all.
        which: Lanes to evaluate, `lane` of bool; None for all. The others give NaN, and cost nothing where
            lanes are mapped.
        predict: What to keep of the outputs; a module-level function, as it is a static argument.
    """
    started = time.perf_counter()
    split, stride = _consecutive(split, weights[1], stride)
    order, count = _lane_order(inputs, which)
    *sums, predictions = compile_once(_sums, program, inputs, split, weights, order, count, stride, predict)
    dispatched = time.perf_counter() - started
    examples = -(-split.count() // stride)
    loss, metric = (np.asarray(batches, np.float64).sum(axis=1) / examples for batches in sums)
    if predictions is not None:  # batches of rows, the last one padded
        rows = np.asarray(predictions)
        predictions = rows.reshape(len(rows), -1, *rows.shape[3:])[:, :examples]
    return Means(loss, metric, examples, dispatched, predictions)


def losses_of(
    program: Program,
    inputs: Inputs,
    split: Split,
    weights: tuple[PyTree, PyTree],
    which: np.ndarray | None = None,
) -> np.ndarray:
    """Return every lane's loss on every example of a split, `lane example`; NaN for other lanes.

    Args:
        program, inputs, split, weights, which: As for `evaluate`.
    """
    split, _ = _consecutive(split, weights[1], 1)
    order, count = _lane_order(inputs, which)
    losses = compile_once(_losses, program, inputs, split, weights, order, count)
    return np.asarray(losses, np.float64)[:, : split.count()]


def _lane_order(inputs: Inputs, which: np.ndarray | None) -> tuple[np.ndarray, np.int32]:
    """Return the lanes, those to evaluate first, and how many these are."""
    width = inputs.stream.shape[0]
    selected = np.arange(width) < int(inputs.lanes) if which is None else which
    return np.argsort(~selected, kind="stable").astype(np.int32), np.int32(selected.sum())


@partial(jax.jit, static_argnames=("program", "stride", "predict"))
def _sums(
    program: Program,
    inputs: Inputs,
    split: Split,
    weights: tuple[PyTree, PyTree],
    order: Int[Array, " lane"],
    count: Int[Array, ""],
    stride: int,
    predict: Predict | None,
) -> tuple[Float[Array, "lane batch"], Float[Array, "lane batch"], Array | None]:
    TRACES.count("evaluate")
    batches = _batches(program, split, len(order), stride)

    def reduce(outputs: PyTree, targets: PyTree, counted: Array) -> tuple[Array, Array, Array | None]:
        unit = inputs.target_scale
        scaled = (outputs, targets) if unit is None else (outputs * unit, targets * unit)
        losses = program.loss(outputs, targets)
        values = program.metric.per_example(*scaled)
        predicted = None if predict is None else predict(outputs)
        # where, not a product: a padding row must not turn an overflow into NaN.
        return jnp.where(counted, losses, 0).sum(), jnp.where(counted, values, 0).sum(), predicted

    def of_lane(lane: tuple[PyTree, PyTree]) -> tuple[Array, Array, Array | None]:
        return _over_batches(program, inputs, split, lane, batches, reduce)

    return _map_lanes(program, of_lane, weights, order, count)


@partial(jax.jit, static_argnames="program")
def _losses(
    program: Program,
    inputs: Inputs,
    split: Split,
    weights: tuple[PyTree, PyTree],
    order: Int[Array, " lane"],
    count: Int[Array, ""],
) -> Float[Array, "lane example"]:
    batches = _batches(program, split, len(order), 1)

    def reduce(outputs: PyTree, targets: PyTree, counted: Array) -> Array:
        return program.loss(outputs, targets)

    def of_lane(lane: tuple[PyTree, PyTree]) -> Array:
        losses = _over_batches(program, inputs, split, lane, batches, reduce)
        return (losses.T if _carries_state(split, lane[1]) else losses).reshape(-1)

    return _map_lanes(program, of_lane, weights, order, count)


def _map_lanes(
    program: Program,
    of_lane: Callable[[PyTree], PyTree],
    lanes: PyTree,
    order: Int[Array, " lane"],
    count: Int[Array, ""],
) -> PyTree:
    """Map a function over the first `count` lanes of the order, in the program's layout.

    The others give NaN, or -1. Where lanes are mapped, the trip count is hidden from the compiler for the
    same reason as in training: a lane computes the same bits among others and alone.
    """
    of_lane = jax.jit(of_lane, inline=True)  # traced once, for its shapes and for its place in the loop
    shapes = jax.eval_shape(of_lane, take_lane(lanes, 0))
    width = order.shape[0]
    unset = jax.tree.map(lambda leaf: jnp.full((width, *leaf.shape), _unset(leaf.dtype), leaf.dtype), shapes)
    if program.layout == BATCH:
        selected = jnp.zeros(width, bool).at[order].set(jnp.arange(width) < count)
        return jax.tree.map(
            lambda rows, none: jnp.where(selected.reshape(-1, *[1] * (rows.ndim - 1)), rows, none),
            jax.vmap(of_lane)(lanes),
            unset,
        )

    def body(index: Array, results: PyTree) -> PyTree:
        lane = row(order, index)
        lane_results = of_lane(take_lane(lanes, lane))
        return jax.tree.map(lambda rows, new: with_row(rows, new, lane), results, lane_results)

    return jax.lax.fori_loop(0, count, body, unset)


def _unset(dtype: np.dtype) -> float:
    return jnp.nan if jnp.issubdtype(dtype, jnp.inexact) else -1


class _Batches(NamedTuple):
    """Which examples each batch of an evaluation has: `rows`, `stride` apart, from each of the starts."""

    starts: Int[Array, " batch"]
    rows: int
    stride: int


def _batches(program: Program, split: Split, width: int, stride: int) -> _Batches:
    several = program.layout == BATCH and width > 1
    most = max(FEWEST_ROWS, BATCHED_ROWS // width) if several else EVALUATION_ROWS
    rows = min(most, split.count())
    return _Batches(jnp.arange(0, split.count(), rows * stride), rows, stride)


def _over_batches(
    program: Program,
    inputs: Inputs,
    split: Split,
    lane: tuple[PyTree, PyTree],
    batches: _Batches,
    reduce: Reduce,
) -> Any:
    """Return what `reduce` computes for every batch of a split, with a leading axis of batches.

    Where the state is carried, row r of batch b is window `r * batches + b`.
    """
    if _carries_state(split, lane[1]):
        return _over_stretches(program, inputs, split, lane, reduce)
    return jax.lax.map(
        lambda first: reduce(*_forward(program, inputs, split, lane, first, batches)), batches.starts
    )


def _forward(
    program: Program,
    inputs: Inputs,
    split: Split,
    lane: tuple[PyTree, PyTree],
    first: Array,
    batches: _Batches,
) -> tuple[PyTree, PyTree, Array]:
    """Return outputs and targets of one batch, and which of its rows count."""
    params, model_state = lane
    indices = first + batches.stride * jnp.arange(batches.rows)
    batch, targets = split.batch(jnp.minimum(indices, split.count() - 1))
    module = rebuilt(program, inputs, params, model_state)

    def forward(examples: PyTree) -> PyTree:
        return apply(module, examples, key=None, training=False)[0]

    batched_on_cpu = program.layout == BATCH and on_cpu()
    outputs = (fast(forward) if batched_on_cpu else forward)(inputs.prepared(batch))
    return outputs, targets, indices < split.count()


def _carries_state(split: Split, model_state: PyTree) -> bool:
    """Return whether the state is carried over this split: a text, with a model that carries a state."""
    return isinstance(model_state, RecurrentCarry) and split.is_text


def _consecutive(split: Split, model_state: PyTree, stride: int) -> tuple[Split, int]:
    """Return the split with consecutive windows, all of them; unchanged where no state is carried."""
    if not _carries_state(split, model_state):
        return split, stride
    assert isinstance(split, Windows)
    return dataclasses.replace(split, stride=split.length), 1


def _over_stretches(
    program: Program, inputs: Inputs, split: Split, lane: tuple[PyTree, RecurrentCarry], reduce: Reduce
) -> Any:
    """Do what `_over_batches` does for a state that is carried; of the state only the shapes are used."""
    params, carried = lane
    count = split.count()
    rows = min(STRETCHES, count)
    steps = -(-count // rows)
    start = jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape[1:]), leaf.dtype), carried)

    def body(carry: RecurrentCarry, step: Array) -> tuple[RecurrentCarry, Any]:
        indices = step + steps * jnp.arange(rows)
        batch, targets = split.batch(jnp.minimum(indices, count - 1))
        outputs, after = apply_from_carry(rebuilt(program, inputs, params, carry), inputs.prepared(batch))
        after = jax.tree.map(lambda new, old: new.astype(old.dtype), after, carry)
        return after, reduce(outputs, targets, indices < count)

    return jax.lax.scan(body, start, jnp.arange(steps))[1]
