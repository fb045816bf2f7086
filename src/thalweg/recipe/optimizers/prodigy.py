"""Prodigy: Adam that estimates its own learning rate from how far it has come."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from thalweg.core.choice import number, option
from thalweg.recipe.optimizers.adam import HAS_MOMENTUM
from thalweg.recipe.optimizers.fields import decoupled, epsilon, first_moment, rate, second_moment
from thalweg.recipe.optimizers.optimizer import Optimizer

_SOURCE = "Mishchenko & Defazio 2024"


class Prodigy(Optimizer):
    """Prodigy. Leave lr at 1; a schedule multiplies it. In parameter groups each group has its own estimate.

    Reference: Mishchenko & Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, 2024.
    """

    name: ClassVar[str] = "prodigy"
    formula: ClassVar[str] = (
        "c = sqrt(1-b2^t)/(1-b1^t); m = b1 m + (1-b1) d g; v = b2 v + (1-b2) (d g)^2; "
        "r = sqrt(b2) r + c lr d^2/d0 g.(w0-w); s = sqrt(b2) s + c lr d^2/d0 g; "
        "w = w - c lr d (m/(sqrt(v) + d eps) + weight_decay w); d = max(d, d_factor r/|s|_1)"
    )
    when: ClassVar[str] = "When no learning rate is known and none shall be searched."
    reference: ClassVar[str] = "Mishchenko & Defazio 2024"
    estimates_rate = True
    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = HAS_MOMENTUM

    lr: float = rate(1.0, _SOURCE, "Factor of the estimated learning rate.")
    b1: float = first_moment(0.9, _SOURCE)
    b2: float = second_moment(0.999, _SOURCE)
    eps: float = epsilon(1e-8, _SOURCE)
    d0: float = number(
        1e-6, low=0.0, open_low=True, doc="First estimate; too small does no harm.", source=_SOURCE
    )
    d_factor: float = number(1.0, low=0.0, open_low=True, doc="Factor of the estimate.", source=_SOURCE)
    safeguard: bool = option(
        False, among=(False, True), doc="Keep warmup from inflating the estimate.", source=_SOURCE
    )
    weight_decay: float = decoupled(0.0, _SOURCE)

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        inner = optax.contrib.prodigy(
            self.lr,
            betas=(self.b1, self.b2),
            eps=self.eps,
            estim_lr0=self.d0,
            estim_lr_coef=self.d_factor,
            safeguard_warmup=self.safeguard,
        )

        def update(updates: PyTree, state: Any, params: PyTree = None, **extra: Any) -> tuple[PyTree, Any]:
            # Optax's rule decays biases too, so the decay is added here, with the same step length.
            moved, after = inner.update(updates, state, params, **extra)
            return jax.tree.map(self._decayed(state), mask, moved, params), after

        def init(params: PyTree) -> Any:
            # A copy: the first weights are remembered, and the caller may give the buffers of its own away.
            return inner.init(jax.tree.map(jnp.copy, params))

        return optax.GradientTransformationExtraArgs(init, update)

    def _decayed(self, state: Any) -> Any:
        count = state.count + 1
        length = state.estim_lr * self.lr * jnp.sqrt(1 - self.b2**count) / (1 - self.b1**count)
        return lambda touched, u, w: u - length * self.weight_decay * w if touched else u
