"""RAdam: Adam that divides by the root mean square only once its variance is tractable."""

from collections.abc import Mapping
from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.recipe.optimizers.adam import HAS_MOMENTUM
from thalweg.recipe.optimizers.fields import epsilon, first_moment, penalty, rate, second_moment
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.penalised import penalised


class RAdam(Optimizer):
    """RAdam, with the threshold 5 of the authors' code, and eps added to the corrected root.

    Reference: Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020.
    """

    name: ClassVar[str] = "radam"
    formula: ClassVar[str] = (
        "R = 2/(1-b2) - 1; r = R - 2 t b2^t/(1-b2^t); c = sqrt((r-4)(r-2)R / ((R-4)(R-2)r)); "
        "m, v as in Adam; if r >= 5 w = w - lr c (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps); "
        "else w = w - lr m/(1-b1^t)"
    )
    when: ClassVar[str] = "Adam without having to choose a warmup."
    reference: ClassVar[str] = "Liu et al. 2020"
    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = HAS_MOMENTUM

    lr: float = rate(1e-3, "Liu et al. 2020")
    b1: float = first_moment(0.9, "Liu et al. 2020")
    b2: float = second_moment(0.999, "Liu et al. 2020")
    eps: float = epsilon(1e-8, "Liu et al. 2020")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        rule = optax.radam(self.lr, b1=self.b1, b2=self.b2, eps=self.eps, threshold=5.0)
        return penalised(rule, self.weight_decay, mask)
