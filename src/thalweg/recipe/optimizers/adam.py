"""Adam and its variants: a running mean of gradients over the root of a running mean of squares."""

from collections.abc import Mapping
from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.core.choice import option
from thalweg.recipe.optimizers.optimizer import (
    Optimizer,
    decoupled,
    epsilon,
    first_moment,
    penalised,
    penalty,
    rate,
    second_moment,
)

__all__ = ["AMSGrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam"]

_KINGMA = "Kingma & Ba 2015"


class AdamFamily(Optimizer):
    """What all variants share: the running means m of gradients and v of their squares.

    `m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2`. Both start at zero, which `m/(1-b1^t)` and `v/(1-b2^t)`
    correct; t is 1 at the first step.
    """

    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = {
        "momentum": "b1 is its momentum",
        "nesterov": "the optimizer for that is nadam",
    }

    lr: float = rate(1e-3, _KINGMA)
    b1: float = first_moment(0.9, _KINGMA)
    b2: float = second_moment(0.999, _KINGMA)
    eps: float = epsilon(1e-8, _KINGMA)


class Adam(AdamFamily):
    """Adam. Its weight decay is an L2 penalty in the gradient; AdamW's is not."""

    name = "adam"
    formula = (
        "g = g + weight_decay w; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; "
        "w = w - lr (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps)"
    )
    when = "As AdamW, where no weight decay is wanted."
    reference = "Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015"

    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        return penalised(optax.adam(self.lr, b1=self.b1, b2=self.b2, eps=self.eps), self.weight_decay, mask)


class AdamW(AdamFamily):
    """Adam with decoupled weight decay."""

    name = "adamw"
    formula = (
        "m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; "
        "w = w - lr (m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps) + weight_decay w)"
    )
    when = "The safe first choice for almost any network."
    reference = (
        "Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019; Kingma & Ba, Adam: A Method "
        "for Stochastic Optimization, 2015 (b1, b2, eps)"
    )

    weight_decay: float = decoupled(0.01, "PyTorch's AdamW")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        return optax.adamw(
            self.lr, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=mask
        )


class Adamax(AdamFamily):
    """Adamax: the largest recent gradient in place of the root mean square."""

    name = "adamax"
    formula = "m = b1 m + (1-b1) g; u = max(b2 u, abs(g) + eps); w = w - lr m / ((1-b1^t) u)"
    when = "Gradients with rare large values, as in embeddings."
    reference = "Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015, section 7.1"

    lr: float = rate(2e-3, _KINGMA)
    eps: float = epsilon(1e-8, "PyTorch's Adamax")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        return penalised(optax.adamax(self.lr, b1=self.b1, b2=self.b2, eps=self.eps), self.weight_decay, mask)


class NAdam(AdamFamily):
    """NAdam: Adam with Nesterov's look-ahead. b1 is constant (in PyTorch it follows a schedule)."""

    name = "nadam"
    formula = (
        "m, v as in Adam; n = b1 m/(1-b1^(t+1)) + (1-b1) g/(1-b1^t); w = w - lr n / (sqrt(v/(1-b2^t)) + eps)"
    )
    when = "Where Adam works and a little more speed is wanted."
    reference = "Dozat, Incorporating Nesterov Momentum into Adam, 2016"
    refused = {"momentum": "b1 is its momentum"}

    lr: float = rate(2e-3, "PyTorch's NAdam")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        return penalised(optax.nadam(self.lr, b1=self.b1, b2=self.b2, eps=self.eps), self.weight_decay, mask)


class AMSGrad(AdamFamily):
    """AMSGrad: the denominator never falls.

    Three conventions are in use: the paper corrects nothing (`corrected = False`), Optax corrects both
    moments before the maximum (`corrected = True`, our default), PyTorch takes the maximum first.
    """

    name = "amsgrad"
    formula = "m, v as in Adam; x = max(x, v/(1-b2^t)); w = w - lr (m/(1-b1^t)) / (sqrt(x) + eps)"
    when = "Where Adam does not settle because it forgets rare large gradients."
    reference = "Reddi, Kale & Kumar, On the Convergence of Adam and Beyond, 2018"

    b1: float = first_moment(0.9, "Reddi et al. 2018")
    b2: float = second_moment(0.999, "Reddi et al. 2018")
    corrected: bool = option(
        True, among=(True, False), doc="Correct the moments for their start at zero.", source="Optax"
    )
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        scale = optax.scale_by_amsgrad(
            self.b1, self.b2, self.eps, bias_correction_mu=self.corrected, bias_correction_nu=self.corrected
        )
        return penalised(optax.chain(scale, optax.scale_by_learning_rate(self.lr)), self.weight_decay, mask)


class RAdam(AdamFamily):
    """RAdam: divides by the root mean square only once the variance of that is tractable.

    With the threshold 5 of the authors' code, and eps added to the corrected root.
    """

    name = "radam"
    formula = (
        "R = 2/(1-b2) - 1; r = R - 2 t b2^t/(1-b2^t); c = sqrt((r-4)(r-2)R / ((R-4)(R-2)r)); "
        "m, v as in Adam; w = w - lr c (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps) for r >= 5, "
        "w - lr m/(1-b1^t) otherwise"
    )
    when = "Adam without having to choose a warmup."
    reference = "Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020"

    lr: float = rate(1e-3, "Liu et al. 2020")
    b1: float = first_moment(0.9, "Liu et al. 2020")
    b2: float = second_moment(0.999, "Liu et al. 2020")
    eps: float = epsilon(1e-8, "Liu et al. 2020")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        rule = optax.radam(self.lr, b1=self.b1, b2=self.b2, eps=self.eps, threshold=5.0)
        return penalised(rule, self.weight_decay, mask)
