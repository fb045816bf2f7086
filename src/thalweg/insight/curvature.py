"""How sharply the training loss bends: its Hessian's top eigenvalue, and the rate where descent tips over.

Plain gradient descent on a quadratic of curvature lambda multiplies the distance to its bottom by
1 - lr lambda at every update, and so diverges from lr = 2/lambda on. A network's loss is no quadratic:
descent often sharpens it until lambda is about 2/lr, so that the edge at the start is a first word on where
it lies, beside the one observed.

Reference: Cohen et al., Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability, 2021;
Pearlmutter, Fast Exact Multiplication by the Hessian, 1994 (the products).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core import keys
from thalweg.core.tree import lane
from thalweg.engine.group import LaneGroup, init_group
from thalweg.engine.program import rebuilt
from thalweg.problem.models.adapter import apply
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import FULL, Recipe
from thalweg.recipe.shortened import shortened

# Products with the Hessian that are made at most, and the relative change from one to the next at which the
# eigenvalue is known. With a second eigenvalue a tenth below, changes of a thousandth leave half a hundredth.
MOST_PRODUCTS, SETTLED = 100, 1e-3
ROWS = 512  # examples that are looked at together, as in evaluations
# Updates that a product costs: a gradient, and its derivative.
UPDATES_A_PRODUCT = 2


class Sharpness(NamedTuple):
    """The largest eigenvalue of the Hessian.

    Args:
        value: The eigenvalue; that of the most negative one where none is above zero.
        products: Products with the Hessian that it took.
    """

    value: float
    products: int


class Edge(NamedTuple):
    """The rate from which plain descent diverges, as the curvature at the start has it.

    Args:
        rate: 2 / lambda_max; None where the rule is another, the batch is not the whole part, or nothing
            bends.
        steps: Updates' worth of work that it took.
    """

    rate: float | None
    steps: int


def predicted_edge(problem: Problem, recipe: Recipe, updates: int) -> Edge:
    """Return 2 / lambda_max of the whole training part's loss at the start, for plain descent on all of it.

    Args:
        problem, recipe: What is learned, and how.
        updates: What may be spent, in updates; where that is too little for the eigenvalue, there is no edge.
    """
    most = min(MOST_PRODUCTS, updates // UPDATES_A_PRODUCT)
    if not _plain(problem, recipe) or most < 3:
        return Edge(None, 0)
    found = sharpness(*full_loss(problem, recipe), most=most)
    rate = 2.0 / (found.value * recipe.rate_factor()) if found.value > 0 else None
    return Edge(rate, UPDATES_A_PRODUCT * found.products)


def sharpness(
    loss: Callable[[PyTree], Float[Array, ""]], params: PyTree, *, most: int = MOST_PRODUCTS
) -> Sharpness:
    """Return the largest eigenvalue of a loss's Hessian, by power iteration.

    `v = H v / |H v|`, `lambda = v . H v`. Where the eigenvalue of largest size is negative, again with
    `H - lambda I`, whose largest eigenvalue belongs to H's largest.

    Args:
        loss: A function of the parameters.
        params: Where it is looked at.
        most: Products with the Hessian at most.
    """

    @jax.jit
    def product(vector: PyTree, shift: Float[Array, ""]) -> PyTree:
        bent = jax.jvp(jax.grad(loss), (params,), (vector,))[1]
        return jax.tree.map(lambda h, v: h - shift * v, bent, vector)

    value, used = _largest(product, params, 0.0, most)
    if value >= 0 or used >= most:
        return Sharpness(value, used)
    above, more = _largest(product, params, value, most - used)
    return Sharpness(above + value, used + more)


def full_loss(problem: Problem, recipe: Recipe) -> tuple[Callable[[PyTree], Float[Array, ""]], PyTree]:
    """Return the mean loss over the training part as a function of the parameters, and those of the start.

    Without noise: dropout is off, and batch norm uses its running statistics.
    """
    group, states = init_group(problem, [shortened(recipe, 1, 1)])
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
    """Return the loss of each of these training examples; dropout is off, running statistics are used."""
    batch, targets = group.splits["train"].batch(rows)
    built = rebuilt(group.program, group.inputs, params, model_state)
    outputs, _ = apply(built, group.inputs.prepared(batch), key=None, training=False)
    return group.program.loss(outputs, targets)


def _plain(problem: Problem, recipe: Recipe) -> bool:
    rule = recipe.optimizer
    whole = recipe.batch_size == FULL or recipe.batch(0) >= problem.data.train.count()
    unclipped = recipe.clip_norm is None and recipe.clip_value is None and recipe.agc is None
    return rule.is_gradient_descent and whole and unclipped and not recipe.groups


def _largest(
    product: Callable[[PyTree, float], PyTree], params: PyTree, shift: float, most: int
) -> tuple[float, int]:
    """Return the eigenvalue of largest size, and the products it took."""
    vector, value = _unit(_random_like(params)), 0.0
    for used in range(1, most + 1):
        bent = product(vector, shift)
        before, value = value, float(_dot(vector, bent))
        if _dot(bent, bent) == 0 or abs(value - before) <= SETTLED * abs(value):
            return value, used
        vector = _unit(bent)
    return value, most


def _random_like(tree: PyTree) -> PyTree:
    leaves, treedef = jax.tree.flatten(tree)
    drawn = jax.random.split(keys.lane_key(0), len(leaves))
    return jax.tree.unflatten(
        treedef,
        [jax.random.normal(key, leaf.shape, leaf.dtype) for key, leaf in zip(drawn, leaves, strict=True)],
    )


def _dot(one: PyTree, other: PyTree) -> Float[Array, ""]:
    return sum(
        (jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)),
        jnp.zeros(()),
    )


def _unit(tree: PyTree) -> PyTree:
    norm = jnp.sqrt(_dot(tree, tree))
    return jax.tree.map(lambda leaf: leaf / norm, tree)
