"""Modules inside of a model exchanged for others: dropout with another rate, batch norm for a norm of each
example.

They are found by class: Thalweg's and Equinox's own layers. A user's own dropout or batch norm is not
touched, and the arm is left out.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.normalisation import BatchNorm, LayerNorm

DROPOUTS, BATCH_NORMS = (Dropout, eqx.nn.Dropout), (BatchNorm, eqx.nn.BatchNorm)


class ExampleNorm(eqx.Module):
    """`(x - mean) / sqrt(var + eps)` over one example, called as `equinox.nn.BatchNorm`, with its weights."""

    weight: Any
    bias: Any
    eps: float = eqx.field(static=True)

    def __call__(self, x: Any, state: Any, *, key: Any = None, inference: Any = None) -> Any:
        """Normalise one example; the state stays as it is."""
        del key, inference
        centred = x - jnp.mean(x)
        x = centred * jax.lax.rsqrt(jnp.mean(jnp.square(centred)) + self.eps)
        shape = (-1, *[1] * (x.ndim - 1))
        if self.weight is not None:
            x = x * self.weight.reshape(shape) + self.bias.reshape(shape)
        return x, state


def found(module: Any, kinds: tuple[type, ...]) -> list[Any]:
    """Return the modules of these classes inside of a module."""

    def is_kind(node: Any) -> bool:
        return isinstance(node, kinds)

    return [leaf for leaf in jax.tree.leaves(module, is_leaf=is_kind) if is_kind(leaf)]


def rate(layer: Any) -> float:
    """Return the share of units that a dropout layer drops."""
    return float(layer.rate if isinstance(layer, Dropout) else layer.p)


def with_dropout(module: Any, share: float) -> Any:
    """Return a module whose dropout layers drop at most this share."""

    def changed(layer: Any) -> Any:
        if isinstance(layer, Dropout):
            return Dropout(min(share, layer.rate), layer.inference)
        if isinstance(layer, eqx.nn.Dropout):
            return eqx.nn.Dropout(min(share, float(layer.p)), inference=layer.inference)
        return layer

    return jax.tree.map(changed, module, is_leaf=lambda node: isinstance(node, DROPOUTS))


def without_batch_norm(module: Any) -> Any:
    """Return a module whose batch norms are norms of each example."""

    def changed(layer: Any) -> Any:
        if isinstance(layer, BatchNorm):
            return LayerNorm(layer.scale.shape[0])
        if isinstance(layer, eqx.nn.BatchNorm):
            return ExampleNorm(layer.weight, layer.bias, layer.eps)
        return layer

    return jax.tree.map(changed, module, is_leaf=lambda node: isinstance(node, BATCH_NORMS))
