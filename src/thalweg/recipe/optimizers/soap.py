"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.choice import integer
from thalweg.recipe.optimizers.adam import HAS_MOMENTUM
from thalweg.recipe.optimizers.fields import decoupled, epsilon, first_moment, rate, second_moment
from thalweg.recipe.optimizers.optimizer import Optimizer

_SOURCE = "Vyas et al. 2025"


class SOAP(Optimizer):
    """SOAP. Arrays with one axis, and sides longer than `longest`, keep their own basis: there it is Adam.

    As in the authors' code, the first gradient only makes the first basis (no step is taken), and the running
    squares stay as they are when the basis turns.

    Reference: Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2025, algorithm 3.
    """

    name: ClassVar[str] = "soap"
    formula: ClassVar[str] = (
        "M = b1 M + (1-b1) G; V = b2 V + (1-b2) (P^T G Q)^2; "
        "W = W - lr (P (P^T M Q/(1-b1^t) / (sqrt(V/(1-b2^t)) + eps)) Q^T + weight_decay W); "
        "L = b2 L + (1-b2) G G^T; R = b2 R + (1-b2) G^T G; every `every` steps P = qr(L P), Q = qr(R Q)"
    )
    when: ClassVar[str] = "Large matrices with large batches, when steps are dear and memory is not."
    reference: ClassVar[str] = "Vyas et al. 2025"
    momentum_field: ClassVar[str | None] = "b1"
    refused: ClassVar[Mapping[str, str]] = HAS_MOMENTUM

    lr: float = rate(3e-3, _SOURCE)
    b1: float = first_moment(0.95, _SOURCE)
    b2: float = second_moment(0.95, _SOURCE)
    eps: float = epsilon(1e-8, _SOURCE)
    weight_decay: float = decoupled(0.01, _SOURCE)
    every: int = integer(10, low=1, doc="Steps between turns of the basis.", source=_SOURCE)
    longest: int = integer(
        1024,
        low=1,
        doc="Sides longer than this keep their own basis.",
        source="ours: on a CPU one QR of that size takes seconds",
    )

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformationExtraArgs:
        """Build the rule; see `Optimizer.rule`."""
        del roles
        steps = optax.chain(
            optax.GradientTransformation(self._init, self._update),
            optax.add_decayed_weights(self.weight_decay, mask=mask),
            optax.scale_by_learning_rate(self.lr),
            # The first gradient makes the basis; nothing moves, decay included.
            optax.GradientTransformation(_Waited.start, _Waited.after_first),
        )
        return optax.with_extra_args_support(steps)

    def _init(self, params: PyTree) -> "_State":
        leaves = jax.tree.leaves(params)
        return _State(jnp.zeros((), jnp.int32), tuple(self._start(leaf) for leaf in leaves))

    def _start(self, leaf: Float[Array, "..."]) -> "_Leaf":
        rows, columns = _sides(leaf.shape)
        # At least float32: there is no eigendecomposition of narrower matrices.
        dtype = jnp.promote_types(leaf.dtype, jnp.float32)
        make = lambda side: jnp.eye(side, dtype=dtype) if 1 < side <= self.longest else None  # noqa: E731
        sides = (make(rows), make(columns)) if leaf.ndim > 1 else (None, None)
        zeros = jnp.zeros((rows, columns), dtype)
        empty = tuple(None if side is None else jnp.zeros_like(side) for side in sides)
        return _Leaf(zeros, zeros, empty, sides)

    def _update(self, updates: PyTree, state: Any, params: Any = None) -> tuple[PyTree, "_State"]:
        del params
        flat, treedef = jax.tree.flatten(updates)
        moved = [self._step(grad, held, state.done) for grad, held in zip(flat, state.leaves, strict=True)]
        directions = jax.tree.unflatten(treedef, [direction for direction, _ in moved])
        return directions, _State(state.done + 1, tuple(held for _, held in moved))

    def _step(self, grad: Array, held: "_Leaf", count: Int[Array, ""]) -> tuple[Array, "_Leaf"]:
        g = grad.reshape(_sides(grad.shape)).astype(held.mean.dtype)
        first = count == 0
        mean = jnp.where(first, 0.0, self.b1 * held.mean + (1 - self.b1) * g)
        square = jnp.where(first, 0.0, self.b2 * held.square + (1 - self.b2) * _turn(g, held.basis) ** 2)
        steps = jnp.maximum(count, 1)
        inside = _turn(mean, held.basis) / (1 - self.b1**steps)
        direction = _turn_back(inside / (jnp.sqrt(square / (1 - self.b2**steps)) + self.eps), held.basis)
        grams = tuple(
            None if gram is None else self.b2 * gram + (1 - self.b2) * outer
            for gram, outer in zip(held.grams, (g @ g.T, g.T @ g), strict=True)
        )
        basis = tuple(self._turned(gram, side, count) for gram, side in zip(grams, held.basis, strict=True))
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


class _Leaf(NamedTuple):
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
        del params
        return cls(jnp.zeros((), jnp.bool_))

    @staticmethod
    def after_first(updates: PyTree, state: Any, params: Any = None) -> tuple[PyTree, "_Waited"]:
        del params
        held = jax.tree.map(lambda u: jnp.where(state.seen, u, jnp.zeros_like(u)), updates)
        return held, _Waited(jnp.ones_like(state.seen))


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
