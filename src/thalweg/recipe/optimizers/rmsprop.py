"""RMSprop: gradients over the root of their mean square; plain, centred, with momentum."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from thalweg.core.choice import option
from thalweg.recipe.optimizers.fields import decay_rate, epsilon, momentum, penalty, rate
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.penalised import penalised


class RMSprop(Optimizer):
    """RMSprop, with eps outside the root and momentum after the division, as in PyTorch.

    Centred, the mean square is replaced by the variance, `n - m^2`, held at or above zero: rounding
    makes it negative when the gradient hardly varies.

    Reference: Hinton, Neural Networks for Machine Learning, lecture 6e, 2012; Graves, Generating Sequences
    with Recurrent Neural Networks, 2013 (centred).
    """

    name: ClassVar[str] = "rmsprop"
    formula: ClassVar[str] = (
        "n = d n + (1-d) g^2; u = g / (sqrt(n) + eps); v = b v + u; w = w - lr v  "
        "(centred: m = d m + (1-d) g, sqrt(n - m^2))"
    )
    when: ClassVar[str] = "Recurrent networks, and reinforcement learning; elsewhere Adam has replaced it."
    reference: ClassVar[str] = "Hinton 2012; Graves 2013"
    momentum_field: ClassVar[str | None] = "momentum"

    lr: float = rate(1e-3, "Hinton 2012")
    decay: float = decay_rate(0.9, "Hinton 2012", "Decay d of the mean of squares.")
    momentum: float | None = momentum(None)
    centred: bool = option(
        False, among=(False, True), doc="Divide by the deviation instead of the root mean square."
    )
    eps: float = epsilon(1e-8, "PyTorch's RMSprop")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        plain = optax.scale_by_rms(self.decay, self.eps, eps_in_sqrt=False)
        steps = [_by_deviation(self.decay, self.eps) if self.centred else plain]
        if self.momentum is not None:
            steps.append(optax.trace(self.momentum))
        return penalised(optax.chain(*steps, optax.scale_by_learning_rate(self.lr)), self.weight_decay, mask)


class _Moments(NamedTuple):
    mean: PyTree
    square: PyTree


def _by_deviation(decay: float, eps: float) -> optax.GradientTransformation:
    def init(params: PyTree) -> _Moments:
        return _Moments(jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))

    def update(updates: PyTree, state: Any, params: Any = None) -> tuple[PyTree, _Moments]:
        del params
        mean = jax.tree.map(lambda m, g: decay * m + (1 - decay) * g, state.mean, updates)
        square = jax.tree.map(lambda n, g: decay * n + (1 - decay) * g**2, state.square, updates)
        divided = jax.tree.map(
            lambda g, m, n: g / (jnp.sqrt(jnp.maximum(n - m**2, 0.0)) + eps), updates, mean, square
        )
        return divided, _Moments(mean, square)

    return optax.GradientTransformation(init, update)
