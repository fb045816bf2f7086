"""Tools for parameter trees: stacking into lanes, counting, paths, and the role of each parameter."""

from collections.abc import Sequence
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree


def stack(trees: Sequence[PyTree]) -> PyTree:
    """Stack equal trees leaf by leaf along a new first axis, the lane axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def lane(tree: PyTree, index: int | Array | np.ndarray) -> PyTree:
    """Take one lane out of a stacked tree, or several with an array of indices."""
    if isinstance(index, int) or index.ndim:
        return jax.tree.map(lambda leaf: leaf[index], tree)
    return jax.tree.map(lambda leaf: row(leaf, jnp.asarray(index)), tree)


def row(rows: Array, index: Array, axis: int = 0) -> Array:
    """Take a row at a traced index, which must not be negative.

    `rows[index]` would support negative indices: more to trace, and another operation in the compiled step.
    """
    return jax.lax.dynamic_index_in_dim(rows, index, axis, keepdims=False, allow_negative_indices=False)


def with_row(rows: Array, new: Array, index: Array, axis: int = 0) -> Array:
    """Return rows with one of them replaced, at a traced index that must not be negative."""
    new = jnp.asarray(new, rows.dtype)
    return jax.lax.dynamic_update_index_in_dim(rows, new, index, axis, allow_negative_indices=False)


def count(tree: PyTree) -> int:
    """Count the numbers in a tree of arrays or of shapes."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree) if hasattr(leaf, "shape"))


def paths(tree: PyTree) -> list[str]:
    """Return the path of every leaf, dotted: `layers.0.weight`."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [dotted(path) for path, _ in flat]


def dotted(path: Sequence[Any]) -> str:
    """Write a JAX key path with dots: `layers.0.weight`."""
    return ".".join(str(getattr(k, "name", getattr(k, "idx", getattr(k, "key", k)))) for k in path)


# A role says what a parameter is for. Weight decay and matrix-wise optimizers depend on it, never on names.
BIAS, SCALE, EMBEDDING, MATRIX, KERNEL, OTHER = "bias", "scale", "embedding", "matrix", "kernel", "other"


def roles(model: PyTree) -> PyTree:
    """Return a tree like `model` with the role of every inexact array, from its layer and its shape.

    A layer may define them: an attribute `roles`, a dict from field name to role. Otherwise arrays of
    Equinox's norm layers are `scale`, those of `Embedding` are `embedding`; of the rest, an array with one
    axis is a `bias`, with two a `matrix`, with more a `kernel` (convolution), with none `other`.
    Leaves that are not inexact arrays (or shapes of such) become None.
    """
    flat, treedef = jax.tree_util.tree_flatten_with_path(model)
    leaves = [_role(model, path, leaf) if _is_inexact(leaf) else None for path, leaf in flat]
    return jax.tree_util.tree_unflatten(treedef, leaves)


def _is_inexact(leaf: Any) -> bool:
    is_shape = isinstance(leaf, jax.ShapeDtypeStruct) and jnp.issubdtype(leaf.dtype, jnp.inexact)
    return is_shape or eqx.is_inexact_array(leaf)


def _role(model: PyTree, path: Sequence[Any], leaf: Any) -> str:
    owner, field = _owner(model, path)
    defined = getattr(owner, "roles", None)
    if isinstance(defined, dict) and field in defined:
        return defined[field]
    if isinstance(owner, _NORMS):
        return SCALE
    if isinstance(owner, eqx.nn.Embedding):
        return EMBEDDING
    return {0: OTHER, 1: BIAS, 2: MATRIX}.get(leaf.ndim, KERNEL)


_NORMS = (eqx.nn.LayerNorm, eqx.nn.RMSNorm, eqx.nn.GroupNorm, eqx.nn.BatchNorm)


def _owner(model: PyTree, path: Sequence[Any]) -> tuple[Any, str]:
    """Return the innermost module that contains a leaf, and its field with the leaf."""
    node, owner, field = cast(Any, model), None, ""
    for key in path:
        if isinstance(node, eqx.Module) and hasattr(key, "name"):
            owner, field = node, key.name
        if hasattr(key, "name"):
            node = getattr(node, key.name)
        elif hasattr(key, "idx"):
            node = cast(Any, node)[key.idx]
        elif hasattr(key, "key"):
            node = cast(Any, node)[key.key]
    return owner, field
