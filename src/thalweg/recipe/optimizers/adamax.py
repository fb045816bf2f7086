"""Adamax: Adam with the largest gradient in place of the root mean square."""

from collections.abc import Mapping
from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.recipe.optimizers.adam import HAS_MOMENTUM
from thalweg.recipe.optimizers.fields import epsilon, first_moment, penalty, rate, second_moment
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.penalised import penalised


class Adamax(Optimizer):
    """Adamax.

    Reference: Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015, section 7.1.
    """

    name: ClassVar[str] = "adamax"
    formula: ClassVar[str] = "m = b1 m + (1-b1) g; u = max(b2 u, |g| + eps); w = w - lr m / ((1-b1^t) u)"
    when: ClassVar[str] = "Gradients with rare large values, as in embeddings."
    reference: ClassVar[str] = "Kingma & Ba 2015, section 7.1"
    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = HAS_MOMENTUM

    lr: float = rate(2e-3, "Kingma & Ba 2015")
    b1: float = first_moment(0.9, "Kingma & Ba 2015")
    b2: float = second_moment(0.999, "Kingma & Ba 2015")
    eps: float = epsilon(1e-8, "PyTorch's Adamax")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        return penalised(optax.adamax(self.lr, b1=self.b1, b2=self.b2, eps=self.eps), self.weight_decay, mask)
