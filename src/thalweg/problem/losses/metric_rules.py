"""The rules of metrics: one number per example, or what is kept of a batch and a figure of a whole split.

Rules of the first kind are compiled. Those of the second are computed on the host, in float64, from what was
kept of all examples; they are called as `Metric.whole` says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from thalweg.core.errors import ModelError
from thalweg.problem.losses import whole_split
from thalweg.problem.losses.classification import CrossEntropy, is_single_logit
from thalweg.problem.losses.loss import Elements, batched
from thalweg.problem.losses.outputs import (
    LOGITS,
    PROBABILITIES,
    SCORES,
    THRESHOLDS,
    VALUES,
    as_logits,
    boundary,
    class_columns,
    log_probabilities,
    point_values,
    probabilities,
    quantile_levels,
    values_of,
)
from thalweg.problem.losses.shapes import check_classes, match_shapes
from thalweg.problem.losses.weighting import check_weights, split_weights


@dataclass(frozen=True)
class IsCorrect:
    """1 where the largest output is that of the target; a single output above the boundary means class 1.

    With one output for each of several labels, it is the share of an example's labels that are right.

    Args:
        meaning: What outputs mean, which decides where the boundary is.
    """

    meaning: str = LOGITS

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        targets = jnp.asarray(targets)
        if is_single_logit(outputs, targets):
            single, targets = match_shapes("accuracy", outputs, targets)
            correct = (single > boundary(self.meaning)) == (targets > 0.5)
        elif outputs.shape == (*targets.shape, outputs.shape[-1]):
            correct = jnp.argmax(_columns(outputs, self.meaning), axis=-1) == targets
        else:
            got = f"outputs {outputs.shape}, targets {targets.shape} (batch first)"
            hint = "give the model one output for each class, or a single one for two classes"
            raise ModelError("accuracy", "takes one class for each row of outputs", got=got, hint=hint)
        return Elements(correct.astype(jnp.float32)).example_means()


@dataclass(frozen=True)
class IsInTop:
    """1 where fewer than k outputs exceed that of the target."""

    k: int
    meaning: str = LOGITS

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        columns = class_columns(outputs, self.meaning)
        check_classes(f"top{self.k}", columns, targets)
        own = jnp.take_along_axis(columns, targets[..., None], axis=-1)
        return Elements((jnp.sum(columns > own, axis=-1) < self.k).astype(jnp.float32)).example_means()


@dataclass(frozen=True)
class IsExact:
    """1 where all labels of an example are right."""

    meaning: str = LOGITS

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        single, targets = match_shapes("exact_match", outputs, targets)
        right = (single > boundary(self.meaning)) == (targets > 0.5)
        return right.reshape(len(right), -1).all(axis=-1).astype(jnp.float32)


@dataclass(frozen=True)
class LogLoss:
    """-log p of the target's class."""

    meaning: str = LOGITS

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        logs = log_probabilities(outputs, self.meaning)
        return Elements(-jnp.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]).example_means()


@dataclass(frozen=True)
class Brier:
    """sum_c (p_c - [c = y])^2, half of it for two classes: then it is (p_1 - y)^2."""

    meaning: str = LOGITS

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        shares = jnp.exp(log_probabilities(outputs, self.meaning))
        wanted = targets[..., None] == jnp.arange(shares.shape[-1])
        errors = jnp.sum(jnp.square(shares - wanted), axis=-1)
        return Elements(errors / 2 if shares.shape[-1] == 2 else errors).example_means()


@dataclass(frozen=True)
class Error:
    """The mean over the values of an example of a power of |z - y|."""

    name: str
    power: int

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        outputs, targets = match_shapes(self.name, outputs, targets)
        error = outputs - targets
        return Elements(jnp.square(error) if self.power == 2 else jnp.abs(error)).example_means()


@dataclass(frozen=True)
class Pinball:
    """`max(q e, (q - 1) e)`, e = y - z, as a mean over quantiles of these levels.

    Args:
        levels: q of each output; of a single one, of all values.
    """

    levels: tuple[float, ...] = (0.5,)

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        if outputs.shape[-1:] != (len(self.levels),):
            outputs, targets = match_shapes("pinball", outputs, targets)
        levels = jnp.asarray(self.levels, outputs.dtype)
        error = jnp.asarray(targets, outputs.dtype).reshape(*outputs.shape[:-1], -1) - outputs
        return Elements(jnp.maximum(levels * error, (levels - 1) * error)).example_means()


