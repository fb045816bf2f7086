"""Causal self-attention with several heads."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.linear import Linear


class CausalAttention(eqx.Module):
    """`softmax(Q K^T / sqrt(d) + mask) V` in each head; a position sees itself and what came before.

    Queries, keys and values of all heads come out of one product.

    Args:
        mix: width -> 3 width: queries, keys, values.
        out: width -> width.
        dropout: Applied to the attention weights.
        heads: Heads; they share the width evenly.

    Reference: Vaswani et al., Attention Is All You Need, 2017.
    """

    mix: Linear
    out: Linear
    dropout: Dropout
    heads: int = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "*batch time width"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "*batch time width"]:
        """Mix the positions of each sequence."""
        *batch, time, width = x.shape
        split = self.mix(x).reshape(*batch, time, 3, self.heads, width // self.heads)
        queries, keys, values = (jnp.swapaxes(split[..., part, :, :], -3, -2) for part in range(3))
        scale = 1.0 / math.sqrt(width // self.heads)
        scores = (queries * scale) @ jnp.swapaxes(keys, -1, -2)
        visible = jnp.tril(jnp.ones((time, time), bool))
        weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf), axis=-1)
        mixed = self.dropout(weights, key=key) @ values
        return self.out(jnp.swapaxes(mixed, -3, -2).reshape(*batch, time, width))
