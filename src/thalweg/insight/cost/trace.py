"""The compiled loop of a recipe as a jaxpr, without compiling, computing or placing anything on a device."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.core.tree import lane as take_lane
from thalweg.engine.backward import Lane, backward, read_batch
from thalweg.engine.evaluate import traced_sums
from thalweg.engine.group import LaneGroup, group_shapes
from thalweg.engine.layout.mapped import run_mapped
from thalweg.engine.program import Batches, rebuilt
from thalweg.engine.state import State
from thalweg.engine.step import step
from thalweg.problem.data.stream import Streamed
from thalweg.problem.models.adapter import apply
from thalweg.problem.objective import Objective, as_batch
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe


class Shapes(NamedTuple):
    """What a dispatch of one lane is called with, as shapes.

    Args:
        group: The lane's group; its arrays are shapes.
        states: The first states.
        split: The training split.
        batches: The order of a dispatch.
    """

    group: LaneGroup
    states: State
    split: PyTree
    batches: Batches


def shapes(problem: Problem, recipe: Recipe) -> Shapes:
    """Return the shapes of a dispatch of one lane."""
    group, states = group_shapes(problem, recipe)
    program = group.program
    indices = jax.ShapeDtypeStruct((1, program.capacity, program.batch_size), jnp.int32)
    sizes = jax.ShapeDtypeStruct((program.capacity,), jnp.int32)
    return Shapes(group, states, _split(problem, group), Batches(indices, sizes))  # type: ignore[arg-type]


def _split(problem: Problem, group: LaneGroup) -> PyTree:
    train = problem.data.train
    rows = None
    if isinstance(train, Streamed):  # a dispatch is sent its own rows
        rows, train = group.program.capacity * group.program.batch_size, train.first
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape if rows is None else (rows, *leaf.shape[1:]),
            jax.dtypes.canonicalize_dtype(leaf.dtype),
        ),
        train,
    )


def program(of: Shapes) -> tuple[ClosedJaxpr, list[str]]:
    """Return the compiled loop, and what each of its inputs is."""
    count = jax.ShapeDtypeStruct((), jnp.int32)
    arguments = (of.group.inputs, of.split, of.batches, count, of.states)
    closed = jax.make_jaxpr(lambda *given: run_mapped(of.group.program, *given))(*arguments)
    labels = ["settings"] * len(jax.tree.leaves(of.group.inputs))
    labels += (
        ["data"] * len(jax.tree.leaves(of.split))
        + ["order"] * len(jax.tree.leaves(of.batches))
        + ["settings"]
    )
    return closed, labels + state_labels(of.states)


def evaluation(of: Shapes) -> ClosedJaxpr:
    """Return the program that evaluates the training split, whose batches are the largest there are."""
    order, count = jax.ShapeDtypeStruct((1,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)

    def evaluated(inputs: Any, split: Any, weights: Any, order: Any, count: Any) -> PyTree:
        return traced_sums(of.group.program, inputs, split, weights, order, count, 1, None)

    weights = (of.states.params, of.states.model_state)
    return jax.make_jaxpr(evaluated)(of.group.inputs, of.split, weights, order, count)


STATE_LABELS = {
    "params": "weights",
    "model_state": "model state",
    "optimizer": "optimizer",
    "average": "averages",
}


def state_labels(states: State) -> list[str]:
    """Return what each array of a state is."""
    paths = jax.tree_util.tree_leaves_with_path(states)
    return [STATE_LABELS.get(str(path[0]).lstrip("."), "settings") for path, _ in paths]


class Passes(NamedTuple):
    """One update taken apart.

    Args:
        forward: The loss from the parameters, without a gradient.
        gradient: The loss and its gradient.
        update: A whole step.
        predict: The outputs of the model for one batch, in inference mode.
        params: The parameters' paths, in the order of the inputs of `forward` and `gradient`.
    """

    forward: ClosedJaxpr
    gradient: ClosedJaxpr
    update: ClosedJaxpr
    predict: ClosedJaxpr
    params: PyTree


def passes(of: Shapes) -> Passes:
    """Return the parts of one update as jaxprs; parameters are the first inputs of each."""
    state: State = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), of.states)
    rows = jax.ShapeDtypeStruct(of.batches.indices.shape[2:], jnp.int32)
    size = jax.ShapeDtypeStruct((), jnp.int32)

    def with_batch(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(params: PyTree, state: State, rows: Any, size: Any, inputs: Any, split: Any) -> Any:
            lane = _lane(of, inputs, split)
            key = jax.random.fold_in(keys.wrapped(state.key), 0)
            batch = read_batch(lane, rows, size, key, key, state.step)
            return function(lane, batch, params, state)

        return called

    def forward(lane: Lane, batch: Any, params: PyTree, state: State) -> Any:
        scale = state.scale.scale if lane.recipe.precision == "f16" else None
        return backward(lane, batch, params, state.model_state, scale)

    arguments = (state.params, state, rows, size, of.group.inputs, of.split)
    gradient = jax.make_jaxpr(with_batch(lambda *given: forward(*given)[:2]))(*arguments)
    loss = jax.make_jaxpr(
        with_batch(lambda lane, batch, params, state: forward(lane, batch, params, state).loss_of(params))
    )(*arguments)
    whole = one_update(of)
    predict = jax.make_jaxpr(with_batch(_outputs))(*arguments)
    return Passes(loss, gradient, whole, predict, state.params)


def one_update(of: Shapes) -> ClosedJaxpr:
    """Return a whole step as a jaxpr."""
    state: State = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), of.states)
    rows = jax.ShapeDtypeStruct(of.batches.indices.shape[2:], jnp.int32)
    size = jax.ShapeDtypeStruct((), jnp.int32)
    return jax.make_jaxpr(
        lambda state, rows, size, inputs, split: step(_lane(of, inputs, split), state, (rows, size))
    )(state, rows, size, of.group.inputs, of.split)


def _lane(of: Shapes, inputs: Any, split: Any) -> Lane:
    recipe = jax.tree.unflatten(of.group.program.recipe, take_lane(inputs.numbers, 0))
    return Lane(of.group.program, inputs, recipe, split)


def _outputs(lane: Lane, batch: Any, params: PyTree, state: State) -> Any:
    module = rebuilt(lane.program, lane.inputs, params, state.model_state)
    if isinstance(lane.program.loss, Objective):
        whole = as_batch(batch.inputs, batch.targets)
        return lane.program.loss.measure(module, whole, batch.key, training=False).losses
    return apply(module, batch.inputs, key=None, training=False)[0]
