"""Adam: momentum over root mean square, both corrected for their start at zero."""

from collections.abc import Mapping
from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.recipe.optimizers.fields import epsilon, first_moment, penalty, rate, second_moment
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.penalised import penalised

HAS_MOMENTUM = {"momentum": "it already has it, as b1", "nesterov": "that rule is nadam"}


class Adam(Optimizer):
    """Adam; its weight decay is an L2 penalty in the gradient, to be compared with AdamW's.

    Reference: Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015.
    """

    name: ClassVar[str] = "adam"
    formula: ClassVar[str] = (
        "g = g + weight_decay w; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; "
        "w = w - lr (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps)"
    )
    when: ClassVar[str] = "As AdamW, where no weight decay is wanted."
    reference: ClassVar[str] = "Kingma & Ba 2015"
    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = HAS_MOMENTUM

    lr: float = rate(1e-3, "Kingma & Ba 2015")
    b1: float = first_moment(0.9, "Kingma & Ba 2015")
    b2: float = second_moment(0.999, "Kingma & Ba 2015")
    eps: float = epsilon(1e-8, "Kingma & Ba 2015")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        return penalised(optax.adam(self.lr, b1=self.b1, b2=self.b2, eps=self.eps), self.weight_decay, mask)
