"""The compiled loop: one dispatch runs many steps of every lane.

A `while` whose length is an input: one program serves chunks of any length, and a lane stops at the very
step at which it diverges. Per-layer figures are written every `Inputs.every` steps behind a `cond`, so that
they cost nothing at the steps between.
"""

from collections import Counter
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.tree import lane as take_lane
from thalweg.engine.backward import Lane
from thalweg.engine.program import Batches, Inputs, Program
from thalweg.engine.state import RUNNING, Info, State
from thalweg.engine.step import Trace, step
from thalweg.problem.data.part import Part

# How often each compiled function was traced in this process; tests count on it.
TRACES: Counter[str] = Counter()


class Chunk(eqx.Module):
    """What one dispatch tells, per lane.

    Args:
        info: `lane step`; rows from `done` on are unset.
        layers: `lane row path 3`: norms of weights, gradients and updates of each parameter.
        layer_steps: `lane row`: the step of each of these rows, -1 where unset.
        done: Steps made, `lane`.
    """

    info: Info
    layers: Float[Array, "lane row path 3"]
    layer_steps: Int[Array, "lane row"]
    done: Int[Array, " lane"]


@partial(jax.jit, static_argnames="program")
def run_chunk(
    program: Program, inputs: Inputs, part: Part, batches: Batches, count: Int[Array, ""], states: State
) -> tuple[State, Chunk]:
    """Run `count` steps of every lane that is not frozen.

    Lanes run one after another inside the program (`lax.map`), which computes for each of them bit for bit
    what it would compute alone; a frozen lane costs nothing.
    """
    TRACES["chunk"] += 1

    def run_lane(given: tuple[PyTree, Array, State]) -> tuple[State, Chunk]:
        numbers, stream, state = given
        recipe = jax.tree.unflatten(program.recipe, numbers)
        lane = Lane(program, inputs, recipe, part)
        return _run_lane(lane, state, batches.indices[stream], batches.sizes, count)

    blank = _blank(program, states)

    def body(index: Array, found: tuple[State, Chunk]) -> tuple[State, Chunk]:
        one = run_lane(take_lane((inputs.numbers, inputs.stream, states), index))
        return jax.tree.map(lambda lanes, leaf: lanes.at[index].set(leaf), found, one)

    # Like `lax.map`, with a trip count that the compiler does not know. A loop of one trip would be
    # dissolved and its body fused with what surrounds it, and a lane alone would differ in its last bits
    # from the same lane among others (seen with AdamW on AVX-512). So the lane's program is the same for
    # any number of lanes.
    return jax.lax.fori_loop(0, inputs.lanes, body, (states, blank))


def _blank(program: Program, states: State) -> Chunk:
    """Return an unwritten chunk for these lanes."""
    lanes, paths = states.step.shape[0], len(jax.tree.leaves(states.params))
    unset = jnp.full((lanes, program.capacity), jnp.nan, jnp.float32)
    return Chunk(
        info=Info(unset, unset, unset),
        layers=jnp.zeros((lanes, program.statistics, paths, 3), jnp.float32),
        layer_steps=jnp.full((lanes, program.statistics), -1, jnp.int32),
        done=jnp.zeros(lanes, jnp.int32),
    )


class _Carry(NamedTuple):
    done: Int[Array, ""]
    state: State
    info: Info
    layers: Float[Array, "row path 3"]
    layer_steps: Int[Array, " row"]
    rows: Int[Array, ""]


def _run_lane(lane: Lane, state: State, indices: Array, sizes: Array, count: Array) -> tuple[State, Chunk]:
    blank = _blank(lane.program, jax.tree.map(lambda leaf: leaf[None], state))
    info, layers, layer_steps = take_lane((blank.info, blank.layers, blank.layer_steps), 0)
    start = _Carry(jnp.int32(0), state, info, layers, layer_steps, jnp.int32(0))

    def go_on(carry: _Carry) -> Array:
        return (carry.done < count) & (carry.state.code == RUNNING)

    def body(carry: _Carry) -> _Carry:
        state, info, trace = step(lane, carry.state, indices[carry.done], sizes[carry.done])
        written = jax.tree.map(lambda buffer, value: buffer.at[carry.done].set(value), carry.info, info)
        due = carry.state.step % lane.inputs.every == 0
        layers, layer_steps = jax.lax.cond(due, _write_figures, _keep_figures, carry, trace)
        return _Carry(carry.done + 1, state, written, layers, layer_steps, carry.rows + due.astype(jnp.int32))

    end = jax.lax.while_loop(go_on, body, start)
    return end.state, Chunk(end.info, end.layers, end.layer_steps, end.done)


def _write_figures(carry: _Carry, trace: Trace) -> tuple[Array, Array]:
    figures = jnp.stack([_norms(trace.params), _norms(trace.grads), _norms(trace.updates)], axis=-1)
    return carry.layers.at[carry.rows].set(figures), carry.layer_steps.at[carry.rows].set(carry.state.step)


def _keep_figures(carry: _Carry, trace: Trace) -> tuple[Array, Array]:
    del trace
    return carry.layers, carry.layer_steps


def _norms(tree: PyTree) -> Float[Array, " path"]:
    # vdot, not sum(g * g): measured faster on CPU.
    return jnp.stack([jnp.sqrt(jnp.vdot(leaf, leaf)).astype(jnp.float32) for leaf in jax.tree.leaves(tree)])
