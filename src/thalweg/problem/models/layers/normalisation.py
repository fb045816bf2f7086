"""Normalisation: batch, layer, group and root mean square, all over features in the last axis.

Every norm is called as `norm(x, state) -> (x, state)`; only batch norm has a state.
"""

import abc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.errors import ModelError, did_you_mean

BATCH_AXIS = "batch"

# PyTorch's default, also Ioffe & Szegedy's order of magnitude.
EPSILON = 1e-5
# Share of the old figures that is kept at each update; PyTorch's momentum of 0.1.
KEPT = 0.9
# Features of a group as near 16 as divides evenly (Wu & He found 16 channels a group best, table 3).
GROUP_WIDTH = 16


# Whether the example that is being traced counts: 1 or 0, traced. It cannot pass through a model's calls,
# whose signatures are the user's; it holds while the model is called, in the calling thread only.
_COUNT: ContextVar[Any] = ContextVar("count", default=None)


@contextmanager
def counting(count: Float[Array, ""] | None) -> Iterator[None]:
    """Say, around the call of a model on one example of a batch, whether the example counts (None: it does).

    Examples that do not count are padding, which brings a short batch to the length of the others.
    """
    token = _COUNT.set(count)
    try:
        yield
    finally:
        _COUNT.reset(token)


class Norm(eqx.Module):
    """A normalisation with a learned scale, and a learned shift where there is one."""

    roles: ClassVar[dict[str, str]] = {"scale": "scale", "shift": "bias"}

    @abc.abstractmethod
    def __call__(
        self, x: Float[Array, "... features"], state: eqx.nn.State | None
    ) -> tuple[Float[Array, "... features"], eqx.nn.State | None]:
        """Normalise one example; a state of None is none."""


class LayerNorm(Norm):
    """`(x - mean) / sqrt(var + eps) scale + shift` over the features.

    Reference: Ba et al., Layer Normalization, 2016.
    """

    scale: Float[Array, " features"]
    shift: Float[Array, " features"] | None

    def __init__(self, features: int, *, shift: bool = True):
        self.scale = jnp.ones(features)
        self.shift = jnp.zeros(features) if shift else None

    def __call__(self, x: Array, state: eqx.nn.State | None) -> tuple[Array, eqx.nn.State | None]:
        """Normalise every position by itself."""
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
        return _affine(centred * jax.lax.rsqrt(variance + EPSILON), self.scale, self.shift), state


class RMSNorm(Norm):
    """`x / sqrt(mean(x^2) + eps) scale` over the features.

    Reference: Zhang & Sennrich, Root Mean Square Layer Normalization, 2019.
    """

    scale: Float[Array, " features"]

    def __init__(self, features: int):
        self.scale = jnp.ones(features)

    def __call__(self, x: Array, state: eqx.nn.State | None) -> tuple[Array, eqx.nn.State | None]:
        """Normalise every position by itself."""
        square = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
        return _affine(x * jax.lax.rsqrt(square + EPSILON), self.scale, None), state


