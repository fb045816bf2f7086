"""What happens to a gradient before the rule sees it: clipping, noise, accumulation, skipping.

Pure functions of trees and of a recipe's numbers; what a recipe leaves off is not in the program at all.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from thalweg.recipe.recipe import Recipe

# Rows of norm below this are clipped as if they had it, so that weights that start at zero can move:
# Brock et al., High-Performance Large-Scale Image Recognition Without Normalization, 2021.
SMALLEST_ROW = 1e-3


def process(
    grads: PyTree, params: PyTree, recipe: Recipe, *, key: Key[Array, ""], step: Int[Array, ""]
) -> tuple[PyTree, Float[Array, ""]]:
    """Apply, in this order: clip by value, adaptive clipping, clip by norm, noise.

    Args:
        grads: As backpropagation gave them.
        params: The parameters they belong to.
        recipe: Says what is done; its numbers may be traced.
        key: Noise of this run (not of this step); used only where the recipe has noise.
        step: Updates made so far.

    Returns:
        What the rule is to see, and the global norm before all this: NaN where nothing needs it, for it costs
        5-20 % of a step on small networks.
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
    """Hold every number in the gradient within -limit and limit."""
    return jax.tree.map(lambda g: jnp.clip(g, -limit, limit).astype(g.dtype), grads)


def clip_rows(grads: PyTree, params: PyTree, share: Float[Array, ""] | float) -> PyTree:
    """Hold the norm of each row's gradient below `share` times the row's own norm.

    A row is what leads to one output: the first axis of matrices and kernels; a vector has rows of one
    number. Heads are told apart only by groups; the paper leaves them unclipped.

    Reference: Brock et al., High-Performance Large-Scale Image Recognition Without Normalization, 2021.
    """

    def clipped(g: Array, w: Array) -> Array:
        limit = share * jnp.maximum(_row_norm(w), SMALLEST_ROW)
        norm = _row_norm(g)
        return (g * jnp.where(norm > limit, limit / jnp.where(norm > limit, norm, 1.0), 1.0)).astype(g.dtype)

    return jax.tree.map(clipped, grads, params)


def add_noise(grads: PyTree, deviation: Float[Array, ""], key: Key[Array, ""]) -> PyTree:
    """Add normal noise, independent in every number."""
    flat, treedef = jax.tree.flatten(grads)
    keys = jax.random.split(key, len(flat))
    noisy = [
        g + (deviation * jax.random.normal(k, g.shape, g.dtype)).astype(g.dtype)
        for g, k in zip(flat, keys, strict=True)
    ]
    return jax.tree.unflatten(treedef, noisy)


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Tell whether every number of a tree is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def chosen(condition: Bool[Array, ""], yes: PyTree, no: PyTree) -> PyTree:
    """Return one of two trees of equal structure; leaving out an update is choosing everything as it was."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def split(tree: PyTree, weights: Float[Array, " row"], count: int) -> tuple[PyTree, Float[Array, "part row"]]:
    """Cut a batch into `count` parts of equal length along the first axis of every leaf.

    The last part is filled up with rows that weigh nothing (the batch's first row again).

    Returns:
        The batch with a leading axis of parts, and the weights likewise.
    """
    rows = weights.shape[0]
    length = -(-rows // count)
    at = jnp.arange(count * length)
    index = jnp.where(at < rows, at, 0).reshape(count, length)
    taken = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], tree)
    return taken, jnp.where(at < rows, weights[jnp.minimum(at, rows - 1)], 0.0).reshape(count, length)


def accumulated(
    sums_of: Callable[[PyTree, PyTree, Any], tuple[Float[Array, ""], tuple[Float[Array, ""], Any]]],
    params: PyTree,
    parts: PyTree,
    carry: Any = (),
) -> tuple[Float[Array, ""], PyTree, Any]:
    """Compute a batch's mean loss and its gradient part by part, in the memory of one part.

    Sums are accumulated and divided once by the whole weight, so that the result is that of the whole batch
    also
    when parts are short, masked or empty. Batch statistics (batch norm) are the exception: they are taken
    part by part.

    Args:
        sums_of: `(params, part, carry) -> (sum of weight * loss, (sum of weights, carry))`.
        params: Where the gradient is taken.
        parts: The batch with a leading axis of parts, as `split` gives it.
        carry: What goes from part to part, such as batch-norm statistics.

    Returns:
        Mean loss, its gradient, the last carry. All-zero weights give zeros.
    """
    zeros = jax.tree.map(jnp.zeros_like, params)
    first = jax.tree.map(lambda leaf: leaf[0], parts)
    loss_shape, (weight_shape, _) = jax.eval_shape(sums_of, params, first, carry)
    start = (jnp.zeros((), loss_shape.dtype), jnp.zeros((), weight_shape.dtype), zeros, carry)

    def add(sums: Any, part: PyTree) -> tuple[Any, None]:
        loss, weight, grads, carried = sums
        (more, (more_weight, carried)), more_grads = jax.value_and_grad(sums_of, has_aux=True)(
            params, part, carried
        )
        return (loss + more, weight + more_weight, jax.tree.map(jnp.add, grads, more_grads), carried), None

    (loss, weight, grads, carried), _ = jax.lax.scan(add, start, parts)
    share = 1.0 / jnp.where(weight > 0, weight, 1.0)
    return loss * share, jax.tree.map(lambda g: g * share.astype(g.dtype), grads), carried


def _row_norm(leaf: Array) -> Array:
    axes = tuple(range(1, leaf.ndim)) if leaf.ndim > 1 else ()
    return jnp.sqrt(jnp.sum(leaf**2, axis=axes, keepdims=True)) if axes else jnp.abs(leaf)
