"""AdaGrad: a learning rate per weight, from all squared gradients so far."""

from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.core.choice import number
from thalweg.recipe.optimizers.fields import epsilon, penalty, rate
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.penalised import penalised


class AdaGrad(Optimizer):
    """AdaGrad, with eps inside the root.

    PyTorch adds eps outside the root; with eps 0 the two are the same.

    Reference: Duchi, Hazan & Singer, Adaptive Subgradient Methods, 2011.
    """

    name: ClassVar[str] = "adagrad"
    formula: ClassVar[str] = "s = s + g^2; w = w - lr g / sqrt(s + eps)"
    when: ClassVar[str] = "Sparse features; convex problems. The rate only ever falls."
    reference: ClassVar[str] = "Duchi, Hazan & Singer 2011"

    lr: float = rate(0.01, "PyTorch's Adagrad")
    initial: float = number(0.0, low=0.0, doc="What s starts from.", source="Duchi et al. 2011, delta")
    eps: float = epsilon(1e-10, "PyTorch's Adagrad")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        return penalised(
            optax.chain(optax.scale_by_rss(self.initial, self.eps), optax.scale_by_learning_rate(self.lr)),
            self.weight_decay,
            mask,
        )
