"""Sample weights: examples or positions that count more than others, or not at all."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from thalweg.core.errors import ModelError
from thalweg.problem.losses.loss import Elements, Loss, at_least_f32
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
        object.__setattr__(self, "meaning", self.loss.meaning)
        object.__setattr__(self, "target_form", self.loss.target_form)

    def output_counts(self, task: str, count: int) -> tuple[int, ...]:
        """Return what the unweighted loss allows."""
        return self.loss.output_counts(task, count)

    @property
    def label(self) -> str:
        """Short form of the unweighted loss."""
        return described(self.loss)

    def elements(self, outputs: Float[Array, "batch ..."], targets: Any) -> Elements:
        """Return the weighted loss of every example and position."""
        targets, weights = split_weights(targets)
        weights = weights.astype(jax.tree.leaves(outputs)[0].dtype)
        check_weights(outputs, weights)

        # Masked outputs are replaced before the loss: NaN there would come back through the gradient.
        def counted(leaf: Array) -> Array:
            masked = jnp.expand_dims(weights == 0, tuple(range(weights.ndim, leaf.ndim)))
            return jnp.where(masked, 0.0, leaf)

        values, mask = self.loss.elements(jax.tree.map(counted, outputs), targets)
        weights = jnp.expand_dims(weights, tuple(range(weights.ndim, values.ndim)))
        return Elements(jnp.where(weights == 0, 0.0, weights * values), mask)

    def check(self, outputs: Array, targets: Any) -> None:
        """Reject weights that are negative or not finite, and whatever the unweighted loss refuses."""
        targets, weights = split_weights(targets)
        values = np.asarray(weights)
        wrong = ~(np.isfinite(values) & (values >= 0))
        rule, hint = "weights must be finite and at least 0", "a weight of 0 leaves an example out"
        reject_first(self.name, rule, values, wrong, name="weight", hint=hint)
        self.loss.check(at_least_f32(outputs), targets)


@dataclass(frozen=True)
class ClassWeighted(Loss):
    """A loss of classes: the loss of an example is the weight of its class times its unweighted loss.

    The weights are those of the problem's `class_weight`; the training examples weigh 1 on average. They are
    for the loss alone, not for the metrics.

    Args:
        loss: The unweighted loss.
        weights: One for each class.
    """

    name: ClassVar[str] = "class_weighted"
    formula: ClassVar[str] = "w_y loss(z, y)"
    when: ClassVar[str] = "Classes of which some are rare, or cost more."
    reference: ClassVar[str] = "King & Zeng 2001"

    loss: Loss
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes_logits", self.loss.takes_logits)
        object.__setattr__(self, "meaning", self.loss.meaning)
        object.__setattr__(self, "target_form", self.loss.target_form)

    def output_counts(self, task: str, count: int) -> tuple[int, ...]:
        """Return what the unweighted loss allows."""
        return self.loss.output_counts(task, count)

    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the weighted loss of every example."""
        weights = jnp.asarray(self.weights, outputs.dtype)[jnp.asarray(targets)]
        values, mask = self.loss.elements(outputs, targets)
        return Elements(weights.reshape(*weights.shape, *[1] * (values.ndim - weights.ndim)) * values, mask)

    def check(self, outputs: Array, targets: Array) -> None:
        """Reject whatever the unweighted loss refuses."""
        self.loss.check(outputs, targets)


def unweighted(loss: Loss) -> Loss:
    """Return a loss without weights of examples and of classes."""
    while isinstance(loss, (Weighted, ClassWeighted)):
        loss = loss.loss
    return loss


def described(loss: Loss) -> str:
    """Return the short form of a loss without its weights; of a user's function, its name."""
    plain = unweighted(loss)
    return getattr(plain, "label", None) or plain.spec()


def split_weights(targets: Any) -> tuple[Any, Array]:
    """Return targets and weights from `(targets, weights)`.

    Raises:
        ModelError: They are something else.
    """
    if not isinstance(targets, (tuple, list)) or len(targets) != 2:
        got, hint = type(targets).__name__, "give the data as (x, (y, weights))"
        raise ModelError("weighted", "targets must be (targets, weights)", got=got, hint=hint)
    return targets[0], jnp.asarray(targets[1])


def check_weights(outputs: PyTree, weights: Array) -> None:
    """Reject weights that are not one for each example, or for each position, of outputs.

    Raises:
        ModelError: They are.
    """
    for leaf in jax.tree.leaves(outputs):
        _check_leaf(leaf, weights)


def _check_leaf(outputs: Array, weights: Array) -> None:
    if outputs.shape[: weights.ndim] != weights.shape:
        got = f"weights {weights.shape}, outputs {outputs.shape} (batch first)"
        hint = "give weights the shape (batch,), or that of the targets"
        raise ModelError("weighted", "weights must be one for each example or position", got=got, hint=hint)
