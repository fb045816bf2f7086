"""Losses of classes and distributions: cross-entropy, binary, ordinal, Kullback-Leibler divergence, hinge."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.errors import ModelError, RecipeError
from thalweg.problem.losses.loss import ORDERED, Elements, Loss
from thalweg.problem.losses.outputs import LOGITS, SCORES, THRESHOLDS, ordered_log_probabilities
from thalweg.problem.losses.shapes import (
    check_classes,
    check_label_range,
    check_logits,
    check_probabilities,
    match_shapes,
)


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of logits against classes or soft labels: `-sum_c w_c q_c log softmax(z)_c`, in nats.

    For a class y, `q_c = (1 - s) [c = y] + s / K`. Unlike PyTorch's mean, weighted losses are not divided by
    the sum of the weights in the batch, so that the loss of an example does not depend on the others. Weights
    whose mean over the training split is 1 keep the scale.

    A label out of range gives NaN, never a silent zero.

    Args:
        smoothing: Share s of the label that is spread evenly over all K classes, in [0, 1).
        class_weights: w, one for each class. Empty: all 1. scikit-learn's `compute_class_weight("balanced")`
            gives weights under which all classes count the same.
        ignore: Label of positions that do not count (padding). None: all count. An example in which no
            position counts has loss 0.

    Reference: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016 (smoothing).
    """

    name: ClassVar[str] = "cross_entropy"
    formula: ClassVar[str] = "-sum_c w_c q_c log softmax(z)_c, q_c = (1-s)[c=y] + s/K"
    when: ClassVar[str] = "One class out of several; next-token prediction; soft labels."
    reference: ClassVar[str] = "Szegedy et al. 2016 (label smoothing); torch.nn.functional.cross_entropy"
    takes_logits: ClassVar[bool] = True
    meaning: ClassVar[str | None] = LOGITS

    smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()
    ignore: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.smoothing < 1.0:
            rule = "smoothing must be at least 0 and below 1"
            raise RecipeError(self.name, rule, got=self.smoothing, hint="try 0.1")
        object.__setattr__(self, "class_weights", tuple(float(w) for w in self.class_weights))
        if any(not 0.0 <= w < float("inf") for w in self.class_weights):
            rule = "class_weights must be finite and at least 0"
            raise RecipeError(self.name, rule, got=self.class_weights, hint="1 leaves a class as it is")

    def elements(self, outputs: Float[Array, "batch ... classes"], targets: Array) -> Elements:
        """Return the loss at every position; see the class for the equation."""
        targets = jnp.asarray(targets)
        mask = None
        if _is_soft(outputs, targets):
            shares = targets.astype(outputs.dtype)
        else:
            check_classes(self.name, outputs, targets)
            mask = None if self.ignore is None else targets != self.ignore
            shares = _one_hot(targets, outputs, mask)
        return Elements(_cross_entropy(outputs, self._smoothed_and_weighted(shares)), mask)

    def check(self, outputs: Array, targets: Array) -> None:
        """Reject probabilities in place of logits, labels out of range, soft labels that do not sum to 1."""
        check_logits(self.name, outputs)
        if _is_soft(outputs, targets):
            check_probabilities(self.name, targets, rows=True)
            return
        check_classes(self.name, outputs, targets)
        check_label_range(self.name, targets, outputs.shape[-1], self.ignore)

    def _smoothed_and_weighted(self, shares: Array) -> Array:
        classes = shares.shape[-1]
        if self.smoothing:
            shares = (1.0 - self.smoothing) * shares + self.smoothing / classes
        if self.class_weights:
            if len(self.class_weights) != classes:
                got = f"{len(self.class_weights)} weights, {classes} outputs"
                hint = f"give {classes} weights, or none"
                raise ModelError(self.name, "class_weights must be one for each class", got=got, hint=hint)
            shares = shares * jnp.asarray(self.class_weights, shares.dtype)
        return shares


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Binary cross-entropy from logits: `w y softplus(-z) + (1 - y) softplus(z)`.

    The two softplus terms keep the relative precision where the loss is nearly zero. The unit is nats.

    Args:
        positive_weight: Weight w of the positive class, above 0.
    """

    name: ClassVar[str] = "binary_cross_entropy"
    formula: ClassVar[str] = "-w y log sigmoid(z) - (1-y) log(1 - sigmoid(z))"
    when: ClassVar[str] = "Yes or no, once or for several labels that do not exclude each other."
    reference: ClassVar[str] = "torch.nn.functional.binary_cross_entropy_with_logits"
    takes_logits: ClassVar[bool] = True
    meaning: ClassVar[str | None] = LOGITS

    positive_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.positive_weight < float("inf"):
            rule = "positive_weight must be above 0 and finite"
            raise RecipeError(self.name, rule, got=self.positive_weight, hint="try 1")

    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the loss of every target; see the class for the equation."""
        logits, targets = match_shapes(self.name, outputs, targets)
        positive = self.positive_weight * targets * jax.nn.softplus(-logits)
        return Elements(positive + (1.0 - targets) * jax.nn.softplus(logits))

    def output_counts(self, task: str, count: int) -> tuple[int, ...]:
        """Return 1 for two classes: the logit of the second class."""
        if task != "classification":
            return (count,)
        if count != 2:
            rule, hint = "takes two classes", "use the loss cross_entropy"
            raise ModelError(self.name, rule, got=f"{count} classes", hint=hint, cause="loss_mismatch")
        return (1,)

    def check(self, outputs: Array, targets: Array) -> None:
        """Reject targets outside [0, 1].

        A sigmoid in the model cannot be recognised from values; see `models.checks.final_activation`.
        """
        match_shapes(self.name, outputs, targets)
        check_probabilities(self.name, targets, rows=False)


