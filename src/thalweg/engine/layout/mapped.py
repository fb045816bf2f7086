"""Mapped lanes: one after another inside the program, each computing bit for bit what it computes alone.

A lane stops at the very step at which it diverges, and a frozen lane costs nothing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.tree import lane as take_lane
from thalweg.core.tree import row, with_row
from thalweg.engine.backward import Lane
from thalweg.engine.program import Batches, Inputs, Program
from thalweg.engine.state import RUNNING, Chunk, Info, State, Telemetry, layer_statistics
from thalweg.engine.step import step
from thalweg.problem.data.split import Split


def run_mapped(
    program: Program, inputs: Inputs, split: Split, batches: Batches, count: Int[Array, ""], states: State
) -> tuple[State, Chunk]:
    """Run `count` steps of every lane that is not frozen."""

    def run_lane(numbers: PyTree, stream: Array, fold: Array | None, state: State) -> tuple[State, Chunk]:
        recipe = jax.tree.unflatten(program.recipe, numbers)
        lane = Lane(program, inputs.of_fold(fold), recipe, split)
        return _run_lane(lane, state, row(batches.indices, stream), batches.sizes, count)

    def body(index: Array, results: tuple[State, Chunk]) -> tuple[State, Chunk]:
        lane_results = run_lane(*take_lane((inputs.numbers, inputs.stream, inputs.fold, states), index))
        return jax.tree.map(lambda lanes, leaf: with_row(lanes, leaf, index), results, lane_results)

    # Like `lax.map`, with a trip count that the compiler does not know. XLA would inline a loop of one trip
    # and fuse its body with the operations around it, and a lane alone would differ in its last bits from the
    # same lane among others (seen with AdamW on AVX-512). So the lane's program is the same for any number of
    # lanes.
    return jax.lax.fori_loop(0, inputs.lanes, body, (states, Chunk.empty(program, states)))


class _Carry(NamedTuple):
    """A lane within a dispatch.

    Args:
        done: Steps made.
        state: The lane's state.
        info: The info of each step, its values in one row: one write a step instead of three.
        grads: Gradients of the last step, or empty.
    """

    done: Int[Array, ""]
    state: State
    info: Float[Array, "step value"]
    grads: PyTree


def _run_lane(lane: Lane, state: State, indices: Array, sizes: Array, count: Array) -> tuple[State, Chunk]:
    """Run one lane in segments of steps, where each step whose telemetry is due is its own segment.

    Telemetry is computed between segments and not inside the loop over steps: a `cond` in there that reads
    the parameters makes XLA copy them at every step (measured: 8 % of a step of 784-512-10). It needs the
    gradient, which the loop therefore carries, unless an update has one example. Then the gradient is an
    outer product, which is never written to memory unless something reads it, and a step with telemetry is
    compiled separately (measured: 10 % of a step of 784-512-10).
    """
    order = (indices, sizes)
    empty = Chunk.empty(lane.program, jax.tree.map(lambda leaf: leaf[None], state))
    empty_info, layers, layer_steps = take_lane((empty.info, empty.layers, empty.layer_steps), 0)
    info = jnp.stack(jax.tree.leaves(empty_info), axis=1)
    # A window or a sequence counts as many examples.
    separate = lane.program.batch_size == 1 and lane.split.one_row
    grads = () if separate else jax.tree.map(jnp.zeros_like, state.params)
    start = (_Carry(jnp.int32(0), state, info, grads), Telemetry(jnp.int32(0), layers, layer_steps))

    def step_with_telemetry(before: _Carry, telemetry: Telemetry) -> tuple[_Carry, Telemetry]:
        after = _advance(lane, before, order)
        return after._replace(grads=()), _with_telemetry(before, after, telemetry)

    def segment(at: tuple[_Carry, Telemetry]) -> tuple[_Carry, Telemetry]:
        before, telemetry = at
        past = before.state.step % lane.inputs.every
        if separate:
            before, telemetry = jax.lax.cond(
                past == 0, step_with_telemetry, lambda *same: same, before, telemetry
            )
            left = lane.inputs.every - jnp.maximum(past, 1)
            return _steps(lane, before, order, jnp.minimum(before.done + left, count)), telemetry
        length = jnp.where(past == 0, 1, lane.inputs.every - past)
        after = _steps(lane, before, order, jnp.minimum(before.done + length, count))
        return after, jax.lax.cond(
            past == 0, _with_telemetry, lambda _, __, unchanged: unchanged, before, after, telemetry
        )

    end, telemetry = jax.lax.while_loop(lambda at: _continues(at[0], count), segment, start)
    loss, rate, norm, *figures = end.info.T
    info = Info(loss, rate, norm, tuple(figures))
    return end.state, Chunk(info, telemetry.layers, telemetry.steps, end.done)


def _steps(lane: Lane, start: _Carry, order: tuple[Array, Array], stop: Array) -> _Carry:
    """Run steps up to `stop`, or until the lane is frozen."""

    def body(carry: _Carry) -> _Carry:
        after = _advance(lane, carry, order)
        return after if jax.tree.leaves(carry.grads) else after._replace(grads=())

    return jax.lax.while_loop(lambda carry: _continues(carry, stop), body, start)


def _advance(lane: Lane, carry: _Carry, order: tuple[Array, Array]) -> _Carry:
    """Make one step."""
    indices, sizes = order
    state, info, grads = step(lane, carry.state, (row(indices, carry.done), row(sizes, carry.done)))
    values = jnp.stack([leaf.astype(carry.info.dtype) for leaf in jax.tree.leaves(info)])
    return _Carry(carry.done + 1, state, with_row(carry.info, values, carry.done), grads)


def _continues(carry: _Carry, stop: Array) -> Array:
    return (carry.done < stop) & (carry.state.code == RUNNING)


def _with_telemetry(before: _Carry, after: _Carry, telemetry: Telemetry) -> Telemetry:
    """Return the table with a row for the one step between `before` and `after`."""
    statistics = layer_statistics(before.state.params, after.grads, after.state.params)
    return telemetry.append(statistics, before.state.step)
