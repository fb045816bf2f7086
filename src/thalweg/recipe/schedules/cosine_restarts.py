"""SGDR: cosines one after the other, each started afresh."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import number, option
from thalweg.recipe.schedules.schedule import UNITS, Clock, Schedule, between


class CosineRestarts(Schedule):
    """Half cosines of lengths p, p m, p m^2, ... with a warm restart between them.

    The n-th begins at `s(n) = p (m^n - 1)/(m - 1)`, or `p n` for m = 1.

    Reference: Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
    """

    name: ClassVar[str] = "cosine-restarts"
    formula: ClassVar[str] = (
        "f(t) = floor + (1-floor)(1 + cos(pi (t-s(n))/(p m^n)))/2, s(n) = p (m^n-1)/(m-1) <= t"
    )
    when: ClassVar[str] = "Snapshots for an ensemble, or runs that may be stopped at any restart."
    reference: ClassVar[str] = "Loshchilov & Hutter 2017"

    period: float = number(
        10.0,
        low=0.0,
        open_low=True,
        doc="Length p of the first cosine, in `unit`.",
        source="Loshchilov & Hutter 2017",
    )
    growth: float = number(
        2.0, low=1.0, doc="Factor m of each next length.", source="Loshchilov & Hutter 2017"
    )
    floor: float = number(0.0, low=0.0, high=1.0, doc="Lowest factor.", source="Loshchilov & Hutter 2017")
    unit: str = option("epochs", among=UNITS, doc="What `period` counts.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        del state
        period = jnp.maximum(clock.steps(self.period, self.unit), 1.0)
        cycle = self._cycle(clock.step, period)
        length = period * jnp.power(self.growth, cycle)
        return between(1.0, self.floor, (clock.step - self._start(cycle, period)) / length, "cosine")

    def _start(self, cycle: Array, period: Array) -> Array:
        grows = self.growth > 1.0
        excess = jnp.where(grows, self.growth - 1.0, 1.0)
        start = jnp.where(grows, period * (jnp.power(self.growth, cycle) - 1.0) / excess, period * cycle)
        # With whole lengths the starts are whole, and the powers are not quite: some roundings of 1.2e-7
        # each.
        whole = jnp.round(start)
        return jnp.where(jnp.abs(start - whole) <= 4e-6 * whole, whole, start)

    def _cycle(self, step: Array, period: Array) -> Array:
        grows = self.growth > 1.0
        base = jnp.where(grows, self.growth, 2.0)
        logarithm = jnp.log1p(step * (base - 1.0) / period) / jnp.log(base)
        guess = jnp.floor(jnp.where(grows, logarithm, step / period))
        # The logarithm may be a rounding to either side of a whole number: look at the neighbours.
        guess = jnp.where(self._start(guess + 1.0, period) <= step, guess + 1.0, guess)
        return jnp.where(self._start(guess, period) > step, guess - 1.0, guess)
