"""Metrics: what people read, next to the loss that gradient descent follows.

A metric is a mean over examples and a last step after the mean, so that it can be taken batch by batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.losses import shapes
from thalweg.problem.losses.cross_entropy import CrossEntropy
from thalweg.problem.losses.loss import Elements, averaged, batched


@dataclass(frozen=True)
class Metric:
    """A metric; frozen and hashable.

    Args:
        name: Standard name, as in `result.json`.
        rule: (outputs, targets) of a batch -> one number per example, `batch`. Pure.
        higher_is_better: Whether more is better.
        root: The power to which the mean is raised at the end: 0.5 for a root mean square.
        exponential: Whether e is raised to the mean at the end (perplexity).
        in_target_unit: Whether it scales with the target, so that a figure on standardised targets
            times `target_scale` is the figure in the target's own unit.
        best: The best value that there is, such as an accuracy of 1; None: not known.
    """

    name: str
    rule: Callable[[Any, Any], Array]
    higher_is_better: bool
    root: float = 1.0
    exponential: bool = False
    in_target_unit: bool = False
    best: float | None = None

    def per_example(self, outputs: PyTree, targets: PyTree) -> Float[Array, " batch"]:
        """Return one number per example, whose mean is `finish`ed."""
        return self.rule(outputs, targets)

    def finish(self, mean: Any) -> Any:
        """Return the metric from the mean over examples; for a number, an array, or a tracer."""
        value = mean if self.root == 1.0 else mean**self.root
        return 2.718281828459045**value if self.exponential else value


def _correct(outputs: Array, targets: Array) -> Array:
    """Whether the largest logit is the right one; a single logit says yes above 0."""
    targets = jnp.asarray(targets)
    if outputs.shape == targets.shape or outputs.shape == (*targets.shape, 1):
        scores, wanted = shapes.matched("accuracy", outputs, targets)
        right = (scores > 0) == (wanted > 0.5)
    elif outputs.shape == (*targets.shape, outputs.shape[-1]):
        right = jnp.argmax(outputs, axis=-1) == targets
    else:
        got = f"outputs {outputs.shape}, targets {targets.shape} (batch first)"
        raise ModelError("accuracy", "takes one class for each row of logits", got=got)
    return averaged(Elements(right.astype(jnp.float32)))


def _among_five(outputs: Array, targets: Array) -> Array:
    """Whether fewer than five logits are above the right one's."""
    shapes.classes_fit("top5", outputs, targets)
    own = jnp.take_along_axis(outputs, targets[..., None], axis=-1)
    return averaged(Elements((jnp.sum(outputs > own, axis=-1) < 5).astype(jnp.float32)))


def _squared(outputs: Array, targets: Array) -> Array:
    found, wanted = shapes.matched("rmse", outputs, targets)
    return averaged(Elements(jnp.square(found - wanted)))


def _absolute(outputs: Array, targets: Array) -> Array:
    found, wanted = shapes.matched("mae", outputs, targets)
    return averaged(Elements(jnp.abs(found - wanted)))


accuracy = Metric("accuracy", _correct, higher_is_better=True, best=1.0)
top5 = Metric("top5", _among_five, higher_is_better=True, best=1.0)
rmse = Metric("rmse", _squared, higher_is_better=False, root=0.5, in_target_unit=True, best=0.0)
mae = Metric("mae", _absolute, higher_is_better=False, in_target_unit=True, best=0.0)
perplexity = Metric("perplexity", CrossEntropy(), higher_is_better=False, exponential=True, best=1.0)

METRICS: dict[str, Metric] = {metric.name: metric for metric in (accuracy, top5, rmse, mae, perplexity)}


@dataclass(frozen=True)
class _Function:
    """A user's function as a rule over batches."""

    function: Callable[..., Any]

    def __call__(self, outputs: Array, targets: Array) -> Array:
        return jnp.asarray(batched(self.function, outputs, targets)(outputs, targets))


def as_metric(given: "Metric | str | Callable[..., Any]", *, higher_is_better: bool = True) -> Metric:
    """Return a metric from a metric, a name, or a function like a loss's (see `losses.Custom`).

    Raises:
        ModelError: The name is unknown, or what came is none of these.
    """
    if isinstance(given, Metric):
        return given
    if isinstance(given, str):
        name = given.replace("-", "_")
        if name not in METRICS:
            raise ModelError("metric", "must be a known metric", got=given, hint=did_you_mean(name, METRICS))
        return METRICS[name]
    if not callable(given):
        raise ModelError("metric", "must be a name or a function (outputs, targets) -> (batch,)", got=given)
    name = getattr(given, "__name__", type(given).__name__)
    return Metric(name, _Function(given), higher_is_better=higher_is_better)
