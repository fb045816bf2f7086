"""How the engine calls any Equinox module: one example in, mapped over the batch here.

A model is an `equinox.Module` called as `model(x)`, optionally with `key=` (noise while training) and
optionally with an `equinox.nn.State` as second argument (batch norm), in which case it returns
`(output, state)`. The batch axis is named `batch`, as Equinox's BatchNorm asks.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Key, PyTree

from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import Architecture

BATCH_AXIS = "batch"


class Built(NamedTuple):
    """A module taken apart for training.

    Args:
        params: The module with only its trained arrays (inexact); the rest is None.
        model_state: What changes without gradients: running statistics (`equinox.nn.State`).
        fixed: The module with only the other leaves: functions, flags, integer arrays.
    """

    params: PyTree
    model_state: eqx.nn.State
    fixed: PyTree


def is_factory(model: Any) -> bool:
    """Tell whether `model` makes a module from a key, rather than being one."""
    return isinstance(model, Architecture) or not isinstance(model, eqx.Module)


def build(model: Callable[..., Any], key: Key[Array, ""]) -> Built:
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
    return Built(params, model_state, fixed)


def apply(
    built: Built, inputs: PyTree, *, key: Key[Array, ""] | None, training: bool
) -> tuple[PyTree, eqx.nn.State]:
    """Call the model on a batch.

    Args:
        built: The module, its parameters and its state.
        inputs: A batch, `batch ...`, or a tree of such.
        key: Noise for dropout and the like, split over the examples; None when not training.
        training: False puts dropout and norm layers into inference mode.

    Returns:
        Outputs with a leading batch axis, and the model state afterwards.
    """
    module = eqx.nn.inference_mode(eqx.combine(built.params, built.fixed), value=not training)
    takes = _accepted(type(module))
    count = jax.tree.leaves(inputs)[0].shape[0]
    keys = jax.random.split(key, count) if key is not None and takes.key else None

    def one(x: PyTree, state: eqx.nn.State, key: Any) -> tuple[PyTree, eqx.nn.State]:
        arguments = (x, state) if takes.state else (x,)
        output = module(*arguments, key=key) if takes.key else module(*arguments)  # type: ignore[operator]
        return output if takes.state else (output, state)

    mapped = jax.vmap(
        one, in_axes=(0, None, 0 if keys is not None else None), out_axes=(0, None), axis_name=BATCH_AXIS
    )
    return mapped(inputs, built.model_state, keys)


class _Accepted(NamedTuple):
    key: bool
    state: bool


def _accepted(module: type) -> _Accepted:
    """Read off the call's signature whether the model takes a key and a state."""
    parameters = inspect.signature(module.__call__).parameters
    return _Accepted(key="key" in parameters, state="state" in parameters)
