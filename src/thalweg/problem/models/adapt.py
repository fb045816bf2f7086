"""Models of other libraries: pairs of functions `(init, apply)`, and Flax NNX modules, as Equinox modules.

The parameters become a field of an Equinox module, so everything that trains a module trains them: lanes,
groups by path, layer statistics, run folders. Flax is not a dependency; a module of it is recognised where it
is imported.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from thalweg.core.errors import ModelError

# What functions call their switch between training and inference, and their source of noise.
SWITCHES, NOISES = ("train", "training"), ("key", "rng")


class Adapted(eqx.Module):
    """A model of another library as a module.

    Args:
        params: Its parameters, a tree of arrays.
        function: `(params, input) -> output`, for one example; `train`, `training`, `key` and `rng` are
            passed to it if it takes them.
        inference: Whether it predicts.
    """

    params: PyTree
    function: Callable[..., Any] = eqx.field(static=True)
    inference: bool = False

    def __call__(self, x: PyTree, *, key: Key[Array, ""] | None = None) -> PyTree:
        """Return the output for one example."""
        accepted = inspect.signature(self.function).parameters
        named: dict[str, Any] = {name: not self.inference for name in SWITCHES if name in accepted}
        named |= {name: None if self.inference else key for name in NOISES if name in accepted}
        return self.function(self.params, x, **named)


class Adapter:
    """A factory `key -> Adapted`; `adapt` makes one."""

    def __init__(self, make: Callable[[Any], tuple[PyTree, Callable[..., Any]]], name: str):
        self.make, self.__name__ = make, name

    def __call__(self, key: Key[Array, ""]) -> Adapted:
        """Make the module."""
        return Adapted(*self.make(key))


def adapt(init: Callable[..., Any], apply: Callable[..., Any] | None = None, *example: Any) -> Adapter:
    """Return a model from a pair of functions, or from a factory of Flax NNX modules.

    Args:
        init: Of a pair: `(key, *example) -> params`, a tree of arrays. Alone: `rngs -> module`, which makes
            an `nnx.Module` from an `nnx.Rngs`, such as `lambda rngs: Net(width=64, rngs=rngs)`. It may hold
            dropout, but no running statistics (`nnx.BatchNorm`).
        apply: `(params, input) -> output` for one example, not a batch. If it takes `train` or `training`, it
            is told whether it trains; if it takes `key` or `rng`, it gets the noise of the step, None in
            inference.
        example: Arguments of `init` after the key, such as an input of the right shape.

    Returns:
        A factory for `Problem(model=...)`: each seed has its own initial weights.

    Raises:
        ModelError: They are no functions.

    Example:
        >>> import jax, jax.numpy as jnp, thalweg as tw
        >>> def init(key):
        ...     return {"w": 0.1 * jax.random.normal(key, (10, 64)), "b": jnp.zeros(10)}
        >>> def apply(params, x):
        ...     return params["w"] @ x.ravel() + params["b"]
        >>> problem = tw.Problem(tw.adapt(init, apply), "digits")
    """
    hint = "for example adapt(init, apply) with init(key) -> params and apply(params, x) -> output"
    for name, function in (("init", init), ("apply", apply)):
        if not callable(function) and not (name == "apply" and function is None):
            raise ModelError("adapt", f"{name} must be a function", got=function, hint=hint)
    if apply is None:
        if "flax" not in sys.modules:
            rule = "one function alone must make a Flax NNX module, and Flax is not imported"
            raise ModelError("adapt", rule, got=init, hint=hint)
        return Adapter(lambda key: _nnx(init, key), getattr(init, "__qualname__", "nnx"))
    return Adapter(lambda key: (init(key, *example), apply), getattr(apply, "__name__", type(apply).__name__))


def _nnx(make: Callable[..., Any], key: Key[Array, ""]) -> tuple[PyTree, Callable[..., Any]]:
    """Make an NNX module; return its parameters, and the function that calls it with others.

    Raises:
        ModelError: It makes none, or one that keeps running statistics.
    """
    nnx: Any = sys.modules["flax"].nnx
    module = make(nnx.Rngs(key))
    if not isinstance(module, nnx.Module):
        got, hint = type(module).__name__, "for example lambda rngs: nnx.Linear(64, 10, rngs=rngs)"
        raise ModelError("adapt", "must make an nnx.Module", got=got, hint=hint)
    graph, params, rest = nnx.split(module, nnx.Param, ...)
    kept = [(path, type(variable).__name__) for path, variable in nnx.to_flat_state(rest)]
    others = sorted({kind for _, kind in kept if kind not in _NOISE})
    if others:
        hint = "use nnx.LayerNorm, or write the model with Equinox"
        rule = "an NNX module must have no state besides parameters and noise"
        raise ModelError("adapt", rule, got=", ".join(others), hint=hint)
    return nnx.to_pure_dict(params), _Merged(graph, tuple(kept))


# The classes of Flax's variables for noise: keys, and how often each was used.
_NOISE = ("RngKey", "RngCount")


@dataclass(frozen=True)
class _Merged:
    """The function of an NNX module: its graph with parameters from outside.

    Args:
        graph: Its `nnx.GraphDef`.
        noise: Path and class of each variable that holds a key or a count.
    """

    graph: Any
    noise: tuple[tuple[tuple[Any, ...], str], ...]

    def __call__(self, params: PyTree, x: PyTree, train: bool, key: Key[Array, ""] | None) -> PyTree:
        """Return the output for one example; each stream of noise gets a key of its own."""
        nnx: Any = sys.modules["flax"].nnx
        key = jax.random.key(0) if key is None else key
        fresh = [
            (path, getattr(nnx, kind)(jax.random.fold_in(key, place) if kind == "RngKey" else jnp.uint32(0)))
            for place, (path, kind) in enumerate(self.noise)
        ]
        state = nnx.from_flat_state([*_variables(nnx, params), *fresh])
        module = nnx.merge(self.graph, state)
        module.train() if train else module.eval()
        return module(x)


def _variables(nnx: Any, params: PyTree, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Return the parameters of nested dictionaries by path."""
    if not isinstance(params, dict):
        return [(path, nnx.Param(params))]
    return [pair for name, inner in params.items() for pair in _variables(nnx, inner, (*path, name))]
