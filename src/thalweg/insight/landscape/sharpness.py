"""Curvature of the training loss: its Hessian's largest eigenvalue, and the rate at which descent diverges.

Plain gradient descent on a quadratic of curvature lambda multiplies the distance to the minimum by
1 - lr lambda at every update, so it diverges for lr > 2/lambda. A network's loss is not quadratic: descent
often sharpens it until lambda is about 2/lr, so the edge at the start is only a first prediction, to be shown
next to the observed one.

Reference: Cohen et al., Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability, 2021;
Pearlmutter, Fast Exact Multiplication by the Hessian, 1994 (the products).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core import keys
from thalweg.core.compiler import jit
from thalweg.core.tree import lane
from thalweg.engine.group import LaneGroup, init_group
from thalweg.engine.program import rebuilt
from thalweg.problem.models.adapter import apply
from thalweg.problem.objective import Objective, as_batch
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import FULL, Recipe

# The most products with the Hessian, and the relative change between two of them at which the eigenvalue has
# converged. With the second eigenvalue a tenth below the first, a change of 0.1 % leaves an error of 0.5 %.
MOST_PRODUCTS, SETTLED = 100, 1e-3
ROWS = 512  # examples per block, as in evaluations
# A product costs as much as this many updates: a gradient and its derivative.
UPDATES_PER_PRODUCT = 2


class Sharpness(NamedTuple):
    """The largest eigenvalue of the Hessian.

    Args:
        value: The eigenvalue; negative where no eigenvalue is above zero.
        products: Products with the Hessian that were computed.
    """

    value: float
    products: int


class Edge(NamedTuple):
    """The rate above which plain gradient descent diverges, predicted from the curvature at the start.

    Args:
        rate: 2 / lambda_max; None for another optimizer, a smaller batch than the whole training split, or a
            loss without positive curvature.
        steps: The cost, in updates.
    """

    rate: float | None
    steps: int


def predicted_edge(problem: Problem, recipe: Recipe, updates: int) -> Edge:
    """Return 2 / lambda_max of the loss on the whole training split at the start, for full-batch descent.

    Args:
        problem, recipe: What to learn, and how.
        updates: The budget in updates; no edge is computed where it is too small for the eigenvalue.
    """
    most = min(MOST_PRODUCTS, updates // UPDATES_PER_PRODUCT)
    if not _plain(problem, recipe) or most < 3:
        return Edge(None, 0)
    top = sharpness(*full_loss(problem, recipe), most=most)
    rate = 2.0 / (top.value * recipe.rate_factor()) if top.value > 0 else None
    return Edge(rate, UPDATES_PER_PRODUCT * top.products)


def sharpness(
    loss: Callable[[PyTree], Float[Array, ""]], params: PyTree, *, most: int = MOST_PRODUCTS
) -> Sharpness:
    """Return the largest eigenvalue of a loss's Hessian, by power iteration.

    `v = H v / |H v|`, `lambda = v . H v`. Where the eigenvalue of largest magnitude is negative, a second
    iteration with `H - lambda I` finds H's largest one.

    Args:
        loss: A function of the parameters.
        params: The point at which to compute it.
        most: The most products with the Hessian.
    """

    @jit
    def product(vector: PyTree, shift: float) -> PyTree:
        curved = jax.jvp(jax.grad(loss), (params,), (vector,))[1]
        return jax.tree.map(lambda h, v: h - shift * v, curved, vector)

    value, used = _largest(product, params, 0.0, most)
    if value >= 0 or used >= most:
        return Sharpness(value, used)
    above, more = _largest(product, params, value, most - used)
    return Sharpness(above + value, used + more)


def full_loss(problem: Problem, recipe: Recipe) -> tuple[Callable[[PyTree], Float[Array, ""]], PyTree]:
    """Return the mean loss over the training split as a function of the parameters, and the initial ones.

    It is deterministic: dropout is off, and batch norm uses its running statistics.
    """
    group, states = init_group(problem, [recipe.shortened(1, 1)])
    count, model_state = group.splits["train"].count(), lane(states.model_state, 0)

    def loss(params: PyTree) -> Float[Array, ""]:
        def block(first: Int[Array, ""]) -> Float[Array, ""]:
            at = first + jnp.arange(min(ROWS, count))
            losses = losses_of_rows(group, params, model_state, jnp.minimum(at, count - 1))
            # where, not a product: a padding row must not turn an overflow into NaN.
            return jnp.where(at < count, losses, 0.0).sum()

        return jax.lax.map(block, jnp.arange(0, count, min(ROWS, count))).sum() / count

    return loss, lane(states.params, 0)


def losses_of_rows(
    group: LaneGroup, params: PyTree, model_state: PyTree, rows: Int[Array, " row"]
) -> Float[Array, " row"]:
    """Return the loss of each of these training examples, without dropout and with running statistics."""
    batch, targets = group.splits["train"].batch(rows)
    model = rebuilt(group.program, group.inputs, params, model_state)
    loss = group.program.loss
    if isinstance(loss, Objective):
        whole = as_batch(group.inputs.prepared(batch), targets)
        losses = loss.measure(model, whole, keys.lane_key(0), training=False).losses
        return jnp.broadcast_to(losses, rows.shape)
    outputs, _ = apply(model, group.inputs.prepared(batch), key=None, training=False)
    return loss(outputs, targets)


def _plain(problem: Problem, recipe: Recipe) -> bool:
    """Return whether a recipe is plain gradient descent on the whole training split."""
    optimizer = recipe.optimizer
    whole = recipe.batch_size == FULL or recipe.batch(0) >= problem.data.train.count()
    unclipped = recipe.clip_norm is None and recipe.clip_value is None and recipe.agc is None
    return optimizer.is_gradient_descent and whole and unclipped and not recipe.groups


def _largest(
    product: Callable[[PyTree, float], PyTree], params: PyTree, shift: float, most: int
) -> tuple[float, int]:
    """Return the eigenvalue of largest magnitude, and the number of products computed."""
    vector, value = _unit(_random_like(params)), 0.0
    for used in range(1, most + 1):
        curved = product(vector, shift)
        before, value = value, float(_dot(vector, curved))
        if _dot(curved, curved) == 0 or abs(value - before) <= SETTLED * abs(value):
            return value, used
        vector = _unit(curved)
    return value, most


def _random_like(tree: PyTree) -> PyTree:
    leaves, treedef = jax.tree.flatten(tree)
    drawn = jax.random.split(keys.lane_key(0), len(leaves))
    return jax.tree.unflatten(
        treedef,
        [jax.random.normal(key, leaf.shape, leaf.dtype) for key, leaf in zip(drawn, leaves, strict=True)],
    )


def _dot(first: PyTree, second: PyTree) -> Float[Array, ""]:
    return sum(
        (jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)),
        jnp.zeros(()),
    )


def _unit(tree: PyTree) -> PyTree:
    norm = jnp.sqrt(_dot(tree, tree))
    return jax.tree.map(lambda leaf: leaf / norm, tree)
