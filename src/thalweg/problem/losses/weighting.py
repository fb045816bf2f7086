"""Sample weights, class weights and masks: examples or positions that count more, less or not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from thalweg.core.errors import DataError, ModelError
from thalweg.problem.losses.loss import Elements, Loss, at_least_f32, averaged
from thalweg.problem.losses.metrics import Metric


@dataclass(frozen=True)
class Weighted(Loss):
    """A loss on `(targets, weights)`: an example's loss is its weight times its loss.

    Weights are `batch`, or `batch position` for sequences; a mask is weights of 0 and 1. Nothing is divided
    by the sum of the weights, so that an example's loss does not depend on its neighbours: weights
    whose mean is 1 keep the scale. What has weight 0 gives no loss and no gradient, whatever it holds, and a
    batch that is all masked gives 0.

    Args:
        loss: The loss that is weighted.
    """

    name: ClassVar[str] = "weighted"
    formula: ClassVar[str] = "w loss(z, y)"
    when: ClassVar[str] = "Examples that count more than others; padding that must not count."
    reference: ClassVar[str] = "Horvitz & Thompson 1952"

    loss: Loss

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes_logits", self.loss.takes_logits)

    def widths(self, task: str, count: int) -> tuple[int, ...]:
        """Return what the weighted loss allows."""
        return self.loss.widths(task, count)

    @property
    def label(self) -> str:
        """The name of the loss that is weighted."""
        return getattr(self.loss, "label", self.loss.name)

    def elements(self, outputs: Float[Array, "batch ..."], targets: Any) -> Elements:
        """Return the weighted loss of every example and position."""
        wanted, weights = _parted(targets)
        weights = weights.astype(outputs.dtype)
        _check_shape(outputs, weights)
        # Masked outputs are replaced before the loss: NaN there would come back through the gradient.
        blank = jnp.expand_dims(weights == 0, tuple(range(weights.ndim, outputs.ndim)))
        found = self.loss.elements(jnp.where(blank, 0.0, outputs), wanted)
        weights = jnp.expand_dims(weights, tuple(range(weights.ndim, found.values.ndim)))
        return Elements(jnp.where(weights == 0, 0.0, weights * found.values), found.counted)

    def check(self, outputs: Array, targets: Any) -> None:
        """Refuse weights that are negative or not finite, and whatever the inner loss refuses."""
        wanted, weights = _parted(targets)
        values = np.asarray(weights)
        wrong = ~(np.isfinite(values) & (values >= 0))
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            rule = "weights must be finite and at least 0"
            raise DataError(self.name, rule, got=float(values[place]), where=f"weight {place}")
        self.loss.check(at_least_f32(outputs), wanted)


@dataclass(frozen=True)
class _Unweighted:
    """A metric's rule on targets that come with weights."""

    rule: Any

    def __call__(self, outputs: Array, targets: Any) -> Array:
        return self.rule(outputs, _parted(targets)[0])


def unweighted(metric: Metric) -> Metric:
    """Return a metric for targets that come with weights; the weights are not applied to it."""
    return replace(metric, rule=_Unweighted(metric.rule))


@dataclass(frozen=True)
class _Weighed:
    """A metric's rule on targets that come with weights: the weighted mean over an example's positions."""

    rule: Any

    def __call__(self, outputs: Array, targets: Any) -> Array:
        wanted, weights = _parted(targets)
        _check_shape(outputs, weights)
        flat = [leaf.reshape(weights.size, *leaf.shape[weights.ndim :]) for leaf in (outputs, wanted)]
        values = self.rule(*flat).reshape(weights.shape)
        return averaged(Elements(jnp.where(weights == 0, 0.0, weights * values)))


def weighed(metric: Metric) -> Metric:
    """Return a metric for targets that come with weights; each example or position counts by its weight."""
    return replace(metric, rule=_Weighed(metric.rule))


def balanced(counts: Sequence[int]) -> tuple[float, ...]:
    """Return class weights by which all classes count the same: `n / (K n_c)`, with mean 1 over the examples.

    Args:
        counts: Examples of each class, each at least 1.

    Raises:
        DataError: A class has no example.

    Reference: King & Zeng, Logistic Regression in Rare Events Data, 2001; scikit-learn's `balanced`.
    """
    if not counts or min(counts) < 1:
        raise DataError("class weights", "every class needs an example", got=list(counts))
    return tuple(sum(counts) / (len(counts) * count) for count in counts)


def _parted(targets: Any) -> tuple[Any, Array]:
    if not isinstance(targets, (tuple, list)) or len(targets) != 2:
        raise ModelError("weighted", "targets must be (targets, weights)", got=type(targets).__name__)
    return targets[0], jnp.asarray(targets[1])


def _check_shape(outputs: Array, weights: Array) -> None:
    if outputs.shape[: weights.ndim] != weights.shape:
        got = f"weights {weights.shape}, outputs {outputs.shape} (batch first)"
        raise ModelError("weighted", "weights must be one for each example or position", got=got)
