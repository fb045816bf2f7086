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

from thalweg.core.compiler import jit, traced_once
from thalweg.core.device import on_cpu
from thalweg.core.tree import lane as take_lane
from thalweg.core.tree import row, with_row
from thalweg.engine.compilation import TRACES, compile_once
from thalweg.engine.evaluate_objective import objective_losses, objective_sums
from thalweg.engine.evaluation_batches import PRIME, Batches, batches_of, row_bytes
from thalweg.engine.kept import Lanes, Targets, finished, keep, wanted
from thalweg.engine.layout.fast_matmul import fast
from thalweg.engine.mesh import kept_on_each, on_each, share_rows
from thalweg.engine.program import BATCH, Inputs, Program, rebuilt
from thalweg.problem.data.fold_rows import FoldRows
from thalweg.problem.data.split import Split, Windows
from thalweg.problem.models.adapter import RecurrentCarry, apply, apply_from_carry
from thalweg.problem.objective import Objective

# Stretches of a text that are read in parallel: enough for full matrix products, few enough that windows
# which start from zeros weigh little.
STRETCHES = 32
# What to keep of a batch's outputs, `example ...`; None if nothing can be kept of such outputs.
Predict = Callable[[PyTree], Array | None]
# What to compute from (outputs, targets, which rows count) of a batch.
Reduce = Callable[[PyTree, PyTree, Array], Any]
# Parameters, model state and fold of a lane.
_EvaluatedLane = tuple[PyTree, PyTree, Array | None]


