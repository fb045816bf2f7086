"""Compiled evaluation: loss and metric over a whole part, and what is to be kept of the outputs."""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.tree import lane as take_lane
from thalweg.core.tree import row, with_row
from thalweg.engine.compiling import TRACES, with_one_compilation
from thalweg.engine.layout.fast_matmul import fast
from thalweg.engine.program import BATCH, Inputs, Program, rebuilt
from thalweg.engine.stateful_eval import continues, in_order, over_stretches
from thalweg.problem.data.split import Split
from thalweg.problem.models.adapter import apply

# Rows in a batch of evaluation: large enough for full matrix products, small enough to stay in cache.
EVALUATION_ROWS = 512
# With lanes in one product a batch is of so many rows over all lanes, and of no fewer than so many of each.
ROWS_OF_ALL, FEWEST_ROWS = 1024, 16
# What to keep of a batch's outputs, `example ...`; None: nothing can be kept of such outputs.
Answer = Callable[[PyTree], Array | None]


class Means(NamedTuple):
    """Means over a part.

    Args:
        loss, metric: `lane`; the metric before `Metric.finish`.
        examples: How many were looked at.
        dispatch_seconds: Until the program was on its way; at the first call that is its compilation.
        answers: What was kept of the outputs, `lane example ...`; None where nothing was asked for.
    """

    loss: np.ndarray
    metric: np.ndarray
    examples: int
    dispatch_seconds: float
    answers: np.ndarray | None = None