@dataclass(frozen=True)
class KullbackLeibler(Loss):
    """Divergence of softmax from a target distribution: `sum_c q_c (log q_c - log softmax(z)_c)`, in nats.

    It is cross-entropy with soft labels minus their entropy: it has the same gradients, and is 0 at a perfect
    fit. A share of 0 contributes 0.

    Reference: Kullback & Leibler, On Information and Sufficiency, 1951; Hinton et al., Distilling the
    Knowledge in a Neural Network, 2015.
    """

    name: ClassVar[str] = "kl"
    formula: ClassVar[str] = "sum_c q_c (log q_c - log softmax(z)_c)"
    when: ClassVar[str] = "Targets are distributions, such as a teacher's outputs."
    reference: ClassVar[str] = "Kullback & Leibler 1951; Hinton et al. 2015"
    takes_logits: ClassVar[bool] = True
    meaning: ClassVar[str | None] = LOGITS

    def elements(self, outputs: Float[Array, "batch ... classes"], targets: Array) -> Elements:
        """Return the divergence at every position; see the class for the equation."""
        if outputs.ndim < 2 or outputs.shape != targets.shape:
            raise ModelError(
                self.name,
                "targets must be distributions over the outputs",
                got=f"outputs {outputs.shape}, targets {targets.shape} (batch first)",
                hint="for one class per example use cross_entropy",
                cause="label_encoding_wrong",
            )
        shares = jnp.asarray(targets).astype(outputs.dtype)
        entropy = -jnp.sum(jax.scipy.special.xlogy(shares, shares), axis=-1)
        return Elements(_cross_entropy(outputs, shares) - entropy)

    def check(self, outputs: Array, targets: Array) -> None:
        """Reject probabilities in place of logits, and targets that are not distributions."""
        check_logits(self.name, outputs)
        check_probabilities(self.name, targets, rows=True)