class Means(NamedTuple):
    """Means over a split.

    Args:
        loss, metric: `lane`.
        examples: Number of examples evaluated, `lane`.
        dispatch_seconds: Until the program was dispatched; at the first call this is its compilation.
        predictions: What was kept of the outputs, `lane example ...`; None if nothing was requested. Beyond
            the examples of a lane they mean nothing.
        figures: Further metrics, or what an objective computes besides its loss, by name, each `lane`.
    """

    loss: np.ndarray
    metric: np.ndarray
    examples: np.ndarray
    dispatch_seconds: float
    predictions: np.ndarray | None = None
    figures: dict[str, np.ndarray] = {}


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
    split, weights = on_each(program.mesh, (split, weights))
    order, count = _lane_order(inputs, which)
    results = compile_once(sums_of_batches, program, inputs, split, weights, order, count, stride, predict)
    dispatched = time.perf_counter() - started
    examples = -(-_counts(split, inputs) // stride)
    if isinstance(program.loss, Objective):
        return _objective_means(program, results.sums[0], examples, dispatched)
    total = examples if split.example_weights is None else split.total_weight(stride)
    loss, *means = (np.asarray(batches, np.float64).sum(axis=1) / total for batches in results.sums)
    ran = np.isin(np.arange(len(order)), order[: int(count)])
    lanes = Lanes(ran, np.asarray(inputs.fold) if isinstance(split, FoldRows) else None)
    metric, *more = finished(program, means, results.kept, results.wanted, split, lanes)
    figures = {each.name: values for each, values in zip(program.more, more, strict=True)}
    predictions = results.predictions
    if predictions is not None:  # batches of rows, the last one padded
        rows = np.asarray(predictions)
        predictions = rows.reshape(len(rows), -1, *rows.shape[3:])[:, : examples.max()]
    return Means(loss, metric, examples, dispatched, predictions, figures)


def losses_of(
    program: Program,
    inputs: Inputs,
    split: Split,
    weights: tuple[PyTree, PyTree],
    which: np.ndarray | None = None,
) -> np.ndarray:
    """Return every lane's loss on every example of a split, `lane example`; NaN for other lanes.

    Beyond the examples of a lane's fold they mean nothing. Of an objective that gives one number for a
    batch, it is the loss on every batch, `lane batch`.

    Args:
        program, inputs, split, weights, which: As for `evaluate`.
    """
    split, _ = _consecutive(split, weights[1], 1)
    split, weights = on_each(program.mesh, (split, weights))
    order, count = _lane_order(inputs, which)
    losses = compile_once(_losses, program, inputs, split, weights, order, count)
    return np.asarray(losses, np.float64)[:, : split.count()]


def _counts(split: Split, inputs: Inputs) -> np.ndarray:
    """Return how many examples of a split each lane has, `lane`."""
    if isinstance(split, FoldRows):
        return np.asarray(split.counts)[np.asarray(inputs.fold)]
    return np.full(inputs.stream.shape[0], split.count())


def _objective_means(program: Program, sums: Array, examples: np.ndarray, dispatched: float) -> Means:
    """Return means from the sums of an objective's loss and figures, `lane batch number`."""
    means = np.asarray(sums, np.float64).sum(axis=1) / examples[:, None]
    figures = {name: means[:, 1 + at] for at, name in enumerate(program.figures)}
    metric = figures.get(program.metric.name, means[:, 0])
    return Means(means[:, 0], metric, examples, dispatched, None, figures)


def _lane_order(inputs: Inputs, which: np.ndarray | None) -> tuple[np.ndarray, np.int32]:
    """Return the lanes, those to evaluate first, and how many these are."""
    width = inputs.stream.shape[0]
    selected = np.arange(width) < int(inputs.lanes) if which is None else which
    return np.argsort(~selected, kind="stable").astype(np.int32), np.int32(selected.sum())


class _Results(NamedTuple):
    """What an evaluation gives on the device.

    Args:
        sums: Of the loss and of every metric that is a mean, each `lane batch`.
        predictions: `lane batch row ...`, or None.
        kept: Outputs for metrics of the whole split, each `lane batch row ...`.
        wanted: What belongs to them; None if nothing is kept.
    """

    sums: tuple[Array, ...]
    predictions: Array | None = None
    kept: tuple[Array, ...] = ()
    wanted: Targets | None = None


@partial(jit, static_argnames=("program", "stride", "predict"))
def sums_of_batches(
    program: Program,
    inputs: Inputs,
    split: Split,
    weights: tuple[PyTree, PyTree],
    order: Int[Array, " lane"],
    count: Int[Array, ""],
    stride: int,
    predict: Predict | None,
) -> _Results:
    """Return what an evaluation gives on the device: the program that `evaluate` calls with its arguments."""
    TRACES.count("evaluate")
    return traced_sums(program, inputs, split, weights, order, count, stride, predict)


def traced_sums(
    program: Program,
    inputs: Inputs,
    split: Split,
    weights: tuple[PyTree, PyTree],
    order: Int[Array, " lane"],
    count: Int[Array, ""],
    stride: int,
    predict: Predict | None,
) -> _Results:
    """Return what `sums_of_batches` does, as part of a caller's own trace: `TRACES` does not count it."""
    loss = program.loss
    if isinstance(loss, Objective):
        sums = partial(objective_sums, program, inputs, split, stride)
        return kept_on_each(program.mesh, _Results((_map_lanes(program, sums, weights, order, count),)))
    cut = _batches(program, inputs, split, weights, len(order), stride)

    def reduce(inputs: Inputs, outputs: PyTree, targets: PyTree, counted: Array) -> _Results:
        losses, unit = [loss(outputs, targets)], inputs.target_scale
        losses += [each.per_example(outputs, targets, unit) for each in program.metrics if each.whole is None]
        predicted = None if predict is None else predict(outputs)
        kept = keep(program, outputs, targets[0] if split.weighted else targets)
        # where, not a product: a padding row must not turn an overflow into NaN.
        return _Results(tuple(jnp.where(counted, each, 0).sum() for each in losses), predicted, kept)

    def of_lane(lane: _EvaluatedLane) -> _Results:
        own, rows = _of_fold(inputs, split, lane[2])
        return _over_batches(program, own, rows, lane[:2], cut, partial(reduce, own))

    results = _map_lanes(program, of_lane, (*weights, inputs.fold), order, count)
    if results.kept:
        results = results._replace(wanted=wanted(split, _indices(split, weights[1], cut)))
    return kept_on_each(program.mesh, results)


@partial(jit, static_argnames="program")
def _losses(
    program: Program,
    inputs: Inputs,
    split: Split,
    weights: tuple[PyTree, PyTree],
    order: Int[Array, " lane"],
    count: Int[Array, ""],
) -> Float[Array, "lane example"]:
    loss = program.loss
    if isinstance(loss, Objective):
        objective = partial(objective_losses, program, inputs, split)
        return kept_on_each(program.mesh, _map_lanes(program, objective, weights, order, count))
    cut = _batches(program, inputs, split, weights, len(order), 1)

    def reduce(outputs: PyTree, targets: PyTree, counted: Array) -> Array:
        return loss(outputs, targets)

    def of_lane(lane: _EvaluatedLane) -> Array:
        own, rows = _of_fold(inputs, split, lane[2])
        losses = _over_batches(program, own, rows, lane[:2], cut, reduce)
        return (losses.T if _carries_state(split, lane[1]) else losses).reshape(-1)

    return kept_on_each(program.mesh, _map_lanes(program, of_lane, (*weights, inputs.fold), order, count))


def _of_fold(inputs: Inputs, split: Split, fold: Array | None) -> tuple[Inputs, Split]:
    """Return the inputs and the rows of a lane."""
    return inputs.of_fold(fold), split.of_fold(fold) if isinstance(split, FoldRows) else split  # type: ignore[arg-type]


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
    of_lane = traced_once(of_lane)  # for its shapes, and for its place in the loop
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


def _batches(
    program: Program, inputs: Inputs, split: Split, weights: tuple[PyTree, PyTree], width: int, stride: int
) -> Batches:
    """Return the batches of a split: as many rows at once as there is memory for."""
    if _carries_state(split, weights[1]):  # read in stretches
        return batches_of(program, split, width, stride, 0)
    own, rows = _of_fold(inputs, split, None if inputs.fold is None else inputs.fold[0])
    alone, some = dataclasses.replace(program, mesh=None), Batches(jnp.zeros(1, int), PRIME, stride)

    def forward(inputs: Inputs, split: Split, lane: tuple[PyTree, PyTree]) -> PyTree:
        return _forward(alone, inputs, split, lane, jnp.int32(0), some)[0]

    row = row_bytes(forward, own, rows, take_lane(weights, 0))
    return batches_of(program, split, width, stride, row)


def _over_batches(
    program: Program,
    inputs: Inputs,
    split: Split,
    lane: tuple[PyTree, PyTree],
    batches: Batches,
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
    batches: Batches,
) -> tuple[PyTree, PyTree, Array]:
    """Return outputs and targets of one batch, and which of its rows count."""
    params, model_state = lane
    indices = first + batches.stride * jnp.arange(batches.rows)
    at = share_rows(program.mesh, jnp.minimum(indices, split.count() - 1))
    batch, targets = share_rows(program.mesh, split.batch(at))
    module = rebuilt(program, inputs, params, model_state)

    def forward(examples: PyTree) -> PyTree:
        return apply(module, examples, key=None, training=False)[0]

    batched_on_cpu = program.layout == BATCH and on_cpu()
    outputs = (fast(forward) if batched_on_cpu else forward)(inputs.prepared(batch))
    return outputs, targets, indices < split.count()


def _indices(split: Split, model_state: PyTree, batches: Batches) -> Int[Array, "batch row"]:
    """Return which example each row of each batch is; see `_over_batches`."""
    if _carries_state(split, model_state):
        rows = min(STRETCHES, split.count())
        steps = -(-split.count() // rows)
        return jnp.arange(steps)[:, None] + steps * jnp.arange(rows)
    return batches.starts[:, None] + batches.stride * jnp.arange(batches.rows)


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
