"""A training step of many lanes, split in two: first all lanes in one batched product, then lane by lane.

With all lanes batched, the gradients of their weights are written to memory together and read again by the
update. For 16 lanes of 784-32-10 that is 1.6 MB, more than a core's cache holds, and moving it takes nearly
as long as the product. Lane by lane, the gradient is still in the cache when the update reads it. So a lane's
jaxpr is split where its last large products begin: those that no other large product depends on, which are
the gradients of weights. They and everything that follows from them (the update, with the optimizer's state)
form the per-lane section.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var
from jaxtyping import Array, Bool, Int, PyTree

from thalweg.core.device import on_cpu
from thalweg.core.jaxprs import dependents, evaluate, section, variables_read, walk
from thalweg.core.tree import row, with_row
from thalweg.engine.layout.fast_matmul import evaluate_fast

# Numbers in a product's result from which it counts as large: 32 kB a lane, so that a few lanes fill a core's
# L1 cache.
LARGE = 8192


class Sections(NamedTuple):
    """A lane's jaxpr in sections; each reads what those before it compute.

    Args:
        shared: What depends on no argument, computed once for all lanes.
        batched: What is computed for all lanes at once: everything before the last large products, and
            everything where there are none.
        per_lane: The last large products and what follows from them.
        telemetry: The same for the outputs that are read only when telemetry is due.
    """

    shared: Jaxpr
    batched: Jaxpr
    per_lane: Jaxpr
    telemetry: Jaxpr


def split_jaxpr(jaxpr: Jaxpr, telemetry_outputs: int, per_lane: bool = True) -> Sections:
    """Split a lane's jaxpr into sections.

    Args:
        jaxpr: What a lane computes from its arguments.
        telemetry_outputs: How many of its outputs, at the end, are read only when telemetry is due.
        per_lane: Whether anything is computed lane by lane.
    """
    shared, per_lane_equations = dependents(jaxpr.eqns, set(jaxpr.invars))
    last = _last_large_products(per_lane_equations) if per_lane else ()
    batched, rest = dependents(per_lane_equations, set(), last)
    outputs = [None if isinstance(var, Literal) else var for var in jaxpr.outvars]
    always, telemetry = (
        [var for var in some if var is not None]
        for some in (outputs[:-telemetry_outputs], outputs[-telemetry_outputs:])
    )
    return Sections(
        section(jaxpr, shared, [*variables_read(batched), *variables_read(rest), *always, *telemetry]),
        section(jaxpr, batched, [*variables_read(rest), *always, *telemetry]),
        section(jaxpr, rest, always),
        section(jaxpr, rest, telemetry),
    )


def _last_large_products(equations: Sequence[JaxprEqn]) -> list[JaxprEqn]:
    """Return the large products that no other large product depends on."""
    products, needed = [], set()
    for equation in reversed(equations):
        large, is_needed = _is_large(equation), not needed.isdisjoint(equation.outvars)
        if large and not is_needed and equation.primitive.name == "dot_general":
            products.append(equation)
        if large or is_needed:
            needed.update(variables_read([equation]))
    return products


def _is_large(equation: JaxprEqn) -> bool:
    """Return whether an equation is a large product, or contains one."""
    return any(
        inner.primitive.name in ("dot_general", "conv_general_dilated")
        and any(var.aval.size >= LARGE for var in inner.outvars)  # type: ignore[attr-defined]
        for inner in walk([equation])
    )


class _Values(NamedTuple):
    """Values by variable: the same for all lanes, or each lane's own, `lane ...`."""

    shared: dict[Var, Any]
    own: dict[Var, Any]

    def of_all_lanes(self, var: Any, shape: tuple[int, ...]) -> Array:
        """Return a value for all lanes."""
        if isinstance(var, Literal):
            return jnp.broadcast_to(jnp.asarray(var.val), shape)
        return self.own[var] if var in self.own else jnp.broadcast_to(self.shared[var], shape)

    def of_lane(self, var: Var, lane: Array) -> Any:
        """Return a value for one lane."""
        return self.shared[var] if var in self.shared else row(self.own[var], lane)


def step_all_lanes(
    step: Callable[..., PyTree],
    arguments: tuple[PyTree, ...],
    states: PyTree,
    grads: PyTree,
    running: Bool[Array, " lane"],
    telemetry_due: Bool[Array, ""],
) -> tuple[PyTree, PyTree, PyTree]:
    """Return the states, info and gradients of all lanes after a step.

    Args:
        step: From a lane's arguments, its state last, to its next state, its info and its gradients.
        arguments: The arguments before the state, `lane ...`.
        states: The lanes' states, `lane ...`.
        grads: A buffer for gradients, `lane ...`.
        running: Lanes that run; the others keep their state.
        telemetry_due: Whether the gradients are needed; if not, they are unspecified.
    """
    all_arguments = (*arguments, states)
    lane = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), all_arguments)
    closed, (_, lane_info, _) = jax.make_jaxpr(step, return_shape=True)(*lane)
    info = jax.tree.map(lambda leaf: jnp.zeros((len(running), *leaf.shape), leaf.dtype), lane_info)
    before, treedef = jax.tree.flatten((states, info, grads))
    state_count, grad_count = len(jax.tree.leaves(states)), len(jax.tree.leaves(grads))
    # An accelerator is filled by large products, and its lanes would wait for one another.
    sections = split_jaxpr(closed.jaxpr, grad_count, per_lane=on_cpu())
    values = _batched_values(closed, sections, jax.tree.leaves(all_arguments))
    outputs, pending = closed.jaxpr.outvars, {*sections.per_lane.outvars, *sections.telemetry.outvars}

    missing = {
        index: var for index, var in enumerate(outputs) if not isinstance(var, Literal) and var in pending
    }
    always = {index: var for index, var in missing.items() if index < len(outputs) - grad_count}
    telemetry = {index: var for index, var in missing.items() if index not in always}

    def batched(index: int, var: Any) -> Array:
        new = values.of_all_lanes(var, before[index].shape)
        return _where(running, new, before[index]) if index < state_count else new

    rows = [before[i] if i in missing else batched(i, var) for i, var in enumerate(outputs)]
    order, count = _running_lanes(running)
    # Gradients first: they may depend on states that the second loop replaces.
    due = jnp.where(telemetry_due, count, 0)
    rows = _compute_by_lane(sections.telemetry, values, rows, telemetry, {}, order, due)
    # A state is read from the buffer that it is written to, so that there is one copy of it and not two.
    in_place = {closed.jaxpr.invars[index - state_count]: index for index in always if index < state_count}
    rows = _compute_by_lane(sections.per_lane, values, rows, always, in_place, order, count)
    return jax.tree.unflatten(treedef, rows)


