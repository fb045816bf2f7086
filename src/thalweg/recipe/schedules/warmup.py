"""Schedules that start with a rise: one-cycle, and linear warmup before another schedule."""

from dataclasses import replace
from typing import Any, Self

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import component, number, option, registry
from thalweg.recipe.schedules import decays, plateau
from thalweg.recipe.schedules.decays import Constant
from thalweg.recipe.schedules.schedule import Clock, Schedule, between, lowest_factor, unit_of

__all__ = ["OneCycle", "Warmup", "WarmupCosine", "WarmupStableDecay"]


class OneCycle(Schedule):
    """Rise from `start` to the full rate, then fall to `end`, while momentum falls and rises.

    With T steps, the top is at t = a = `rise` T - 1 and the end at t = T - 1. The schedule drives the
    optimizer's momentum (b1 in Adam's family) unless that is off.

    Numbers and cosine form as in PyTorch's OneCycleLR (after fastai).
    """

    name = "one-cycle"
    formula = (
        "a = rise T - 1; h(x) = (1 - cos(pi x))/2; f(t) = start + (1-start) h(t/a) for t <= a, "
        "1 + (end-1) h((t-a)/(T-1-a)) after  (momentum: the same from high to low to high)"
    )
    when = "Few epochs and a high learning rate."
    reference = (
        "Smith & Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning "
        "Rates, 2018"
    )

    rise: float = number(
        0.3, low=0.0, high=1.0, open_low=True, doc="Share of the run before the top.", source="PyTorch"
    )
    start: float = number(0.04, low=0.0, high=1.0, doc="First factor.", source="PyTorch (1/25)")
    end: float = number(4e-6, low=0.0, high=1.0, doc="Last factor.", source="PyTorch (1/25 of 1/10,000)")
    high: float = number(
        0.95, low=0.0, high=1.0, open_high=True, doc="Momentum at both ends.", source="PyTorch"
    )
    low: float = number(0.85, low=0.0, high=1.0, open_high=True, doc="Momentum at the top.", source="PyTorch")
    shape: str = option(
        "cosine", among=("cosine", "linear"), doc="Shape of the rise and of the fall.", source="PyTorch"
    )

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        return self._cycle(clock, self.start, 1.0, self.end)

    def momentum(self, clock: Clock) -> Float[Array, ""]:
        """Return the momentum at `clock`."""
        return jnp.asarray(self._cycle(clock, self.high, self.low, self.high)).astype(clock.step.dtype)

    def _cycle(self, clock: Clock, first: Any, middle: Any, last: Any) -> Float[Array, ""]:
        top = jnp.maximum(self.rise * clock.total - 1.0, 1e-6)  # a rise shorter than a step ends at once
        rest = jnp.maximum(clock.total - 1.0 - top, 1e-6)
        up = between(first, middle, clock.step / top, self.shape)
        down = between(middle, last, (clock.step - top) / rest, self.shape)
        return jnp.where(clock.step <= top, up, down)


class Warmup(Schedule):
    """A linear rise over w steps to the start of another schedule, which then has the remaining T-w steps."""

    name = "warmup"
    formula = "f(t) = (t+1)/w f_then(0, T-w) for t < w, f_then(t-w, T-w) after"
    when = "Before any schedule whose first steps are too large, as with large batches."
    reference = "Goyal et al., Accurate, Large Minibatch SGD, 2017"
    lengths = {"length": "unit"}
    inside = ("length",)

    length: float = number(5.0, low=0.0, doc="Length w of the rise, in `unit`.", source="Goyal et al. 2017")
    unit: str = unit_of("epochs", "`length`")
    then: Schedule = component(
        Constant(),
        among=registry(Schedule, decays) | {OneCycle.name: OneCycle} | registry(Schedule, plateau),
        doc="The schedule that follows.",
    )

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        length = clock.steps(self.length, self.unit)
        then = _after(clock, length)
        rise = jnp.minimum((clock.step + 1.0) / jnp.maximum(length, 1.0), 1.0)
        return jnp.where(clock.step < length, rise, 1.0) * self.then.factor(then, state)

    def momentum(self, clock: Clock) -> Float[Array, ""] | None:
        """Return the momentum of the schedule that follows."""
        return self.then.momentum(_after(clock, clock.steps(self.length, self.unit)))

    def init(self) -> Any:
        """Return the first state of the schedule that follows."""
        return self.then.init()

    def observe(self, state: Any, value: Float[Array, ""]) -> Any:
        """Pass an evaluation to the schedule that follows."""
        return self.then.observe(state, value)

    def shortened(self, share: float) -> Self:
        """Return the schedule with `length` times `share`, and a shorter schedule after it."""
        return replace(super().shortened(share), then=self.then.shortened(share))


