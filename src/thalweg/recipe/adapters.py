"""LoRA: a matrix is trained by adding a product of two thin ones to it.

The network always computes with the sum, `weight + scale * b @ a`. Backpropagation gives the gradient of that
sum, from which those of the factors follow by the chain rule; the update rule sees the factors in the place
of the matrix, and what its update changes in their product is added to the matrix. So evaluation, saved
weights and exports have the sum, and the optimizer's state has the size of the factors.

Reference: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from thalweg.core.errors import RecipeError
from thalweg.core.tree import EMBEDDING, KERNEL, MATRIX, dotted

LORA = "lora"
# Roles of parameters that are matrices; of a kernel, `out row column in`, all axes but the first are columns.
HEAD = "head"
ADAPTABLE = (MATRIX, HEAD, KERNEL, EMBEDDING)


class Factors(NamedTuple):
    """What stands for a matrix, `out in`, where it is adapted: the matrix gains `scale * b @ a`.

    Args:
        b: `out rank`.
        a: `rank in`.
    """

    b: Any
    a: Any


def expanded(tree: PyTree, adapted: PyTree) -> PyTree:
    """Return a tree of facts about parameters with the same for both factors where one is adapted.

    Args:
        tree: A fact for each parameter.
        adapted: Whether each is adapted.
    """
    return jax.tree.map(lambda fact, both: Factors(fact, fact) if both else fact, tree, adapted)


def initial(
    params: PyTree, roles: PyTree, ranks: Mapping[str, int], key: Key[Array, ""]
) -> dict[str, Factors]:
    """Return the first factors by path: `b` is zero, so that training starts from the matrix itself.

    `a` is uniform within 1/sqrt(in), as in the code of the paper (`kaiming_uniform_(a=sqrt(5))`).

    Args:
        params: All parameters.
        roles: The role of each.
        ranks: The rank of each adapted one, by path.
        key: Key of the lane for this purpose.

    Raises:
        RecipeError: A parameter is several matrices, such as those of an ensemble's members.
    """
    factors, all_roles = {}, jax.tree.leaves(roles)
    for index, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(params)):
        rank = ranks.get(dotted(path))
        if rank is None:
            continue
        if leaf.ndim != 2 and all_roles[index] != KERNEL:
            rule, hint = "an adapter is for one matrix, or a kernel", "leave it out of the group"
            got = f"{dotted(path)} of shape {leaf.shape}"
            raise RecipeError("recipe.groups", rule, got=got, hint=hint)
        rows, columns = leaf.shape[0], leaf.size // leaf.shape[0]
        own = jax.random.fold_in(key, index)
        a = jax.random.uniform(own, (rank, columns), leaf.dtype, -1.0, 1.0) / columns**0.5
        factors[dotted(path)] = Factors(jnp.zeros((rows, rank), leaf.dtype), a.astype(leaf.dtype))
    return factors


def trained(params: PyTree, factors: Mapping[str, Factors]) -> PyTree:
    """Return the parameters as the update rule sees them: the factors in the place of their matrices."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: factors.get(dotted(path), leaf), params)


def gradients(grads: PyTree, factors: Mapping[str, Factors], scales: Mapping[str, Any]) -> PyTree:
    """Return the gradient for what `trained` returns, from that of the parameters."""

    def of(path: Any, grad: Array) -> Any:
        own = factors.get(dotted(path))
        if own is None:
            return grad
        scaled = _matrix(grad) * jnp.asarray(scales[dotted(path)], grad.dtype)
        return Factors(scaled @ own.a.T, own.b.T @ scaled)

    return jax.tree_util.tree_map_with_path(of, grads)


def applied(
    updates: PyTree, params: PyTree, factors: Mapping[str, Factors], scales: Mapping[str, Any]
) -> tuple[PyTree, dict[str, Factors]]:
    """Return what is added to the parameters, and the next factors.

    Args:
        updates: The rule's updates of what `trained` returns.
        params: The parameters before.
        factors, scales: By path, before the update.
    """
    after = {}

    def of(path: Any, param: Array, update: Any) -> Array:
        name = dotted(path)
        if name not in factors:
            return update
        before: Any = factors[name]
        after[name] = optax.apply_updates(before, update)
        # The difference of two products, without cancellation.
        change = after[name].b @ update.a + update.b @ before.a
        return (change * jnp.asarray(scales[name], param.dtype)).reshape(param.shape)

    return jax.tree_util.tree_map_with_path(of, params, updates), after


def _matrix(leaf: Array) -> Float[Array, "out in"]:
    return leaf.reshape(leaf.shape[0], -1)
