"""A step of many lanes: the early part of their program for all at once, the late part lane by lane."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var
from jaxtyping import Array, Bool, Int, PyTree

from thalweg.core.tree import row, with_row
from thalweg.engine.layout.fast_matmul import made_fast
from thalweg.engine.layout.split_jaxpr import Parts, made, parted


class _Values(NamedTuple):
    """Values by variable: the same for all lanes, or each lane's own, `lane ...`."""

    shared: dict[Var, Any]
    own: dict[Var, Any]

    def of_all(self, var: Any, shape: tuple[int, ...]) -> Array:
        """Return a value for all lanes."""
        if isinstance(var, Literal):
            return jnp.broadcast_to(jnp.asarray(var.val), shape)
        return self.own[var] if var in self.own else jnp.broadcast_to(self.shared[var], shape)

    def of_lane(self, var: Var, lane: Array) -> Any:
        """Return a value for one lane."""
        return self.shared[var] if var in self.shared else row(self.own[var], lane)


def step_of_lanes(
    one: Callable[..., PyTree],
    given: tuple[PyTree, ...],
    states: PyTree,
    grads: PyTree,
    running: Bool[Array, " lane"],
    due: Bool[Array, ""],
) -> tuple[PyTree, PyTree, PyTree]:
    """Return states, info and gradients after a step.

    Args:
        one: From a lane's arguments, its state last, to its next state, its info and its gradients.
        given: The arguments before the state, `lane ...`.
        states: Where the lanes stand, `lane ...`.
        grads: Room for gradients, `lane ...`.
        running: Lanes that run; the others stay where they stand.
        due: Whether gradients are asked for; else they may be anything.
    """
    arguments = (*given, states)
    lane = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), arguments)
    closed, (_, told, _) = jax.make_jaxpr(one, return_shape=True)(*lane)
    info = jax.tree.map(lambda leaf: jnp.zeros((len(running), *leaf.shape), leaf.dtype), told)
    before, treedef = jax.tree.flatten((states, info, grads))
    stay, asides = len(jax.tree.leaves(states)), len(jax.tree.leaves(grads))
    # An accelerator is filled by large products, and its lanes would wait for one another.
    parts = parted(closed.jaxpr, asides, late=_on_cpu())
    values, outcomes = _early(closed, parts, jax.tree.leaves(arguments)), closed.jaxpr.outvars
    later = {*parts.late.outvars, *parts.aside.outvars}

    def at_once(place: int, var: Any) -> Array:
        if not isinstance(var, Literal) and var in later:
            return before[place]
        new = values.of_all(var, before[place].shape)
        return _chosen(running, new, before[place]) if place < stay else new

    rows = [at_once(place, var) for place, var in enumerate(outcomes)]
    places = {
        place: var for place, var in enumerate(outcomes) if not isinstance(var, Literal) and var in later
    }
    always = {place: var for place, var in places.items() if place < len(rows) - asides}
    aside = {place: var for place, var in places.items() if place not in always}
    order, count = _in_turn(running)
    # Gradients first: they may follow from the states that are replaced.
    rows = _by_lane(parts.aside, values, rows, aside, {}, order, jnp.where(due, count, 0))
    # A state is read where it is written, so that it is there once and not twice.
    there = {closed.jaxpr.invars[place - stay]: place for place in always if place < stay}
    rows = _by_lane(parts.late, values, rows, always, there, order, count)
    return jax.tree.unflatten(treedef, rows)


def _by_lane(
    piece: Jaxpr,
    values: _Values,
    rows: list[Array],
    places: dict[int, Any],
    there: dict[Any, int],
    order: Int[Array, " lane"],
    count: Int[Array, ""],
) -> list[Array]:
    """Return rows with what a piece makes for `count` lanes, one after another, put in its places."""
    if not places:
        return rows

    def turn(index: Array, strips: dict[int, Array]) -> dict[int, Array]:
        lane = order[index]
        known = {
            var: _of_strip(strips[there[var]], lane, rows[there[var]])
            if var in there
            else values.of_lane(var, lane)
            for var in piece.invars
        }
        found = made(piece, known)
        return {
            place: _into_strip(strip, lane, rows[place], found[places[place]])
            for place, strip in strips.items()
        }

    strips = jax.lax.fori_loop(0, count, turn, {place: _strip(rows[place]) for place in places})
    return [strips[place].reshape(row.shape) if place in strips else row for place, row in enumerate(rows)]


def _strip(rows: Array) -> Array:
    """Lay lanes end to end along their first axis.

    A lane is then taken out and put back without a change of shape; with one in between, XLA's CPU compiler
    copies what is taken out before it works on it.
    """
    return rows if rows.ndim == 1 else rows.reshape(-1, *rows.shape[2:])


def _of_strip(strip: Array, lane: Array, rows: Array) -> Array:
    if rows.ndim == 1:
        return row(strip, lane)
    return jax.lax.dynamic_slice_in_dim(
        strip, lane * rows.shape[1], rows.shape[1], 0, allow_negative_indices=False
    )


def _into_strip(strip: Array, lane: Array, rows: Array, new: Array) -> Array:
    if rows.ndim == 1:
        return with_row(strip, new, lane)
    return jax.lax.dynamic_update_slice_in_dim(
        strip, new, lane * rows.shape[1], 0, allow_negative_indices=False
    )


def _in_turn(running: Bool[Array, " lane"]) -> tuple[Int[Array, " lane"], Int[Array, ""]]:
    """Return the lanes that run, first to last, and how many they are; without a sort, which is slow."""
    lanes = jnp.arange(len(running), dtype=jnp.int32)
    turn = jnp.sum(running & (lanes[:, None] > lanes), axis=1, dtype=jnp.int32)
    here = running & (turn == lanes[:, None])
    return jnp.sum(jnp.where(here, lanes, 0), axis=1, dtype=jnp.int32), jnp.sum(running, dtype=jnp.int32)


def _early(closed: ClosedJaxpr, parts: Parts, arguments: Sequence[Array]) -> _Values:
    """Make what lanes share and what comes early; return all that is known then."""
    program = closed.jaxpr
    shared: dict[Var, Any] = dict(zip(program.constvars, closed.consts, strict=True))
    shared |= made(parts.shared, shared)
    own: dict[Var, Any] = dict(zip(program.invars, arguments, strict=True))
    varying = [var for var in parts.early.invars if var in own]
    make = made_fast if _on_cpu() else made

    def of_lane(given: list[Array]) -> list[Array]:
        found = make(parts.early, shared | dict(zip(varying, given, strict=True)))
        return [found[var] for var in parts.early.outvars]  # type: ignore[index]

    if parts.early.outvars:
        found = jax.vmap(of_lane)([own[var] for var in varying])
        own |= dict(zip(parts.early.outvars, found, strict=True))  # type: ignore[arg-type]
    return _Values(shared, own)


def _chosen(running: Array, new: Array, old: Array) -> Array:
    return jnp.where(running.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"