class WarmupCosine(Schedule):
    """Linear rise over `warmup`, then a half cosine down to `floor`.

    With w warmup steps, T steps in all and t = 0, 1, ..., T-1: `f = (t+1)/w` while t < w, then
    `f = floor + (1-floor) (1 + cos(pi (t-w)/(T-w)))/2`. The floor itself would be reached at t = T.
    """

    name = "warmup-cosine"
    formula = "f(t) = (t+1)/w for t < w, floor + (1-floor)(1 + cos(pi (t-w)/(T-w)))/2 after"
    when = "The default: nearly always as good as anything tuned by hand."
    reference = (
        "Loshchilov & Hutter, SGDR, 2017 (cosine); Goyal et al., Accurate, Large Minibatch SGD, 2017 (warmup)"
    )
    lengths = {"warmup": "unit"}
    inside = ("warmup",)

    warmup: float = number(
        0.05, low=0.0, doc="Length of the rise, in `unit`.", source="ours; 1-10 % is usual"
    )
    floor: float = lowest_factor("", "Last factor, as a share of the peak.")
    unit: str = unit_of("fraction", "`warmup`")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        warmup = clock.steps(self.warmup, self.unit)
        rise = (clock.step + 1.0) / jnp.maximum(warmup, 1.0)
        left = clock.after(warmup)
        return jnp.where(
            clock.step < warmup, rise, between(1.0, self.floor, left.step / left.total, "cosine")
        )


class WarmupStableDecay(Schedule):
    """Linear rise over w steps, the full rate, and a fall over the last d of T steps.

    `f = (t+1)/w` while t < w; 1 while t < T-d; then from 1 to `floor` as `(t-(T-d))/d` goes from 0 to 1,
    linearly or as `1 - sqrt`.
    """

    name = "warmup-stable-decay"
    formula = "f(t) = (t+1)/w for t < w, 1 for t < T-d, 1 - (1-floor) sqrt((t-T+d)/d) after"
    when = "Language models, and runs that may be prolonged."
    reference = (
        "Hu et al., MiniCPM, 2024; Hagele et al., Scaling Laws and Compute-Optimal Training Beyond "
        "Fixed Training Durations, 2024 (the shape 1 - sqrt, a fifth of the run)"
    )
    lengths = {"warmup": "unit", "decay": "unit"}
    inside = ("warmup", "decay")

    warmup: float = number(
        0.05, low=0.0, doc="Length w of the rise, in `unit`.", source="ours; 1-10 % is usual"
    )
    decay: float = number(0.2, low=0.0, doc="Length d of the fall, in `unit`.", source="Hagele et al. 2024")
    floor: float = lowest_factor("Hagele et al. 2024")
    shape: str = option(
        "sqrt", among=("sqrt", "linear"), doc="Shape of the fall.", source="Hagele et al. 2024"
    )
    unit: str = unit_of("fraction", "the lengths")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        warmup, decay = clock.steps(self.warmup, self.unit), clock.steps(self.decay, self.unit)
        rise = (clock.step + 1.0) / jnp.maximum(warmup, 1.0)
        progress = (clock.step - (clock.total - decay)) / jnp.maximum(decay, 1.0)
        return jnp.where(clock.step < warmup, rise, between(1.0, self.floor, progress, self.shape))


def _after(clock: Clock, length: Float[Array, ""]) -> Clock:
    """Return the clock of what follows a rise; it stays at 0 during the rise."""
    later = clock.after(length)
    return later._replace(step=jnp.maximum(later.step, 0.0))
