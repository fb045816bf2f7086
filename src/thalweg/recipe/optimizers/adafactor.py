"""Adafactor: Adam's denominator kept as one row and one column for each matrix."""

from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.core.choice import integer, number, option
from thalweg.recipe.optimizers.fields import decoupled, epsilon, momentum, rate
from thalweg.recipe.optimizers.optimizer import Optimizer


class Adafactor(Optimizer):
    """Adafactor with relative step sizes: lr counts in root mean squares of the weights.

    Reference: Shazeer & Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018.
    """

    name: ClassVar[str] = "adafactor"
    formula: ClassVar[str] = (
        "b = 1 - t^-decay; R, C = running means (b) of rows and columns of g^2 + eps; V = R C / mean(R); "
        "u = g/sqrt(V); u = u / max(1, rms(u)/clip); w = w - lr max(1e-3, rms(w)) u - lr weight_decay w"
    )
    when: ClassVar[str] = "Large models whose optimizer state must be small."
    reference: ClassVar[str] = "Shazeer & Stern 2018"
    momentum_field: ClassVar[str | None] = "momentum"

    lr: float = rate(0.01, "Shazeer & Stern 2018 (the cap of the relative step)")
    decay: float = number(
        0.8, low=0.0, high=1.0, doc="Exponent of the decay 1 - t^-decay.", source="Shazeer & Stern 2018"
    )
    clip: float = number(
        1.0, low=0.0, open_low=True, doc="Largest rms of an update.", source="Shazeer & Stern 2018"
    )
    eps: float = epsilon(1e-30, "Shazeer & Stern 2018")
    momentum: float | None = momentum(None)
    weight_decay: float = decoupled(0.0, "Shazeer & Stern 2018")
    relative: bool = option(
        True,
        among=(True, False),
        doc="Scale the step by the rms of the weights.",
        source="Shazeer & Stern 2018",
    )
    smallest: int = integer(128, low=1, doc="Axes shorter than this are not factored.", source="Optax")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        rule = optax.adafactor(
            self.lr,
            min_dim_size_to_factor=self.smallest,
            decay_rate=self.decay,
            multiply_by_parameter_scale=self.relative,
            clipping_threshold=self.clip,
            momentum=self.momentum,
            dtype_momentum=None,  # pyright: ignore[reportArgumentType]  (the parameters' own)
            weight_decay_rate=self.lr * self.weight_decay,
            weight_decay_mask=mask,
            eps=self.eps,
        )
        return optax.with_extra_args_support(rule)
