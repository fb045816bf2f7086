"""Schedules that only fall: step, multi-step, exponential, inverse time, polynomial, cosine."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import number, numbers, option
from thalweg.recipe.schedules.schedule import UNITS, Clock, Schedule, between


class StepDecay(Schedule):
    """A drop every so often."""

    name: ClassVar[str] = "step"
    formula: ClassVar[str] = "f(t) = drop^floor(t / every)"
    when: ClassVar[str] = "Convolutional networks, as the classic papers train them."
    reference: ClassVar[str] = "He et al. 2016"

    every: float = number(
        30.0,
        low=0.0,
        open_low=True,
        doc="Length between drops, in `unit`.",
        source="the ImageNet recipe of He et al. 2016",
    )
    drop: float = number(0.1, low=0.0, high=1.0, doc="Factor of each drop.", source="He et al. 2016")
    unit: str = option("epochs", among=UNITS, doc="What `every` counts.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        del state
        every = jnp.maximum(clock.steps(self.every, self.unit), 1.0)
        return jnp.power(self.drop, jnp.floor(clock.step / every))


class MultiStep(Schedule):
    """A drop at each of given points."""

    name: ClassVar[str] = "multi-step"
    formula: ClassVar[str] = "f(t) = drop^(how many of the points are <= t)"
    when: ClassVar[str] = "To repeat a published recipe with given drops."
    reference: ClassVar[str] = "He et al. 2016 (CIFAR-10: at half and three quarters)"

    points: tuple[float, ...] = numbers(
        (0.5, 0.75), low=0.0, doc="Where it drops, in `unit`.", source="He et al. 2016"
    )
    drop: float = number(0.1, low=0.0, high=1.0, doc="Factor of each drop.", source="He et al. 2016")
    unit: str = option("fraction", among=UNITS, doc="What `points` count.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        del state
        passed = [clock.step >= clock.steps(point, self.unit) for point in self.points]
        count = sum(
            (reached.astype(clock.step.dtype) for reached in passed), start=jnp.zeros_like(clock.step)
        )
        return jnp.power(self.drop, count)


class Exponential(Schedule):
    """A constant factor in each unit of time, taken smoothly."""

    name: ClassVar[str] = "exponential"
    formula: ClassVar[str] = "f(t) = decay^(t / u), u = steps in a unit"
    when: ClassVar[str] = "Long runs whose length is not known."
    reference: ClassVar[str] = "Robbins & Monro 1951 (rates that fall to zero)"

    decay: float = number(0.95, low=0.0, high=1.0, open_low=True, doc="Factor in each unit.", source="ours")
    unit: str = option("epochs", among=UNITS, doc="The unit of time.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        del state
        return jnp.power(self.decay, clock.step / jnp.maximum(clock.steps(1.0, self.unit), 1.0))


class InverseTime(Schedule):
    """`1/(1 + k t)`: the classic rate of stochastic approximation."""

    name: ClassVar[str] = "inverse-time"
    formula: ClassVar[str] = "f(t) = 1 / (1 + k t / u), u = steps in a unit"
    when: ClassVar[str] = "Convex problems, where it is what the theory asks for."
    reference: ClassVar[str] = "Robbins & Monro 1951"

    k: float = number(
        1.0, low=0.0, doc="Speed of the fall, per unit.", source="ours: half the rate after one unit"
    )
    unit: str = option("epochs", among=UNITS, doc="The unit of time.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        del state
        return 1.0 / (1.0 + self.k * clock.step / jnp.maximum(clock.steps(1.0, self.unit), 1.0))


class Polynomial(Schedule):
    """A power of what is left of the run; `power = 1` is the straight line."""

    name: ClassVar[str] = "polynomial"
    formula: ClassVar[str] = "f(t) = floor + (1-floor) (1 - t/T)^power"
    when: ClassVar[str] = "Fine-tuning (power 1), segmentation (power 0.9)."
    reference: ClassVar[str] = "Chen et al., DeepLab, 2018; Devlin et al., BERT, 2019 (linear)"

    power: float = number(1.0, low=0.0, doc="Exponent; 1 falls in a line.", source="Devlin et al. 2019")
    floor: float = number(0.0, low=0.0, high=1.0, doc="Last factor, as a share of the first.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        del state
        left = jnp.clip(1.0 - clock.step / jnp.maximum(clock.total, 1.0), 0.0, 1.0)
        return self.floor + (1.0 - self.floor) * jnp.power(left, self.power)


class Cosine(Schedule):
    """Half a cosine over the whole run."""

    name: ClassVar[str] = "cosine"
    formula: ClassVar[str] = "f(t) = floor + (1-floor) (1 + cos(pi t/T))/2"
    when: ClassVar[str] = "As warmup-cosine, for rules that need no warmup (SGD)."
    reference: ClassVar[str] = "Loshchilov & Hutter 2017"

    floor: float = number(
        0.0, low=0.0, high=1.0, doc="Last factor, as a share of the first.", source="Loshchilov & Hutter 2017"
    )

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor at `clock`."""
        del state
        return between(1.0, self.floor, clock.step / jnp.maximum(clock.total, 1.0), "cosine")
