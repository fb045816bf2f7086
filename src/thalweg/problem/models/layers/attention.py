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
        self, x: Float[Array, "time width"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "time width"]:
        """Mix the positions of one sequence."""
        time, width = x.shape
        queries, keys, values = (
            part.reshape(time, self.heads, width // self.heads).transpose(1, 0, 2)
            for part in jnp.split(self.mix(x), 3, axis=-1)
        )
        scale = 1.0 / math.sqrt(width // self.heads)
        scores = (queries * scale) @ keys.transpose(0, 2, 1)
        visible = jnp.tril(jnp.ones((time, time), bool))
        weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf), axis=-1)
        mixed = self.dropout(weights, key=key) @ values
        return self.out(mixed.transpose(1, 0, 2).reshape(time, width))
