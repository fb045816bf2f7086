"""Dropout: features are set to zero at random while training."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class Dropout(eqx.Module):
    """Zero each feature with probability `rate`, scale the rest by 1/(1 - rate); nothing in inference.

    The rate is rounded to the nearest 1/65536, so that 16 random bits decide over a feature; the scale uses
    the rounded rate, and the mean is exact.

    Args:
        rate: Probability of a zero, in [0, 1).

    Reference: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014.
    """

    rate: float = eqx.field(static=True)
    inference: bool = False

    def __call__(self, x: Float[Array, "..."], *, key: Key[Array, ""] | None) -> Float[Array, "..."]:
        """Apply it; without a key (or in inference) x is returned as it is."""
        threshold = round(self.rate * 65536)
        if self.inference or key is None or threshold == 0:
            return x
        kept = jax.random.bits(key, x.shape, jnp.uint16) >= jnp.uint16(threshold)
        return jnp.where(kept, x * (65536 / (65536 - threshold)), 0).astype(x.dtype)
