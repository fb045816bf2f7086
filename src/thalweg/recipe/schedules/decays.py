"""Schedules that start at the full rate: constant, the decays, and cosines with restarts."""

from dataclasses import replace
from typing import Any, Self

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import number, numbers
from thalweg.recipe.schedules.schedule import Clock, Schedule, between, lowest_factor, unit_of

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "InverseTime",
    "MultiStep",
    "Polynomial",
    "StepDecay",
]


class Constant(Schedule):
    """The same learning rate at every step."""

    name = "constant"
    formula = "f(t) = 1"
    when = "Baselines, and problems without gradient noise."
    reference = "Robbins & Monro 1951 (as the case without decay)"

    def curve(self, clock: Clock, state: Any) -> float:
        """Return 1."""
        return 1.0


class StepDecay(Schedule):
    """A drop at regular intervals."""

    name = "step"
    formula = "f(t) = drop^floor(t / every)"
    when = "Convolutional networks, as the classic papers train them."
    reference = "He et al. 2016"
    lengths = {"every": "unit"}

    every: float = number(
        30.0,
        low=0.0,
        open_low=True,
        doc="Length between drops, in `unit`.",
        source="the ImageNet recipe of He et al. 2016",
    )
    drop: float = number(0.1, low=0.0, high=1.0, doc="Factor of each drop.", source="He et al. 2016")
    unit: str = unit_of("epochs", "`every`")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        every = jnp.maximum(clock.steps(self.every, self.unit), 1.0)
        return jnp.power(self.drop, jnp.floor(clock.step / every))


class MultiStep(Schedule):
    """A drop at each of the given points."""

    name = "multi-step"
    formula = "f(t) = drop^count(points <= t)"
    when = "To repeat a published recipe with given drops."
    reference = "He et al. 2016 (CIFAR-10: at half and three quarters)"
    lengths = {"points": "unit"}

    points: tuple[float, ...] = numbers(
        (0.5, 0.75), low=0.0, doc="Points of the drops, in `unit`.", source="He et al. 2016"
    )
    drop: float = number(0.1, low=0.0, high=1.0, doc="Factor of each drop.", source="He et al. 2016")
    unit: str = unit_of("fraction", "`points`")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        passed = [clock.step >= clock.steps(point, self.unit) for point in self.points]
        count = sum(
            (reached.astype(clock.step.dtype) for reached in passed), start=jnp.zeros_like(clock.step)
        )
        return jnp.power(self.drop, count)


class Exponential(Schedule):
    """A constant factor in each unit of time, applied smoothly."""

    name = "exponential"
    formula = "f(t) = decay^(t / u)  (u: steps in a unit)"
    when = "Long runs whose length is not known."
    reference = "Robbins & Monro 1951 (rates that fall to zero)"

    decay: float = number(0.95, low=0.0, high=1.0, open_low=True, doc="Factor in each unit.", source="ours")
    unit: str = unit_of("epochs", "time")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        return jnp.power(self.decay, clock.step / jnp.maximum(clock.steps(1.0, self.unit), 1.0))

    def shortened(self, share: float) -> Self:
        """Return the schedule with a decay that is faster by 1 / `share`."""
        return self if self.unit == "fraction" else replace(self, decay=self.decay ** (1 / share))


class InverseTime(Schedule):
    """`1/(1 + k t)`: the classic rate of stochastic approximation."""

    name = "inverse-time"
    formula = "f(t) = 1 / (1 + k t / u)  (u: steps in a unit)"
    when = "Convex problems, where theory asks for it."
    reference = "Robbins & Monro 1951"

    k: float = number(
        1.0, low=0.0, doc="Speed of the decay, per unit.", source="ours: half the rate after one unit"
    )
    unit: str = unit_of("epochs", "time")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        return 1.0 / (1.0 + self.k * clock.step / jnp.maximum(clock.steps(1.0, self.unit), 1.0))

    def shortened(self, share: float) -> Self:
        """Return the schedule with `k` divided by `share`."""
        return self if self.unit == "fraction" else replace(self, k=self.k / share)


class Polynomial(Schedule):
    """A power of the remaining share of the run; `power = 1` is a straight line."""

    name = "polynomial"
    formula = "f(t) = floor + (1-floor) (1 - t/T)^power"
    when = "Fine-tuning (power 1), segmentation (power 0.9)."
    reference = "Chen et al., DeepLab, 2018; Devlin et al., BERT, 2019 (linear)"

    power: float = number(1.0, low=0.0, doc="Exponent; 1 is linear.", source="Devlin et al. 2019")
    floor: float = lowest_factor("", "Last factor, as a share of the first.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        left = jnp.clip(1.0 - clock.step / jnp.maximum(clock.total, 1.0), 0.0, 1.0)
        return self.floor + (1.0 - self.floor) * jnp.power(left, self.power)


class Cosine(Schedule):
    """Half a cosine over the whole run."""

    name = "cosine"
    formula = "f(t) = floor + (1-floor) (1 + cos(pi t/T))/2"
    when = "As warmup-cosine, for rules that need no warmup (SGD)."
    reference = "Loshchilov & Hutter 2017"

    floor: float = lowest_factor("Loshchilov & Hutter 2017", "Last factor, as a share of the first.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        return between(1.0, self.floor, clock.step / jnp.maximum(clock.total, 1.0), "cosine")


class CosineRestarts(Schedule):
    """SGDR: half cosines of lengths p, p m, p m^2, ... with a warm restart between them.

    The n-th begins at `s(n) = p (m^n - 1)/(m - 1)`, or `p n` for m = 1.
    """

    name = "cosine-restarts"
    formula = (
        "n = floor(log(1 + t (m-1)/p)/log(m)); s = p (m^n-1)/(m-1); "
        "f(t) = floor + (1-floor)(1 + cos(pi (t-s)/(p m^n)))/2  (m = 1: n = floor(t/p); s = p n)"
    )
    when = "Snapshots for an ensemble, or runs that may be stopped at any restart."
    reference = "Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017"
    lengths = {"period": "unit"}

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
    floor: float = lowest_factor("Loshchilov & Hutter 2017", "Lowest factor.")
    unit: str = unit_of("epochs", "`period`")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        period = jnp.maximum(clock.steps(self.period, self.unit), 1.0)
        cycle = self._cycle(clock.step, period)
        length = period * jnp.power(self.growth, cycle)
        return between(1.0, self.floor, (clock.step - self._start(cycle, period)) / length, "cosine")

    def _start(self, cycle: Array, period: Array) -> Array:
        grows = self.growth > 1.0
        excess = jnp.where(grows, self.growth - 1.0, 1.0)
        start = jnp.where(grows, period * (jnp.power(self.growth, cycle) - 1.0) / excess, period * cycle)
        # With whole lengths the starts are whole, but the powers are off by some roundings of 1.2e-7.
        whole = jnp.round(start)
        return jnp.where(jnp.abs(start - whole) <= 4e-6 * whole, whole, start)

    def _cycle(self, step: Array, period: Array) -> Array:
        grows = self.growth > 1.0
        base = jnp.where(grows, self.growth, 2.0)
        logarithm = jnp.log1p(step * (base - 1.0) / period) / jnp.log(base)
        guess = jnp.floor(jnp.where(grows, logarithm, step / period))
        # The logarithm may be a rounding error to either side of a whole number: check both neighbours.
        guess = jnp.where(self._start(guess + 1.0, period) <= step, guess + 1.0, guess)
        return jnp.where(self._start(guess, period) > step, guess - 1.0, guess)
