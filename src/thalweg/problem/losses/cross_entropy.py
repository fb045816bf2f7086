"""Losses from logits over classes: cross-entropy, its binary form, and the divergence from a distribution."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.errors import ModelError, RecipeError
from thalweg.problem.losses import shapes
from thalweg.problem.losses.loss import Elements, Loss


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of logits against classes or soft labels: `-sum_c w_c q_c log softmax(z)_c`.

    With classes y, `q_c = (1 - s) [c = y] + s / K`. Weighted losses are not divided by the sum of the
    weights in the batch (PyTorch's mean does so): an example's loss does not depend on its neighbours.
    Weights whose mean over the training part is 1 keep the scale.

    A label out of range gives NaN, never a silent zero.

    Args:
        smoothing: Share s of the label that is spread evenly over all K classes, in [0, 1).
        class_weights: w, one for each class; empty: all 1.
        ignore: A label that does not count (padding); None: every label counts. An example of which nothing
            counts has loss 0.

    Reference: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016 (smoothing).
    """

    name: ClassVar[str] = "cross_entropy"
    formula: ClassVar[str] = "-sum_c w_c q_c log softmax(z)_c, q_c = (1-s)[c=y] + s/K"
    when: ClassVar[str] = "One class out of several; next-token prediction; soft labels."
    reference: ClassVar[str] = "Szegedy et al. 2016 (label smoothing); torch.nn.functional.cross_entropy"
    takes_logits: ClassVar[bool] = True

    smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()
    ignore: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.smoothing < 1.0:
            raise RecipeError(self.name, "smoothing must be at least 0 and below 1", got=self.smoothing)
        object.__setattr__(self, "class_weights", tuple(float(w) for w in self.class_weights))
        if any(not 0.0 <= w < float("inf") for w in self.class_weights):
            raise RecipeError(
                self.name, "class_weights must be finite and at least 0", got=self.class_weights
            )

    def elements(self, outputs: Float[Array, "batch ... classes"], targets: Array) -> Elements:
        """Return the loss at every position; see the class for the equation."""
        targets = jnp.asarray(targets)
        soft = jnp.issubdtype(targets.dtype, jnp.floating) and targets.shape == outputs.shape
        counted = None
        if soft:
            share = targets.astype(outputs.dtype)
        else:
            shapes.classes_fit(self.name, outputs, targets)
            counted = None if self.ignore is None else targets != self.ignore
            share = _one_hot(targets, outputs, counted)
        return Elements(_expected(outputs, self._shared(share)), counted)

    def check(self, outputs: Array, targets: Array) -> None:
        """Refuse probabilities in place of logits, labels out of range, and soft labels that are none."""
        shapes.logits_not_probabilities(self.name, outputs)
        if jnp.issubdtype(targets.dtype, jnp.floating) and targets.shape == outputs.shape:
            shapes.probabilities(self.name, targets, rows=True)
            return
        shapes.classes_fit(self.name, outputs, targets)
        shapes.labels_in_range(self.name, targets, outputs.shape[-1], self.ignore)

    def _shared(self, share: Array) -> Array:
        classes = share.shape[-1]
        if self.smoothing:
            share = (1.0 - self.smoothing) * share + self.smoothing / classes
        if self.class_weights:
            if len(self.class_weights) != classes:
                got = f"{len(self.class_weights)} weights, {classes} outputs"
                raise ModelError(self.name, "class_weights must be one for each class", got=got)
            share = share * jnp.asarray(self.class_weights, share.dtype)
        return share


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Binary cross-entropy from logits: `w y softplus(-z) + (1 - y) softplus(z)`.

    Written with two softplus terms, so that it keeps its relative precision where the loss is nearly zero.

    Args:
        positive_weight: w, weight of the positive class, above 0.
    """

    name: ClassVar[str] = "binary_cross_entropy"
    formula: ClassVar[str] = "-w y log sigmoid(z) - (1-y) log(1 - sigmoid(z))"
    when: ClassVar[str] = "Yes or no, once or for several labels that do not exclude each other."
    reference: ClassVar[str] = "torch.nn.functional.binary_cross_entropy_with_logits"
    takes_logits: ClassVar[bool] = True

    positive_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.positive_weight < float("inf"):
            raise RecipeError(
                self.name, "positive_weight must be above 0 and finite", got=self.positive_weight
            )

    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the loss of every target; see the class for the equation."""
        logits, wanted = shapes.matched(self.name, outputs, targets)
        yes = self.positive_weight * wanted * jax.nn.softplus(-logits)
        return Elements(yes + (1.0 - wanted) * jax.nn.softplus(logits))

    def widths(self, task: str, count: int) -> tuple[int, ...]:
        """Return one output for two classes; it is the logit of the second."""
        if task != "classification":
            return (count,)
        if count != 2:
            rule, hint = "takes two classes", "use the loss cross_entropy"
            raise ModelError(self.name, rule, got=f"{count} classes", hint=hint)
        return (1,)

    def check(self, outputs: Array, targets: Array) -> None:
        """Refuse targets outside [0, 1]. A sigmoid too many cannot be told by value; see `ending`."""
        shapes.matched(self.name, outputs, targets)
        shapes.probabilities(self.name, targets, rows=False)


