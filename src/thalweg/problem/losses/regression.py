"""Losses of real-valued targets: squared error, absolute error, and Huber's, which joins the two."""

import abc
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.errors import RecipeError
from thalweg.problem.losses.loss import Elements, Loss
from thalweg.problem.losses.shapes import check_finite, match_shapes


@dataclass(frozen=True)
class RegressionLoss(Loss):
    """Base class of losses that depend on the error `e = z - y` of each value alone."""

    @abc.abstractmethod
    def of_error(self, error: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """Return the loss of every error."""

    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the loss of every value."""
        outputs, targets = match_shapes(self.name, outputs, targets)
        return Elements(self.of_error(outputs - targets))

    def check(self, outputs: Array, targets: Array) -> None:
        """Reject targets that are not finite or do not have the shape of the outputs."""
        match_shapes(self.name, outputs, targets)
        check_finite(self.name, targets)


@dataclass(frozen=True)
class MeanSquaredError(RegressionLoss):
    """Squared error, averaged over the values of an example: `mean_k (z_k - y_k)^2`.

    The unit is that of the (standardised) targets, squared.
    """

    name: ClassVar[str] = "mse"
    formula: ClassVar[str] = "mean_k (z_k - y_k)^2"
    when: ClassVar[str] = "Values to predict, errors without heavy tails."
    reference: ClassVar[str] = "Gauss 1809; torch.nn.functional.mse_loss"

    def of_error(self, error: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """Return e^2."""
        return jnp.square(error)


@dataclass(frozen=True)
class MeanAbsoluteError(RegressionLoss):
    """Absolute error, averaged over the values of an example: `mean_k |z_k - y_k|`.

    The unit is that of the (standardised) targets. The subgradient at 0 is 0.
    """

    name: ClassVar[str] = "mae"
    formula: ClassVar[str] = "mean_k |z_k - y_k|"
    when: ClassVar[str] = "Values to predict, with outliers that should not pull; fits the median."
    reference: ClassVar[str] = "Laplace 1774; torch.nn.functional.l1_loss"

    def of_error(self, error: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """Return |e|."""
        return _absolute(error)


@dataclass(frozen=True)
class Huber(RegressionLoss):
    """Squared near zero, linear beyond delta: `e^2/2` for `|e| <= delta`, else `delta (|e| - delta/2)`.

    Args:
        delta: The error at which the two meet, in the unit of the (standardised) targets, above 0. Default:
            PyTorch's.

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

    def of_error(self, error: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """Return `c (|e| - c/2)` with c = min(|e|, delta): no branch whose unused side could overflow."""
        size = _absolute(error)
        core = jnp.minimum(size, self.delta)
        return core * (size - 0.5 * core)


def _absolute(error: Array) -> Array:
    """Return |error| with subgradient 0 at 0 (that of `jnp.abs` is 1)."""
    return jnp.where(error == 0, 0.0, jnp.abs(error))
