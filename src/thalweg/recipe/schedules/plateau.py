"""Reduce on plateau: the rate drops when the validation loss stops falling."""

from dataclasses import replace
from typing import Any, NamedTuple, Self

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.choice import number
from thalweg.recipe.schedules.schedule import Clock, Schedule, lowest_factor

__all__ = ["Plateau"]


class PlateauState(NamedTuple):
    """The state between evaluations; all in the dtype of the recipe's numbers.

    Args:
        factor: The current factor.
        best: The best loss so far.
        waited: Evaluations since then without a better loss.
        resting: Evaluations left until the cooldown ends.
    """

    factor: Float[Array, ""]
    best: Float[Array, ""]
    waited: Float[Array, ""]
    resting: Float[Array, ""]


class Plateau(Schedule):
    """A drop when more than `patience` evaluations in a row have no loss below `best (1 - threshold)`.

    A NaN loss never counts as better. The rules are those of PyTorch's ReduceLROnPlateau (relative, minimum).
    """

    name = "plateau"
    formula = "f = max(floor, drop f) after patience+1 evaluations without loss < best (1 - threshold)"
    when = "When the length of the run is not known and validation is dependable."
    reference = "PyTorch's ReduceLROnPlateau; LeCun et al., Efficient BackProp, 1998"

    drop: float = number(0.1, low=0.0, high=1.0, doc="Factor of each drop.", source="PyTorch")
    patience: float = number(10.0, low=0.0, doc="Evaluations to wait.", source="PyTorch")
    threshold: float = number(
        1e-4, low=0.0, high=1.0, open_high=True, doc="Relative improvement that counts.", source="PyTorch"
    )
    cooldown: float = number(
        0.0, low=0.0, doc="Evaluations after a drop that are not counted.", source="PyTorch"
    )
    floor: float = lowest_factor("PyTorch", "Lowest factor.")

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return the factor after the evaluations so far."""
        return state.factor if isinstance(state, PlateauState) else jnp.ones(())

    def init(self) -> PlateauState:
        """Return the state before the first evaluation."""
        # A Python float has no dtype to follow: float32 then.
        dtype = getattr(self.drop, "dtype", jnp.float32)
        one, zero = jnp.ones((), dtype), jnp.zeros((), dtype)
        return PlateauState(one, jnp.full((), jnp.inf, dtype), zero, zero)

    def observe(self, state: PlateauState, value: Float[Array, ""]) -> PlateauState:
        """Return the state after a validation loss; lower is better."""
        better = value < state.best * (1.0 - jnp.asarray(self.threshold, state.best.dtype))
        # The first evaluation always counts: infinity times zero would be NaN.
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

    def shortened(self, share: float) -> Self:
        """Return the schedule that waits `share` times as many evaluations."""
        return replace(self, patience=self.patience * share, cooldown=self.cooldown * share)
