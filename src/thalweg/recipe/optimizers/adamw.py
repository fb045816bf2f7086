"""AdamW: Adam with weight decay apart from the gradient."""

from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.core.choice import number
from thalweg.recipe.optimizers.optimizer import Optimizer, decayed


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

    lr: float = number(1e-3, low=0.0, doc="Learning rate.", source="Kingma & Ba 2015")
    b1: float = number(0.9, low=0.0, high=1.0, open_high=True, doc="Decay of the mean of gradients.",
                       source="Kingma & Ba 2015")  # fmt: skip
    b2: float = number(0.999, low=0.0, high=1.0, open_high=True, doc="Decay of the mean of squares.",
                       source="Kingma & Ba 2015")  # fmt: skip
    eps: float = number(1e-8, low=0.0, doc="Added to the root, against division by zero.",
                        source="Kingma & Ba 2015")  # fmt: skip
    weight_decay: float = number(0.01, low=0.0, doc="Decay rate, multiplied by the learning rate.",
                                 source="PyTorch's AdamW")  # fmt: skip

    def transform(self, roles: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.transform`."""
        rule = optax.adamw(
            self.lr, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=decayed(roles)
        )
        return optax.with_extra_args_support(rule)
