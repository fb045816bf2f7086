"""The loss at many points of weight space: every point is a lane of the evaluation that training uses.

So a value is, bit for bit, what an evaluation of the same weights gives alone, for every kind of data, loss
and objective. Points are combined from an origin and directions in small stacks.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from thalweg.core import keys
from thalweg.core.caller import argument
from thalweg.core.compiler import jit
from thalweg.core.errors import BadInput, did_you_mean
from thalweg.core.tree import count
from thalweg.core.tree import lane as take_lane
from thalweg.engine import dispatch
from thalweg.engine.evaluate import evaluate
from thalweg.engine.group import LaneGroup, init_group
from thalweg.engine.program import Inputs, Program, rebuilt
from thalweg.insight.landscape.subject import Subject
from thalweg.problem.data.split import Split
from thalweg.problem.models.adapter import RecurrentCarry, apply, build_as_trained
from thalweg.problem.objective import Objective, as_batch

FROZEN, RECOMPUTED = "frozen", "recomputed"
# A stack of points takes at most so many bytes, and holds at most so many points.
STACK_BYTES, STACK_POINTS = 2**26, 64
# Running statistics are recomputed from so many blocks of this many training examples: 4,096 examples give
# a mean to 1.6 % of a standard deviation.
BLOCKS, BLOCK_ROWS = 8, 512
# Examples that a landscape is computed on, unless told otherwise.
ROWS = 10_000

# Receives how many of how many points are done.
Progress = Callable[[int, int], Any]


class Measured(NamedTuple):
    """The loss at some points.

    Args:
        loss, metric: `point`; the metric in its own unit.
    """

    loss: Float[np.ndarray, " point"]
    metric: Float[np.ndarray, " point"]


@dataclass(frozen=True)
class Points:
    """Evaluates one network's loss at other weights.

    Args:
        subject: The network.
        split: `train`, `validation` or `test`.
        rows: The most examples to use; every n-th of a larger split. None for all.
        batch_norm: What running statistics hold at other weights: `frozen`, those of the subject, or
            `recomputed`, from training examples for each point.

    Raises:
        BadInput: There is no such split or policy.
    """

    subject: Subject
    split: str = "train"
    rows: int | None = ROWS
    batch_norm: str = FROZEN
    group: LaneGroup = field(init=False, repr=False)
    state: PyTree = field(init=False, repr=False)

    def __post_init__(self) -> None:
        splits = self.subject.problem.data.splits
        if self.split not in splits:
            hint = did_you_mean(self.split, splits)
            raise BadInput(argument("split"), "must be a split of the data", got=self.split, hint=hint)
        if self.batch_norm not in (FROZEN, RECOMPUTED):
            hint = did_you_mean(self.batch_norm, (FROZEN, RECOMPUTED))
            raise BadInput(
                argument("batch_norm"), f"must be {FROZEN} or {RECOMPUTED}", got=self.batch_norm, hint=hint
            )
        group, states = init_group(self.subject.problem, [self.subject.recipe.shortened(1, 1)])
        if self.split not in group.splits:
            rule = "needs data that can be read again, not a stream"
            hint = "use the validation split: " + argument("split")
            raise BadInput("landscape", rule, got=self.split, hint=hint)
        carried = isinstance(states.model_state, RecurrentCarry)
        state = take_lane(states.model_state, 0) if carried else self.subject.model_state
        object.__setattr__(self, "group", group)
        object.__setattr__(self, "state", state)

    @property
    def stride(self) -> int:
        """Every how many-th example is used."""
        return 1 if self.rows is None else max(1, -(-self.data.count() // self.rows))

    @property
    def examples(self) -> int:
        """Number of examples used."""
        return -(-self.data.count() // self.stride)

    @property
    def data(self) -> Split:
        """The split, on the device."""
        return self.group.splits[self.split]

    @property
    def has_statistics(self) -> bool:
        """Whether the model keeps running statistics."""
        arrays = jax.tree.leaves(eqx.filter(self.state, eqx.is_array))
        return not isinstance(self.state, RecurrentCarry) and bool(arrays)

    @property
    def recomputes(self) -> bool:
        """Whether running statistics are recomputed at every point."""
        return self.batch_norm == RECOMPUTED and self.has_statistics

    def combined(
        self,
        origin: PyTree,
        directions: Sequence[PyTree],
        coordinates: Float[np.ndarray, "point axis"],
        progress: Progress | None = None,
    ) -> Measured:
        """Return the loss at `origin + sum of coordinates x directions`.

        Args:
            origin, directions: Parameters, and trees like them.
            coordinates: One row for each point.
            progress: Receives how many of how many points are done.
        """
        stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *directions)

        def make(chosen: np.ndarray) -> PyTree:
            return _moved(origin, stacked, jnp.asarray(coordinates[chosen], jnp.float32))

        return self._in_stacks(len(coordinates), make, progress)

    def at(self, weights: Sequence[PyTree], progress: Progress | None = None) -> Measured:
        """Return the loss at these parameters."""

        def make(chosen: np.ndarray) -> PyTree:
            return jax.tree.map(lambda *leaves: np.stack(leaves), *(weights[index] for index in chosen))

        return self._in_stacks(len(weights), make, progress)

    def _in_stacks(
        self, number: int, make: Callable[[np.ndarray], PyTree], progress: Progress | None
    ) -> Measured:
        """Evaluate points stack by stack; all stacks have one width, so that one program serves all.

        How many points of a stack are evaluated follows the clock: the rest of it is padding, which costs
        nothing.
        """
        size = 4 * max(1, count(self.subject.params))
        width = max(1, min(STACK_POINTS, STACK_BYTES // size))
        results, first, pace = [], 0, dispatch.ChunkLength(width)
        while first < number:
            chosen = np.minimum(np.arange(first, first + width), number - 1)
            steps = min(pace.steps, number - first)
            started = time.perf_counter()
            results.append(self._evaluated(make(chosen), steps))
            if first:  # the first stack compiles
                pace.observe(steps, time.perf_counter() - started)
            first += steps
            if progress is not None:
                progress(first, number)
        return Measured(*(np.concatenate(parts) for parts in zip(*results, strict=True)))

    def _evaluated(self, params: PyTree, number: int) -> Measured:
        """Return the loss of the first `number` of stacked points."""
        width = jax.tree.leaves(params)[0].shape[0]
        group, metric = self.group, self.group.program.metric
        inputs, which = _with_width(group.inputs, width), np.arange(width) < number
        state = self._states(inputs, params, which)
        means = evaluate(group.program, inputs, self.data, (params, state), stride=self.stride, which=which)
        return Measured(means.loss[:number], np.asarray(metric.finish(means.metric[:number])))

    def _states(self, inputs: Inputs, params: PyTree, which: np.ndarray) -> PyTree:
        if not self.recomputes:
            width = len(which)
            return jax.tree.map(
                lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (width, *jnp.shape(leaf))),
                self.state,
            )
        train = self.group.splits.get("train")
        if train is None:
            rule, hint = "running statistics cannot be recomputed from a stream", f"use {FROZEN}"
            raise BadInput(argument("batch_norm"), rule, got=RECOMPUTED, hint=hint)
        fresh = build_as_trained(self.subject.problem.model, self.subject.recipe.seed).model_state
        return _statistics(self.group.program, inputs, train, params, fresh, jnp.asarray(which))


def _with_width(inputs: Inputs, width: int) -> Inputs:
    """Return the inputs of a program for another number of lanes, of which only evaluations are made."""
    changed = np.zeros(width, np.int32), np.int32(width)
    return eqx.tree_at(lambda inputs: (inputs.stream, inputs.lanes), inputs, changed)


@jit
def _moved(origin: PyTree, directions: PyTree, coordinates: Float[Array, "point axis"]) -> PyTree:
    """Return stacked points, `point ...`; in the dtype of the origin."""

    def leaf(at: Array, along: Array) -> Array:
        offset = jnp.tensordot(coordinates.astype(at.dtype), along.astype(at.dtype), 1)
        return at + offset

    return jax.tree.map(leaf, origin, directions)


@partial(jit, static_argnames="program")
def _statistics(
    program: Program,
    inputs: Inputs,
    split: Split,
    params: PyTree,
    fresh: PyTree,
    which: Bool[Array, " point"],
) -> PyTree:
    """Return the running statistics of every point, `point ...`: means over blocks of training examples.

    An exponential average is linear in what it averages, so the mean over blocks of the state after one block
    is the state of an average in which all blocks weigh the same.
    """
    rows = min(BLOCK_ROWS, split.count())
    blocks = min(BLOCKS, split.count() // rows)
    starts = jnp.arange(blocks) * (split.count() // blocks)

    def after_block(params: PyTree, first: Array) -> PyTree:
        batch, targets = split.batch(first + jnp.arange(rows))
        module, key = rebuilt(program, inputs, params, fresh), keys.lane_key(0)
        prepared = inputs.prepared(batch)
        if isinstance(program.loss, Objective):
            return program.loss.measure(module, as_batch(prepared, targets), key, training=True).model_state
        return apply(module, prepared, key=key, training=True)[1]

    def of_point(params: PyTree) -> PyTree:
        states = jax.lax.map(lambda first: after_block(params, first), starts)
        return jax.tree.map(_mean_over_blocks, states)

    def if_used(point: tuple[PyTree, Array]) -> PyTree:
        return jax.lax.cond(point[1], of_point, lambda _: fresh, point[0])

    return jax.lax.map(if_used, (params, which))


def _mean_over_blocks(leaf: Array) -> Array:
    return leaf.mean(axis=0) if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf[0]
