"""Schedule-free SGD and AdamW: averaging in place of a falling learning rate."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import optax
from jaxtyping import PyTree

from thalweg.core.choice import number
from thalweg.recipe.optimizers.fields import decoupled, epsilon, penalty, rate, second_moment
from thalweg.recipe.optimizers.optimizer import Optimizer
from thalweg.recipe.optimizers.penalised import penalised

_SOURCE = "Defazio et al. 2024"


def _interpolation() -> Any:
    return number(
        0.9,
        low=0.0,
        high=1.0,
        open_low=True,
        doc="Share of the average in the point where the gradient is taken.",
        source=_SOURCE,
    )


class ScheduleFreeSGD(Optimizer):
    """Schedule-free SGD. Evaluated and saved are the averaged weights x, not the trained ones y.

    The weight of a step in the average is its largest learning rate so far, squared. Use a constant schedule,
    or warmup only.

    Reference: Defazio et al., The Road Less Scheduled, 2024.
    """

    name: ClassVar[str] = "schedule-free-sgd"
    formula: ClassVar[str] = (
        "y = (1-b) z + b x; z = z - lr (g(y) + weight_decay y); x = (1-c) x + c z, c = lr^2/sum lr^2"
    )
    when: ClassVar[str] = "SGD when the length of the run is not known."
    reference: ClassVar[str] = "Defazio et al. 2024"
    refused: ClassVar[Mapping[str, str]] = {"momentum": "its interpolation b1 takes that place"}

    lr: float = rate(1.0, _SOURCE)
    b1: float = _interpolation()
    weight_decay: float | None = penalty()

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        step = penalised(optax.sgd(self.lr), self.weight_decay, mask)
        return optax.contrib.schedule_free(step, self.lr, b1=self.b1)

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the averaged weights x."""
        return _averaged(self.b1, state, params)


class ScheduleFreeAdamW(Optimizer):
    """Schedule-free AdamW. Evaluated and saved are the averaged weights x, not the trained ones y.

    Reference: Defazio et al., The Road Less Scheduled, 2024.
    """

    name: ClassVar[str] = "schedule-free-adamw"
    formula: ClassVar[str] = (
        "y = (1-b1) z + b1 x; v = b2 v + (1-b2) g(y)^2; "
        "z = z - lr (g(y)/(sqrt(v/(1-b2^t)) + eps) + weight_decay y); x = (1-c) x + c z, c = lr^2/sum lr^2"
    )
    when: ClassVar[str] = "AdamW when the length of the run is not known."
    reference: ClassVar[str] = "Defazio et al. 2024"
    refused: ClassVar[Mapping[str, str]] = {"momentum": "its interpolation b1 takes that place"}

    lr: float = rate(2.5e-3, _SOURCE)
    b1: float = _interpolation()
    b2: float = second_moment(0.999, _SOURCE)
    eps: float = epsilon(1e-8, _SOURCE)
    weight_decay: float = decoupled(0.0, _SOURCE)

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        step = optax.adamw(
            self.lr, b1=0.0, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=mask
        )
        return optax.contrib.schedule_free(step, self.lr, b1=self.b1)

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the averaged weights x."""
        return _averaged(self.b1, state, params)


def _averaged(share: Any, state: Any, params: PyTree) -> PyTree:
    """Solve y = (1-b) z + b x for x, wherever the state holds a z: once, or once for each parameter group."""
    kind = optax.contrib.ScheduleFreeState
    for held in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind)):
        if isinstance(held, kind):
            params = jax.tree.map(lambda y, z: _solved(share, y, z), params, held.z)
    return params


def _solved(share: Any, y: Any, z: Any) -> Any:
    if isinstance(z, optax.MaskedNode):
        return y
    return ((y - (1.0 - share) * z) / share).astype(y.dtype)
