"""Reduce on plateau: the rate drops when the validation loss stops falling."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import number
from thalweg.recipe.schedules.schedule import Clock, Schedule


class PlateauState(NamedTuple):
    """What the schedule remembers between evaluations; all in the dtype of the recipe's numbers.

    Args:
        factor: The factor now.
        best: The best loss so far.
        waited: Evaluations since that were no better.
        resting: Evaluations left before waiting counts again.
    """

    factor: Float[Array, ""]
    best: Float[Array, ""]
    waited: Float[Array, ""]
    resting: Float[Array, ""]


class Plateau(Schedule):
    """A drop when more than `patience` evaluations in a row bring no loss below `best (1 - threshold)`.

    A loss that is not a number is no better. The rules are those of PyTorch's ReduceLROnPlateau (relative,
    minimum).
    """

    name: ClassVar[str] = "plateau"
    formula: ClassVar[str] = (
        "f = max(floor, drop f) after patience+1 evaluations without loss < best (1 - threshold)"
    )
    when: ClassVar[str] = "When the length of the run is not known and validation is dependable."
    reference: ClassVar[str] = "PyTorch's ReduceLROnPlateau; LeCun et al., Efficient BackProp, 1998"

    drop: float = number(0.1, low=0.0, high=1.0, doc="Factor of each drop.", source="PyTorch")
    patience: float = number(10.0, low=0.0, doc="Evaluations to wait.", source="PyTorch")
    threshold: float = number(1e-4, low=0.0, high=1.0, doc="Relative gain that counts.", source="PyTorch")
    cooldown: float = number(
        0.0, low=0.0, doc="Evaluations after a drop that do not count.", source="PyTorch"
    )
    floor: float = number(0.0, low=0.0, high=1.0, doc="Lowest factor.", source="PyTorch")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor that the evaluations so far have led to."""
        del clock
        return state.factor if isinstance(state, PlateauState) else jnp.ones(())

    def init(self) -> PlateauState:
        """Return the state before the first evaluation."""
        # A number that is still Python's own has no dtype to follow: float32 then.
        dtype = getattr(self.drop, "dtype", jnp.float32)
        one, zero = jnp.ones((), dtype), jnp.zeros((), dtype)
        return PlateauState(one, jnp.full((), jnp.inf, dtype), zero, zero)

    def observe(self, state: PlateauState, value: Float[Array, ""]) -> PlateauState:
        """Take in a validation loss; lower is better."""
        better = value < state.best * (1.0 - jnp.asarray(self.threshold, state.best.dtype))
        # The first evaluation always counts: infinity times zero would be no number.
        better = jnp.where(jnp.isinf(state.best), value < state.best, better)
        resting = state.resting > 0
        waited = jnp.where(better | resting, 0.0, state.waited + 1.0)
        drops = waited > self.patience
        after = PlateauState(
            factor=jnp.where(drops, jnp.maximum(state.factor * self.drop, self.floor), state.factor),
            best=jnp.where(better, value, state.best),
            waited=jnp.where(drops, 0.0, waited),
            resting=jnp.where(drops, self.cooldown, jnp.maximum(state.resting - 1.0, 0.0)),
        )
        return PlateauState(*(jnp.asarray(value).astype(state.best.dtype) for value in after))
