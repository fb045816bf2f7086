"""LARS: momentum, with each layer's gradient scaled to the size of its weights."""

from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.core.choice import number
from thalweg.recipe.optimizers.fields import decay_rate, decoupled, epsilon, rate
from thalweg.recipe.optimizers.optimizer import Optimizer


class LARS(Optimizer):
    """LARS. Momentum sums steps, so it remembers old learning rates. Biases and scales get plain momentum.

    Reference: You, Gitman & Ginsburg, Large Batch Training of Convolutional Networks, 2017.
    """

    name: ClassVar[str] = "lars"
    formula: ClassVar[str] = (
        "u = g + weight_decay w; v = b v + lr trust |w|/(|u| + eps) u; w = w - v, layer by layer"
    )
    when: ClassVar[str] = "Convolutional networks with batches of thousands."
    reference: ClassVar[str] = "You, Gitman & Ginsburg 2017"
    rate_is_step_length = True
    momentum_field: ClassVar[str | None] = "momentum"

    lr: float = rate(1.0, "ours: with trust 0.001, a step of a thousandth of the weights")
    momentum: float = decay_rate(0.9, "You et al. 2017", "Momentum b.")
    trust: float = number(
        0.001, low=0.0, doc="Share of the weights' norm in a step.", source="You et al. 2017"
    )
    eps: float = epsilon(0.0, "You et al. 2017")
    weight_decay: float = decoupled(1e-4, "the ImageNet recipe of He et al. 2016")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        rule = optax.lars(
            self.lr,
            weight_decay=self.weight_decay,
            weight_decay_mask=mask,
            trust_coefficient=self.trust,
            eps=self.eps,
            trust_ratio_mask=mask,
            momentum=self.momentum,
        )
        return optax.with_extra_args_support(rule)
