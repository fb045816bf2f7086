"""The loop with lanes one after another: each computes bit for bit what it computes alone.

A lane stops at the very step at which it diverges, and a frozen lane costs nothing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.tree import lane as take_lane
from thalweg.core.tree import row, with_row
from thalweg.engine.backward import Lane
from thalweg.engine.chunk import Chunk, Figures, blank, row_of_figures
from thalweg.engine.program import Batches, Inputs, Program
from thalweg.engine.state import RUNNING, Info, State
from thalweg.engine.step import step
from thalweg.problem.data.split import Split


def run_mapped(
    program: Program, inputs: Inputs, part: Split, batches: Batches, count: Int[Array, ""], states: State
) -> tuple[State, Chunk]:
    """Run `count` steps of every lane that is not frozen."""

    def run_lane(given: tuple[PyTree, Array, State]) -> tuple[State, Chunk]:
        numbers, stream, state = given
        recipe = jax.tree.unflatten(program.recipe, numbers)
        lane = Lane(program, inputs, recipe, part)
        return _run_lane(lane, state, row(batches.indices, stream), batches.sizes, count)

    def body(index: Array, found: tuple[State, Chunk]) -> tuple[State, Chunk]:
        one = run_lane(take_lane((inputs.numbers, inputs.stream, states), index))
        return jax.tree.map(lambda lanes, leaf: with_row(lanes, leaf, index), found, one)

    # Like `lax.map`, with a trip count that the compiler does not know. A loop of one trip would be
    # dissolved and its body fused with what surrounds it, and a lane alone would differ in its last bits
    # from the same lane among others (seen with AdamW on AVX-512). So the lane's program is the same for
    # any number of lanes.
    return jax.lax.fori_loop(0, inputs.lanes, body, (states, blank(program, states)))


class _Carry(NamedTuple):
    """Where a lane stands within a dispatch.

    Args:
        done: Steps made.
        state: The lane's.
        info: What each step tells, its figures side by side: one write a step, not three.
        grads: Those of the last step, or empty.
    """

    done: Int[Array, ""]
    state: State
    info: Float[Array, "step figure"]
    grads: PyTree


def _run_lane(lane: Lane, state: State, indices: Array, sizes: Array, count: Array) -> tuple[State, Chunk]:
    """Run one lane: segments of steps, where each step whose figures are due is a segment of its own.

    The figures are taken between segments and not inside the steps' loop: a `cond` in there that reads the
    parameters makes XLA copy them at every step (seen: 8 % of a step of 784-512-10). They need the gradient,
    which the loop therefore hands on, unless an update has one example: then it is an outer product, which is
    never written where nobody asks for it, and a step that is due is compiled apart (seen: 10 % of a step of
    784-512-10).
    """
    order = (indices, sizes)
    unset = blank(lane.program, jax.tree.map(lambda leaf: leaf[None], state))
    told, layers, layer_steps = take_lane((unset.info, unset.layers, unset.layer_steps), 0)
    info = jnp.stack(jax.tree.leaves(told), axis=1)
    # A window or a sequence is many examples.
    apart = lane.program.batch_size == 1 and lane.part.one_row
    grads = () if apart else jax.tree.map(jnp.zeros_like, state.params)
    start = (_Carry(jnp.int32(0), state, info, grads), Figures(jnp.int32(0), layers, layer_steps))

    def due(before: _Carry, figures: Figures) -> tuple[_Carry, Figures]:
        after = _advanced(lane, before, order)
        return after._replace(grads=()), _with_figures(before, after, figures)

    def segment(at: tuple[_Carry, Figures]) -> tuple[_Carry, Figures]:
        before, figures = at
        past = before.state.step % lane.inputs.every
        if apart:
            before, figures = jax.lax.cond(past == 0, due, lambda *same: same, before, figures)
            left = lane.inputs.every - jnp.maximum(past, 1)
            return _steps(lane, before, order, jnp.minimum(before.done + left, count)), figures
        length = jnp.where(past == 0, 1, lane.inputs.every - past)
        after = _steps(lane, before, order, jnp.minimum(before.done + length, count))
        kept = jax.lax.cond(past == 0, _with_figures, lambda _, __, figures: figures, before, after, figures)
        return after, kept

    end, figures = jax.lax.while_loop(lambda at: _goes_on(at[0], count), segment, start)
    return end.state, Chunk(Info(*end.info.T), figures.layers, figures.steps, end.done)


def _steps(lane: Lane, start: _Carry, order: tuple[Array, Array], stop: Array) -> _Carry:
    """Run steps up to `stop`, or until the lane is frozen."""

    def body(carry: _Carry) -> _Carry:
        after = _advanced(lane, carry, order)
        return after if jax.tree.leaves(carry.grads) else after._replace(grads=())

    return jax.lax.while_loop(lambda carry: _goes_on(carry, stop), body, start)


def _advanced(lane: Lane, carry: _Carry, order: tuple[Array, Array]) -> _Carry:
    """Make one step."""
    indices, sizes = order
    state, info, grads = step(lane, carry.state, (row(indices, carry.done), row(sizes, carry.done)))
    told = jnp.stack([leaf.astype(carry.info.dtype) for leaf in jax.tree.leaves(info)])
    return _Carry(carry.done + 1, state, with_row(carry.info, told, carry.done), grads)


def _goes_on(carry: _Carry, stop: Array) -> Array:
    return (carry.done < stop) & (carry.state.code == RUNNING)


def _with_figures(before: _Carry, after: _Carry, figures: Figures) -> Figures:
    """Return the table of per-layer figures with a row for the one step between `before` and `after`."""
    norms = row_of_figures(before.state.params, after.grads, after.state.params)
    return Figures(
        figures.rows + 1,
        with_row(figures.layers, norms, figures.rows),
        with_row(figures.steps, before.state.step, figures.rows),
    )
