"""Dropout: features are set to zero at random during training."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class Dropout(eqx.Module):
    """Set each feature to zero with probability `rate` and scale the rest by 1/(1 - rate).

    The rate is rounded to the nearest 1/65536, so that each feature needs 16 random bits; the scale uses the
    rounded rate, so that the mean is exact.

    Args:
        rate: Probability of a zero, in [0, 1).

    Reference: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014.
    """

    rate: float = eqx.field(static=True)
    inference: bool = False

    def __call__(self, x: Float[Array, "..."], *, key: Key[Array, ""] | None) -> Float[Array, "..."]:
        """Apply dropout; without a key, or in inference mode, return x unchanged."""
        if key is None or self._idle:
            return x
        keep = jax.random.bits(key, x.shape, jnp.uint16) >= jnp.uint16(self._threshold)
        return jnp.where(keep, x * (65536 / (65536 - self._threshold)), 0).astype(x.dtype)

    def keys(self, key: Key[Array, ""] | None, count: int) -> Sequence[Key[Array, ""] | None]:
        """Split a key for `count` uses; all None if nothing is dropped."""
        return [None] * count if key is None or self._idle else list(jax.random.split(key, count))

    @property
    def _threshold(self) -> int:
        return round(self.rate * 65536)

    @property
    def _idle(self) -> bool:
        return self.inference or self._threshold == 0
