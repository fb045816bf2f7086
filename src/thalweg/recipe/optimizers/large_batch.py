"""Rules for large batches and large models: Lion, LAMB, LARS and Adafactor."""

import optax
from jaxtyping import PyTree

from thalweg.core.choice import integer, number, option
from thalweg.recipe.optimizers.adam import AdamFamily
from thalweg.recipe.optimizers.optimizer import (
    Optimizer,
    decay_rate,
    decoupled,
    epsilon,
    first_moment,
    optional_momentum,
    rate,
    second_moment,
)

__all__ = ["LAMB", "LARS", "Adafactor", "Lion"]


class Lion(Optimizer):
    """Lion: the sign of a momentum. Every weight moves by lr, so lr is 3 to 10 times smaller than AdamW's."""

    name = "lion"
    formula = "w = w - lr (sign(b1 m + (1-b1) g) + weight_decay w); m = b2 m + (1-b2) g"
    when = "Large batches and long runs, with half of Adam's memory."
    reference = "Chen et al., Symbolic Discovery of Optimization Algorithms, 2023"
    rate_is_step_length = True
    momentum_field = "b1"
    refused = {"momentum": "b1 and b2 are its momentum", "eps": "it divides by nothing"}

    lr: float = rate(1e-4, "Chen et al. 2023")
    b1: float = decay_rate(0.9, "Chen et al. 2023", "Weight of the momentum in the direction.")
    b2: float = decay_rate(0.99, "Chen et al. 2023", "Decay of the momentum.")
    weight_decay: float = decoupled(1e-3, "Optax")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        return optax.lion(self.lr, b1=self.b1, b2=self.b2, weight_decay=self.weight_decay, mask=mask)


class LAMB(AdamFamily):
    """LAMB: AdamW's step, scaled layer by layer to the size of the weights.

    The trust ratio |w|/|u| is 1 where either norm is 0, and is not clipped.
    """

    name = "lamb"
    formula = (
        "m, v as in Adam; u = (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps) + weight_decay w; "
        "w = w - lr u |w|/|u|  (layer by layer)"
    )
    when = "Transformers with batches of thousands."
    reference = "You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes, 2020"
    rate_is_step_length = True

    lr: float = rate(1e-3, "as Adam's, Kingma & Ba 2015")
    b1: float = first_moment(0.9, "You et al. 2020")
    b2: float = second_moment(0.999, "You et al. 2020")
    eps: float = epsilon(1e-6, "You et al. 2020")
    weight_decay: float = decoupled(0.01, "You et al. 2020")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        return optax.lamb(
            self.lr, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=mask
        )


class LARS(Optimizer):
    """LARS: momentum, with each layer's gradient scaled to the size of its weights.

    Momentum sums steps, so it remembers old learning rates. Biases and scales get plain momentum.
    """

    name = "lars"
    formula = "u = g + weight_decay w; v = b v + lr trust |w|/(|u| + eps) u; w = w - v  (layer by layer)"
    when = "Convolutional networks with batches of thousands."
    reference = "You, Gitman & Ginsburg, Large Batch Training of Convolutional Networks, 2017"
    rate_is_step_length = True
    momentum_field = "momentum"

    lr: float = rate(1.0, "ours: with trust 0.001, a step of a thousandth of the weights")
    momentum: float = decay_rate(0.9, "You et al. 2017", "Momentum b.")
    trust: float = number(
        0.001, low=0.0, doc="Length of a step, as a share of the weights' norm.", source="You et al. 2017"
    )
    eps: float = epsilon(0.0, "You et al. 2017")
    weight_decay: float = decoupled(1e-4, "the ImageNet recipe of He et al. 2016")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        return optax.lars(
            self.lr,
            weight_decay=self.weight_decay,
            weight_decay_mask=mask,
            trust_coefficient=self.trust,
            eps=self.eps,
            trust_ratio_mask=mask,
            momentum=self.momentum,
        )


class Adafactor(Optimizer):
    """Adafactor: Adam's denominator stored as one row and one column for each matrix.

    Steps are relative: lr counts in root mean squares of the weights.
    """

    name = "adafactor"
    formula = (
        "c = 1 - t^-decay; R = c R + (1-c) rows(g^2 + eps); C = c C + (1-c) columns(g^2 + eps); "
        "V = R C / mean(R); "
        "u = g/sqrt(V); u = u / max(1, rms(u)/clip); w = w - lr max(1e-3, rms(w)) u - lr weight_decay w"
    )
    when = "Large models whose optimizer state must be small."
    reference = "Shazeer & Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018"
    momentum_field = "momentum"

    lr: float = rate(0.01, "Shazeer & Stern 2018 (the cap of the relative step)")
    decay: float = number(
        0.8, low=0.0, high=1.0, doc="Exponent of the decay 1 - t^-decay.", source="Shazeer & Stern 2018"
    )
    clip: float = number(
        1.0, low=0.0, open_low=True, doc="Largest rms of an update.", source="Shazeer & Stern 2018"
    )
    eps: float = epsilon(1e-30, "Shazeer & Stern 2018")
    momentum: float | None = optional_momentum()
    weight_decay: float = decoupled(0.0, "Shazeer & Stern 2018")
    relative: bool = option(
        True,
        among=(True, False),
        doc="Scale the step by the rms of the weights.",
        source="Shazeer & Stern 2018",
    )
    smallest: int = integer(128, low=1, doc="Axes shorter than this are not factored.", source="Optax")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        return optax.adafactor(
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
