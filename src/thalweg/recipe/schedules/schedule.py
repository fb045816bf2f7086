"""What every schedule is: a pure function of the clock that gives a factor for the learning rate.

Ours rather than Optax's: Optax's branch in Python on lengths and rates and so fail when those are traced.
Branches here are `jnp.where`, so that every number may differ between lanes.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import Choice


class Clock(NamedTuple):
    """Where a run stands; scalars, traced, in float32 (whole numbers are exact up to 16 million),
    or in float64 where the recipe's precision is that.

    Args:
        step: Updates made so far; 0 at the first.
        total: Updates planned.
        epoch_steps: Updates in one epoch.
    """

    step: Float[Array, ""]
    total: Float[Array, ""]
    epoch_steps: Float[Array, ""]

    def steps(self, length: Float[Array, ""] | float, unit: str) -> Float[Array, ""]:
        """Return `length` in whole steps; `unit` is `fraction` (of the whole run), `epochs` or `steps`.

        Rounded, because 0.6 of 25 steps is 15.000001 in float32, and a drop at step 15 would come at 16.
        """
        scale = {"fraction": self.total, "epochs": self.epoch_steps, "steps": 1.0}[unit]
        return jnp.round(jnp.asarray(length * scale)).astype(self.total.dtype)

    def after(self, steps: Float[Array, ""]) -> "Clock":
        """Return the clock of what begins after `steps` steps and ends with the run."""
        return Clock(self.step - steps, jnp.maximum(self.total - steps, 1.0), self.epoch_steps)


UNITS = ("fraction", "epochs", "steps")


class Schedule(Choice):
    """A learning-rate schedule. Final subclasses are registered in `recipe/schedules/__init__.py`."""

    formula: ClassVar[str]
    when: ClassVar[str]
    reference: ClassVar[str]

    @abc.abstractmethod
    def curve(self, clock: Clock, state: Any) -> Float[Array, ""] | float:
        """Return what the learning rates are multiplied by at this step: the schedule's equation."""

    def factor(self, clock: Clock, state: Any = ()) -> Float[Array, ""]:
        """Return `curve` in the clock's dtype. Pure, traceable."""
        return jnp.asarray(self.curve(clock, state)).astype(clock.step.dtype)

    def momentum(self, clock: Clock) -> Float[Array, ""] | None:
        """Return the momentum at this step, or None to leave the optimizer's own."""
        del clock
        return None

    def init(self) -> Any:
        """Return the first state; only schedules that watch a metric have one."""
        return ()

    def observe(self, state: Any, value: Float[Array, ""]) -> Any:
        """Return the state after an evaluation; `value` is the validation loss, lower is better."""
        del value
        return state


def between(start: Any, end: Any, progress: Any, shape: str) -> Float[Array, ""]:
    """Go from `start` to `end` as `progress` goes from 0 to 1: `linear`, `cosine` or `sqrt` (1 - sqrt)."""
    share = jnp.clip(progress, 0.0, 1.0)
    bent = {
        "linear": lambda: share,
        "cosine": lambda: 0.5 * (1.0 - jnp.cos(jnp.pi * share)),
        "sqrt": lambda: jnp.sqrt(share),
    }[shape]()
    return start + (end - start) * bent
