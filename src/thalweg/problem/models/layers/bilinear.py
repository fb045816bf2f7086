"""Operations linear in an array and in a matrix or kernel, whose gradients are such operations again.

Automatic differentiation finds the same gradients. Here is said in what order, and over what at once, they
are computed: on CPUs that decides their speed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

Computed = Callable[[Array, Array], Array]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Bilinear:
    """What there is to know of an operation.

    Args:
        name: In the program.
        apply: (x, kernel) -> y; the first axis of x and y counts rows or images that do not see each other.
        correlate: (x, gradient of y) -> gradient of the kernel.
        turned: The kernel with which `apply` carries gradients of y back to x.
        shapes: Of y from those of x and the kernel, and of the kernel from those of x and y.
    """

    name: str
    apply: Computed
    correlate: Computed
    turned: Callable[[Array], Array]
    shapes: tuple[Callable[[Shape, Shape], Shape], Callable[[Shape, Shape], Shape]]

    def operation(self) -> Computed:
        """Make the operation, with derivatives of every order, forward and back, in every batch."""
        apply = _primitive(self.name, self.apply, self.shapes[0])
        correlate = _primitive(f"{self.name}_kernel", self.correlate, self.shapes[1])
        turned = self.turned
        ad.defbilinear(
            apply,
            lambda y, _, kernel: apply.bind(y, turned(kernel)),
            lambda y, x, _: correlate.bind(x, y),
        )
        ad.defbilinear(
            correlate,
            lambda kernel, _, y: apply.bind(y, turned(kernel)),
            lambda kernel, x, _: apply.bind(x, kernel),
        )

        def apply_batched(given: Sequence[Array], axes: Sequence[Any]) -> tuple[Array, int]:
            """Rows along another axis are more rows; kernels of their own (lanes) stand side by side."""
            (x, kernel), (axis, own) = given, axes
            if own is not None:
                return jax.vmap(self.apply, tuple(axes))(x, kernel), 0
            many = jnp.moveaxis(x, axis, 0)
            found = apply.bind(many.reshape(-1, *many.shape[2:]), kernel)
            return found.reshape(*many.shape[:2], *found.shape[1:]), 0

        def correlate_batched(given: Sequence[Array], axes: Sequence[Any]) -> tuple[Array, int]:
            """A gradient for each example."""
            return jax.vmap(self.correlate, tuple(axes))(*given), 0

        batching.primitive_batchers[apply] = apply_batched
        batching.primitive_batchers[correlate] = correlate_batched
        return apply.bind


def over_rows(x: Float[Array, "*rows in"], y: Float[Array, "*rows out"]) -> Float[Array, "in out"]:
    """Return x^T y: the gradient of a product's matrix."""
    # In this order: for y^T x, XLA's CPU code first writes y out transposed, and y is the larger of the two.
    flat, gradients = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    return jax.lax.dot_general(flat, gradients, (((0,), (0,)), ((), ())))


def _primitive(name: str, compute: Computed, shape: Callable[[Shape, Shape], Shape]) -> Primitive:
    """Make a primitive of two arguments from how it is computed and the shape that it gives."""
    made = Primitive(name)
    made.def_impl(jax.jit(compute))
    made.def_abstract_eval(lambda x, y: ShapedArray(shape(x.shape, y.shape), x.dtype))
    mlir.register_lowering(made, mlir.lower_fun(compute, multiple_results=False))
    return made


_product = Bilinear(
    "product",
    jnp.matmul,
    over_rows,
    turned=jnp.transpose,
    shapes=(lambda x, matrix: (x[0], matrix[1]), lambda x, y: (x[1], y[1])),
).operation()


def product(x: Float[Array, "row in"], matrix: Float[Array, "in out"]) -> Float[Array, "row out"]:
    """Multiply rows by a matrix: x @ matrix with the matrix's gradient as `over_rows` computes it."""
    dtype = jnp.result_type(x, matrix)
    return _product(x.astype(dtype), matrix.astype(dtype))