class GroupNorm(Norm):
    """Layer norm over each group of features and all positions of an example.

    Reference: Wu & He, Group Normalization, 2018.
    """

    scale: Float[Array, " features"]
    shift: Float[Array, " features"]
    groups: int = eqx.field(static=True)

    def __init__(self, features: int, groups: int | None = None):
        self.groups = groups if groups is not None else _groups(features)
        if features % self.groups:
            raise ModelError(
                "group norm", "groups must divide the features", got=f"{groups} groups, {features} features"
            )
        self.scale, self.shift = jnp.ones(features), jnp.zeros(features)

    def __call__(self, x: Array, state: eqx.nn.State | None) -> tuple[Array, eqx.nn.State | None]:
        """Normalise one example."""
        grouped = x.reshape(-1, self.groups, x.shape[-1] // self.groups)
        centred = grouped - jnp.mean(grouped, axis=(0, 2), keepdims=True)
        variance = jnp.mean(jnp.square(centred), axis=(0, 2), keepdims=True)
        normal = (centred * jax.lax.rsqrt(variance + EPSILON)).reshape(x.shape)
        return _affine(normal, self.scale, self.shift), state


class BatchNorm(Norm):
    """Training: mean and variance over the batch (and all positions). Inference: their running averages.

    The running figures are averages with weights 0.9^k, divided by the sum of the weights, so that they are
    right from the first step on (PyTorch's start from 0 and 1 and need some twenty steps to forget them). As
    in PyTorch, the running variance is the unbiased one. Must be called under `vmap`, its axis named `batch`.
    Figures are computed in at least float32. Examples that do not count (`counting`) have no part in them; a
    batch in which none counts leaves the running figures as they are.

    Reference: Ioffe & Szegedy, Batch Normalization, 2015.
    """

    scale: Float[Array, " features"]
    shift: Float[Array, " features"]
    figures: eqx.nn.StateIndex
    inference: bool = False

    def __init__(self, features: int):
        self.scale, self.shift = jnp.ones(features), jnp.zeros(features)
        self.figures = eqx.nn.StateIndex((jnp.zeros(features), jnp.zeros(features), jnp.zeros(())))
        self.inference = False

    def __call__(self, x: Array, state: eqx.nn.State | None) -> tuple[Array, eqx.nn.State | None]:
        """Normalise one example of the batch."""
        if state is None:
            rule, hint = "must be called with its state", "model(x, state), under vmap with axis_name='batch'"
            raise ModelError("batch norm", rule, hint=hint)
        if self.inference:
            mean, variance = _running(state.get(self.figures))
            return _affine((x - mean) * jax.lax.rsqrt(variance + EPSILON), self.scale, self.shift), state
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        axes = tuple(range(x.ndim - 1))
        mean, examples = _batch_mean(jnp.mean(wide, axis=axes))
        centred = wide - mean
        variance, _ = _batch_mean(jnp.mean(jnp.square(centred), axis=axes))
        count = examples * (x.size // x.shape[-1])
        unbiased = variance * (count / jnp.maximum(count - 1, 1))
        state = state.set(self.figures, self._updated(state, (mean, unbiased, jnp.ones(())), examples))
        normal = centred * jax.lax.rsqrt(variance + EPSILON)
        return _affine(normal, self.scale, self.shift).astype(x.dtype), state

    def _updated(self, state: eqx.nn.State, new: tuple[Array, ...], examples: Array) -> tuple[Array, ...]:
        def one(old: Array, seen: Array) -> Array:
            moved = KEPT * old + (1 - KEPT) * jax.lax.stop_gradient(seen).astype(old.dtype)
            return jnp.where(examples > 0, moved, old)

        return jax.tree.map(one, state.get(self.figures), new)


NORMALISATIONS: dict[str, Callable[[int], Norm] | None] = {
    "none": None,
    "batch": BatchNorm,
    "layer": LayerNorm,
    "group": GroupNorm,
    "rms": RMSNorm,
}


def normalisation(name: str, features: int) -> Norm | None:
    """Return a new norm of a name, or None for `none`.

    Raises:
        ModelError: The name is unknown.
    """
    if name not in NORMALISATIONS:
        hint = did_you_mean(str(name), NORMALISATIONS)
        raise ModelError("normalisation", "must be a known name", got=name, hint=hint)
    kind = NORMALISATIONS[name]
    return None if kind is None else kind(features)


def _batch_mean(value: Array) -> tuple[Array, Array]:
    """Return the mean over the examples that count, and how many they are."""
    count = _COUNT.get()
    if count is None:
        return jax.lax.pmean(value, BATCH_AXIS), jnp.asarray(jax.lax.psum(1, BATCH_AXIS), value.dtype)
    examples = jax.lax.psum(count.astype(value.dtype), BATCH_AXIS)
    # where, not a product: what stands in the padding must not turn into NaN here.
    total = jax.lax.psum(jnp.where(count > 0, value, 0.0), BATCH_AXIS)
    return total / jnp.maximum(examples, 1), examples


def _affine(x: Array, scale: Array, shift: Array | None) -> Array:
    return x * scale if shift is None else x * scale + shift


def _running(figures: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    mean, variance, weight = figures
    seen = weight > 0
    safe = jnp.where(seen, weight, 1.0)
    return mean / safe, jnp.where(seen, variance / safe, 1.0)


def _groups(features: int) -> int:
    wanted = max(1, features // GROUP_WIDTH)
    return next(groups for groups in range(wanted, 0, -1) if features % groups == 0)