@dataclass(frozen=True)
class Hinge(Loss):
    """Margin loss of support vector machines, for two or more classes. The subgradient at the kink is 0.

    One output and classes 0 and 1: `max(0, m - (2y - 1) z)`. Several outputs:
    `(1/K) sum_{c != y} max(0, m - z_y + z_c)`, PyTorch's `multi_margin_loss`.

    Args:
        margin: The margin m, in the unit of the outputs, above 0. Default: 1, as in textbooks.

    Reference: Cortes & Vapnik, Support-Vector Networks, 1995; Weston & Watkins, Support Vector Machines for
    Multi-Class Pattern Recognition, 1999.
    """

    name: ClassVar[str] = "hinge"
    formula: ClassVar[str] = "(1/K) sum_{c != y} max(0, m - z_y + z_c); one output: max(0, m - (2y-1) z)"
    when: ClassVar[str] = "Margins rather than probabilities; linear models as support vector machines."
    reference: ClassVar[str] = "Cortes & Vapnik 1995; Weston & Watkins 1999"
    meaning: ClassVar[str | None] = SCORES

    margin: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.margin < float("inf"):
            raise RecipeError(self.name, "margin must be above 0 and finite", got=self.margin, hint="try 1")

    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the loss of every row; see the class for the equations."""
        targets = jnp.asarray(targets)
        if is_single_logit(outputs, targets):
            scores, targets = match_shapes(self.name, outputs, targets)
            return Elements(_positive(self.margin - (2.0 * targets - 1.0) * scores))
        check_classes(self.name, outputs, targets)
        is_target = targets[..., None] == jnp.arange(outputs.shape[-1])
        score = jnp.sum(jnp.where(is_target, outputs, 0.0), axis=-1, keepdims=True)
        excess = jnp.where(is_target, 0.0, _positive(self.margin - score + outputs))
        valid = (targets >= 0) & (targets < outputs.shape[-1])
        return Elements(jnp.where(valid, jnp.mean(excess, axis=-1), jnp.nan))

    def output_counts(self, task: str, count: int) -> tuple[int, ...]:
        """Return one output for each class; for two classes also 1, a single logit for both."""
        return (2, 1) if task == "classification" and count == 2 else (count,)

    def check(self, outputs: Array, targets: Array) -> None:
        """Reject labels out of range (with one output: other than 0 and 1)."""
        classes = 2 if is_single_logit(outputs, targets) else outputs.shape[-1]
        check_label_range(self.name, targets, classes)


@dataclass(frozen=True)
class Ordinal(Loss):
    """Cumulative link loss of K ordered classes: `-log P(y)`, with `P(class <= k) = sigmoid(t_k)`, in nats.

    The model has K - 1 outputs z, from which rising thresholds are made: `t_1 = z_1`,
    `t_(k+1) = t_k + softplus(z_(k+1))`. All of them may depend on the inputs.

    Args:
        order: The classes from the lowest to the highest, by name. Empty: their own order, for numbers.

    Reference: McCullagh, Regression Models for Ordinal Data, 1980.
    """

    name: ClassVar[str] = "ordinal"
    formula: ClassVar[str] = (
        "-log(s(t_y) - s(t_(y-1))), t_1 = z_1, t_(k+1) = t_k + softplus(z_(k+1)), s = sigmoid"
    )
    when: ClassVar[str] = "Three or more classes in an order: grades, ratings, stages."
    reference: ClassVar[str] = "McCullagh 1980"
    meaning: ClassVar[str | None] = THRESHOLDS
    target_form: ClassVar[str] = ORDERED
    listed: ClassVar[str | None] = "order"

    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", tuple(str(name).strip() for name in self.order))
        if len(set(self.order)) < len(self.order):
            rule, hint = "order must name each class once", "for example ordinal:low,medium,high"
            raise RecipeError(self.name, rule, got=self.order, hint=hint)

    def elements(self, outputs: Float[Array, "batch ... threshold"], targets: Array) -> Elements:
        """Return the loss of every row; see the class for the equation."""
        logs = ordered_log_probabilities(outputs)
        check_classes(self.name, logs, targets)
        shares = _one_hot(jnp.asarray(targets), logs, None)
        return Elements(-jnp.sum(jnp.where(shares == 0, 0.0, shares * logs), axis=-1))

    def output_counts(self, task: str, count: int) -> tuple[int, ...]:
        """Return K - 1.

        Raises:
            ModelError: There are fewer than three classes.
        """
        if count < 3:
            rule, hint = "takes three or more ordered classes", "use the loss cross_entropy"
            raise ModelError(self.name, rule, got=f"{count} classes", hint=hint)
        return (count - 1,)

    def check(self, outputs: Array, targets: Array) -> None:
        """Reject labels out of range."""
        check_label_range(self.name, targets, outputs.shape[-1] + 1)


def is_single_logit(outputs: Array, targets: Array) -> bool:
    """Return whether each target has one logit for two classes rather than a row of logits."""
    return outputs.shape == targets.shape or outputs.shape == (*targets.shape, 1)


def _is_soft(outputs: Array, targets: Array) -> bool:
    return bool(jnp.issubdtype(targets.dtype, jnp.floating)) and targets.shape == outputs.shape


def _one_hot(targets: Array, outputs: Array, mask: Array | None) -> Array:
    """Return one-hot classes, NaN for a label that is out of range and not masked.

    A comparison rather than a gather: its gradient is elementwise, that of a gather is a scatter.
    """
    classes = outputs.shape[-1]
    shares = (targets[..., None] == jnp.arange(classes)).astype(outputs.dtype)
    valid = (targets >= 0) & (targets < classes)
    if mask is not None:
        valid |= ~mask
    return jnp.where(valid[..., None], shares, jnp.nan)


def _cross_entropy(logits: Array, shares: Array) -> Array:
    """Return `-sum_c q_c log softmax(z)_c`; a share of 0 contributes 0 even at infinite logits."""
    surprise = -jax.nn.log_softmax(logits, axis=-1)
    return jnp.sum(jnp.where(shares == 0, 0.0, shares * surprise), axis=-1)


def _positive(values: Array) -> Array:
    """Return max(0, values) with gradient 0 at 0 (`jnp.maximum` would give 1/2 there)."""
    return jnp.where(values > 0, values, 0.0)
