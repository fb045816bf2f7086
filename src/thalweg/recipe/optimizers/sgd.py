"""Stochastic gradient descent, with momentum and Nesterov's look-ahead."""

import optax
from jaxtyping import PyTree

from thalweg.core.choice import number, option
from thalweg.core.errors import RecipeError
from thalweg.recipe.optimizers.optimizer import Optimizer, optional_momentum, rate

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent; with `momentum`, the heavy ball.

    Two conventions of momentum are in use, which differ once the learning rate changes. `remember =
    "gradients"` is `v = b v + g; w = w - lr v` (PyTorch, Optax); `remember = "steps"` is
    `v = b v - lr g; w = w + v` (Polyak, Sutskever), which remembers old learning rates.

    Three forms of weight decay are in use: the penalty `lambda/2 |w|^2` ("half"), the penalty
    `lambda |w|^2` ("whole", twice as strong), and decay that bypasses the gradient ("decoupled").
    """

    name = "sgd"
    formula = "u = g + weight_decay w; v = b v + u; w = w - lr v  (Nesterov: w = w - lr (u + b v))"
    when = "The plain rule; with momentum 0.9 the standard for convolutional networks."
    reference = (
        "Robbins & Monro, A Stochastic Approximation Method, 1951; Polyak, Some Methods of Speeding up "
        "the Convergence of Iteration Methods, 1964; Sutskever et al., On the Importance of "
        "Initialization and Momentum in Deep Learning, 2013"
    )
    momentum_field = "momentum"
    refused = {"b1": "its momentum is named momentum"}
    other_names = {"momentum": "momentum=0.9", "nesterov": "momentum=0.9 and nesterov=true"}

    lr: float = rate(0.01, "the textbooks' plain SGD")
    momentum: float | None = optional_momentum()
    nesterov: bool = option(False, among=(False, True), doc="Take the gradient's look-ahead form.")
    remember: str = option(
        "gradients",
        among=("gradients", "steps"),
        doc="What momentum sums: gradients, or steps lr g.",
        source="PyTorch",
    )
    weight_decay: float | None = number(
        None, low=0.0, optional=True, doc="Weight decay lambda, see decay_form."
    )
    decay_form: str = option(
        "half",
        among=("half", "whole", "decoupled"),
        source="PyTorch",
        doc="Penalty lambda/2 |w|^2, penalty lambda |w|^2, or decoupled from the gradient.",
    )

    def __check_init__(self) -> None:
        super().__check_init__()
        if self.nesterov and self.momentum is None:
            raise RecipeError(
                "sgd", "nesterov needs a momentum to look ahead with", hint="try 0.9 for momentum"
            )

    @property
    def is_gradient_descent(self) -> bool:
        """Whether there is no momentum."""
        return self.momentum is None

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        ball = [] if self.momentum is None else [optax.trace(self.momentum, nesterov=self.nesterov)]
        rate = [optax.scale_by_learning_rate(self.lr)]
        steps = ball + rate if self.remember == "gradients" else rate + ball
        if self.weight_decay is None:
            return optax.chain(*steps)
        if self.decay_form == "decoupled":
            steps.append(optax.add_decayed_weights(-self.lr * self.weight_decay, mask=mask))
        else:
            share = 1.0 if self.decay_form == "half" else 2.0
            steps.insert(0, optax.add_decayed_weights(share * self.weight_decay, mask=mask))
        return optax.chain(*steps)
