"""One-cycle: up and down once, with momentum going the other way."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import number, option
from thalweg.recipe.schedules.schedule import Clock, Schedule, between


class OneCycle(Schedule):
    """Rise from `start` to the full rate, then fall to `end`, while momentum falls and rises.

    With T steps, the top is at t = a = `rise` T - 1 and the end at t = T - 1. The optimizer's momentum (b1 in
    Adam's family) is driven where it has one that is on.

    Reference: Smith & Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates, 2018. Numbers and cosine form as in PyTorch's OneCycleLR (after fastai).
    """

    name: ClassVar[str] = "one-cycle"
    formula: ClassVar[str] = (
        "start -> 1 over t = 0..a, 1 -> end over t = a..T-1, a = rise T - 1, each as half a cosine; "
        "momentum high -> low -> high"
    )
    when: ClassVar[str] = "Few epochs and a high learning rate."
    reference: ClassVar[str] = "Smith & Topin 2018"

    rise: float = number(
        0.3, low=0.0, high=1.0, open_low=True, doc="Share of the run before the top.", source="PyTorch"
    )
    start: float = number(0.04, low=0.0, high=1.0, doc="First factor.", source="PyTorch (1/25)")
    end: float = number(4e-6, low=0.0, high=1.0, doc="Last factor.", source="PyTorch (1/25 of 1/10,000)")
    high: float = number(
        0.95, low=0.0, high=1.0, open_high=True, doc="Momentum at both ends.", source="PyTorch"
    )
    low: float = number(0.85, low=0.0, high=1.0, open_high=True, doc="Momentum at the top.", source="PyTorch")
    shape: str = option("cosine", among=("cosine", "linear"), doc="How it rises and falls.", source="PyTorch")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        del state
        return self._cycle(clock, self.start, 1.0, self.end)

    def momentum(self, clock: Clock) -> Float[Array, ""]:
        """Return the momentum at `clock`."""
        return jnp.asarray(self._cycle(clock, self.high, self.low, self.high)).astype(clock.step.dtype)

    def _cycle(self, clock: Clock, first: Any, middle: Any, last: Any) -> Float[Array, ""]:
        top = jnp.maximum(self.rise * clock.total - 1.0, 1e-6)  # a rise of less than a step is over at once
        rest = jnp.maximum(clock.total - 1.0 - top, 1e-6)
        up = between(first, middle, clock.step / top, self.shape)
        down = between(middle, last, (clock.step - top) / rest, self.shape)
        return jnp.where(clock.step <= top, up, down)
