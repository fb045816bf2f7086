"""Losses of real-valued targets: squared, absolute and Huber's error, quantiles, and Poisson's of counts."""

import abc
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from thalweg.core.errors import DataError, ModelError, RecipeError
from thalweg.problem.losses.loss import RATIOS, Elements, Loss
from thalweg.problem.losses.outputs import LOG_RATES, VALUES, quantiles_meaning
from thalweg.problem.losses.shapes import check_finite, match_shapes


@dataclass(frozen=True)
class RegressionLoss(Loss):
    """Base class of losses that depend on the error `e = z - y` of each value alone."""

    meaning: ClassVar[str | None] = VALUES

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
            raise RecipeError(self.name, "delta must be above 0 and finite", got=self.delta, hint="try 1")

    def of_error(self, error: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """Return `c (|e| - c/2)` with c = min(|e|, delta): no branch whose unused side could overflow."""
        size = _absolute(error)
        core = jnp.minimum(size, self.delta)
        return core * (size - 0.5 * core)


@dataclass(frozen=True)
class Quantile(Loss):
    """Pinball loss of one or several quantiles: `max(q e, (q-1) e)`, e = y - z, averaged over the levels q.

    The model has an output for each level. Predictions are sorted, so that quantiles do not cross. The unit
    is that of the (standardised) targets.

    Args:
        levels: q of each output, each above 0 and below 1; kept in ascending order. Default: the median.

    Reference: Koenker & Bassett, Regression Quantiles, 1978.
    """

    name: ClassVar[str] = "quantile"
    formula: ClassVar[str] = "mean_q max(q e, (q-1) e), e = y - z_q"
    when: ClassVar[str] = "A range in which values lie, such as 0.1,0.5,0.9, rather than their mean."
    reference: ClassVar[str] = "Koenker & Bassett 1978"
    listed: ClassVar[str | None] = "levels"

    levels: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        levels = (self.levels,) if isinstance(self.levels, (int, float)) else tuple(self.levels)
        try:
            chosen = tuple(sorted(float(level) for level in levels))
        except (TypeError, ValueError):
            chosen = ()
        if not chosen or len(set(chosen)) < len(chosen) or not 0.0 < chosen[0] <= chosen[-1] < 1.0:
            rule = "levels must be different numbers above 0 and below 1"
            raise RecipeError(self.name, rule, got=self.levels, hint="for example quantile:0.1,0.5,0.9")
        object.__setattr__(self, "levels", chosen)
        object.__setattr__(self, "meaning", quantiles_meaning(chosen))

    def elements(self, outputs: Float[Array, "batch level"], targets: Array) -> Elements:
        """Return the loss of every quantile."""
        if outputs.ndim < 2 or outputs.shape[-1] != len(self.levels):
            rule, hint = "outputs must be one for each level", f"give the model {len(self.levels)} outputs"
            got = f"shape {outputs.shape} (batch first), levels {self.levels}"
            raise ModelError(self.name, rule, got=got, hint=hint)
        _, targets = match_shapes(self.name, outputs[..., :1], targets)
        levels, error = jnp.asarray(self.levels, outputs.dtype), targets - outputs
        return Elements(jnp.where(error > 0, levels * error, (levels - 1) * error))

    def output_counts(self, task: str, count: int) -> tuple[int, ...]:
        """Return one output for each level.

        Raises:
            ModelError: There are several values to predict.
        """
        if task == "regression" and count != 1:
            rule, hint = "takes one value to predict", "choose one target, or write a loss of your own"
            raise ModelError(self.name, rule, got=f"{count} target values", hint=hint)
        return (len(self.levels),)

    def check(self, outputs: Array, targets: Array) -> None:
        """Reject targets that are not finite, and outputs in another number."""
        self.elements(outputs, targets)
        check_finite(self.name, targets)


@dataclass(frozen=True)
class Poisson(Loss):
    """Half the deviance of counts from a rate, with a log link: `exp(z) - t - t (z - log t)`.

    It has the gradient of the negative log-likelihood and is 0 at a perfect fit. Targets are not
    standardised but divided by their mean over the training split: `t = y / mean`; the model's output z is
    the logarithm of the expected ratio, and predictions are expected values in the target's own unit.

    Reference: Nelder & Wedderburn, Generalized Linear Models, 1972.
    """

    name: ClassVar[str] = "poisson"
    formula: ClassVar[str] = "exp(z) - t - t (z - log t), t = y / mean y"
    when: ClassVar[str] = "Counts and other values of at least 0 whose spread grows with their size."
    reference: ClassVar[str] = "Nelder & Wedderburn 1972"
    meaning: ClassVar[str | None] = LOG_RATES
    target_form: ClassVar[str] = RATIOS

    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the loss of every value."""
        outputs, targets = match_shapes(self.name, outputs, targets)
        ratios = jnp.maximum(targets, 0.0)  # a 0 may be a rounding below
        logs = jnp.where(ratios > 0, ratios * jnp.log(jnp.where(ratios > 0, ratios, 1.0)), 0.0)
        return Elements(jnp.exp(outputs) - ratios - ratios * outputs + logs)

    def check(self, outputs: Array, targets: Array) -> None:
        """Reject targets that are negative or not finite."""
        match_shapes(self.name, outputs, targets)
        check_finite(self.name, targets)
        values = np.asarray(targets)
        if (values < -1e-5).any():
            rule, hint = "targets must be at least 0", "use the loss mse for values of any sign"
            raise DataError(self.name, rule, got=float(values.min()), hint=hint)


def _absolute(error: Array) -> Array:
    """Return |error| with subgradient 0 at 0 (that of `jnp.abs` is 1)."""
    return jnp.where(error == 0, 0.0, jnp.abs(error))
