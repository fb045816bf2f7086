"""Rules that find their own step length: L-BFGS, and gradient descent with backtracking.

For small, deterministic problems: the loss must be the same function at every update, so that they want the
whole data set as one batch.
"""

from collections.abc import Mapping
from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.core.choice import integer, number
from thalweg.recipe.optimizers.optimizer import Optimizer

_NO_RATE = {
    "lr": "a line search finds the step length",
    "momentum": "a line search needs a direction of descent, which momentum is not always",
    "weight_decay": "the searched loss must contain the penalty; add it to the loss",
}


class GradientDescent(Optimizer):
    """Gradient descent with backtracking: the step shrinks until the loss falls enough.

    Each search starts from the last step length times `grow`.

    Reference: Armijo, Minimization of Functions Having Lipschitz Continuous First Partial Derivatives, 1966;
    Cauchy 1847.
    """

    name: ClassVar[str] = "gradient-descent"
    formula: ClassVar[str] = (
        "w = w - a g with the first a = a0, shrink a0, ... for which f(w - a g) <= f(w) - c a |g|^2"
    )
    when: ClassVar[str] = "Small deterministic problems, and teaching."
    reference: ClassVar[str] = "Cauchy 1847; Armijo 1966"
    rates: ClassVar[tuple[str, ...]] = ()
    line_search: ClassVar[bool] = True
    asks_loss: ClassVar[bool] = True
    refused: ClassVar[Mapping[str, str]] = _NO_RATE

    decrease: float = number(
        1e-4,
        low=0.0,
        high=1.0,
        doc="Share c of the promised fall that is enough.",
        source="Nocedal & Wright 2006, section 3.1",
    )
    shrink: float = number(
        0.5,
        low=0.0,
        high=1.0,
        open_low=True,
        open_high=True,
        source="Armijo 1966",
        doc="Factor of the step after a failed try.",
    )
    grow: float = number(
        2.0, low=1.0, doc="Factor of the last step for the next first try.", source="ours: undoes one halving"
    )
    longest: float = number(1e3, low=0.0, open_low=True, doc="Longest step.", source="ours: a guard only")
    tries: int = integer(40, low=1, doc="Most tries in a search.", source="ours: 2^-40 is below rounding")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles, mask
        search = optax.scale_by_backtracking_linesearch(
            self.tries,
            slope_rtol=self.decrease,
            decrease_factor=self.shrink,
            increase_factor=self.grow,
            max_learning_rate=self.longest,
        )
        return optax.with_extra_args_support(optax.chain(optax.scale(-1.0), search))


class LBFGS(Optimizer):
    """L-BFGS with a search for a step that satisfies the strong Wolfe conditions.

    Reference: Liu & Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989.
    """

    name: ClassVar[str] = "l-bfgs"
    formula: ClassVar[str] = (
        "w = w - a H g; H from the last `memory` pairs s = w' - w, y = g' - g: H' = V^T H V + r s s^T, "
        "V = I - r y s^T, r = 1/(y.s), started from (s.y/y.y) I"
    )
    when: ClassVar[str] = (
        "Small smooth deterministic problems: logistic regression, fits, physics-informed nets."
    )
    reference: ClassVar[str] = "Liu & Nocedal 1989"
    rates: ClassVar[tuple[str, ...]] = ()
    line_search: ClassVar[bool] = True
    asks_loss: ClassVar[bool] = True
    refused: ClassVar[Mapping[str, str]] = _NO_RATE

    memory: int = integer(10, low=1, doc="Pairs remembered.", source="Nocedal & Wright 2006, section 7.2")
    decrease: float = number(
        1e-4,
        low=0.0,
        high=1.0,
        doc="Share c1 of the promised fall that is enough.",
        source="Nocedal & Wright 2006, section 3.1",
    )
    curvature: float = number(
        0.9,
        low=0.0,
        high=1.0,
        doc="Share c2 of the slope that may be left.",
        source="Nocedal & Wright 2006, section 3.1",
    )
    tries: int = integer(20, low=1, doc="Most tries in a search.", source="Optax")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles, mask
        search = optax.scale_by_zoom_linesearch(
            self.tries, slope_rtol=self.decrease, curv_rtol=self.curvature, initial_guess_strategy="one"
        )
        return optax.with_extra_args_support(optax.lbfgs(memory_size=self.memory, linesearch=search))
