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
    """Where a run stands; scalars, traced, in float32 (exact up to 16 million steps).

    Args:
        step: Updates made so far; 0 at the first.
        total: Updates planned.
        epoch_steps: Updates in one epoch.
    """

    step: Float[Array, ""]
    total: Float[Array, ""]
    epoch_steps: Float[Array, ""]

    def steps(self, length: Float[Array, ""] | float, unit: str) -> Float[Array, ""]:
        """Return `length` in steps; `unit` is `fraction` (of the whole run), `epochs` or `steps`."""
        scale = {"fraction": self.total, "epochs": self.epoch_steps, "steps": 1.0}[unit]
        return jnp.asarray(length * scale, jnp.float32)


UNITS = ("fraction", "epochs", "steps")


class Schedule(Choice):
    """A learning-rate schedule. Final subclasses are registered in `recipe/schedules/__init__.py`."""

    formula: ClassVar[str]
    when: ClassVar[str]
    reference: ClassVar[str]

    @abc.abstractmethod
    def factor(self, clock: Clock, state: Any = ()) -> Float[Array, ""]:
        """Return what the optimizer's learning rates are multiplied by at this step. Pure, traceable."""

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
