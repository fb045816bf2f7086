"""What XLA's CPU compiler does with each primitive of a jaxpr: call, view, arithmetic, memory traffic."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, JaxprEqn

# Numbers along a reduced axis from which XLA reduces in a tree of windows, which reads from memory
# (TreeReductionRewriter, window 32).
WINDOW = 32

CALLS = {
    *("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "custom_lin"),
    *("checkpoint", "remat", "remat2", "custom_vjp_call_jaxpr", "named_call"),
}
# Without cost: another view of the same memory.
VIEWS = {"reshape", "squeeze", "expand_dims", "stop_gradient", "copy_p", "random_wrap", "random_unwrap"}
# What reads and writes memory.
OPAQUE = {
    *("dot_general", "conv_general_dilated", "ragged_dot_general", "sort", "top_k", "approx_top_k"),
    *("reduce_window", "reduce_window_sum", "reduce_window_max", "reduce_window_min", "fft"),
    *("select_and_scatter_add", "select_and_gather_add", "scatter", "scatter_add", "scatter-add"),
    *("scatter_mul", "scatter_min", "scatter_max", "cumsum", "cumprod", "cummax", "cumlogsumexp"),
    *("random_bits", "threefry2x32", "rng_bit_generator", "cholesky", "triangular_solve", "eigh", "svd"),
    *("lu", "qr", "householder_product", "custom_call", "pure_callback", "geqrf", "optimization_barrier"),
}
REDUCTIONS = {
    *("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce"),
    *("argmax", "argmin"),
}
# What XLA's fusion does not compute twice.
EXPENSIVE = {
    *("exp", "exp2", "expm1", "log", "log1p", "logistic", "tanh", "sin", "cos", "tan", "erf", "erf_inv"),
    *("erfc", "sqrt", "rsqrt", "cbrt", "pow", "atan2", "div", "rem", "lgamma", "digamma", "asin", "acos"),
    *("atan", "sinh", "cosh", "gather", *REDUCTIONS),
}
# What does not read its operand at the place where it writes.
REARRANGES = {
    "gather",
    "transpose",
    "rev",
    "concatenate",
    "stack",
    "pad",
    "dynamic_slice",
    "slice",
    "broadcast_in_dim",
}
LOOPS = {"while", "scan"}
# The places of random numbers, which XLA computes before the loop and keeps until its end.
COUNTERS = "counters"
# What XLA's CPU compiler computes in float32 from and to 16-bit numbers.
WIDENED = {"dot_general", "conv_general_dilated"}


def size(aval: Any) -> tuple[int, int]:
    """Return the bytes and the elements of an abstract array."""
    shape = getattr(aval, "shape", ())
    elements = math.prod(shape)
    dtype = getattr(aval, "dtype", None)
    if dtype is None:
        return 0, 0
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return 8 * elements, 2 * elements
    return elements * np.dtype(dtype).itemsize, elements


def is_half(aval: Any) -> bool:
    """Return whether an abstract array holds 16-bit floating-point numbers."""
    dtype = getattr(aval, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating) and np.dtype(dtype).itemsize == 2


def is_view(equation: JaxprEqn) -> bool:
    """Return whether an operation only gives another view of the same memory."""
    name = equation.primitive.name
    if name in VIEWS:
        return name != "reshape" or equation.params.get("dimensions") is None
    if not equation.invars or not equation.outvars:
        return False
    before, after = equation.invars[0].aval, equation.outvars[0].aval
    if name in ("dynamic_slice", "slice", "pad"):  # of everything
        return size(before)[1] == size(after)[1]
    if name == "concatenate":
        return len(equation.invars) == 1
    if name == "convert_element_type":
        return before.dtype == after.dtype  # type: ignore[union-attr]
    if name == "broadcast_in_dim":
        return size(before)[1] == size(after)[1] and bool(before.shape)  # type: ignore[union-attr]
    if name == "transpose":  # moving an axis of one element
        kept = [axis for axis in equation.params["permutation"] if before.shape[axis] > 1]  # type: ignore[union-attr]
        return kept == sorted(kept)
    return False


def callee(equation: JaxprEqn) -> ClosedJaxpr:
    """Return the jaxpr that a call calls."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(name)
        if inner is not None:
            return inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, [])
    raise AssertionError(f"{equation.primitive.name} has no jaxpr")


def implementation(equation: JaxprEqn) -> ClosedJaxpr:
    """Return the jaxpr of an operation of the library's own."""
    own: Any = equation.primitive.impl
    shapes = [jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype) for var in equation.invars]  # type: ignore[attr-defined]
    return jax.make_jaxpr(partial(own.function, **equation.params))(*shapes)
