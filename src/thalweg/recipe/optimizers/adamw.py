"""AdamW: Adam with weight decay apart from the gradient."""

from collections.abc import Mapping
from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.recipe.optimizers.adam import HAS_MOMENTUM
from thalweg.recipe.optimizers.fields import decoupled, epsilon, first_moment, rate, second_moment
from thalweg.recipe.optimizers.optimizer import Optimizer


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    Reference: Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019; Kingma & Ba, Adam: A Method
    for Stochastic Optimization, 2015 (b1, b2, eps).
    """

    name: ClassVar[str] = "adamw"
    formula: ClassVar[str] = (
        "m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; "
        "w = w - lr (m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps) + weight_decay w)"
    )
    when: ClassVar[str] = "The safe first choice for almost any network."
    reference: ClassVar[str] = "Loshchilov & Hutter 2019; Kingma & Ba 2015"
    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = HAS_MOMENTUM

    lr: float = rate(1e-3, "Kingma & Ba 2015")
    b1: float = first_moment(0.9, "Kingma & Ba 2015")
    b2: float = second_moment(0.999, "Kingma & Ba 2015")
    eps: float = epsilon(1e-8, "Kingma & Ba 2015")
    weight_decay: float = decoupled(0.01, "PyTorch's AdamW")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        rule = optax.adamw(
            self.lr, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=mask
        )
        return optax.with_extra_args_support(rule)
