"""LAMB: AdamW's step, stretched layer by layer to the size of the weights."""

from collections.abc import Mapping
from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.recipe.optimizers.adam import HAS_MOMENTUM
from thalweg.recipe.optimizers.fields import decoupled, epsilon, first_moment, rate, second_moment
from thalweg.recipe.optimizers.optimizer import Optimizer


class LAMB(Optimizer):
    """LAMB; the trust ratio |w|/|u| is 1 where either norm is 0, and is not clipped.

    Reference: You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes, 2020.
    """

    name: ClassVar[str] = "lamb"
    formula: ClassVar[str] = (
        "u = (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps) + weight_decay w; w = w - lr u |w|/|u|, layer by layer"
    )
    when: ClassVar[str] = "Transformers with batches of thousands."
    reference: ClassVar[str] = "You et al. 2020"
    rate_is_step_length = True
    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = HAS_MOMENTUM

    lr: float = rate(1e-3, "as Adam's, Kingma & Ba 2015")
    b1: float = first_moment(0.9, "You et al. 2020")
    b2: float = second_moment(0.999, "You et al. 2020")
    eps: float = epsilon(1e-6, "You et al. 2020")
    weight_decay: float = decoupled(0.01, "You et al. 2020")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        rule = optax.lamb(
            self.lr, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=mask
        )
        return optax.with_extra_args_support(rule)