def poisson_deviance(outputs: Array, targets: Array) -> Array:
    """Return the deviance of each example from expected values above 0: `2 (y log(y/z) - y + z)`."""
    rates, targets = match_shapes("poisson_deviance", outputs, targets)
    rates = jnp.maximum(rates, jnp.finfo(rates.dtype).tiny)
    # Targets that were 0 in their own unit may be a rounding below.
    counts = jnp.maximum(targets, 0.0)
    logs = jnp.where(counts > 0, counts * jnp.log(jnp.where(counts > 0, counts, 1.0) / rates), 0.0)
    return Elements(2 * (logs - counts + rates)).example_means()


@dataclass(frozen=True)
class Predicted:
    """The predicted class of each row, int32; of several labels, whether each applies."""

    meaning: str = LOGITS

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        if is_single_logit(outputs, targets):
            return (outputs.reshape(targets.shape) > boundary(self.meaning)).astype(jnp.int32)
        return jnp.argmax(_columns(outputs, self.meaning), axis=-1).astype(jnp.int32)


@dataclass(frozen=True)
class Outputs:
    """The outputs as they are."""

    meaning: str = LOGITS

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        return outputs


@dataclass(frozen=True)
class OfCounts:
    """A figure of the numbers of right and wrong predictions of each class, or of each label."""

    figure: Callable[[whole_split.Counts], float]

    def __call__(self, kept: np.ndarray, targets: np.ndarray, weights: np.ndarray, offsets: Any) -> float:
        """Return the figure of a whole split."""
        if np.issubdtype(targets.dtype, np.floating):  # several labels
            wanted, predicted = targets > 0.5, kept > 0
            sums = (weights @ part for part in (wanted & predicted, wanted, predicted))
            return self.figure(whole_split.Counts(*sums))
        targets, predicted, weights = _positions(targets, kept, weights)
        classes = int(max(targets.max(initial=0), predicted.max(initial=0))) + 1
        return self.figure(whole_split.counts(targets, predicted, weights, classes))


@dataclass(frozen=True)
class OfOneClass:
    """F1 of one class, or of one of several labels.

    Args:
        label: The class as the user names it.
        index: Its number, once the classes are known.
    """

    label: str
    index: int = -1

    def __call__(self, counted: whole_split.Counts) -> float:
        """Return F1; 0 where the class neither occurs nor is predicted."""
        each = whole_split.f1(counted)
        return float(each[self.index]) if self.index < len(each) else 0.0


