"""AMSGrad: Adam whose denominator never falls."""

from collections.abc import Mapping
from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.core.choice import option
from thalweg.recipe.optimizers.adam import HAS_MOMENTUM
from thalweg.recipe.optimizers.fields import epsilon, first_moment, penalty, rate, second_moment
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.penalised import penalised


class AMSGrad(Optimizer):
    """AMSGrad.

    Three conventions are in use: the paper corrects nothing (`corrected = False`), Optax corrects both
    moments before the maximum (`corrected = True`, ours), PyTorch takes the maximum first.

    Reference: Reddi, Kale & Kumar, On the Convergence of Adam and Beyond, 2018.
    """

    name: ClassVar[str] = "amsgrad"
    formula: ClassVar[str] = (
        "m, v as in Adam; x = max(x, v/(1-b2^t)); w = w - lr (m/(1-b1^t)) / (sqrt(x) + eps)"
    )
    when: ClassVar[str] = "Where Adam fails to settle because rare large gradients are forgotten."
    reference: ClassVar[str] = "Reddi, Kale & Kumar 2018"
    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = HAS_MOMENTUM

    lr: float = rate(1e-3, "Kingma & Ba 2015")
    b1: float = first_moment(0.9, "Reddi et al. 2018")
    b2: float = second_moment(0.999, "Reddi et al. 2018")
    eps: float = epsilon(1e-8, "Kingma & Ba 2015")
    corrected: bool = option(
        True, among=(True, False), doc="Correct the moments for their start.", source="Optax"
    )
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        scale = optax.scale_by_amsgrad(
            self.b1, self.b2, self.eps, bias_correction_mu=self.corrected, bias_correction_nu=self.corrected
        )
        return penalised(optax.chain(scale, optax.scale_by_learning_rate(self.lr)), self.weight_decay, mask)
