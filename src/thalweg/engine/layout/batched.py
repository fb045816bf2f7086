"""The loop with lanes in one product: every step is made for all lanes together.

For tiny networks, whose steps are bookkeeping more than arithmetic, for lanes of one seed, which read one
batch, and for accelerators. Sums come out in another order than for the lane alone, so that results agree
within a bound and not bit for bit: `docs/lanes.md` states and derives it. Lanes that stopped are computed and
thrown away, but for the part that goes lane by lane (`engine.bylane`); `engine.drive` takes them out once
they are a quarter of all.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from thalweg.core.tree import row, with_row
from thalweg.engine.backward import Lane
from thalweg.engine.chunk import Chunk, Figures, blank, row_of_figures
from thalweg.engine.layout.split_step import step_of_lanes
from thalweg.engine.program import Batches, Inputs, Program
from thalweg.engine.state import RUNNING, Info, State
from thalweg.engine.step import step
from thalweg.problem.data.split import Split


class _Carry(NamedTuple):
    """Where the lanes stand within a dispatch; `grads` are those of the last step."""

    turn: Int[Array, ""]
    done: Int[Array, " lane"]
    states: State
    info: Info
    grads: PyTree


def run_batched(
    program: Program, inputs: Inputs, part: Split, batches: Batches, count: Int[Array, ""], states: State
) -> tuple[State, Chunk]:
    """Run `count` steps of all lanes; frozen ones stay as they are."""
    begun = jnp.max(states.step)  # lanes that still run have all made as many
    unset = blank(program, states)
    grads = jax.tree.map(jnp.zeros_like, states.params)
    start = _Carry(jnp.int32(0), unset.done, states, unset.info, grads)
    figures = Figures(jnp.int32(0), unset.layers, unset.layer_steps)

    def goes_on(carry: _Carry, stop: Array) -> Array:
        return (carry.turn < stop) & jnp.any(carry.states.code == RUNNING)

    def body(carry: _Carry, due: Array) -> _Carry:
        return _all_lanes(program, inputs, part, batches, carry, due)

    def segment(at: tuple[_Carry, Figures]) -> tuple[_Carry, Figures]:
        before, told = at
        past = (begun + before.turn) % inputs.every
        length = jnp.where(past == 0, 1, inputs.every - past)
        stop = jnp.minimum(before.turn + length, count)
        after = jax.lax.while_loop(
            lambda carry: goes_on(carry, stop), lambda carry: body(carry, past == 0), before
        )
        return after, jax.lax.cond(past == 0, _with_figures, lambda _, __, kept: kept, before, after, told)

    end, told = jax.lax.while_loop(lambda at: goes_on(at[0], count), segment, (start, figures))
    return end.states, Chunk(end.info, told.layers, told.steps, end.done)


def _all_lanes(
    program: Program, inputs: Inputs, part: Split, batches: Batches, carry: _Carry, due: Array
) -> _Carry:
    shared = batches.indices.shape[0] == 1
    size, running = row(batches.sizes, carry.turn), carry.states.code == RUNNING

    def one(numbers: PyTree, stream: Array, state: State) -> tuple[State, Info, PyTree]:
        lane = Lane(program, inputs, jax.tree.unflatten(program.recipe, numbers), part)
        # Lanes of one seed read one batch; not batched here, it is gathered once and multiplied once.
        indices = row(batches.indices[0] if shared else row(batches.indices, stream), carry.turn)
        return step(lane, state, (indices, size))

    given = (inputs.numbers, inputs.stream)
    states, told, grads = step_of_lanes(one, given, carry.states, carry.grads, running, due)

    def written(rows: Array, values: Array) -> Array:
        return with_row(rows, jnp.where(running, values, jnp.nan), carry.turn, axis=1)

    info = jax.tree.map(written, carry.info, told)
    return _Carry(carry.turn + 1, carry.done + running, states, info, grads)


def _with_figures(before: _Carry, after: _Carry, figures: Figures) -> Figures:
    norms = jax.vmap(row_of_figures)(before.states.params, after.grads, after.states.params)
    running = before.states.code == RUNNING
    steps = jnp.where(running, before.states.step, -1)
    return Figures(
        figures.rows + 1,
        with_row(figures.layers, norms, figures.rows, axis=1),
        with_row(figures.steps, steps, figures.rows, axis=1),
    )
