"""The gradient noise scale: how large a batch is worth its examples.

With the true gradient G and the covariance Sigma of the gradients of single examples, a batch of B sees
`E |G_B|^2 = |G|^2 + tr(Sigma) / B`. The simple noise scale is `B_simple = tr(Sigma) / |G|^2`: with batches of
that size a run takes twice the least possible number of updates, and twice the least possible number of
examples; far below it a larger batch saves as many updates as it costs, far above it none.

From the gradients g_1, ..., g_K of K batches of b examples each and their mean g (a batch of K b):

    |G|^2      = (K |g|^2 - mean |g_k|^2) / (K - 1)
    tr(Sigma)  = b (mean |g_k|^2 - |g|^2) K / (K - 1)

are unbiased; they are averaged over several places of a short run before the quotient is taken, for a
quotient of averages is far less biased than an average of quotients.

Reference: McCandlish, Kaplan, Amodei & the OpenAI Dota Team, An Empirical Model of Large-Batch Training,
2018, section 2.2 and appendix A.1 (b and K b are their B_small and B_big).
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from thalweg.core.tree import lane
from thalweg.engine.dispatch import ChunkLength, run_chunks
from thalweg.engine.group import LaneGroup, init_group, length
from thalweg.insight.curvature import losses_of_rows
from thalweg.insight.finder.finding import NoiseScale
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.shortened import shortened

# Batches at each place, of so many examples at most, and places of the run. 16 batches give |g|^2 a sixteenth
# of the noise; five places see the scale grow from the start on (McCandlish et al. 2018, figure 4).
BATCHES, MOST_ROWS, PLACES = 16, 32, 5
# The run on whose way it is measured is so long at most.
MOST_STEPS = 200
T_95 = 2.131  # Student's t for 95 %, two-sided, with BATCHES - 1 degrees of freedom
TINY = 1e-9  # examples: a noise scale below a thousandth of an example is none


class Moments(NamedTuple):
    """Unbiased estimates from the gradients of several batches at one place.

    Args:
        length: |G|^2.
        noise: tr(Sigma), of single examples.
    """

    length: float
    noise: float


def noise_scale(problem: Problem, recipe: Recipe, *, updates: int | None = None) -> NoiseScale:
    """Return the simple noise scale, averaged over places of a short run.

    Args:
        problem: What is learned.
        recipe: How; the run's schedule is shortened to the run on whose way it is measured.
        updates: Length of that run at most; None for `MOST_STEPS`.

    Returns:
        The scale, with its interval over batches.
    """
    total = length(problem, recipe)
    steps = max(1, min(total, updates or MOST_STEPS))
    group, states = init_group(problem, [shortened(recipe, steps, total)])
    count = problem.data.train.count()
    rows = max(1, min(MOST_ROWS, count // BATCHES))
    stream, found = np.random.default_rng(0), []
    places = np.unique(np.linspace(0, steps, PLACES + 1).astype(int)[1:])
    done = 0
    for place in places:
        for moved in run_chunks(group, states, done, int(place), ChunkLength(group.program.capacity)):
            states = moved.states
        done = int(place)
        drawn = stream.permutation(count)[: BATCHES * rows].reshape(-1, rows)
        found.append(_products(group, lane((states.params, states.model_state), 0), jnp.asarray(drawn)))
    gradients = int(np.ceil(len(places) * BATCHES * rows / recipe.batch(count)))
    return scale_of([np.asarray(gram) for gram in found], rows, steps + gradients)


def moments(gram: Float[np.ndarray, "batch batch"], rows: int) -> Moments:
    """Return the unbiased estimates from the inner products of the batches' gradients.

    `sum_kl g_k . g_l = K^2 |g|^2`, and the diagonal holds the |g_k|^2.

    Args:
        gram: Inner products of the gradients of K batches.
        rows: Examples in each.
    """
    batches = len(gram)
    whole, each = float(gram.sum()) / batches**2, float(np.trace(gram)) / batches
    unbiased = batches / (batches - 1)
    return Moments((batches * whole - each) / (batches - 1), rows * (each - whole) * unbiased)


def scale_of(grams: list[Float[np.ndarray, "batch batch"]], rows: int, steps: int) -> NoiseScale:
    """Return the scale from the inner products of each place, with its jackknife interval over batches.

    With B_k the scale without the k-th batch of every place, the variance of log B is
    `(K-1)/K sum_k (log B_k - mean log B_k)^2`.

    Args:
        grams: For each place.
        rows: Examples in a batch.
        steps: What it took.

    Reference: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11 (the jackknife).
    """
    batches = len(grams[0])
    value = _quotient([moments(gram, rows) for gram in grams])
    kept = [np.delete(np.arange(batches), left_out) for left_out in range(batches)]
    without = np.array(
        [_quotient([moments(gram[np.ix_(some, some)], rows) for gram in grams]) for some in kept]
    )
    if not np.isfinite(value) or not np.isfinite(without).all():
        return NoiseScale(value, float(without.min()), float("inf"), steps)
    spread = np.sqrt((batches - 1) * np.log(np.maximum(without, TINY)).var())
    middle = np.log(max(value, TINY))
    low, high = np.exp(middle - T_95 * spread), np.exp(middle + T_95 * spread)
    return NoiseScale(value, float(low), float(high), steps)


def _quotient(places: list[Moments]) -> float:
    """Return the quotient of the averages; infinite where no length can be told from the noise."""
    length, noise = (float(np.mean(column)) for column in zip(*places, strict=True))
    return max(noise, 0.0) / length if length > 0 else float("inf")


def _products(group: LaneGroup, weights: PyTree, rows: Array) -> Float[Array, "batch batch"]:
    """Return the inner products of the gradients of batches of examples, `batch row`."""
    params, model_state = weights

    @eqx.filter_jit
    def gradients(params: PyTree, model_state: PyTree, rows: Array) -> Array:
        def of_batch(some: Array) -> Array:
            grads = jax.grad(lambda at: losses_of_rows(group, at, model_state, some).mean())(params)
            return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grads)])

        found = jax.lax.map(of_batch, rows)
        return found @ found.T

    return gradients(params, model_state, rows)
