"""Normalisation: batch, layer, group and root mean square norm, with features in the last axis.

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
# Share of the running statistics that is kept at each update; PyTorch's momentum of 0.1.
DECAY = 0.9
# Groups have the number of features nearest to 16 that divides evenly (best in Wu & He, table 3).
GROUP_WIDTH = 16

# 1 if the example being traced is real, 0 if it is padding. It cannot be an argument, since users define the
# signatures of models; it is set while the model is called, in the calling thread only.
_MASK: ContextVar[Any] = ContextVar("mask", default=None)


@contextmanager
def example_mask(mask: Float[Array, ""] | None) -> Iterator[None]:
    """Set, around the call of a model on one example of a batch, whether the example is real or padding.

    Args:
        mask: 1 if real, 0 if it pads a short batch to the length of the others. None: real.
    """
    token = _MASK.set(mask)
    try:
        yield
    finally:
        _MASK.reset(token)


class Norm(eqx.Module):
    """Base class: a normalisation with a learned scale and, except for RMS norm, a learned shift."""

    roles: ClassVar[dict[str, str]] = {"scale": "scale", "shift": "bias"}

    @abc.abstractmethod
    def __call__(
        self, x: Float[Array, "... features"], state: eqx.nn.State | None
    ) -> tuple[Float[Array, "... features"], eqx.nn.State | None]:
        """Normalise one example, and return the next state."""


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
        """Normalise every position independently."""
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
        """Normalise every position independently."""
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
            got = f"{groups} groups, {features} features"
            raise ModelError(
                "group norm", "groups must divide the features", got=got, hint="leave groups out"
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
    """Training: mean and variance over the batch and all positions. Inference: their running averages.

    The running statistics are averages with weights 0.9^k, divided by the sum of the weights, so that they
    are unbiased from the first step on (PyTorch's start from 0 and 1, and take about twenty steps to forget
    them). As in PyTorch, the running variance is the unbiased one. Must be called under `vmap` with an axis
    named `batch`. Statistics are computed in at least float32. They exclude padding (`example_mask`); a batch
    of padding alone leaves them unchanged.

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
            mean, variance = running_statistics(state.get(self.figures))
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
        def updated(old: Array, value: Array) -> Array:
            average = DECAY * old + (1 - DECAY) * jax.lax.stop_gradient(value).astype(old.dtype)
            return jnp.where(examples > 0, average, old)

        return jax.tree.map(updated, state.get(self.figures), new)


NORMALISATIONS: dict[str, Callable[[int], Norm] | None] = {
    "none": None,
    "batch": BatchNorm,
    "layer": LayerNorm,
    "group": GroupNorm,
    "rms": RMSNorm,
}


def normalisation(name: str, features: int) -> Norm | None:
    """Return a new norm by name, or None for `none`.

    Raises:
        ModelError: The name is unknown.
    """
    if name not in NORMALISATIONS:
        hint = did_you_mean(str(name), NORMALISATIONS)
        raise ModelError("normalisation", "must be a known name", got=name, hint=hint)
    kind = NORMALISATIONS[name]
    return None if kind is None else kind(features)


def _batch_mean(value: Array) -> tuple[Array, Array]:
    """Return the mean over the real examples of the batch, and their number."""
    mask = _MASK.get()
    if mask is None:
        return jax.lax.pmean(value, BATCH_AXIS), jnp.asarray(jax.lax.psum(1, BATCH_AXIS), value.dtype)
    examples = jax.lax.psum(mask.astype(value.dtype), BATCH_AXIS)
    # where, not a product: NaN in the padding must not reach the sum.
    total = jax.lax.psum(jnp.where(mask > 0, value, 0.0), BATCH_AXIS)
    return total / jnp.maximum(examples, 1), examples


def _affine(x: Array, scale: Array, shift: Array | None) -> Array:
    return x * scale if shift is None else x * scale + shift


def running_statistics(figures: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    """Return running mean and variance: 0 and 1 before the first update."""
    mean, variance, weight = figures
    updated = weight > 0
    divisor = jnp.where(updated, weight, 1.0)
    return mean / divisor, jnp.where(updated, variance / divisor, 1.0)


def _groups(features: int) -> int:
    most = max(1, features // GROUP_WIDTH)
    return next(groups for groups in range(most, 0, -1) if features % groups == 0)
