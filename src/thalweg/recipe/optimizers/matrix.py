"""Rules for matrices: Muon (orthogonal momentum) and SOAP (Adam in Shampoo's eigenbasis)."""

import math
from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.choice import integer, option
from thalweg.recipe.optimizers.adam import AdamFamily
from thalweg.recipe.optimizers.optimizer import (
    Optimizer,
    decay_rate,
    decoupled,
    epsilon,
    first_moment,
    rate,
    second_moment,
)

__all__ = ["SOAP", "Muon"]

_VYAS = "Vyas et al. 2025"
# Quintic coefficients with the steepest slope at zero for which five rounds bring every singular value
# between about 0.7 and 1.2: Jordan et al., Muon, 2024.
QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    """Muon, momentum made orthogonal, on matrices and kernels; AdamW on embeddings, heads, biases and scales.

    Which is which comes from roles and shapes: role `matrix` or `kernel`, and more than one row and one
    column (rows are outputs; a kernel is flattened to outputs x inputs). The last layer of a network
    counts as hidden unless its role is `head` or `embedding`.
    """

    name = "muon"
    formula = (
        "B = b B + G; U = orthogonal(G + b B) by 5 rounds of X = a X + (b A + c A^2) X, A = X X^T; "
        "W = W - lr (sqrt(max(1, rows/columns)) U + weight_decay W)"
    )
    when = "Transformers and other networks of large matrices; needs the fewest steps of all."
    reference = (
        "Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024; Liu et al., Muon "
        'is Scalable for LLM Training, 2025 (`size = "rms"`)'
    )
    rate_is_step_length = True
    rates = ("lr", "adam_lr")
    momentum_field = "momentum"

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

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
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


