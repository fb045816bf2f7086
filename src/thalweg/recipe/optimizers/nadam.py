"""NAdam: Adam with Nesterov's look-ahead."""

from collections.abc import Mapping
from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.recipe.optimizers.fields import epsilon, first_moment, penalty, rate, second_moment
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.penalised import penalised


class NAdam(Optimizer):
    """NAdam with a constant b1 (PyTorch's lets b1 rise by a schedule of its own).

    Reference: Dozat, Incorporating Nesterov Momentum into Adam, 2016.
    """

    name: ClassVar[str] = "nadam"
    formula: ClassVar[str] = (
        "m, v as in Adam; n = b1 m/(1-b1^(t+1)) + (1-b1) g/(1-b1^t); w = w - lr n / (sqrt(v/(1-b2^t)) + eps)"
    )
    when: ClassVar[str] = "Where Adam works and a little more speed is wanted."
    reference: ClassVar[str] = "Dozat 2016"
    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = {"momentum": "it already has it, as b1"}

    lr: float = rate(2e-3, "PyTorch's NAdam")
    b1: float = first_moment(0.9, "Kingma & Ba 2015")
    b2: float = second_moment(0.999, "Kingma & Ba 2015")
    eps: float = epsilon(1e-8, "Kingma & Ba 2015")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        return penalised(optax.nadam(self.lr, b1=self.b1, b2=self.b2, eps=self.eps), self.weight_decay, mask)
