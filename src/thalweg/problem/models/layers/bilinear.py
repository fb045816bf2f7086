"""Operations linear in an array and in a matrix or kernel, whose gradients are such operations again.

Automatic differentiation gives the same gradients. Defining them here fixes in what order, and over how many
examples at once, they are computed: on CPUs that decides their speed.
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

from thalweg.core.compiler import jit

Operation = Callable[[Array, Array], Array]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Bilinear:
    """Definition of an operation.

    Args:
        name: Name in jaxprs.
        apply: (x, kernel) -> y. The first axis of x and y holds rows or images that are independent.
        correlate: (x, gradient of y) -> gradient of the kernel.
        transposed: kernel -> the kernel with which `apply` maps gradients of y to those of x.
        shapes: Shape of y from those of x and the kernel, and of the kernel from those of x and y.
    """

    name: str
    apply: Operation
    correlate: Operation
    transposed: Callable[[Array], Array]
    shapes: tuple[Callable[[Shape, Shape], Shape], Callable[[Shape, Shape], Shape]]

    def operation(self) -> Operation:
        """Return the operation, with derivatives of every order, forward and reverse, under any `vmap`."""
        apply = _primitive(self.name, self.apply, self.shapes[0])
        correlate = _primitive(f"{self.name}_kernel", self.correlate, self.shapes[1])
        transposed = self.transposed
        ad.defbilinear(
            apply,
            lambda y, _, kernel: apply.bind(y, transposed(kernel)),
            lambda y, x, _: correlate.bind(x, y),
        )
        ad.defbilinear(
            correlate,
            lambda kernel, _, y: apply.bind(y, transposed(kernel)),
            lambda kernel, x, _: apply.bind(x, kernel),
        )

        def apply_batched(arguments: Sequence[Array], axes: Sequence[Any]) -> tuple[Array, int]:
            """Examples along another axis are more rows; separate kernels (lanes) are mapped."""
            (x, kernel), (axis, kernel_axis) = arguments, axes
            if kernel_axis is not None:
                return jax.vmap(self.apply, tuple(axes))(x, kernel), 0
            x = jnp.moveaxis(x, axis, 0)
            y = apply.bind(x.reshape(-1, *x.shape[2:]), kernel)
            return y.reshape(*x.shape[:2], *y.shape[1:]), 0

        def correlate_batched(arguments: Sequence[Array], axes: Sequence[Any]) -> tuple[Array, int]:
            """Return a gradient for each example."""
            return jax.vmap(self.correlate, tuple(axes))(*arguments), 0

        batching.primitive_batchers[apply] = apply_batched
        batching.primitive_batchers[correlate] = correlate_batched
        return apply.bind


def matrix_gradient(x: Float[Array, "*rows in"], y: Float[Array, "*rows out"]) -> Float[Array, "in out"]:
    """Return x^T y: the gradient of the matrix of a product, from the gradient y of its result."""
    # In this order: for y^T x, XLA's CPU code first writes y out transposed, and y is the larger of the two.
    flat, gradients = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    return jax.lax.dot_general(flat, gradients, (((0,), (0,)), ((), ())))


def _primitive(name: str, compute: Operation, shape: Callable[[Shape, Shape], Shape]) -> Primitive:
    """Make a primitive of two arguments from its implementation and the shape of its result."""
    primitive = Primitive(name)
    primitive.def_impl(jit(compute))
    primitive.def_abstract_eval(lambda x, y: ShapedArray(shape(x.shape, y.shape), x.dtype))
    mlir.register_lowering(primitive, mlir.lower_fun(compute, multiple_results=False))
    return primitive


_product = Bilinear(
    "product",
    jnp.matmul,
    matrix_gradient,
    transposed=jnp.transpose,
    shapes=(lambda x, matrix: (x[0], matrix[1]), lambda x, y: (x[1], y[1])),
).operation()


def product(x: Float[Array, "row in"], matrix: Float[Array, "in out"]) -> Float[Array, "row out"]:
    """Return `x @ matrix`, with the gradient of the matrix computed by `matrix_gradient`."""
    dtype = jnp.result_type(x, matrix)
    return _product(x.astype(dtype), matrix.astype(dtype))
