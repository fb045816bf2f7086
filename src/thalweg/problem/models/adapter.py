"""How the engine calls any Equinox module: the module sees one example, and is mapped over the batch here.

A model is an `equinox.Module` called as `model(x)`, optionally with `key=` (noise while training) and
optionally with an `equinox.nn.State` as second argument (batch norm), in which case it returns
`(output, state)`. The batch axis is named `batch`, as Equinox's BatchNorm requires.

A recurrent module with `begin() -> carry` and `run(x, carry, key=) -> (output, carry)` can continue a
sequence: under `shuffle = "continued"` the carry of every row passes from batch to batch (`RecurrentCarry`).

A class with `whole_batches = True` is not mapped: it is called once, on examples with a leading batch axis
and with one key for all of them. It must treat every example independently, and has no state.

A module may have a `block`: on a CPU the gradient of a larger batch is then computed over blocks of that many
examples, so that the arrays between forward and backward pass stay in the cache. Its examples must be
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
from thalweg.problem.models.layers.normalisation import BATCH_AXIS, example_mask


class PartitionedModel(NamedTuple):
    """A module partitioned for training, as by `equinox.partition`.

    Args:
        params: The module with its trained (floating-point) arrays only; the rest is None.
        model_state: What changes without gradients: running statistics (`equinox.nn.State`), or the carry of
            a recurrent module.
        fixed: The module with all other leaves: functions, flags, integer arrays.
    """

    params: PyTree
    model_state: eqx.nn.State
    fixed: PyTree


class RecurrentCarry(NamedTuple):
    """The model state of a recurrent module whose batches continue one another.

    Args:
        rows: `row ...`, the carry of each row of a batch. No gradient flows through it.
    """

    rows: PyTree

    def at(self, fresh: Bool[Array, ""]) -> "RecurrentCarry":
        """Return this carry, or zeros if `fresh` (the start of an epoch)."""
        return jax.tree.map(lambda leaf: jnp.where(fresh, jnp.zeros_like(leaf), leaf), self)


def initial_carry(model: PartitionedModel, lanes: int, rows: int) -> PyTree:
    """Return the model state of lanes whose batches continue one another, before the first batch.

    Args:
        model: The module, as shapes.
        lanes: Number of lanes.
        rows: Rows of a batch.

    Raises:
        ModelError: The module has running statistics as well, or no carry.
    """
    module = eqx.combine(model.params, model.fixed)
    if not hasattr(module, "begin") or not hasattr(module, "run"):
        rule = "shuffle=continued needs a model with a carry: begin() and run(x, carry, key=)"
        raise ModelError("model", rule, got=type(module).__name__, hint="try lstm, or shuffle=none")
    if jax.tree.leaves(eqx.filter(model.model_state, eqx.is_array_like)):
        rule, hint = "cannot have both a carry and running statistics", "use a norm other than batch norm"
        raise ModelError("model", rule, got=type(module).__name__, hint=hint)
    shape = eqx.filter_eval_shape(lambda module: module.begin(), module)
    return RecurrentCarry(jax.tree.map(lambda leaf: jnp.zeros((lanes, rows, *leaf.shape), leaf.dtype), shape))


def is_factory(model: Any) -> bool:
    """Return whether `model` makes a module from a key, rather than being a module."""
    return isinstance(model, Architecture) or not isinstance(model, eqx.Module)


def build(model: Callable[..., Any], key: Key[Array, ""]) -> PartitionedModel:
    """Make the module and partition it. A factory is called with `key`; a module is used as it is.

    Raises:
        ModelError: The factory fails, or the result is not an Equinox module with parameters.
    """

    rule = "must be an equinox.Module, or a factory key -> Module"
    if not callable(model):
        raise ModelError("model", rule, got=model)

    def make() -> Any:
        module = model(key) if is_factory(model) else model
        if not isinstance(module, eqx.Module):
            hint = "for example lambda key: eqx.nn.MLP(4, 3, 32, 2, key=key)"
            raise ModelError("model", rule, got=type(module).__name__, hint=hint)
        return module

    module, model_state = eqx.nn.make_with_state(make)()
    params, fixed = eqx.partition(module, eqx.is_inexact_array)
    if not jax.tree.leaves(params):
        no_params = "must have at least one floating-point array to train"
        raise ModelError("model", no_params, got=type(module).__name__)
    return PartitionedModel(params, model_state, fixed)


def apply(
    model: PartitionedModel,
    inputs: PyTree,
    *,
    key: Key[Array, ""] | None,
    training: bool,
    counts: Float[Array, " batch"] | None = None,
    noisy: bool = True,
) -> tuple[PyTree, eqx.nn.State]:
    """Call the model on a batch.

    Args:
        model: The module, its parameters and its state.
        inputs: A batch, `batch ...`, or a tree of such.
        key: Key for dropout and the like, split over the examples; None when not training.
        training: False puts dropout and norm layers into inference mode.
        counts: 1 for real examples, 0 for padding, which our batch norm leaves out of its statistics. None:
            all are real. Equinox's own BatchNorm takes no such mask, and includes padding.
        noisy: Whether outputs depend on the key. If not, all examples share one key, so that splitting it is
            not compiled.

    Returns:
        Outputs with a leading batch axis, and the next model state.
    """
    module: Any = eqx.nn.inference_mode(eqx.combine(model.params, model.fixed), value=not training)
    if getattr(type(module), "whole_batches", False):
        return module(inputs, key=key), model.model_state
    if isinstance(model.model_state, RecurrentCarry):
        return _apply_recurrent(module, model.model_state, inputs, key, training)
    accepted = inspect.signature(type(module).__call__).parameters
    takes_key, takes_state = "key" in accepted, "state" in accepted
    keys = _split(key, inputs) if takes_key and noisy else key

    def call(x: PyTree, state: eqx.nn.State, key: Any, count: Any) -> tuple[PyTree, eqx.nn.State]:
        arguments = (x, state) if takes_state else (x,)
        with example_mask(count):
            output = module(*arguments, key=key) if takes_key else module(*arguments)
        return output if takes_state else (output, state)

    axes = (0, None, 0 if keys is not key else None, 0 if counts is not None else None)
    mapped = jax.vmap(call, in_axes=axes, out_axes=(0, None), axis_name=BATCH_AXIS)
    return mapped(inputs, model.model_state, keys, counts)


def apply_from_carry(model: PartitionedModel, inputs: PyTree) -> tuple[PyTree, RecurrentCarry]:
    """Call a recurrent model in inference mode, each row from its carry."""
    module: Any = eqx.nn.inference_mode(eqx.combine(model.params, model.fixed))
    carry: Any = model.model_state
    outputs, rows = jax.vmap(lambda x, row: module.run(x, row))(inputs, carry.rows)
    return outputs, RecurrentCarry(rows)


def _apply_recurrent(
    module: Any, carry: RecurrentCarry, inputs: PyTree, key: Key[Array, ""] | None, training: bool
) -> tuple[PyTree, Any]:
    """Call a recurrent module, each row from its carry; when not training, every example from zeros."""
    if not training:
        return jax.vmap(module)(inputs), carry
    keys = _split(key, inputs)
    axes = (0, 0, None if keys is None else 0)
    mapped = jax.vmap(lambda x, row, key: module.run(x, row, key=key), in_axes=axes)
    outputs, rows = mapped(inputs, carry.rows, keys)
    return outputs, RecurrentCarry(jax.lax.stop_gradient(rows))


def _split(key: Key[Array, ""] | None, inputs: PyTree) -> Any:
    """Split a key over the examples of a batch."""
    return None if key is None else jax.random.split(key, jax.tree.leaves(inputs)[0].shape[0])
