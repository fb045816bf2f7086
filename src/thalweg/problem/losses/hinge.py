"""The margin loss of support vector machines, for two classes or several."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.errors import RecipeError
from thalweg.problem.losses import shapes
from thalweg.problem.losses.loss import Elements, Loss


@dataclass(frozen=True)
class Hinge(Loss):
    """Hinge loss. The subgradient at the kink is 0.

    One output and classes 0 and 1: `max(0, m - (2y - 1) z)`. Several outputs:
    `(1/K) sum_{c != y} max(0, m - z_y + z_c)`, PyTorch's `multi_margin_loss`.

    Args:
        margin: m, above 0. Default: the textbook's.

    Reference: Cortes & Vapnik, Support-Vector Networks, 1995; Weston & Watkins, Support Vector Machines for
    Multi-Class Pattern Recognition, 1999.
    """

    name: ClassVar[str] = "hinge"
    formula: ClassVar[str] = "(1/K) sum_{c != y} max(0, m - z_y + z_c); one output: max(0, m - (2y-1) z)"
    when: ClassVar[str] = "Margins rather than probabilities; linear models as support vector machines."
    reference: ClassVar[str] = "Cortes & Vapnik 1995; Weston & Watkins 1999"

    margin: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.margin < float("inf"):
            raise RecipeError(self.name, "margin must be above 0 and finite", got=self.margin)

    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the margin loss of every row; see the class for the equations."""
        targets = jnp.asarray(targets)
        if _single(outputs, targets):
            scores, wanted = shapes.matched(self.name, outputs, targets)
            return Elements(_positive(self.margin - (2.0 * wanted - 1.0) * scores))
        shapes.classes_fit(self.name, outputs, targets)
        own = targets[..., None] == jnp.arange(outputs.shape[-1])
        score = jnp.sum(jnp.where(own, outputs, 0.0), axis=-1, keepdims=True)
        excess = jnp.where(own, 0.0, _positive(self.margin - score + outputs))
        valid = (targets >= 0) & (targets < outputs.shape[-1])
        return Elements(jnp.where(valid, jnp.mean(excess, axis=-1), jnp.nan))

    def widths(self, task: str, count: int) -> tuple[int, ...]:
        """Return an output for each class; for two classes one for both will do."""
        return (2, 1) if task == "classification" and count == 2 else (count,)

    def check(self, outputs: Array, targets: Array) -> None:
        """Refuse labels out of range (with one output: other than 0 and 1)."""
        classes = 2 if _single(outputs, targets) else outputs.shape[-1]
        shapes.labels_in_range(self.name, targets, classes)


def _single(outputs: Array, targets: Array) -> bool:
    return outputs.shape == targets.shape or outputs.shape == (*targets.shape, 1)


def _positive(values: Array) -> Array:
    """Return max(0, values) with gradient 0 at 0 (`jnp.maximum` would give 1/2 there)."""
    return jnp.where(values > 0, values, 0.0)
