"""How the engine calls any Equinox module: one example in, mapped over the batch here.

A model is an `equinox.Module` called as `model(x)`, optionally with `key=` (noise while training) and
optionally with an `equinox.nn.State` as second argument (batch norm), in which case it returns
`(output, state)`. The batch axis is named `batch`, as Equinox's BatchNorm asks.

A recurrent module with `begin() -> carry` and `run(x, carry, key=) -> (output, carry)` can go on from where
it was: under `shuffle = "continued"` the carry of every row goes from batch to batch (`RecurrentCarry`).

A class that says `whole_batches = True` is not mapped: its one call takes examples with a leading batch axis,
and one key for all of them. It must treat every example by itself, and has no state.

A module may name a `block`: on a CPU the gradient of a larger batch is then computed in parts of so many
examples, so that what lies between forward and backward pass stays in the cache. Its examples must be
independent: no batch norm.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.models.layers.normalisation import BATCH_AXIS, counting


class PartitionedModel(NamedTuple):
    """A module taken apart for training.

    Args:
        params: The module with only its trained arrays (inexact); the rest is None.
        model_state: What changes without gradients: running statistics (`equinox.nn.State`).
        fixed: The module with only the other leaves: functions, flags, integer arrays.
    """

    params: PyTree
    model_state: eqx.nn.State
    fixed: PyTree


class RecurrentCarry(NamedTuple):
    """What a recurrent module carries from batch to batch, in the place of the model state.

    Args:
        rows: `row ...`, a carry for each row of a batch. No gradient flows through it.
    """

    rows: PyTree

    def at(self, fresh: Bool[Array, ""]) -> "RecurrentCarry":
        """Return this, or zeros where an epoch begins."""
        return jax.tree.map(lambda leaf: jnp.where(fresh, jnp.zeros_like(leaf), leaf), self)


def initial_carry(built: PartitionedModel, lanes: int, rows: int) -> PyTree:
    """Return the first model state of lanes whose batches continue one another.

    Args:
        built: The module, as shapes.
        lanes: How many lanes.
        rows: Rows of a batch.

    Raises:
        ModelError: The module has running statistics too, or makes no carry.
    """
    module = eqx.combine(built.params, built.fixed)
    if not hasattr(module, "begin") or not hasattr(module, "run"):
        rule = "shuffle=continued needs a model that carries a state: begin() and run(x, carry, key=)"
        raise ModelError("model", rule, got=type(module).__name__, hint="try lstm, or shuffle=none")
    if jax.tree.leaves(eqx.filter(built.model_state, eqx.is_array_like)):
        raise ModelError("model", "cannot carry a state beside running statistics", got=type(module).__name__)
    shape = eqx.filter_eval_shape(lambda made: made.begin(), module)
    return RecurrentCarry(jax.tree.map(lambda leaf: jnp.zeros((lanes, rows, *leaf.shape), leaf.dtype), shape))


def is_factory(model: Any) -> bool:
    """Tell whether `model` makes a module from a key, rather than being one."""
    return isinstance(model, Architecture) or not isinstance(model, eqx.Module)


def build(model: Callable[..., Any], key: Key[Array, ""]) -> PartitionedModel:
    """Make the module (a factory is called with `key`; a ready module is taken as it is) and take it apart.

    Raises:
        ModelError: The factory fails on a key, or what came is no Equinox module with parameters.
    """

    def make() -> Any:
        made = model(key) if is_factory(model) else model
        if not isinstance(made, eqx.Module):
            raise ModelError(
                "model",
                "must be an equinox.Module, or a factory key -> Module",
                got=type(made).__name__,
                hint="for example lambda key: eqx.nn.MLP(4, 3, 32, 2, key=key)",
            )
        return made

    if not callable(model):
        raise ModelError("model", "must be an equinox.Module, or a factory key -> Module", got=model)
    module, model_state = eqx.nn.make_with_state(make)()
    params, fixed = eqx.partition(module, eqx.is_inexact_array)
    if not jax.tree.leaves(params):
        raise ModelError(
            "model", "must have at least one floating-point array to train", got=type(module).__name__
        )
    return PartitionedModel(params, model_state, fixed)


def apply(
    built: PartitionedModel,
    inputs: PyTree,
    *,
    key: Key[Array, ""] | None,
    training: bool,
    counts: Float[Array, " batch"] | None = None,
    noisy: bool = True,
) -> tuple[PyTree, eqx.nn.State]:
    """Call the model on a batch.

    Args:
        built: The module, its parameters and its state.
        inputs: A batch, `batch ...`, or a tree of such.
        key: Noise for dropout and the like, split over the examples that are mapped; None when not training.
        training: False puts dropout and norm layers into inference mode.
        counts: 1 for examples that count, 0 for padding, which our batch norm leaves out of its figures;
            None: all count. Equinox's own BatchNorm cannot be told and takes padding for examples.
        noisy: Whether outputs depend on the key. Where they do not, all examples are given the same one, so
            that nothing is compiled for it.

    Returns:
        Outputs with a leading batch axis, and the model state afterwards.
    """
    module = eqx.nn.inference_mode(eqx.combine(built.params, built.fixed), value=not training)
    takes = _accepted(type(module))
    if getattr(type(module), "whole_batches", False):
        return module(inputs, key=key), built.model_state  # type: ignore[operator]
    count = jax.tree.leaves(inputs)[0].shape[0]
    if isinstance(built.model_state, RecurrentCarry):
        return _continued(module, built.model_state, inputs, key, training)
    split = takes.key and noisy
    keys = jax.random.split(key, count) if key is not None and split else key

    def one(x: PyTree, state: eqx.nn.State, key: Any, count: Any) -> tuple[PyTree, eqx.nn.State]:
        arguments = (x, state) if takes.state else (x,)
        with counting(count):
            output = module(*arguments, key=key) if takes.key else module(*arguments)  # type: ignore[operator]
        return output if takes.state else (output, state)

    axes = (0, None, 0 if keys is not key else None, 0 if counts is not None else None)
    mapped = jax.vmap(one, in_axes=axes, out_axes=(0, None), axis_name=BATCH_AXIS)
    return mapped(inputs, built.model_state, keys, counts)


def apply_from_carry(built: PartitionedModel, inputs: PyTree) -> tuple[PyTree, RecurrentCarry]:
    """Call a model that carries its state, outside of training, from what every row carries."""
    module: Any = eqx.nn.inference_mode(eqx.combine(built.params, built.fixed))
    carry: Any = built.model_state
    outputs, after = jax.vmap(lambda x, rows: module.run(x, rows))(inputs, carry.rows)
    return outputs, RecurrentCarry(after)


def _continued(
    module: Any, carry: RecurrentCarry, inputs: PyTree, key: Key[Array, ""] | None, training: bool
) -> tuple[PyTree, Any]:
    """Go on from what every row carries; outside of training every example begins anew."""
    if not training:
        return jax.vmap(module)(inputs), carry
    count = jax.tree.leaves(inputs)[0].shape[0]
    keys = None if key is None else jax.random.split(key, count)
    mapped = jax.vmap(
        lambda x, rows, key: module.run(x, rows, key=key), in_axes=(0, 0, None if keys is None else 0)
    )
    outputs, after = mapped(inputs, carry.rows, keys)
    return outputs, RecurrentCarry(jax.lax.stop_gradient(after))


class _Accepted(NamedTuple):
    key: bool
    state: bool


def _accepted(module: type) -> _Accepted:
    """Read off the call's signature whether the model takes a key and a state."""
    parameters = inspect.signature(module.__call__).parameters
    return _Accepted(key="key" in parameters, state="state" in parameters)
