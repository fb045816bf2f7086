"""What one dispatch tells: a row for each step, and per-layer figures now and then."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from thalweg.engine.program import Program
from thalweg.engine.state import Info, State


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


class Figures(NamedTuple):
    """The table of per-layer figures while it is filled.

    Args:
        rows: Rows written.
        layers: `... row path 3`.
        steps: `... row`: the step of each, -1 where unset.
    """

    rows: Int[Array, ""]
    layers: Float[Array, "... row path 3"]
    steps: Int[Array, "... row"]


def blank(program: Program, states: State) -> Chunk:
    """Return an unwritten chunk for these lanes."""
    lanes, paths = states.step.shape[0], len(jax.tree.leaves(states.params))
    unset = jnp.full((lanes, program.capacity), jnp.nan, jnp.float32)
    return Chunk(
        info=Info(unset, unset, unset),
        layers=jnp.zeros((lanes, program.statistics, paths, 3), jnp.float32),
        layer_steps=jnp.full((lanes, program.statistics), -1, jnp.int32),
        done=jnp.zeros(lanes, jnp.int32),
    )


def row_of_figures(before: PyTree, grads: PyTree, after: PyTree) -> Float[Array, "path 3"]:
    """Return the norms of weights, gradients and updates of the one step between two sets of parameters."""
    updates = jax.tree.map(jnp.subtract, after, before)
    return jnp.stack([_norms(before), _norms(grads), _norms(updates)], axis=-1)


def _norms(tree: PyTree) -> Float[Array, " path"]:
    # vdot, not sum(g * g): measured faster on CPU.
    return jnp.stack([jnp.sqrt(jnp.vdot(leaf, leaf)).astype(jnp.float32) for leaf in jax.tree.leaves(tree)])
