"""Stochastic gradient descent, with momentum and Nesterov's look-ahead."""

from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.core.choice import number, option
from thalweg.recipe.optimizers.optimizer import Optimizer, decayed


class SGD(Optimizer):
    """Gradient descent; with `momentum`, the heavy ball.

    The convention is `v = b v + g; w = w - lr v` (as in PyTorch and Optax). Under a schedule it differs
    from `v = b v - lr g`, which remembers old learning rates.

    Reference: Robbins & Monro, A Stochastic Approximation Method, 1951; Polyak, Some Methods of Speeding
    up the Convergence of Iteration Methods, 1964; Sutskever et al., On the Importance of
    Initialization and Momentum in Deep Learning, 2013.
    """

    name: ClassVar[str] = "sgd"
    formula: ClassVar[str] = "v = b v + g + weight_decay w; w = w - lr v  (Nesterov: w = w - lr (g + b v))"
    when: ClassVar[str] = "The plain rule; with momentum 0.9 the standard for convolutional networks."
    reference: ClassVar[str] = "Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013"
    momentum_field: ClassVar[str | None] = "momentum"

    lr: float = number(0.01, low=0.0, doc="Learning rate.", source="the textbooks' plain SGD")
    momentum: float | None = number(
        None, low=0.0, high=1.0, open_high=True, optional=True, doc="Momentum b; off when absent."
    )
    nesterov: bool = option(False, among=(False, True), doc="Take the gradient's look-ahead form.")
    weight_decay: float | None = number(
        None, low=0.0, optional=True, doc="L2 penalty weight_decay/2 |w|^2, added to the gradient."
    )

    def transform(self, roles: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.transform`."""
        steps = [optax.sgd(self.lr, momentum=self.momentum, nesterov=self.nesterov)]
        if self.weight_decay is not None:
            steps.insert(0, optax.add_decayed_weights(self.weight_decay, mask=decayed(roles)))
        return optax.with_extra_args_support(optax.chain(*steps))
