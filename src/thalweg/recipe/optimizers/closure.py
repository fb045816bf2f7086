"""Rules that evaluate the loss again during an update (PyTorch's closure): SAM, and the line searches.

A line search is for small, deterministic problems: the loss must be the same function at every update, so
the whole data set has to be one batch.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from thalweg.core.choice import component, integer, number
from thalweg.core.errors import RecipeError
from thalweg.recipe.optimizers.adam import AdamW
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.sgd import SGD

__all__ = ["LBFGS", "SAM", "GradientDescent"]

_NO_RATE = {
    "lr": "a line search finds the step length",
    "momentum": "a line search needs a direction of descent, and momentum is not always one",
    "weight_decay": "the searched loss must contain the penalty; add it to the loss",
}
_WRIGHT = "Nocedal & Wright 2006, section 3.1"


class SAM(Optimizer):
    """Sharpness-aware minimisation around another rule. Every update costs two gradients.

    Both gradients are of the same batch. Clipping and the like act on the first one, which only sets the
    direction.
    """

    name = "sam"
    formula = "e = rho g(w)/|g(w)|; w = base rule with g(w + e)"
    when = "Small data sets on which the network overfits, when training time matters little."
    reference = "Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, 2021"
    rates = ("base.lr",)
    needs_closure = True
    refused = {
        name: "it belongs to the inner rule: set optimizer.base." + name
        for name in ("lr", "momentum", "weight_decay")
    }

    base: Optimizer = component(
        SGD(lr=0.1, momentum=0.9), among={"sgd": SGD, "adamw": AdamW}, doc="The rule that makes the step."
    )
    rho: float = number(
        0.05, low=0.0, doc="Distance to look ahead, in the norm of all weights.", source="Foret et al. 2021"
    )

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        inner = optax.with_extra_args_support(self.base.rule(roles, mask))

        def update(updates: PyTree, state: Any, params: PyTree = None, **extra: Any) -> tuple[PyTree, Any]:
            highest = jax.tree.map(lambda w, g: w + g, params, _with_norm(self.rho, updates))
            return inner.update(jax.grad(extra["value_fn"])(highest), state, params, **extra)

        return optax.GradientTransformationExtraArgs(inner.init, update)


class GradientDescent(Optimizer):
    """Gradient descent with backtracking: the step shrinks until the loss falls enough.

    Each search starts from the last step length times `grow`.
    """

    name = "gradient-descent"
    formula = "w = w - a g with the first a = a0, shrink a0, ... for which f(w - a g) <= f(w) - c a |g|^2"
    when = "Small deterministic problems, and teaching."
    reference = (
        "Armijo, Minimization of Functions Having Lipschitz Continuous First Partial Derivatives, 1966; "
        "Cauchy 1847"
    )
    rates = ()
    line_search = True
    needs_closure = True
    refused = _NO_RATE

    decrease: float = number(
        1e-4,
        low=0.0,
        high=1.0,
        open_high=True,
        doc="Share c of the promised decrease that is enough.",
        source=_WRIGHT,
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
        2.0,
        low=1.0,
        doc="Factor of the last step for the first try of the next search.",
        source="ours: undoes one halving",
    )
    longest: float = number(1e3, low=0.0, open_low=True, doc="Longest step.", source="ours: a guard only")
    tries: int = integer(
        40, low=1, doc="Largest number of tries in a search.", source="ours: 2^-40 is below rounding"
    )

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        search = optax.scale_by_backtracking_linesearch(
            self.tries,
            slope_rtol=self.decrease,
            decrease_factor=self.shrink,
            increase_factor=self.grow,
            max_learning_rate=self.longest,
        )
        return optax.chain(optax.scale(-1.0), search)


class LBFGS(Optimizer):
    """L-BFGS with a search for a step that satisfies the strong Wolfe conditions."""

    name = "l-bfgs"
    formula = (
        "w = w - a H g; H from the last `memory` pairs s = w' - w, y = g' - g: H' = V^T H V + r s s^T, "
        "V = I - r y s^T, r = 1/(y.s), started from (s.y/y.y) I"
    )
    when = "Small smooth deterministic problems: logistic regression, fits, physics-informed nets."
    reference = "Liu & Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989"
    rates = ()
    line_search = True
    needs_closure = True
    refused = _NO_RATE

    memory: int = integer(10, low=1, doc="Pairs remembered.", source="Nocedal & Wright 2006, section 7.2")
    decrease: float = number(
        1e-4,
        low=0.0,
        high=1.0,
        open_high=True,
        doc="Share c1 of the promised decrease that is enough.",
        source=_WRIGHT,
    )
    curvature: float = number(
        0.9, low=0.0, high=1.0, open_high=True, doc="Share c2 of the slope that may remain.", source=_WRIGHT
    )
    tries: int = integer(20, low=1, doc="Largest number of tries in a search.", source="Optax")

    def __check_init__(self) -> None:
        super().__check_init__()
        both = (self.decrease, self.curvature)
        if all(isinstance(share, float) for share in both) and self.decrease >= self.curvature:
            rule = "decrease must be below curvature (c1 < c2): else no step may satisfy both conditions"
            got = f"decrease {self.decrease:g}, curvature {self.curvature:g}"
            raise RecipeError(self.name, rule, got=got, hint="try 1e-4 and 0.9")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        search = optax.scale_by_zoom_linesearch(
            self.tries, slope_rtol=self.decrease, curv_rtol=self.curvature, initial_guess_strategy="one"
        )
        return optax.lbfgs(memory_size=self.memory, linesearch=search)


def _with_norm(length: Float[Array, ""] | float, grads: PyTree) -> PyTree:
    norm = optax.tree.norm(grads)
    # At a stationary point there is no direction to look in.
    factor = jnp.where(norm > 0, length / jnp.where(norm > 0, norm, 1.0), 0.0)
    return jax.tree.map(lambda g: (factor * g).astype(g.dtype), grads)
