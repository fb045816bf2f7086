"""Warmup, a long plateau, and a short fall at the end."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import number, option
from thalweg.recipe.schedules.schedule import UNITS, Clock, Schedule, between


class WarmupStableDecay(Schedule):
    """Linear rise over w steps, the full rate, and a fall over the last d of T steps.

    `f = (t+1)/w` while t < w; 1 while t < T-d; then from 1 to `floor` as `(t-(T-d))/d` goes from 0 to 1, in a
    line or as `1 - sqrt`.

    Reference: Hu et al., MiniCPM, 2024; Hagele et al., Scaling Laws and Compute-Optimal Training Beyond
    Fixed Training Durations, 2024 (the shape 1 - sqrt, a fifth of the run).
    """

    name: ClassVar[str] = "warmup-stable-decay"
    formula: ClassVar[str] = "(t+1)/w for t < w; 1 for t < T-d; 1 - (1-floor) sqrt((t-T+d)/d) after"
    when: ClassVar[str] = "Language models, and runs that may be prolonged."
    reference: ClassVar[str] = "Hu et al. 2024; Hagele et al. 2024"

    warmup: float = number(
        0.05, low=0.0, doc="Length w of the rise, in `unit`.", source="ours; 1-10 % is usual"
    )
    decay: float = number(0.2, low=0.0, doc="Length d of the fall, in `unit`.", source="Hagele et al. 2024")
    floor: float = number(0.0, low=0.0, high=1.0, doc="Last factor.", source="Hagele et al. 2024")
    shape: str = option("sqrt", among=("sqrt", "linear"), doc="How it falls.", source="Hagele et al. 2024")
    unit: str = option("fraction", among=UNITS, doc="What the lengths count.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        del state
        warmup, decay = clock.steps(self.warmup, self.unit), clock.steps(self.decay, self.unit)
        rise = (clock.step + 1.0) / jnp.maximum(warmup, 1.0)
        progress = (clock.step - (clock.total - decay)) / jnp.maximum(decay, 1.0)
        return jnp.where(clock.step < warmup, rise, between(1.0, self.floor, progress, self.shape))
