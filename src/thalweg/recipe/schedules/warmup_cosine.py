"""Linear warmup, then half a cosine down to a floor."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import number, option
from thalweg.recipe.schedules.schedule import UNITS, Clock, Schedule, between


class WarmupCosine(Schedule):
    """Linear rise over `warmup`, then a half cosine to `floor`.

    With w warmup steps, T steps in all and t = 0, 1, ..., T-1: `f = (t+1)/w` while t < w, then
    `f = floor + (1-floor) (1 + cos(pi (t-w)/(T-w)))/2`. The floor itself would be reached at t = T.

    Reference: Loshchilov & Hutter, SGDR, 2017 (cosine); Goyal et al., Accurate, Large Minibatch
    SGD, 2017 (warmup).
    """

    name: ClassVar[str] = "warmup-cosine"
    formula: ClassVar[str] = "(t+1)/w for t < w; floor + (1-floor)(1 + cos(pi (t-w)/(T-w)))/2 after"
    when: ClassVar[str] = "The default: nearly always as good as anything tuned by hand."
    reference: ClassVar[str] = "Loshchilov & Hutter 2017; Goyal et al. 2017"

    warmup: float = number(
        0.05, low=0.0, doc="Length of the rise, in `unit`.", source="ours; 1-10 % is usual"
    )
    floor: float = number(0.0, low=0.0, high=1.0, doc="Last factor, as a share of the peak.")
    unit: str = option("fraction", among=UNITS, doc="What `warmup` counts.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`; see the class for the equation."""
        del state
        warmup = clock.steps(self.warmup, self.unit)
        rise = (clock.step + 1.0) / jnp.maximum(warmup, 1.0)
        left = clock.after(warmup)
        return jnp.where(
            clock.step < warmup, rise, between(1.0, self.floor, left.step / left.total, "cosine")
        )
