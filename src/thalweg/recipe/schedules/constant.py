"""The learning rate as it is."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.recipe.schedules.schedule import Clock, Schedule


class Constant(Schedule):
    """The same learning rate at every step."""

    name: ClassVar[str] = "constant"
    formula: ClassVar[str] = "f(t) = 1"
    when: ClassVar[str] = "Baselines, and problems without gradient noise."
    reference: ClassVar[str] = "Robbins & Monro 1951 (as the case without decay)"

    def factor(self, clock: Clock, state: Any = ()) -> Float[Array, ""]:
        """Return 1."""
        return jnp.ones((), jnp.float32)
