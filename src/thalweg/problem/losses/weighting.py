"""Sample weights: examples or positions that count more than others, or not at all."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from thalweg.core.errors import ModelError
from thalweg.problem.losses.loss import Elements, Loss, at_least_f32
from thalweg.problem.losses.metrics import Metric
from thalweg.problem.losses.shapes import reject_first


@dataclass(frozen=True)
class Weighted(Loss):
    """A loss of `(targets, weights)`: the loss of an example is its weight times its unweighted loss.

    Weights are `batch`, or `batch position` for sequences; a mask is weights of 0 and 1. Nothing is divided
    by the sum of the weights, so that the loss of an example does not depend on the others: weights whose
    mean is 1 keep the scale. An example of weight 0 gives no loss and no gradient, even if it holds NaN, and
    a batch that is all masked gives 0.

    Args:
        loss: The unweighted loss.
    """

    name: ClassVar[str] = "weighted"
    formula: ClassVar[str] = "w loss(z, y)"
    when: ClassVar[str] = "Examples that count more than others; padding that must not count."
    reference: ClassVar[str] = "Horvitz & Thompson 1952"

    loss: Loss

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes_logits", self.loss.takes_logits)

    def output_counts(self, task: str, count: int) -> tuple[int, ...]:
        """Return what the unweighted loss allows."""
        return self.loss.output_counts(task, count)

    @property
    def label(self) -> str:
        """Name of the unweighted loss."""
        return getattr(self.loss, "label", self.loss.name)

    def elements(self, outputs: Float[Array, "batch ..."], targets: Any) -> Elements:
        """Return the weighted loss of every example and position."""
        targets, weights = _split_weights(targets)
        weights = weights.astype(outputs.dtype)
        _check_shape(outputs, weights)
        # Masked outputs are replaced before the loss: NaN there would come back through the gradient.
        masked = jnp.expand_dims(weights == 0, tuple(range(weights.ndim, outputs.ndim)))
        values, mask = self.loss.elements(jnp.where(masked, 0.0, outputs), targets)
        weights = jnp.expand_dims(weights, tuple(range(weights.ndim, values.ndim)))
        return Elements(jnp.where(weights == 0, 0.0, weights * values), mask)

    def check(self, outputs: Array, targets: Any) -> None:
        """Reject weights that are negative or not finite, and whatever the unweighted loss refuses."""
        targets, weights = _split_weights(targets)
        values = np.asarray(weights)
        wrong = ~(np.isfinite(values) & (values >= 0))
        reject_first(self.name, "weights must be finite and at least 0", values, wrong, name="weight")
        self.loss.check(at_least_f32(outputs), targets)


@dataclass(frozen=True)
class _WeightedRule:
    """The rule of a metric for `(targets, weights)`: the weighted mean over the positions of an example."""

    rule: Any

    def __call__(self, outputs: Array, targets: Any) -> Array:
        targets, weights = _split_weights(targets)
        _check_shape(outputs, weights)
        flat = [leaf.reshape(weights.size, *leaf.shape[weights.ndim :]) for leaf in (outputs, targets)]
        values = self.rule(*flat).reshape(weights.shape)
        return Elements(jnp.where(weights == 0, 0.0, weights * values)).example_means()


def weighted_metric(metric: Metric) -> Metric:
    """Return a metric for `(targets, weights)`: each example or position counts by its weight."""
    return replace(metric, rule=_WeightedRule(metric.rule))


def _split_weights(targets: Any) -> tuple[Any, Array]:
    if not isinstance(targets, (tuple, list)) or len(targets) != 2:
        raise ModelError("weighted", "targets must be (targets, weights)", got=type(targets).__name__)
    return targets[0], jnp.asarray(targets[1])


def _check_shape(outputs: Array, weights: Array) -> None:
    if outputs.shape[: weights.ndim] != weights.shape:
        got = f"weights {weights.shape}, outputs {outputs.shape} (batch first)"
        raise ModelError("weighted", "weights must be one for each example or position", got=got)