class SOAP(AdamFamily):
    """SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

    Arrays with one axis, and sides longer than `longest`, keep their own basis, where SOAP is Adam. As in the
    authors' code, the first gradient only makes the first basis (no step is taken), and the running squares
    do not turn with the basis.
    """

    name = "soap"
    formula = (
        "M = b1 M + (1-b1) G; V = b2 V + (1-b2) (P^T G Q)^2; "
        "W = W - lr (P (P^T M Q/(1-b1^t) / (sqrt(V/(1-b2^t)) + eps)) Q^T + weight_decay W); "
        "L = b2 L + (1-b2) G G^T; R = b2 R + (1-b2) G^T G; every `every` steps P = qr(L P), Q = qr(R Q)"
    )
    when = "Large matrices with large batches, when steps are expensive and memory is not."
    reference = "Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2025, algorithm 3"

    lr: float = rate(3e-3, _VYAS)
    b1: float = first_moment(0.95, _VYAS)
    b2: float = second_moment(0.95, _VYAS)
    eps: float = epsilon(1e-8, _VYAS)
    weight_decay: float = decoupled(0.01, _VYAS)
    every: int = integer(10, low=1, doc="Steps between turns of the basis.", source=_VYAS)
    longest: int = integer(
        1024,
        low=1,
        doc="Sides longer than this keep their own basis.",
        source="ours: on a CPU one QR of that size takes seconds",
    )

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`."""
        return optax.chain(
            optax.GradientTransformation(self._init, self._update),
            optax.add_decayed_weights(self.weight_decay, mask=mask),
            optax.scale_by_learning_rate(self.lr),
            # The first gradient only makes the basis: no weight moves, not even by decay.
            optax.GradientTransformation(_Waited.start, _Waited.after_first),
        )

    def _init(self, params: PyTree) -> "_State":
        leaves = tuple(self._first_state(leaf) for leaf in jax.tree.leaves(params))
        return _State(jnp.zeros((), jnp.int32), leaves)

    def _first_state(self, leaf: Float[Array, "..."]) -> "_Leaf":
        sides = _sides(leaf.shape)
        # At least float32: there is no eigendecomposition of narrower matrices.
        dtype = jnp.promote_types(leaf.dtype, jnp.float32)
        turns = [leaf.ndim > 1 and 1 < side <= self.longest for side in sides]
        basis = tuple(
            jnp.eye(side, dtype=dtype) if turn else None for side, turn in zip(sides, turns, strict=True)
        )
        zeros = jnp.zeros(sides, dtype)
        grams = tuple(None if side is None else jnp.zeros_like(side) for side in basis)
        return _Leaf(zeros, zeros, grams, basis)

    def _update(self, updates: PyTree, state: Any, params: Any = None) -> tuple[PyTree, "_State"]:
        flat, treedef = jax.tree.flatten(updates)
        pairs = zip(flat, state.leaves, strict=True)
        directions, leaves = zip(*(self._step(grad, leaf, state.done) for grad, leaf in pairs), strict=True)
        return jax.tree.unflatten(treedef, directions), _State(state.done + 1, leaves)

    def _step(self, grad: Array, leaf: "_Leaf", count: Int[Array, ""]) -> tuple[Array, "_Leaf"]:
        g = grad.reshape(_sides(grad.shape)).astype(leaf.mean.dtype)
        first = count == 0
        mean = jnp.where(first, 0.0, self.b1 * leaf.mean + (1 - self.b1) * g)
        square = jnp.where(first, 0.0, self.b2 * leaf.square + (1 - self.b2) * _turn(g, leaf.basis) ** 2)
        steps = jnp.maximum(count, 1)
        inside = _turn(mean, leaf.basis) / (1 - self.b1**steps)
        direction = _turn_back(inside / (jnp.sqrt(square / (1 - self.b2**steps)) + self.eps), leaf.basis)
        grams = tuple(
            None if gram is None else self.b2 * gram + (1 - self.b2) * outer
            for gram, outer in zip(leaf.grams, (g @ g.T, g.T @ g), strict=True)
        )
        basis = tuple(self._turned(gram, side, count) for gram, side in zip(grams, leaf.basis, strict=True))
        return direction.reshape(grad.shape), _Leaf(mean, square, grams, basis)

    def _turned(self, gram: Array | None, basis: Array | None, count: Int[Array, ""]) -> Array | None:
        if gram is None or basis is None:
            return None
        which = jnp.where(count == 0, 0, jnp.where(count % self.every == 0, 1, 2))
        turns = [
            lambda: jnp.linalg.eigh(gram)[1][:, ::-1],
            lambda: jnp.linalg.qr(gram @ basis)[0],
            lambda: basis,
        ]
        return jax.lax.switch(which, turns)


def orthogonal(matrix: Float[Array, "row column"], rounds: int = 5) -> Float[Array, "row column"]:
    """Approximate U V^T of a matrix U S V^T: its singular values move towards 1.

    Args:
        matrix: Any matrix; a matrix of zeros stays zero.
        rounds: Newton-Schulz rounds, each X = a X + (b A + c A^2) X with A = X X^T.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix  # the smaller A
    a, b, c = QUINTIC
    # 1e-7 as in the authors' code. The norm bounds the singular values, so those of X start below 1.
    x = wide / (jnp.sqrt(jnp.sum(wide**2)) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def _label(role: Any, param: Any) -> str:
    # Inside a parameter group, parameters of other groups are placeholders without a shape.
    shape = getattr(param, "shape", ())
    hidden = role in ("matrix", "kernel") and len(shape) >= 2 and min(shape[0], math.prod(shape[1:])) > 1
    return "matrices" if hidden else "others"


class _Leaf(NamedTuple):
    """SOAP's state of one array: both moments, the Gram matrix and the basis of each side."""

    mean: Array
    square: Array
    grams: tuple[Array | None, ...]
    basis: tuple[Array | None, ...]


class _State(NamedTuple):
    done: Int[Array, ""]
    leaves: tuple[_Leaf, ...]


class _Waited(NamedTuple):
    """Whether the first gradient has been seen."""

    seen: Array

    @classmethod
    def start(cls, params: PyTree) -> "_Waited":
        return cls(jnp.zeros((), jnp.bool_))

    @staticmethod
    def after_first(updates: PyTree, state: Any, params: Any = None) -> tuple[PyTree, "_Waited"]:
        updates = jax.tree.map(lambda u: jnp.where(state.seen, u, jnp.zeros_like(u)), updates)
        return updates, _Waited(jnp.ones_like(state.seen))


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Read an array as a matrix, outputs x inputs; a vector as one row."""
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))


def _turn(matrix: Array, basis: tuple[Array | None, ...]) -> Array:
    left, right = basis
    turned = matrix if left is None else left.T @ matrix
    return turned if right is None else turned @ right


def _turn_back(matrix: Array, basis: tuple[Array | None, ...]) -> Array:
    left, right = basis
    turned = matrix if left is None else left @ matrix
    return turned if right is None else turned @ right.T
