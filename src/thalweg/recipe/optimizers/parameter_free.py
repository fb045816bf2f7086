"""Rules with less to tune: no schedule (schedule-free SGD and AdamW), no learning rate (Prodigy)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from thalweg.core.choice import number, option
from thalweg.recipe.optimizers.adam import AdamFamily
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

__all__ = ["Prodigy", "ScheduleFreeAdamW", "ScheduleFreeSGD"]

_DEFAZIO = "Defazio et al. 2024"
_MISHCHENKO = "Mishchenko & Defazio 2024"


def _interpolation() -> Any:
    return number(
        0.9,
        low=0.0,
        high=1.0,
        open_low=True,
        doc="Share of the average in the point where the gradient is taken.",
        source=_DEFAZIO,
    )


class ScheduleFreeSGD(Optimizer):
    """Schedule-free SGD: an average of the weights in place of a falling learning rate.

    The averaged weights x are evaluated and saved, not the trained ones y. A step's weight in the average is
    the largest learning rate so far, squared. Use a constant schedule, or warmup only.
    """

    name = "schedule-free-sgd"
    formula = (
        "y = (1-b1) z + b1 x; z = z - lr (g(y) + weight_decay y); "
        "a = max(a, lr); s = s + a^2; x = (1 - a^2/s) x + a^2/s z"
    )
    when = "SGD when the length of the run is not known."
    reference = "Defazio et al., The Road Less Scheduled, 2024"
    refused = {"momentum": "the interpolation b1 takes its place"}

    lr: float = rate(1.0, _DEFAZIO)
    b1: float = _interpolation()
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        step = penalised(optax.sgd(self.lr), self.weight_decay, mask)
        return optax.contrib.schedule_free(step, self.lr, b1=self.b1)

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the averaged weights x."""
        return _averaged(self.b1, state, params)


class ScheduleFreeAdamW(Optimizer):
    """Schedule-free AdamW; the averaged weights x are evaluated and saved, as in `ScheduleFreeSGD`."""

    name = "schedule-free-adamw"
    formula = (
        "y = (1-b1) z + b1 x; v = b2 v + (1-b2) g(y)^2; "
        "z = z - lr (g(y)/(sqrt(v/(1-b2^t)) + eps) + weight_decay y); "
        "a = max(a, lr); s = s + a^2; x = (1 - a^2/s) x + a^2/s z"
    )
    when = "AdamW when the length of the run is not known."
    reference = "Defazio et al., The Road Less Scheduled, 2024"
    refused = {"momentum": "the interpolation b1 takes its place"}

    lr: float = rate(2.5e-3, _DEFAZIO)
    b1: float = _interpolation()
    b2: float = second_moment(0.999, _DEFAZIO)
    eps: float = epsilon(1e-8, _DEFAZIO)
    weight_decay: float = decoupled(0.0, _DEFAZIO)

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        step = optax.adamw(
            self.lr, b1=0.0, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=mask
        )
        return optax.contrib.schedule_free(step, self.lr, b1=self.b1)

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the averaged weights x."""
        return _averaged(self.b1, state, params)


class Prodigy(AdamFamily):
    """Prodigy: Adam that estimates its own learning rate from the distance covered so far.

    Leave lr at 1; a schedule multiplies it. Each parameter group has its own estimate.
    """

    name = "prodigy"
    formula = (
        "c = sqrt(1-b2^t)/(1-b1^t); m = b1 m + (1-b1) d g; v = b2 v + (1-b2) (d g)^2; "
        "r = sqrt(b2) r + c lr d^2/d0 sum(g (w0-w)); s = sqrt(b2) s + c lr d^2/d0 g; "
        "e = max(d, d_factor r/sum(abs(s))); w = w - c lr d (m/(sqrt(v) + e eps) + weight_decay w); d = e"
    )
    when = "When no learning rate is known and there is no time to search for one."
    reference = "Mishchenko & Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, 2024"
    estimates_rate = True

    lr: float = rate(1.0, _MISHCHENKO, "Factor of the estimated learning rate.")
    b1: float = first_moment(0.9, _MISHCHENKO)
    b2: float = second_moment(0.999, _MISHCHENKO)
    eps: float = epsilon(1e-8, _MISHCHENKO)
    d0: float = number(
        1e-6, low=0.0, open_low=True, doc="First estimate; too small does no harm.", source=_MISHCHENKO
    )
    d_factor: float = number(1.0, low=0.0, open_low=True, doc="Factor of the estimate.", source=_MISHCHENKO)
    safeguard: bool = option(
        False, among=(False, True), doc="Keep warmup from inflating the estimate.", source=_MISHCHENKO
    )
    weight_decay: float = decoupled(0.0, _MISHCHENKO)

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
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
            new_updates, new_state = inner.update(updates, state, params, **extra)
            return jax.tree.map(self._decay(state), mask, new_updates, params), new_state

        def init(params: PyTree) -> Any:
            # A copy: the rule remembers the first weights, and the caller may donate its own buffers.
            return inner.init(jax.tree.map(jnp.copy, params))

        return optax.GradientTransformationExtraArgs(init, update)

    def _decay(self, state: Any) -> Callable[[bool, Array, Array], Array]:
        count = state.count + 1
        length = state.estim_lr * self.lr * jnp.sqrt(1 - self.b2**count) / (1 - self.b1**count)
        return lambda decays, u, w: u - length * self.weight_decay * w if decays else u


def _averaged(share: Any, state: Any, params: PyTree) -> PyTree:
    """Solve y = (1-b) z + b x for x, for every z in the state: one, or one for each parameter group."""
    kind = optax.contrib.ScheduleFreeState
    for node in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind)):
        if isinstance(node, kind):
            params = jax.tree.map(lambda y, z: _solve(share, y, z), params, node.z)
    return params


def _solve(share: Any, y: Any, z: Any) -> Any:
    if isinstance(z, optax.MaskedNode):
        return y
    return ((y - (1.0 - share) * z) / share).astype(y.dtype)
