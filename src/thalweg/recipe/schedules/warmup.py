"""Linear warmup before any other schedule."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import component, number, option
from thalweg.recipe.schedules.constant import Constant
from thalweg.recipe.schedules.cosine_restarts import CosineRestarts
from thalweg.recipe.schedules.decays import Cosine, Exponential, InverseTime, MultiStep, Polynomial, StepDecay
from thalweg.recipe.schedules.one_cycle import OneCycle
from thalweg.recipe.schedules.plateau import Plateau
from thalweg.recipe.schedules.schedule import UNITS, Clock, Schedule

_LATER: dict[str, type[Schedule]] = {
    rule.name: rule
    for rule in (
        Constant,
        StepDecay,
        MultiStep,
        Exponential,
        InverseTime,
        Polynomial,
        Cosine,
        CosineRestarts,
        OneCycle,
        Plateau,
    )
}


class Warmup(Schedule):
    """A linear rise over w steps to where another schedule starts, which then has the T-w that are left.

    Reference: Goyal et al., Accurate, Large Minibatch SGD, 2017.
    """

    name: ClassVar[str] = "warmup"
    formula: ClassVar[str] = "(t+1)/w f_then(0) for t < w; f_then(t-w) of T-w steps after"
    when: ClassVar[str] = "Before any schedule whose first steps are too large, as with large batches."
    reference: ClassVar[str] = "Goyal et al. 2017"

    length: float = number(5.0, low=0.0, doc="Length w of the rise, in `unit`.", source="Goyal et al. 2017")
    unit: str = option("epochs", among=UNITS, doc="What `length` counts.")
    then: Schedule = component(Constant(), among=_LATER, doc="What follows.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        length = clock.steps(self.length, self.unit)
        later = clock.after(length)
        begun = later._replace(step=jnp.maximum(later.step, 0.0))
        rise = jnp.minimum((clock.step + 1.0) / jnp.maximum(length, 1.0), 1.0)
        return jnp.where(clock.step < length, rise, 1.0) * self.then.factor(begun, state)

    def momentum(self, clock: Clock) -> Float[Array, ""] | None:
        """Return the momentum of what follows."""
        later = clock.after(clock.steps(self.length, self.unit))
        return self.then.momentum(later._replace(step=jnp.maximum(later.step, 0.0)))

    def init(self) -> Any:
        """Return the first state of what follows."""
        return self.then.init()

    def observe(self, state: Any, value: Float[Array, ""]) -> Any:
        """Pass an evaluation on."""
        return self.then.observe(state, value)
