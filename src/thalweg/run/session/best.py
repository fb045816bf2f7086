"""When lanes stop, and which of their weights were best: a reading of the validation loss, evaluation by
evaluation.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree


class Best:
    """The best validation loss of every lane so far, and what belongs to it.

    Args:
        patience: Evaluations without a better loss after which a lane stops; None never stops it.

    Attributes:
        loss, step: Of the best evaluation, `lane`; infinite and -1 before the first.
        waited: Evaluations since, `lane`.
        kept: What was given with the best evaluations, stacked along the lane axis: weights and model state.
    """

    def __init__(self, patience: list[int | None]):
        lanes = len(patience)
        self._patience = np.array([np.inf if value is None else value for value in patience])
        self.loss, self.step = np.full(lanes, np.inf), np.full(lanes, -1)
        self.waited = np.zeros(lanes, int)
        self.kept: Any = None

    def observe(self, losses: np.ndarray, steps: np.ndarray, given: PyTree, alive: np.ndarray) -> None:
        """Take in one evaluation of all lanes. A loss that is not finite is never the best.

        Args:
            losses: Validation loss, `lane`.
            steps: Updates made, `lane`.
            given: Weights and model state, stacked.
            alive: Lanes that still run; the others are left as they are.
        """
        better = alive & np.isfinite(losses) & (losses < self.loss)
        first = self.kept is None
        self.kept = given if first or better.all() else chosen(jnp.asarray(better), given, self.kept)
        self.loss, self.step = np.where(better, losses, self.loss), np.where(better, steps, self.step)
        self.waited = np.where(better, 0, self.waited + alive)

    @property
    def exhausted(self) -> np.ndarray:
        """Lanes whose patience has run out."""
        return self.waited >= self._patience


@jax.jit
def chosen(better: Bool[Array, " lane"], new: PyTree, old: PyTree) -> PyTree:
    """Return the stacked tree that has `new` in the lanes that are better and `old` in the others."""

    def one(a: Array, b: Array) -> Array:
        return jnp.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(one, new, old)
