"""Products of vectors with the Hessian and with the Gauss-Newton matrix of the mean loss over a split.

The Hessian's product is the derivative of the gradient along the vector (Pearlmutter, Fast Exact
Multiplication by the Hessian, 1994). The Gauss-Newton matrix `J' H J` (J: outputs by parameters, H: the
loss's Hessian by outputs) leaves out the curvature of the model itself, and is positive semi-definite for a
convex loss (Schraudolph, Fast Curvature Matrix-Vector Products, 2002). Both are sums over examples, computed
block by block, so that memory does not grow with the data. Dropout is off, and batch norm uses its running
statistics: otherwise examples of a batch would depend on one another, and the loss on the batches.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core import keys
from thalweg.core.compiler import jit
from thalweg.core.errors import ModelError
from thalweg.engine.program import Inputs, Program, rebuilt
from thalweg.insight.landscape.points import Points
from thalweg.problem.data.split import Split
from thalweg.problem.models.adapter import apply
from thalweg.problem.objective import Objective, as_batch

BLOCK_ROWS = 512
# Vectors that are multiplied in one pass over the data: each takes memory like another gradient.
TOGETHER = 16
HESSIAN, GAUSS_NEWTON = "hessian", "gauss_newton"


@dataclass(frozen=True)
class Products:
    """The loss at one point, and products with its matrices of second derivatives.

    Args:
        points: The network, its examples, and what the loss is.
        params: The point; None for the network's own weights.
    """

    points: Points
    params: PyTree | None = None
    flat: Float[np.ndarray, " parameter"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        flat, _ = ravel_pytree(jax.tree.map(jnp.asarray, self._weights))
        object.__setattr__(self, "flat", np.asarray(flat))

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.flat)

    def loss_and_gradient(self) -> tuple[float, Float[np.ndarray, " parameter"]]:
        """Return the mean loss and its gradient."""
        group, points = self.points.group, self.points
        loss, gradient = _gradient(
            group.program, group.inputs, points.data, points.stride, self._weights, points.state
        )
        return float(loss), np.asarray(gradient, np.float64)

    def times(
        self, vectors: Float[np.ndarray, "vector parameter"], matrix: str = HESSIAN
    ) -> Float[np.ndarray, "vector parameter"]:
        """Return the products of a matrix with some vectors.

        Args:
            vectors: One a row.
            matrix: `hessian` or `gauss_newton`.

        Raises:
            ModelError: An objective has no outputs, and so no Gauss-Newton matrix.
        """
        if matrix == GAUSS_NEWTON and isinstance(self.points.group.program.loss, Objective):
            rule = "the Gauss-Newton matrix needs a loss of outputs and targets"
            raise ModelError("curvature", rule, got="an objective", hint="use the Hessian")
        vectors = np.atleast_2d(vectors)
        width = min(TOGETHER, len(vectors))
        results = []
        for first in range(0, len(vectors), width):
            block = vectors[first : first + width]
            padded = np.concatenate([block, np.zeros((width - len(block), self.size))]).astype(
                self.flat.dtype
            )
            product = self._product(matrix, padded)
            results.append(np.asarray(product, np.float64)[: len(block)])
        return np.concatenate(results)

    @property
    def _weights(self) -> PyTree:
        return self.points.subject.params if self.params is None else self.params

    def _product(self, matrix: str, vectors: np.ndarray) -> Array:
        group, points = self.points.group, self.points
        return _product(
            group.program,
            group.inputs,
            points.data,
            points.stride,
            matrix,
            self._weights,
            points.state,
            jnp.asarray(vectors),
        )


def _losses(
    program: Program, inputs: Inputs, split: Split, params: PyTree, state: PyTree, rows: Int[Array, " row"]
) -> tuple[Callable[[PyTree], Array], Callable[[Array], Array] | None]:
    """Return functions of a block: outputs of the parameters and losses of outputs; or losses, and None."""
    batch, targets = split.batch(rows)
    prepared, loss = inputs.prepared(batch), program.loss
    if isinstance(loss, Objective):

        def whole(params: PyTree) -> Array:
            model = rebuilt(program, inputs, params, state)
            given = as_batch(prepared, targets)
            losses = loss.measure(model, given, keys.lane_key(0), training=False).losses
            return jnp.broadcast_to(losses, rows.shape)

        return whole, None

    def outputs(params: PyTree) -> Any:
        return apply(rebuilt(program, inputs, params, state), prepared, key=None, training=False)[0]

    return outputs, lambda outputs: loss(outputs, targets)


def _over_blocks(
    split: Split, stride: int, of_block: Callable[[Array, Array], PyTree], like: PyTree
) -> PyTree:
    """Add up what `of_block` gives for blocks of (rows, which of them count), divided by the examples."""
    examples = -(-split.count() // stride)
    rows = min(BLOCK_ROWS, examples)

    def body(total: PyTree, first: Array) -> tuple[PyTree, None]:
        at = first + jnp.arange(rows)
        found = of_block(jnp.minimum(at * stride, split.count() - 1), at < examples)
        return jax.tree.map(jnp.add, total, found), None

    total, _ = jax.lax.scan(body, like, jnp.arange(0, examples, rows))
    return jax.tree.map(lambda leaf: leaf / examples, total)


def _summed(losses: Array, counted: Array) -> Array:
    return jnp.where(counted, losses, 0.0).sum()


@partial(jit, static_argnames=("program", "stride"))
def _gradient(
    program: Program, inputs: Inputs, split: Split, stride: int, params: PyTree, state: PyTree
) -> tuple[Array, Array]:
    flat, unravel = ravel_pytree(params)

    def of_block(rows: Array, counted: Array) -> tuple[Array, Array]:
        def loss(flat: Array) -> Array:
            first, second = _losses(program, inputs, split, unravel(flat), state, rows)
            values = first(unravel(flat))
            return _summed(values if second is None else second(values), counted)

        return jax.value_and_grad(loss)(flat)

    return _over_blocks(split, stride, of_block, (jnp.zeros((), flat.dtype), jnp.zeros_like(flat)))


@partial(jit, static_argnames=("program", "stride", "matrix"))
def _product(
    program: Program,
    inputs: Inputs,
    split: Split,
    stride: int,
    matrix: str,
    params: PyTree,
    state: PyTree,
    vectors: Float[Array, "vector parameter"],
) -> Float[Array, "vector parameter"]:
    flat, unravel = ravel_pytree(params)

    def of_block(rows: Array, counted: Array) -> Array:
        first, second = _losses(program, inputs, split, params, state, rows)

        def loss(flat: Array) -> Array:
            values = first(unravel(flat))
            return _summed(values if second is None else second(values), counted)

        def outputs(flat: Array) -> Array:
            return first(unravel(flat))

        def hessian(vector: Array) -> Array:
            return jax.jvp(jax.grad(loss), (flat,), (vector,))[1]

        def of_outputs(values: Array) -> Array:
            assert second is not None
            return _summed(second(values), counted)

        def gauss_newton(vector: Array) -> Array:
            values, moved = jax.jvp(outputs, (flat,), (vector,))
            bent = jax.jvp(jax.grad(of_outputs), (values,), (moved,))[1]
            return jax.vjp(outputs, flat)[1](bent)[0]

        return jax.vmap(gauss_newton if matrix == GAUSS_NEWTON else hessian)(vectors)

    return _over_blocks(split, stride, of_block, jnp.zeros_like(vectors))