def evaluate(
    program: Program,
    inputs: Inputs,
    part: Split,
    weights: tuple[PyTree, PyTree],
    apart: int = 1,
    which: np.ndarray | None = None,
    answer: Answer | None = None,
) -> Means:
    """Return the mean loss and metric of every lane over a part.

    Batch sums come back from the device in float32 and are added on the host in float64.

    Args:
        program, inputs: As for training.
        part: What is looked at.
        weights: Parameters and model state, stacked.
        apart: Distance between the examples that are looked at; 1 for all.
        which: Lanes to look at, `lane` of bool; None for all. The others come back as NaN, and cost nothing
            where lanes go one after another.
        answer: What to keep of the outputs; a function of a module, as it is a part of what is compiled.
    """
    begun = time.perf_counter()
    part, apart = in_order(part, weights[1], apart)
    turns, count = _turns(inputs, which)
    *found, kept = with_one_compilation(_sums, program, inputs, part, weights, turns, count, apart, answer)
    dispatched = time.perf_counter() - begun
    examples = -(-part.count() // apart)
    loss, metric = (np.asarray(sums, np.float64).sum(axis=1) / examples for sums in found)
    answers = None
    if kept is not None:  # batches of rows, the last one padded
        kept = np.asarray(kept)
        answers = kept.reshape(len(kept), -1, *kept.shape[3:])[:, :examples]
    return Means(loss, metric, examples, dispatched, answers)


def losses_of(
    program: Program,
    inputs: Inputs,
    part: Split,
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


@partial(jax.jit, static_argnames=("program", "apart", "answer"))
def _sums(
    program: Program,
    inputs: Inputs,
    part: Split,
    weights: tuple[PyTree, PyTree],
    turns: Int[Array, " lane"],
    count: Int[Array, ""],
    apart: int,
    answer: Answer | None,
) -> tuple[Float[Array, "lane batch"], Float[Array, "lane batch"], Array | None]:
    TRACES.count("evaluate")
    rows = _rows(program, part, len(turns))
    starts = jnp.arange(0, part.count(), rows * apart)

    def of_lane(lane: tuple[PyTree, PyTree]) -> tuple[Array, Array, Array | None]:
        def read(outputs: PyTree, targets: PyTree, counted: Array) -> tuple[Array, Array, Array | None]:
            unit = inputs.target_scale
            scaled = (outputs, targets) if unit is None else (outputs * unit, targets * unit)
            losses = program.loss(outputs, targets)
            values = program.metric.per_example(*scaled)
            kept = None if answer is None else answer(outputs)
            # where, not a product: a padding row must not turn an overflow into NaN.
            return jnp.where(counted, losses, 0).sum(), jnp.where(counted, values, 0).sum(), kept

        if continues(part, lane[1]):
            return over_stretches(program, inputs, part, lane, read)
        return jax.lax.map(
            lambda first: read(*_forward(program, inputs, part, lane, first, rows, apart)), starts
        )

    return _in_turn(program, of_lane, weights, turns, count)


@partial(jax.jit, static_argnames="program")
def _losses(
    program: Program,
    inputs: Inputs,
    part: Split,
    weights: tuple[PyTree, PyTree],
    turns: Int[Array, " lane"],
    count: Int[Array, ""],
) -> Float[Array, "lane example"]:
    rows = _rows(program, part, len(turns))
    starts = jnp.arange(0, part.count(), rows)

    def of_lane(lane: tuple[PyTree, PyTree]) -> Array:
        def read(outputs: PyTree, targets: PyTree, counted: Array) -> Array:
            return program.loss(outputs, targets)

        if continues(part, lane[1]):
            return over_stretches(program, inputs, part, lane, read).T.reshape(-1)
        return jax.lax.map(
            lambda first: read(*_forward(program, inputs, part, lane, first, rows, 1)), starts
        ).reshape(-1)

    return _in_turn(program, of_lane, weights, turns, count)


def _in_turn(
    program: Program,
    of_lane: Callable[[PyTree], PyTree],
    lanes: PyTree,
    turns: Int[Array, " lane"],
    count: Int[Array, ""],
) -> PyTree:
    """Map a function over `count` of the lanes, in the program's layout; NaN, or -1, where one has no turn.

    Where they go one after another the trip count is hidden from the compiler for the same reason as in the
    loop of training: a lane computes the same bits among others and alone.
    """
    of_lane = jax.jit(of_lane, inline=True)  # traced once, for its shapes and for its place in the loop
    shapes = jax.eval_shape(of_lane, take_lane(lanes, 0))
    width = turns.shape[0]
    blank = jax.tree.map(lambda leaf: jnp.full((width, *leaf.shape), _unset(leaf.dtype), leaf.dtype), shapes)
    if program.layout == BATCH:
        asked = jnp.zeros(width, bool).at[turns].set(jnp.arange(width) < count)
        return jax.tree.map(
            lambda rows, none: jnp.where(asked.reshape(-1, *[1] * (rows.ndim - 1)), rows, none),
            jax.vmap(of_lane)(lanes),
            blank,
        )

    def body(turn: Array, found: PyTree) -> PyTree:
        lane = row(turns, turn)
        one = of_lane(take_lane(lanes, lane))
        return jax.tree.map(lambda rows, new: with_row(rows, new, lane), found, one)

    return jax.lax.fori_loop(0, count, body, blank)


def _unset(dtype: np.dtype) -> float:
    return jnp.nan if jnp.issubdtype(dtype, jnp.inexact) else -1


def _rows(program: Program, part: Split, width: int) -> int:
    """Return how many rows a batch has of each lane."""
    several = program.layout == BATCH and width > 1
    return min(max(FEWEST_ROWS, ROWS_OF_ALL // width) if several else EVALUATION_ROWS, part.count())


def _forward(
    program: Program,
    inputs: Inputs,
    part: Split,
    lane: tuple[PyTree, PyTree],
    first: Array,
    rows: int,
    apart: int,
) -> tuple[PyTree, PyTree, Array]:
    params, model_state = lane
    indices = first + apart * jnp.arange(rows)
    batch, targets = part.batch(jnp.minimum(indices, part.count() - 1))
    built = rebuilt(program, inputs, params, model_state)

    def answered(examples: PyTree) -> PyTree:
        return apply(built, examples, key=None, training=False)[0]

    together = program.layout == BATCH and jax.default_backend() == "cpu"
    outputs = (fast(answered) if together else answered)(inputs.prepared(batch))
    return outputs, targets, indices < part.count()
