"""Muon: momentum made orthogonal, for hidden matrices; AdamW for everything else."""

import math
from collections.abc import Hashable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from thalweg.core.choice import integer, option
from thalweg.recipe.optimizers.fields import (
    decay_rate,
    decoupled,
    epsilon,
    first_moment,
    rate,
    second_moment,
)
from thalweg.recipe.optimizers.optimizer import Optimizer

# Quintic coefficients with the steepest slope at zero for which five rounds bring every singular value
# between about 0.7 and 1.2: Jordan et al., Muon, 2024.
QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    """Muon on matrices and convolution kernels, AdamW on embeddings, heads, biases and scales.

    Which is which comes from roles and shapes: role `matrix` or `kernel`, and more than one row and one
    column (rows are outputs; a kernel is flattened to outputs x inputs). The last layer of a network is told
    apart only if it says so (role `head` or `embedding`).

    Reference: Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024; Liu et al., Muon
    is Scalable for LLM Training, 2025 (`size = "rms"`).
    """

    name: ClassVar[str] = "muon"
    formula: ClassVar[str] = (
        "B = b B + G; U = orthogonal(G + b B) by 5 rounds of X = a X + (b A + c A^2) X, A = X X^T; "
        "W = W - lr (sqrt(max(1, rows/columns)) U + weight_decay W)"
    )
    when: ClassVar[str] = "Transformers and other networks of large matrices; the fewest steps of all."
    reference: ClassVar[str] = "Jordan et al. 2024; Liu et al. 2025"
    rate_is_step_length = True
    rates: ClassVar[tuple[str, ...]] = ("lr", "adam_lr")
    momentum_field: ClassVar[str | None] = "momentum"

    lr: float = rate(0.02, "Jordan et al. 2024", "Learning rate of matrices.")
    momentum: float = decay_rate(0.95, "Jordan et al. 2024", "Momentum b of matrices.")
    nesterov: bool = option(True, among=(True, False), doc="Look ahead.", source="Jordan et al. 2024")
    rounds: int = integer(5, low=1, doc="Newton-Schulz rounds.", source="Jordan et al. 2024")
    size: str = option(
        "width",
        among=("width", "rms"),
        source="Jordan et al. 2024",
        doc="Step size: sqrt(max(1, rows/columns)), or 0.2 sqrt(max(rows, columns)), which matches AdamW's.",
    )
    weight_decay: float = decoupled(0.0, "Jordan et al. 2024")
    adam_lr: float = rate(3e-4, "Jordan et al. 2024", "Learning rate of everything else.")
    b1: float = first_moment(0.9, "Jordan et al. 2024")
    b2: float = second_moment(0.95, "Jordan et al. 2024")
    eps: float = epsilon(1e-10, "Jordan et al. 2024")

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        matrices = optax.chain(
            optax.trace(self.momentum, nesterov=self.nesterov),
            optax.stateless(lambda updates, _: jax.tree.map(self._direction, updates)),
            optax.add_decayed_weights(self.weight_decay, mask=mask),
            optax.scale_by_learning_rate(self.lr),
        )
        others = optax.adamw(
            self.adam_lr, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=mask
        )
        rules: dict[Hashable, optax.GradientTransformation] = {"matrices": matrices, "others": others}
        return optax.partition(rules, lambda params: jax.tree.map(_label, roles, params))

    def _direction(self, momentum: Float[Array, "..."]) -> Float[Array, "..."]:
        flat = momentum.reshape(momentum.shape[0], -1)
        rows, columns = flat.shape
        width = math.sqrt(max(1.0, rows / columns))
        size = width if self.size == "width" else 0.2 * math.sqrt(max(rows, columns))
        return (size * orthogonal(flat, self.rounds)).reshape(momentum.shape)


def orthogonal(matrix: Float[Array, "row column"], rounds: int = 5) -> Float[Array, "row column"]:
    """Return nearly U V^T of a matrix U S V^T: its singular values are moved towards 1.

    Args:
        matrix: Any matrix; of zeros, zeros come back.
        rounds: Newton-Schulz rounds, each X = a X + (b A + c A^2) X with A = X X^T.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix  # the smaller A
    a, b, c = QUINTIC
    # 1e-7 as in the authors' code; the norm bounds the largest singular value, so that X starts within 1.
    x = wide / (jnp.sqrt(jnp.sum(wide**2)) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def _label(role: Any, param: Any) -> str:
    # Inside a parameter group the other groups' parameters are placeholders without a shape.
    shape = getattr(param, "shape", ())
    hidden = role in ("matrix", "kernel") and len(shape) >= 2 and min(shape[0], math.prod(shape[1:])) > 1
    return "matrices" if hidden else "others"