@dataclass(frozen=True)
class OfRanking:
    """A figure of the order of the scores: of two classes the second against the first, of several each
    against the rest, as a mean; of several labels as a mean over them.
    """

    figure: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    meaning: str = LOGITS

    def __call__(self, kept: np.ndarray, targets: np.ndarray, weights: np.ndarray, offsets: Any) -> float:
        """Return the figure of a whole split."""
        if np.issubdtype(targets.dtype, np.floating):
            pairs = [(targets[:, i] > 0.5, kept[:, i]) for i in range(targets.shape[-1])]
        else:
            columns = _classes_of(kept, self.meaning)
            pairs = [(targets == i, columns[:, i]) for i in range(columns.shape[1])]
            if len(pairs) == 2:
                pairs = [(targets == 1, columns[:, 1] - columns[:, 0])]
        if not np.isfinite(kept).all():
            return float("nan")
        each = np.array([self.figure(positive, score, weights) for positive, score in pairs])
        return float(np.mean(each[~np.isnan(each)])) if not np.isnan(each).all() else float("nan")


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error of the predicted class."""

    meaning: str = LOGITS

    def __call__(self, kept: np.ndarray, targets: np.ndarray, weights: np.ndarray, offsets: Any) -> float:
        """Return the figure of a whole split."""
        shares = probabilities(np.asarray(kept, np.float64), self.meaning)
        if shares is None or not np.isfinite(shares).all():
            return float("nan")
        right = shares.argmax(axis=-1) == targets
        return whole_split.calibration_error(shares.max(axis=-1), right, weights)


@dataclass(frozen=True)
class OfValues:
    """A figure of values in the target's own unit.

    Args:
        figure: Of targets, predictions and weights.
        meaning, scale, mean: What outputs mean, and the unit of targets.
    """

    figure: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    meaning: str = VALUES
    scale: Any = 1.0
    mean: Any = 0.0

    def __call__(self, kept: np.ndarray, targets: np.ndarray, weights: np.ndarray, offsets: Any) -> float:
        """Return the figure of a whole split."""
        predicted = point_values(np.asarray(kept, np.float64), self.meaning).reshape(targets.shape)
        own = [part.reshape(len(part), -1).astype(np.float64) for part in (targets, predicted)]
        added = 0.0 if offsets is None else np.asarray(offsets, np.float64)[:, None]
        target, predicted = ((part + added) * np.asarray(self.scale) + np.asarray(self.mean) for part in own)
        return self.figure(target, predicted, weights) if np.isfinite(predicted).all() else float("nan")


def _columns(outputs: Array, meaning: str) -> Array:
    """Return outputs whose largest along the last axis is the predicted class, which they mostly are."""
    return class_columns(outputs, meaning) if meaning == THRESHOLDS else outputs


def _classes_of(kept: np.ndarray, meaning: str) -> np.ndarray:
    """Return for each class a number that rises with its probability, float64, `example class`.

    Of two classes it is the logits, which do not saturate as probabilities do.
    """
    columns = class_columns(np.asarray(kept, np.float64), meaning)
    if meaning == SCORES or columns.shape[-1] == 2:
        return np.log(np.maximum(columns, 1e-300)) if meaning == PROBABILITIES else columns
    shares = probabilities(np.asarray(kept, np.float64), meaning)
    assert shares is not None
    return shares


def _positions(*arrays: np.ndarray) -> list[np.ndarray]:
    """Return arrays of examples, or of examples and positions, as flat arrays of all positions."""
    shape = arrays[0].shape
    return [
        np.broadcast_to(each.reshape(*each.shape, *[1] * (len(shape) - each.ndim)), shape).reshape(-1)
        for each in arrays
    ]


@dataclass(frozen=True)
class InLogits:
    """Cross-entropy of outputs that mean something else than logits.

    Args:
        rule: Takes logits.
        meaning: What outputs mean.
    """

    rule: CrossEntropy
    meaning: str

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        single = is_single_logit(outputs, targets)
        columns = class_columns(outputs, self.meaning) if single else outputs
        return self.rule(as_logits(columns, self.meaning), targets)


@dataclass(frozen=True)
class BatchedRule:
    """A user's function as the rule of a metric."""

    function: Callable[..., Any]

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Return one number per example, or what is kept of each."""
        return jnp.asarray(batched(self.function, outputs, targets)(outputs, targets))


@dataclass(frozen=True)
class Values:
    """Outputs of a regression as values in the unit of prepared targets.

    Args:
        meaning: What outputs mean.
        column: Of quantiles, the one that is used; None for all, -1 for the point prediction.
    """

    meaning: str
    column: int | None = None

    def __call__(self, outputs: Array) -> Array:
        """Return the values."""
        if self.column == -1 or not quantile_levels(self.meaning):
            return point_values(outputs, self.meaning)
        values = values_of(outputs, self.meaning)
        return values if self.column is None else values[..., self.column : self.column + 1]


@dataclass(frozen=True)
class WeightedRule:
    """The rule of a metric for `(targets, weights)`: the weighted mean over the positions of an example.

    Args:
        rule: Of targets without weights.
    """

    rule: Callable[[Any, Any], Array]

    def __call__(self, outputs: Array, targets: Any) -> Array:
        """Return one number per example, times its weight."""
        targets, weights = split_weights(targets)
        check_weights(outputs, weights)
        flat = [leaf.reshape(weights.size, *leaf.shape[weights.ndim :]) for leaf in (outputs, targets)]
        values = self.rule(*flat).reshape(weights.shape)
        return Elements(jnp.where(weights == 0, 0.0, weights * values)).example_means()
