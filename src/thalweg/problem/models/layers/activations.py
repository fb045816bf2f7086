"""Activations by name: plain functions, so that models can be hashed and compared by them."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.errors import ModelError, did_you_mean

Activation = Callable[[Float[Array, "..."]], Float[Array, "..."]]


def relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """max(x, 0); the subgradient at 0 is 0. (Nair & Hinton 2010)"""
    return jax.nn.relu(x)


def leaky_relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x above 0, 0.01 x elsewhere; the subgradient at 0 is 0.01. (Maas et al. 2013, slope 0.01)"""
    return jnp.where(x > 0, x, 0.01 * x)


def elu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x above 0, exp(x) - 1 elsewhere. (Clevert et al. 2016, alpha 1)"""
    return jax.nn.elu(x)


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x Phi(x), with the exact normal distribution function. (Hendrycks & Gimpel 2016)"""
    # Phi as (1 + erf)/2, as in PyTorch: with XLA's erfc a step of a small GPT took 6 of 80 ms more. It loses
    # relative precision only far below zero, where values are below 1e-6 (absolute error 2e-7). Half
    # precision would lose more, and is widened.
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (0.5 * wide * (1.0 + jax.lax.erf(wide * math.sqrt(0.5)))).astype(x.dtype)


def gelu_tanh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """GELU with tanh in place of the error function, as in GPT-2. (Hendrycks & Gimpel 2016)"""
    return jax.nn.gelu(x, approximate=True)


def silu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x sigmoid(x), also called swish. (Elfwing et al. 2018; Ramachandran et al. 2017)"""
    return jax.nn.silu(x)


def sigmoid(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 / (1 + exp(-x))."""
    return jax.nn.sigmoid(x)


def tanh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The hyperbolic tangent. (LeCun et al. 1998)"""
    return jnp.tanh(x)


def softplus(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(1 + exp(x)). (Dugas et al. 2001)"""
    return jax.nn.softplus(x)


def exponential(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """exp(x), for outputs that are rates or standard deviations. (Nelder & Wedderburn 1972, the log link)"""
    return jnp.exp(x)


def softmax(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """exp(x) over its sum along the last axis. (Bridle 1990)"""
    return jax.nn.softmax(x, axis=-1)


def identity(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x itself, which makes the network linear."""
    return x


_HIDDEN = (relu, leaky_relu, elu, gelu, gelu_tanh, silu, sigmoid, tanh, softplus)
_ALL = (*_HIDDEN, exponential, softmax, identity)
ACTIVATIONS: dict[str, Activation] = {function.__name__: function for function in _ALL}


# Those that never fall as x rises: of these, the maximum of a window may be taken before or after.
RISING = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "exponential", "identity")


def activations(names: str, layers: int) -> tuple[Activation, ...]:
    """Return the activation of each layer, from one name for all or one for each: `relu/tanh`.

    Raises:
        ModelError: A name is unknown, or there are several and not as many as layers.
    """
    return tuple(activation(name) for name in per_layer("activation", names, layers))


def per_layer(who: str, text: str, layers: int) -> list[str]:
    """Return what a setting says of each layer: one value for all, or one for each, divided by slashes.

    Raises:
        ModelError: There are several values, and not as many as layers.
    """
    values = [word.strip() for word in str(text).split("/")]
    if len(values) == 1:
        return values * layers
    if len(values) != layers:
        rule, got = f"{who} must be one for all {layers} layers, or one for each", f"{len(values)}: {text}"
        hint = f"for example {'/'.join([*values, *values[-1:] * layers][:layers])}"
        raise ModelError(who, rule, got=got, hint=hint)
    return values


def activation(name: str) -> Activation:
    """Return an activation by name.

    Raises:
        ModelError: The name is unknown.
    """
    if name not in ACTIVATIONS:
        hint = did_you_mean(str(name), ACTIVATIONS)
        raise ModelError("activation", "must be a known name", got=name, hint=hint)
    return ACTIVATIONS[name]