def _batched_values(closed: ClosedJaxpr, sections: Sections, arguments: Sequence[Array]) -> _Values:
    """Compute the shared and the batched section; return all values that are known then."""
    jaxpr = closed.jaxpr
    shared: dict[Var, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    shared |= evaluate(sections.shared, shared)
    own: dict[Var, Any] = dict(zip(jaxpr.invars, arguments, strict=True))
    mapped = [var for var in sections.batched.invars if var in own]
    evaluate_section = evaluate_fast if on_cpu() else evaluate

    def of_lane(lane_values: list[Array]) -> list[Array]:
        outputs = evaluate_section(sections.batched, shared | dict(zip(mapped, lane_values, strict=True)))
        return [outputs[var] for var in sections.batched.outvars]  # type: ignore[index]

    if sections.batched.outvars:
        outputs = jax.vmap(of_lane)([own[var] for var in mapped])
        own |= dict(zip(sections.batched.outvars, outputs, strict=True))  # type: ignore[arg-type]
    return _Values(shared, own)


def _compute_by_lane(
    jaxpr: Jaxpr,
    values: _Values,
    rows: list[Array],
    outputs: dict[int, Any],
    in_place: dict[Any, int],
    order: Int[Array, " lane"],
    count: Int[Array, ""],
) -> list[Array]:
    """Evaluate a section for `count` lanes, one after another; return the rows with its outputs in place.

    Args:
        jaxpr: What to evaluate.
        values: Values of its inputs.
        rows: All outputs of the step, `lane ...` each.
        outputs: Which of the rows the section computes, with the variable of each.
        in_place: Inputs that are read from a row, with the index of the row.
        order, count: Lanes in the order in which they are computed, and how many of them.
    """
    if not outputs:
        return rows

    def compute_lane(index: Array, buffers: dict[int, Array]) -> dict[int, Array]:
        lane = order[index]
        inputs = {
            var: _read_lane(buffers[in_place[var]], lane, rows[in_place[var]])
            if var in in_place
            else values.of_lane(var, lane)
            for var in jaxpr.invars
        }
        computed = evaluate(jaxpr, inputs)
        return {
            index: _write_lane(buffer, lane, rows[index], computed[outputs[index]])
            for index, buffer in buffers.items()
        }

    buffers = jax.lax.fori_loop(0, count, compute_lane, {index: _flat(rows[index]) for index in outputs})
    return [buffers[index].reshape(row.shape) if index in buffers else row for index, row in enumerate(rows)]


def _flat(rows: Array) -> Array:
    """Concatenate lanes along their first axis.

    A lane is then read and written without a change of shape. With a reshape in between, XLA's CPU compiler
    copies the lane before it works on it.
    """
    return rows if rows.ndim == 1 else rows.reshape(-1, *rows.shape[2:])


def _read_lane(buffer: Array, lane: Array, rows: Array) -> Array:
    if rows.ndim == 1:
        return row(buffer, lane)
    size = rows.shape[1]
    return jax.lax.dynamic_slice_in_dim(buffer, lane * size, size, 0, allow_negative_indices=False)


def _write_lane(buffer: Array, lane: Array, rows: Array, new: Array) -> Array:
    if rows.ndim == 1:
        return with_row(buffer, new, lane)
    start = lane * rows.shape[1]
    return jax.lax.dynamic_update_slice_in_dim(buffer, new, start, 0, allow_negative_indices=False)


def _running_lanes(running: Bool[Array, " lane"]) -> tuple[Int[Array, " lane"], Int[Array, ""]]:
    """Return the running lanes in order, and how many there are; without a sort, which is slow."""
    lanes = jnp.arange(len(running), dtype=jnp.int32)
    rank = jnp.sum(running & (lanes[:, None] > lanes), axis=1, dtype=jnp.int32)
    at_rank = running & (rank == lanes[:, None])
    return jnp.sum(jnp.where(at_rank, lanes, 0), axis=1, dtype=jnp.int32), jnp.sum(running, dtype=jnp.int32)


def _where(running: Array, new: Array, old: Array) -> Array:
    return jnp.where(running.reshape(-1, *[1] * (new.ndim - 1)), new, old)
