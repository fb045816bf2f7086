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
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from thalweg.core import keys
from thalweg.core.caller import setting
from thalweg.core.compiler import filter_jit
from thalweg.core.errors import ModelError
from thalweg.core.limits import VARIABLE, as_bytes, max_bytes
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
        raise ModelError(
            "model", rule, got=type(module).__name__, hint=f"try lstm, or {setting('shuffle', 'none')}"
        )
    if jax.tree.leaves(eqx.filter(model.model_state, eqx.is_array_like)):
        rule, hint = "cannot have both a carry and running statistics", "use a norm other than batch norm"
        raise ModelError("model", rule, got=type(module).__name__, hint=hint)
    shape = eqx.filter_eval_shape(lambda module: module.begin(), module)
    return RecurrentCarry(jax.tree.map(lambda leaf: jnp.zeros((lanes, rows, *leaf.shape), leaf.dtype), shape))


def is_factory(model: Any) -> bool:
    """Return whether `model` makes a module from a key, rather than being one."""
    return isinstance(model, Architecture) or not (isinstance(model, eqx.Module) or _has_state(model))


def _has_state(made: Any) -> bool:
    """Return whether something is a module and its state, as `eqx.nn.make_with_state(...)(...)` gives."""
    return isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], eqx.nn.State)


def build(model: Callable[..., Any], key: Key[Array, ""]) -> PartitionedModel:
    """Make the module and partition it. A factory is called with `key`; a module is used as it is.

    Raises:
        ModelError: The factory fails, or the result is not an Equinox module with parameters.
    """

    rule = "must be an equinox.Module, or a factory key -> Module"
    if not callable(model) and not _has_state(model):
        raise ModelError("model", rule, got=model, hint="for example MLP([64, 10])")
    made: Any = _called(model, key) if is_factory(model) else model
    module = made[0] if _has_state(made) else made
    if not isinstance(module, eqx.Module):
        hint = "for example lambda key: eqx.nn.MLP(4, 3, 32, 2, key=key)"
        raise ModelError("model", rule, got=type(module).__name__, hint=hint)
    module, model_state = made if _has_state(made) else eqx.nn.make_with_state(lambda: module)()
    params, fixed = eqx.partition(module, eqx.is_inexact_array)
    if not jax.tree.leaves(params):
        no_params = "must have at least one floating-point array to train"
        hint = "put its weights into fields as JAX arrays, as eqx.nn.Linear does"
        raise ModelError("model", no_params, got=type(module).__name__, hint=hint)
    return PartitionedModel(params, model_state, fixed)


def reject_large(params: PyTree) -> None:
    """Reject a model whose parameters take more memory than `core.limits` allows.

    Args:
        params: Arrays, shapes or tracers; nothing is allocated for shapes.

    Raises:
        ModelError: They take more.
    """
    leaves = [leaf for leaf in jax.tree.leaves(params) if hasattr(leaf, "shape")]
    taken, most = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves), max_bytes()
    if taken > most:
        rule = f"the parameters may take at most {as_bytes(most)} of memory"
        room = f"{math.ceil(1.5 * taken / 1e9)}GB"
        hint = (
            f"use a smaller model or smaller inputs, or set the limit where there is room: {VARIABLE}={room}"
        )
        raise ModelError("model", rule, got=as_bytes(taken), hint=hint)


def build_as_trained(model: Callable[..., Any], seed: int) -> PartitionedModel:
    """Build the module as a run of this seed did: by the same operations, compiled, from the same key.

    Its arrays without gradients, such as lookup tables, are those that were trained with.

    Raises:
        ModelError: See `build`.
    """
    key = keys.purpose_key(keys.lane_key(seed), keys.INITIALISATION)
    if isinstance(model, Architecture):
        reject_large(_shapes(model).params)
    # The library's own architectures compute no tables, and a module is there already.
    compiled = callable(model) and is_factory(model) and not isinstance(model, Architecture)
    return (_build_compiled if compiled else build)(model, key)


_build_compiled = filter_jit(build)


def shapes_as_trained(model: Callable[..., Any], seed: int) -> PartitionedModel:
    """Do what `build_as_trained` does where weights are at hand: with shapes for arrays, if that is possible.

    Drawing first weights that are replaced at once would compile a program for each operation in it, which
    took half of the time of a prediction. A module with tables or keys is built.

    Raises:
        ModelError: See `build`.
    """
    if isinstance(model, Architecture):
        shapes = _shapes(model)
        reject_large(shapes.params)
        state = jax.tree.leaves(shapes.model_state)
        if not any(map(_is_shape, jax.tree.leaves(shapes.fixed))) and not any(map(_is_key, state)):
            return shapes
    return build_as_trained(model, seed)


def fixed_as_trained(model: Callable[..., Any], seed: int) -> PyTree:
    """Return all of the module that a run of this seed trained but its weights and state.

    Raises:
        ModelError: See `build`.
    """
    return shapes_as_trained(model, seed).fixed


def _shapes(model: Architecture) -> PartitionedModel:
    return _traced_shapes(model, bool(jax.config.jax_enable_x64))  # type: ignore[attr-defined]


@lru_cache(maxsize=64)
def _traced_shapes(model: Architecture, _wide: bool) -> PartitionedModel:
    """Trace a model; once for the predictions of all runs of a search."""
    return eqx.filter_eval_shape(lambda: build(model, keys.lane_key(0)))


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _is_key(leaf: Any) -> bool:
    return _is_shape(leaf) and bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _called(factory: Callable[..., Any], key: Key[Array, ""]) -> Any:
    """Call a factory; refuse what cannot be called with a key. What its own code raises stays as it is."""
    try:
        inspect.signature(factory).bind(key)
    except (TypeError, ValueError) as error:  # ValueError: a built-in type, which has no signature
        hint = "for example lambda key: eqx.nn.MLP(4, 3, 32, 2, key=key)"
        raise ModelError(
            "model", "a factory must take one argument, the key", got=factory, hint=hint
        ) from error
    return factory(key)


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
    spread = _spread(accepted)
    keys = _split(key, inputs) if takes_key and noisy else key

    def call(x: PyTree, state: eqx.nn.State, key: Any, count: Any) -> tuple[PyTree, eqx.nn.State]:
        arguments, named = spread(x)
        named |= {"state": state} if takes_state else {}
        with example_mask(count):
            output = module(*arguments, **named, key=key) if takes_key else module(*arguments, **named)
        return output if takes_state else (output, state)

    axes = (0, None, 0 if keys is not key else None, 0 if counts is not None else None)
    mapped = jax.vmap(call, in_axes=axes, out_axes=(0, None), axis_name=BATCH_AXIS)
    return mapped(inputs, model.model_state, keys, counts)


def _spread(accepted: Mapping[str, inspect.Parameter]) -> Callable[[PyTree], tuple[tuple, dict[str, PyTree]]]:
    """Return how the inputs of an example become arguments of a module that accepts these.

    A module with one input gets them as they are. One with several gets the items of a tuple in order, or
    those of a dictionary by name.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    several = [
        name
        for name, each in list(accepted.items())[1:]
        if each.kind in kinds and each.default is inspect.Parameter.empty and name not in ("state", "key")
    ]

    def spread(x: PyTree) -> tuple[tuple, dict[str, PyTree]]:
        if len(several) > 1 and isinstance(x, tuple):
            return x, {}
        if len(several) > 1 and isinstance(x, dict):
            return (), dict(x)
        return (x,), {}

    return spread


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
