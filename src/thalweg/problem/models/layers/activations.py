"""Activations by name: plain functions, so that a model that uses one hashes and compares by it."""

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
    # Phi as (1 + erf)/2, as PyTorch has it: XLA's erfc took 6 of 80 ms of a small GPT's step more. What it
    # loses is relative precision far below zero, where the value is below 1e-6 (absolute error 2e-7). Half
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


def softmax(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """exp(x) over its sum along the last axis. (Bridle 1990)"""
    return jax.nn.softmax(x, axis=-1)


def identity(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x itself: a network of straight lines."""
    return x


_ALL = (relu, leaky_relu, elu, gelu, gelu_tanh, silu, sigmoid, tanh, softplus, softmax, identity)
ACTIVATIONS: dict[str, Activation] = {function.__name__: function for function in _ALL}


def activation(name: str) -> Activation:
    """Return the activation of a name.

    Raises:
        ModelError: The name is unknown.
    """
    if name not in ACTIVATIONS:
        raise ModelError(
            "activation", "must be a known name", got=name, hint=did_you_mean(str(name), ACTIVATIONS)
        )
    return ACTIVATIONS[name]
