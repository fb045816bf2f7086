"""Batched lanes: every step is made for all lanes together, in one product.

For tiny networks, whose steps are more bookkeeping than arithmetic; for lanes of one seed, which read the
same batches; and for accelerators. Sums are taken in another order than for the lane alone, so results agree
only within a bound, which `docs/lanes.md` states and derives. Lanes that have stopped are still
computed and their results discarded, except in the section that runs lane by lane (`layout.split_step`);
`engine.dispatch` takes them out once they are a quarter of all.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from thalweg.core.tree import row, with_row
from thalweg.engine.backward import Lane
from thalweg.engine.layout.split_step import step_all_lanes
from thalweg.engine.program import Batches, Inputs, Program
from thalweg.engine.state import RUNNING, Chunk, Info, State, Telemetry, layer_statistics
from thalweg.engine.step import step
from thalweg.problem.data.split import Split


class _Carry(NamedTuple):
    """All lanes within a dispatch.

    Args:
        position: Number of the next step within the dispatch.
        done: Steps made, `lane`.
        states, info: As in the result, `lane ...`.
        grads: Gradients of the last step.
    """

    position: Int[Array, ""]
    done: Int[Array, " lane"]
    states: State
    info: Info
    grads: PyTree


def run_batched(
    program: Program, inputs: Inputs, split: Split, batches: Batches, count: Int[Array, ""], states: State
) -> tuple[State, Chunk]:
    """Run `count` steps of all lanes; frozen ones keep their state."""
    first = jnp.max(states.step)  # all running lanes have made the same number of steps
    empty = Chunk.empty(program, states)
    grads = jax.tree.map(jnp.zeros_like, states.params)
    start = _Carry(jnp.int32(0), empty.done, states, empty.info, grads)
    table = Telemetry(jnp.int32(0), empty.layers, empty.layer_steps)

    def continues(carry: _Carry, stop: Array) -> Array:
        return (carry.position < stop) & jnp.any(carry.states.code == RUNNING)

    def body(carry: _Carry, due: Array) -> _Carry:
        return _advance(program, inputs, split, batches, carry, due)

    def segment(at: tuple[_Carry, Telemetry]) -> tuple[_Carry, Telemetry]:
        before, telemetry = at
        past = (first + before.position) % inputs.every
        length = jnp.where(past == 0, 1, inputs.every - past)
        stop = jnp.minimum(before.position + length, count)
        after = jax.lax.while_loop(
            lambda carry: continues(carry, stop), lambda carry: body(carry, past == 0), before
        )
        return after, jax.lax.cond(
            past == 0, _with_telemetry, lambda _, __, unchanged: unchanged, before, after, telemetry
        )

    end, telemetry = jax.lax.while_loop(lambda at: continues(at[0], count), segment, (start, table))
    return end.states, Chunk(end.info, telemetry.layers, telemetry.steps, end.done)


def _advance(
    program: Program, inputs: Inputs, split: Split, batches: Batches, carry: _Carry, due: Array
) -> _Carry:
    """Make one step of all lanes."""
    shared = batches.indices.shape[0] == 1
    size, running = row(batches.sizes, carry.position), carry.states.code == RUNNING

    def step_lane(
        numbers: PyTree, stream: Array, fold: Array | None, state: State
    ) -> tuple[State, Info, PyTree]:
        lane = Lane(program, inputs.of_fold(fold), jax.tree.unflatten(program.recipe, numbers), split)
        # Lanes of one seed (and fold) read one batch; not batched here, it is gathered once and multiplied
        # once.
        indices = row(batches.indices[0] if shared else row(batches.indices, stream), carry.position)
        return step(lane, state, (indices, size))

    if shared and inputs.fold is not None:
        inputs = inputs.of_fold(inputs.fold[0])
    arguments = (inputs.numbers, inputs.stream, inputs.fold)
    states, info, grads = step_all_lanes(step_lane, arguments, carry.states, carry.grads, running, due)

    def written(rows: Array, values: Array) -> Array:
        return with_row(rows, jnp.where(running, values, jnp.nan), carry.position, axis=1)

    info = jax.tree.map(written, carry.info, info)
    return _Carry(carry.position + 1, carry.done + running, states, info, grads)


def _with_telemetry(before: _Carry, after: _Carry, telemetry: Telemetry) -> Telemetry:
    """Return the table with a row for the one step between `before` and `after`."""
    statistics = jax.vmap(layer_statistics)(before.states.params, after.grads, after.states.params)
    steps = jnp.where(before.states.code == RUNNING, before.states.step, -1)
    return telemetry.append(statistics, steps, axis=1)
