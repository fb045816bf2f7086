"""Precision: the dtype of the forward and backward pass, and the loss scale that float16 needs.

Weights, optimizer state and averages stay in float32 (float64 for `f64`); only the two passes use a narrow
dtype. bfloat16 has float32's range and needs no loss scale.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from thalweg.core.errors import RecipeError

DTYPES: dict[str, Any] = {"f32": jnp.float32, "bf16": jnp.bfloat16, "f16": jnp.float16, "f64": jnp.float64}

# As in PyTorch's GradScaler, after Micikevicius et al., Mixed Precision Training, 2018.
FIRST_SCALE, GROWTH, BACKOFF, GROWTH_INTERVAL = 2.0**16, 2.0, 0.5, 2000


class Scale(NamedTuple):
    """The state of dynamic loss scaling.

    Args:
        scale: Factor of the loss, float32.
        good: Updates with finite gradients since the scale last changed, float32.
    """

    scale: Float[Array, ""]
    good: Float[Array, ""]


def check_available(precision: str) -> None:
    """Reject float64 where JAX would silently compute in float32.

    Raises:
        RecipeError: JAX's 64-bit types are switched off.
    """
    if precision == "f64" and not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise RecipeError(
            "recipe",
            "precision f64 needs JAX's 64-bit types, which are switched off",
            got="jax_enable_x64=False",
            hint="set the environment variable JAX_ENABLE_X64=1",
        )


def numbers_dtype(precision: str) -> Any:
    """Return the dtype of everything outside the passes: weights, the recipe's numbers, the clock.

    Raises:
        RecipeError: As `check_available`.
    """
    check_available(precision)
    return jnp.float64 if precision == "f64" else jnp.float32


def to_storage_dtype(tree: PyTree, precision: str) -> PyTree:
    """Cast weights to their storage dtype: float64 for `f64`, else float32 where they were float64.

    Weights narrower than float32 keep their dtype.
    """
    dtype = numbers_dtype(precision)

    def cast(leaf: Any) -> Any:
        floating = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
        changes = floating and (dtype == jnp.float64 or leaf.dtype == jnp.float64)
        return leaf.astype(dtype) if changes else leaf

    return jax.tree.map(cast, tree)


def to_pass_dtype(tree: PyTree, precision: str) -> PyTree:
    """Cast the floating-point arrays of a tree to the dtype of the passes; other leaves do not change."""
    dtype = DTYPES[precision]

    def cast(leaf: Any) -> Any:
        floating = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(dtype) if floating else leaf

    return jax.tree.map(cast, tree)


def initial_scale() -> Scale:
    """Return the state before the first update."""
    return Scale(jnp.full((), FIRST_SCALE, jnp.float32), jnp.zeros((), jnp.float32))


def unscale(tree: PyTree, scale: Float[Array, ""]) -> PyTree:
    """Divide a scaled loss or its gradient by `scale`, in at least float32.

    The scale is a power of two, so the division is exact.
    """
    share = 1.0 / scale
    return jax.tree.map(lambda g: g.astype(jnp.promote_types(g.dtype, jnp.float32)) * share, tree)


def adjust_scale(state: Scale, finite: Bool[Array, ""]) -> Scale:
    """Return the state after an update: halved when the gradient overflowed, doubled after 2,000 good ones.

    The caller skips the update where `finite` is false. The scale stays between 1 and 2^24, which float32
    represents exactly.
    """
    good = jnp.where(finite, state.good + 1.0, 0.0)
    grows = good >= GROWTH_INTERVAL
    scale = jnp.where(finite, jnp.where(grows, state.scale * GROWTH, state.scale), state.scale * BACKOFF)
    return Scale(jnp.clip(scale, 1.0, 2.0**24), jnp.where(grows, 0.0, good))
