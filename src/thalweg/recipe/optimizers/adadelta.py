"""Adadelta: steps in the weights' own unit, from running means of squared gradients and squared steps."""

from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.recipe.optimizers.fields import decay_rate, epsilon, penalty, rate
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.penalised import penalised


class Adadelta(Optimizer):
    """Adadelta.

    Reference: Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012.
    """

    name: ClassVar[str] = "adadelta"
    formula: ClassVar[str] = (
        "n = d n + (1-d) g^2; u = g sqrt(x + eps)/sqrt(n + eps); x = d x + (1-d) u^2; w = w - lr u"
    )
    when: ClassVar[str] = "Of historical interest: needs no learning rate, and starts slowly."
    reference: ClassVar[str] = "Zeiler 2012"

    lr: float = rate(1.0, "Zeiler 2012 (no rate)")
    decay: float = decay_rate(0.9, "PyTorch's Adadelta", "Decay d of both running means.")
    eps: float = epsilon(1e-6, "Zeiler 2012")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        steps = optax.chain(
            optax.scale_by_adadelta(self.decay, self.eps), optax.scale_by_learning_rate(self.lr)
        )
        return penalised(steps, self.weight_decay, mask)
