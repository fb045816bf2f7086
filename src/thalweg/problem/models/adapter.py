"""How the engine calls any Equinox module: one example in, mapped over the batch here.

A model is an `equinox.Module` called as `model(x)`, optionally with `key=` (noise while training) and
optionally with an `equinox.nn.State` as second argument (batch norm), in which case it
returns `(output, state)`. The batch axis is named `batch`, as Equinox's BatchNorm asks.
"""

import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Key, PyTree

from thalweg.core.errors import ModelError

BATCH_AXIS = "batch"


def build(model: Callable[..., Any], key: Key[Array, ""]) -> tuple[Any, eqx.nn.State]:
    """Return a module and its state: a ready module as it is, a factory called with `key`.

    Raises:
        ModelError: The factory does not take a key, or what it returns is no Equinox module.
    """
    make = (lambda *, key: model) if isinstance(model, eqx.Module) and not _is_factory(model) else model
    try:
        built, state = eqx.nn.make_with_state(lambda key: _call_factory(make, key))(key)
    except TypeError as error:
        raise ModelError("model", "a factory must take one argument, the random key", got=str(error),
                         hint="for example lambda key: eqx.nn.MLP(4, 3, 32, 2, key=key)") from error  # fmt: skip
    if not isinstance(built, eqx.Module):
        raise ModelError("model", "must be an equinox.Module, or a factory key -> Module",
                         got=type(built).__name__)  # fmt: skip
    return built, state
