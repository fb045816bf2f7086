"""Lion: the sign of a momentum, and nothing else."""

from collections.abc import Mapping
from typing import ClassVar

import optax
from jaxtyping import PyTree

from thalweg.recipe.optimizers.fields import decay_rate, decoupled, rate
from thalweg.recipe.optimizers.optimizer import Optimizer


class Lion(Optimizer):
    """Lion. Every weight moves by lr at each step, so lr is 3 to 10 times smaller than AdamW's.

    Reference: Chen et al., Symbolic Discovery of Optimization Algorithms, 2023.
    """

    name: ClassVar[str] = "lion"
    formula: ClassVar[str] = "w = w - lr (sign(b1 m + (1-b1) g) + weight_decay w); m = b2 m + (1-b2) g"
    when: ClassVar[str] = "Large batches and long runs, with half of Adam's memory."
    reference: ClassVar[str] = "Chen et al. 2023"
    rate_is_step_length = True
    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = {
        "momentum": "it already has it, as b1 and b2",
        "eps": "it divides by nothing",
    }

    lr: float = rate(1e-4, "Chen et al. 2023")
    b1: float = decay_rate(0.9, "Chen et al. 2023", "Share of the memory in the direction.")
    b2: float = decay_rate(0.99, "Chen et al. 2023", "Decay of the memory.")
    weight_decay: float = decoupled(1e-3, "Optax")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        rule = optax.lion(self.lr, b1=self.b1, b2=self.b2, weight_decay=self.weight_decay, mask=mask)
        return optax.with_extra_args_support(rule)
