"""SAM: the gradient is taken where the loss is highest nearby."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from thalweg.core.choice import component, number
from thalweg.recipe.optimizers.adamw import AdamW
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.sgd import SGD

_BASES: dict[str, type[Optimizer]] = {"sgd": SGD, "adamw": AdamW}


class SAM(Optimizer):
    """Sharpness-aware minimisation around another rule. Every update costs two gradients.

    Both gradients are of the same batch. Clipping and the like act on the first, which only sets the
    direction.

    Reference: Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, 2021.
    """

    name: ClassVar[str] = "sam"
    formula: ClassVar[str] = "e = rho g(w)/|g(w)|; w = base rule with g(w + e)"
    when: ClassVar[str] = "Small data sets on which the network overfits, when time is no matter."
    reference: ClassVar[str] = "Foret et al. 2021"
    rates: ClassVar[tuple[str, ...]] = ("base.lr",)
    asks_loss: ClassVar[bool] = True
    refused: ClassVar[Mapping[str, str]] = {
        name: "it belongs to the inner rule: set optimizer.base." + name
        for name in ("lr", "momentum", "weight_decay")
    }

    base: Optimizer = component(SGD(lr=0.1, momentum=0.9), among=_BASES, doc="The rule that makes the step.")
    rho: float = number(
        0.05, low=0.0, doc="How far to look, in the norm of all weights.", source="Foret et al. 2021"
    )

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        inner = self.base.rule(roles, mask)

        def update(updates: PyTree, state: Any, params: PyTree = None, **extra: Any) -> tuple[PyTree, Any]:
            there = jax.tree.map(lambda w, g: w + g, params, _scaled_to(self.rho, updates))
            return inner.update(jax.grad(extra["value_fn"])(there), state, params, **extra)

        return optax.GradientTransformationExtraArgs(inner.init, update)


def _scaled_to(length: Float[Array, ""] | float, grads: PyTree) -> PyTree:
    norm = optax.tree.norm(grads)
    # At a stationary point there is no direction to look in.
    factor = jnp.where(norm > 0, length / jnp.where(norm > 0, norm, 1.0), 0.0)
    return jax.tree.map(lambda g: (factor * g).astype(g.dtype), grads)