@dataclass(frozen=True)
class KullbackLeibler(Loss):
    """Divergence of softmax from a target distribution: `sum_c q_c (log q_c - log softmax(z)_c)`.

    Cross-entropy with soft labels minus their entropy: the same gradients, and 0 at a perfect fit. A share
    of 0 adds 0.

    Reference: Kullback & Leibler, On Information and Sufficiency, 1951; Hinton et al., Distilling the
    Knowledge in a Neural Network, 2015.
    """

    name: ClassVar[str] = "kl"
    formula: ClassVar[str] = "sum_c q_c (log q_c - log softmax(z)_c)"
    when: ClassVar[str] = "Targets are distributions, such as a teacher's outputs."
    reference: ClassVar[str] = "Kullback & Leibler 1951; Hinton et al. 2015"
    takes_logits: ClassVar[bool] = True

    def elements(self, outputs: Float[Array, "batch ... classes"], targets: Array) -> Elements:
        """Return the divergence at every position; see the class for the equation."""
        if outputs.ndim < 2 or outputs.shape != targets.shape:
            raise ModelError(
                self.name,
                "targets must be distributions over the outputs",
                got=f"outputs {outputs.shape}, targets {targets.shape} (batch first)",
                hint="for one class per example use cross_entropy",
            )
        share = jnp.asarray(targets).astype(outputs.dtype)
        entropy = -jnp.sum(jax.scipy.special.xlogy(share, share), axis=-1)
        return Elements(_expected(outputs, share) - entropy)

    def check(self, outputs: Array, targets: Array) -> None:
        """Refuse probabilities in place of logits, and targets that are no distributions."""
        shapes.logits_not_probabilities(self.name, outputs)
        shapes.probabilities(self.name, targets, rows=True)


def _one_hot(targets: Array, outputs: Array, counted: Array | None) -> Array:
    """Return classes as shares, NaN for a label out of range that counts.

    A comparison, not a gather: its backward is elementwise, where a gather's is a scatter.
    """
    classes = outputs.shape[-1]
    share = (targets[..., None] == jnp.arange(classes)).astype(outputs.dtype)
    valid = (targets >= 0) & (targets < classes)
    if counted is not None:
        valid |= ~counted
    return jnp.where(valid[..., None], share, jnp.nan)


def _expected(logits: Array, share: Array) -> Array:
    """Return `-sum_c share_c log softmax(logits)_c`, 0 where a share is 0 even at infinite logits."""
    surprise = -jax.nn.log_softmax(logits, axis=-1)
    return jnp.sum(jnp.where(share == 0, 0.0, share * surprise), axis=-1)
