"""Adaptive rules without Adam's corrections: AdaGrad, RMSprop and Adadelta, with a rate for each weight."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from thalweg.core.choice import number, option
from thalweg.recipe.optimizers.optimizer import (
    Optimizer,
    decay_rate,
    epsilon,
    optional_momentum,
    penalised,
    penalty,
    rate,
)

__all__ = ["AdaGrad", "Adadelta", "RMSprop"]


class AdaGrad(Optimizer):
    """AdaGrad: a learning rate for each weight, from all squared gradients so far. eps is inside the root.

    PyTorch adds eps outside the root; with eps 0 the two are the same.
    """

    name = "adagrad"
    formula = "s = s + g^2; w = w - lr g / sqrt(s + eps)"
    when = "Sparse features; convex problems. The rate only ever falls."
    reference = "Duchi, Hazan & Singer, Adaptive Subgradient Methods, 2011"

    lr: float = rate(0.01, "PyTorch's Adagrad")
    initial: float = number(0.0, low=0.0, doc="Initial value of s.", source="Duchi et al. 2011, delta")
    eps: float = epsilon(1e-10, "PyTorch's Adagrad")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        scale = optax.scale_by_rss(self.initial, self.eps)
        return penalised(optax.chain(scale, optax.scale_by_learning_rate(self.lr)), self.weight_decay, mask)


class RMSprop(Optimizer):
    """RMSprop: gradients over the root of their mean square; plain, centred, with momentum.

    As in PyTorch, eps is outside the root and momentum comes after the division. Centred, the mean square is
    replaced by the variance, `n - m^2`, held at or above zero: rounding makes it negative when the gradient
    hardly varies.
    """

    name = "rmsprop"
    formula = (
        "n = d n + (1-d) g^2; u = g / (sqrt(n) + eps); v = b v + u; w = w - lr v  "
        "(centred: m = d m + (1-d) g; u = g / (sqrt(n - m^2) + eps))"
    )
    when = "Recurrent networks, and reinforcement learning; elsewhere Adam has replaced it."
    reference = (
        "Hinton, Neural Networks for Machine Learning, lecture 6e, 2012; Graves, Generating Sequences "
        "with Recurrent Neural Networks, 2013 (centred)"
    )
    momentum_field = "momentum"

    lr: float = rate(1e-3, "Hinton 2012")
    decay: float = decay_rate(0.9, "Hinton 2012", "Decay d of the mean of squares.")
    momentum: float | None = optional_momentum()
    centred: bool = option(
        False, among=(False, True), doc="Divide by the deviation instead of the root mean square."
    )
    eps: float = epsilon(1e-8, "PyTorch's RMSprop")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        plain = optax.scale_by_rms(self.decay, self.eps, eps_in_sqrt=False)
        steps = [_scale_by_deviation(self.decay, self.eps) if self.centred else plain]
        if self.momentum is not None:
            steps.append(optax.trace(self.momentum))
        return penalised(optax.chain(*steps, optax.scale_by_learning_rate(self.lr)), self.weight_decay, mask)


class Adadelta(Optimizer):
    """Adadelta: steps in the weights' own unit, from running means of squared gradients and squared steps."""

    name = "adadelta"
    formula = "n = d n + (1-d) g^2; u = g sqrt(x + eps)/sqrt(n + eps); x = d x + (1-d) u^2; w = w - lr u"
    when = "Of historical interest: needs no learning rate, and starts slowly."
    reference = "Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012"

    lr: float = rate(1.0, "Zeiler 2012 (no rate)")
    decay: float = decay_rate(0.9, "PyTorch's Adadelta", "Decay d of both running means.")
    eps: float = epsilon(1e-6, "Zeiler 2012")
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        scale = optax.scale_by_adadelta(self.decay, self.eps)
        return penalised(optax.chain(scale, optax.scale_by_learning_rate(self.lr)), self.weight_decay, mask)


class _Moments(NamedTuple):
    mean: PyTree
    square: PyTree


def _scale_by_deviation(decay: float, eps: float) -> optax.GradientTransformation:
    def init(params: PyTree) -> _Moments:
        return _Moments(jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))

    def update(updates: PyTree, state: Any, params: Any = None) -> tuple[PyTree, _Moments]:
        mean = jax.tree.map(lambda m, g: decay * m + (1 - decay) * g, state.mean, updates)
        square = jax.tree.map(lambda n, g: decay * n + (1 - decay) * g**2, state.square, updates)
        divided = jax.tree.map(
            lambda g, m, n: g / (jnp.sqrt(jnp.maximum(n - m**2, 0.0)) + eps), updates, mean, square
        )
        return divided, _Moments(mean, square)

    return optax.GradientTransformation(init, update)
