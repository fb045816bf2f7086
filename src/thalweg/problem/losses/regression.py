"""Losses on values: squared, absolute, and Huber's, which is the one near zero and the other far out."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.errors import RecipeError
from thalweg.problem.losses import shapes
from thalweg.problem.losses.loss import Elements, Loss


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Squared error, averaged over an example's values: `mean_k (z_k - y_k)^2`."""

    name: ClassVar[str] = "mse"
    formula: ClassVar[str] = "mean_k (z_k - y_k)^2"
    when: ClassVar[str] = "Values to predict, errors without heavy tails."
    reference: ClassVar[str] = "Gauss 1809; torch.nn.functional.mse_loss"

    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the squared error of every value."""
        found, wanted = shapes.matched(self.name, outputs, targets)
        return Elements(jnp.square(found - wanted))

    def check(self, outputs: Array, targets: Array) -> None:
        """Refuse targets that are not finite, or of another shape."""
        shapes.matched(self.name, outputs, targets)
        shapes.finite(self.name, targets)


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Absolute error, averaged over an example's values: `mean_k |z_k - y_k|`. The subgradient at 0 is 0."""

    name: ClassVar[str] = "mae"
    formula: ClassVar[str] = "mean_k |z_k - y_k|"
    when: ClassVar[str] = "Values to predict, with outliers that should not pull; fits the median."
    reference: ClassVar[str] = "Laplace 1774; torch.nn.functional.l1_loss"

    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the absolute error of every value."""
        found, wanted = shapes.matched(self.name, outputs, targets)
        return Elements(_size(found - wanted))

    def check(self, outputs: Array, targets: Array) -> None:
        """Refuse targets that are not finite, or of another shape."""
        shapes.matched(self.name, outputs, targets)
        shapes.finite(self.name, targets)


@dataclass(frozen=True)
class Huber(Loss):
    """Squared near zero, linear beyond delta: `e^2/2` for `|e| <= delta`, else `delta (|e| - delta/2)`.

    Args:
        delta: Where the two meet, in the targets' (standardised) unit, above 0. Default: PyTorch's.

    Reference: Huber, Robust Estimation of a Location Parameter, 1964.
    """

    name: ClassVar[str] = "huber"
    formula: ClassVar[str] = "e^2/2 for |e| <= delta, delta (|e| - delta/2) beyond; e = z - y"
    when: ClassVar[str] = "Values to predict, with some outliers."
    reference: ClassVar[str] = "Huber 1964; torch.nn.functional.huber_loss"

    delta: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.delta < float("inf"):
            raise RecipeError(self.name, "delta must be above 0 and finite", got=self.delta)

    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return Huber's loss of every value.

        With c = min(|e|, delta) it is `c (|e| - c/2)`: no branch whose unused side could overflow.
        """
        found, wanted = shapes.matched(self.name, outputs, targets)
        size = _size(found - wanted)
        core = jnp.minimum(size, self.delta)
        return Elements(core * (size - 0.5 * core))

    def check(self, outputs: Array, targets: Array) -> None:
        """Refuse targets that are not finite, or of another shape."""
        shapes.matched(self.name, outputs, targets)
        shapes.finite(self.name, targets)


def _size(error: Array) -> Array:
    """Return |error|, with the subgradient 0 at 0 (that of `jnp.abs` is 1)."""
    return jnp.where(error == 0, 0.0, jnp.abs(error))
