"""What happens to a gradient before the update rule: clipping, noise, accumulation, skipping.

Pure functions of trees and of a recipe's numbers. A setting that is off adds nothing to the program.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from thalweg.recipe.recipe import Recipe

# Rows with a smaller norm are clipped as if they had this norm, so that weights that start at zero can move:
# Brock et al., High-Performance Large-Scale Image Recognition Without Normalization, 2021.
SMALLEST_ROW = 1e-3


def process(
    grads: PyTree, params: PyTree, recipe: Recipe, *, key: Key[Array, ""], step: Int[Array, ""]
) -> tuple[PyTree, Float[Array, ""]]:
    """Apply, in this order: clip by value, adaptive clipping, clip by norm, noise.

    Args:
        grads: Gradients from backpropagation.
        params: Their parameters.
        recipe: The settings; its numbers may be traced.
        key: Key of the run (not of the step); used only where the recipe has noise.
        step: Updates made so far.

    Returns:
        The gradients for the rule, and the global norm before processing. The norm is NaN where nothing needs
        it, because it costs 5-20 % of a step on small networks.
    """
    norm = jnp.float32(jnp.nan)
    if recipe.clip_norm is not None or recipe.gradient_below is not None:
        norm = optax.tree.norm(grads)
    if recipe.clip_value is not None:
        grads = clip_value(grads, recipe.clip_value)
    if recipe.agc is not None:
        grads = clip_rows(grads, params, recipe.agc)
    if recipe.clip_norm is not None:
        grads = clip_norm(grads, recipe.clip_norm)
    if recipe.noise is not None:
        variance = recipe.noise / (1.0 + step) ** recipe.noise_decay
        grads = add_noise(grads, jnp.sqrt(variance), jax.random.fold_in(key, step))
    return grads, norm


def clip_norm(grads: PyTree, limit: Float[Array, ""] | float) -> PyTree:
    """Scale gradients down to a global norm of at most `limit`."""
    norm = optax.tree.norm(grads)
    factor = jnp.where(norm > limit, limit / jnp.where(norm > limit, norm, 1.0), 1.0)
    return jax.tree.map(lambda g: g * factor.astype(g.dtype), grads)


def clip_value(grads: PyTree, limit: Float[Array, ""] | float) -> PyTree:
    """Clip every number in the gradient to -limit..limit."""
    return jax.tree.map(lambda g: jnp.clip(g, -limit, limit).astype(g.dtype), grads)


def clip_rows(grads: PyTree, params: PyTree, share: Float[Array, ""] | float) -> PyTree:
    """Clip the norm of each row's gradient to `share` times the norm of the row itself.

    A row holds the weights of one output: the first axis of matrices and kernels; a vector has rows of one
    number. The paper leaves heads unclipped; here every parameter is clipped.

    Reference: Brock et al., High-Performance Large-Scale Image Recognition Without Normalization, 2021.
    """

    def clipped(g: Array, w: Array) -> Array:
        limit = share * jnp.maximum(_row_norm(w), SMALLEST_ROW)
        norm = _row_norm(g)
        return (g * jnp.where(norm > limit, limit / jnp.where(norm > limit, norm, 1.0), 1.0)).astype(g.dtype)

    return jax.tree.map(clipped, grads, params)


def add_noise(grads: PyTree, deviation: Float[Array, ""], key: Key[Array, ""]) -> PyTree:
    """Add normal noise, independent for every number."""
    flat, treedef = jax.tree.flatten(grads)
    keys = jax.random.split(key, len(flat))
    noisy = [
        g + (deviation * jax.random.normal(k, g.shape, g.dtype)).astype(g.dtype)
        for g, k in zip(flat, keys, strict=True)
    ]
    return jax.tree.unflatten(treedef, noisy)


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Return whether every number of a tree is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def select(condition: Bool[Array, ""], yes: PyTree, no: PyTree) -> PyTree:
    """Return one of two trees of equal structure. To skip an update, select the state before it."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def split_batch(
    tree: PyTree, weights: Float[Array, " row"], count: int
) -> tuple[PyTree, Float[Array, "microbatch row"]]:
    """Divide a batch into `count` microbatches of equal length along the first axis of every leaf.

    The last one is padded with rows of weight 0 (copies of the batch's first row).

    Returns:
        The batch and its weights, both with a leading axis of microbatches.
    """
    rows = weights.shape[0]
    length = -(-rows // count)
    at = jnp.arange(count * length)
    index = jnp.where(at < rows, at, 0).reshape(count, length)
    rows_of = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], tree)
    return rows_of, jnp.where(at < rows, weights[jnp.minimum(at, rows - 1)], 0.0).reshape(count, length)


def accumulate(
    sums_of: Callable[[PyTree, PyTree, Any], tuple[Float[Array, ""], tuple[Float[Array, ""], Any]]],
    params: PyTree,
    microbatches: PyTree,
    carry: Any = (),
) -> tuple[Float[Array, ""], PyTree, Any]:
    """Compute a batch's mean loss and its gradient with the memory of one microbatch.

    Sums are accumulated and divided once by the whole weight, so the result is that of the whole batch, even
    when microbatches are short, masked or empty. Batch statistics (batch norm) are the exception: each
    microbatch has its own.

    Args:
        sums_of: `(params, microbatch, carry) -> (sum of weight * loss, (sum of weights, carry))`.
        params: The point at which the gradient is taken.
        microbatches: The batch with a leading axis of microbatches, as `split_batch` returns it.
        carry: Passed from one microbatch to the next, such as batch-norm statistics.

    Returns:
        Mean loss, its gradient, the last carry. All-zero weights give zeros.
    """
    zeros = jax.tree.map(jnp.zeros_like, params)
    first = jax.tree.map(lambda leaf: leaf[0], microbatches)
    loss_shape, (weight_shape, _) = jax.eval_shape(sums_of, params, first, carry)
    start = (jnp.zeros((), loss_shape.dtype), jnp.zeros((), weight_shape.dtype), zeros, carry)

    def add(sums: Any, microbatch: PyTree) -> tuple[Any, None]:
        loss, weight, grads, carried = sums
        (more, (more_weight, carried)), more_grads = jax.value_and_grad(sums_of, has_aux=True)(
            params, microbatch, carried
        )
        return (loss + more, weight + more_weight, jax.tree.map(jnp.add, grads, more_grads), carried), None

    (loss, weight, grads, carried), _ = jax.lax.scan(add, start, microbatches)
    share = 1.0 / jnp.where(weight > 0, weight, 1.0)
    return loss * share, jax.tree.map(lambda g: g * share.astype(g.dtype), grads), carried


def _row_norm(leaf: Array) -> Array:
    axes = tuple(range(1, leaf.ndim)) if leaf.ndim > 1 else ()
    return jnp.sqrt(jnp.sum(leaf**2, axis=axes, keepdims=True)) if axes else jnp.abs(leaf)
