"""Metrics: the figures that people read, next to the loss that gradient descent minimises.

A metric is a mean over examples followed by one last step, so that it can be accumulated batch by batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.losses.classification import CrossEntropy, is_single_logit
from thalweg.problem.losses.loss import Elements, batched
from thalweg.problem.losses.shapes import check_classes, match_shapes


@dataclass(frozen=True)
class Metric:
    """A metric: `finish(mean over examples of rule)`. Frozen and hashable.

    Args:
        name: Standard name, as in `result.json`.
        rule: (outputs, targets) of a batch -> one number per example, `batch`. Pure.
        higher_is_better: Whether more is better.
        root: The power to which the mean is raised: 0.5 for a root mean square.
        exponential: Whether the metric is e to the power of the mean (perplexity).
        in_target_unit: Whether it scales with the target, so that its value on standardised targets times
            `target_scale` is its value in the target's own unit.
        best: The best possible value, such as an accuracy of 1. None: unknown.
    """

    name: str
    rule: Callable[[Any, Any], Array]
    higher_is_better: bool
    root: float = 1.0
    exponential: bool = False
    in_target_unit: bool = False
    best: float | None = None

    def per_example(self, outputs: PyTree, targets: PyTree) -> Float[Array, " batch"]:
        """Return one number per example; the metric is `finish` of their mean."""
        return self.rule(outputs, targets)

    def finish(self, mean: Any) -> Any:
        """Return the metric from the mean over examples: a number, an array, or a tracer."""
        value = mean if self.root == 1.0 else mean**self.root
        return 2.718281828459045**value if self.exponential else value


def _is_correct(outputs: Array, targets: Array) -> Array:
    """Return 1 where the largest logit is that of the target; a single logit above 0 means class 1."""
    targets = jnp.asarray(targets)
    if is_single_logit(outputs, targets):
        scores, targets = match_shapes("accuracy", outputs, targets)
        correct = (scores > 0) == (targets > 0.5)
    elif outputs.shape == (*targets.shape, outputs.shape[-1]):
        correct = jnp.argmax(outputs, axis=-1) == targets
    else:
        got = f"outputs {outputs.shape}, targets {targets.shape} (batch first)"
        raise ModelError("accuracy", "takes one class for each row of logits", got=got)
    return Elements(correct.astype(jnp.float32)).example_means()


def _is_in_top5(outputs: Array, targets: Array) -> Array:
    """Return 1 where fewer than five logits exceed that of the target."""
    check_classes("top5", outputs, targets)
    logit = jnp.take_along_axis(outputs, targets[..., None], axis=-1)
    return Elements((jnp.sum(outputs > logit, axis=-1) < 5).astype(jnp.float32)).example_means()


def _squared_error(outputs: Array, targets: Array) -> Array:
    outputs, targets = match_shapes("rmse", outputs, targets)
    return Elements(jnp.square(outputs - targets)).example_means()


def _absolute_error(outputs: Array, targets: Array) -> Array:
    outputs, targets = match_shapes("mae", outputs, targets)
    return Elements(jnp.abs(outputs - targets)).example_means()


accuracy = Metric("accuracy", _is_correct, higher_is_better=True, best=1.0)
top5 = Metric("top5", _is_in_top5, higher_is_better=True, best=1.0)
rmse = Metric("rmse", _squared_error, higher_is_better=False, root=0.5, in_target_unit=True, best=0.0)
mae = Metric("mae", _absolute_error, higher_is_better=False, in_target_unit=True, best=0.0)
perplexity = Metric("perplexity", CrossEntropy(), higher_is_better=False, exponential=True, best=1.0)

METRICS: dict[str, Metric] = {metric.name: metric for metric in (accuracy, top5, rmse, mae, perplexity)}


@dataclass(frozen=True)
class _BatchedRule:
    """A user's function as the rule of a metric."""

    function: Callable[..., Any]

    def __call__(self, outputs: Array, targets: Array) -> Array:
        return jnp.asarray(batched(self.function, outputs, targets)(outputs, targets))


def as_metric(metric: "Metric | str | Callable[..., Any]", *, higher_is_better: bool = True) -> Metric:
    """Return a metric from a metric, a name, or a function of a batch or an example (see `losses.Custom`).

    Raises:
        ModelError: The name is unknown, or `metric` is none of these.
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        name = metric.replace("-", "_")
        if name not in METRICS:
            hint = did_you_mean(name, METRICS)
            raise ModelError("metric", "must be a known metric", got=metric, hint=hint)
        return METRICS[name]
    if not callable(metric):
        raise ModelError("metric", "must be a name or a function (outputs, targets) -> (batch,)", got=metric)
    name = getattr(metric, "__name__", type(metric).__name__)
    return Metric(name, _BatchedRule(metric), higher_is_better=higher_is_better)
