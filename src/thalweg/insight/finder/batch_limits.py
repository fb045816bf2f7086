"""How large a batch can be: which size is still efficient (`noise_scale`), which fits in memory (`fits`).

**Noise scale.** With the true gradient G and the covariance Sigma of the gradients of single examples, a
batch of B sees `E |G_B|^2 = |G|^2 + tr(Sigma) / B`. The simple noise scale is `B_simple = tr(Sigma) / |G|^2`.
With batches of that size a run takes twice the fewest possible updates and twice the fewest possible
examples; far below it a larger batch saves as many updates as it costs examples, far above it saves none.

From the gradients g_1, ..., g_K of K batches of b examples each and their mean g (a batch of K b),

    |G|^2      = (K |g|^2 - mean |g_k|^2) / (K - 1)
    tr(Sigma)  = b (mean |g_k|^2 - |g|^2) K / (K - 1)

are unbiased. They are averaged over several points along a short run before the quotient is taken, because a
quotient of averages is far less biased than an average of quotients.

**Memory.** A compiled update needs nearly an affine function of the batch: weights, states and resident data
whatever the batch, and activations for each example. Two compilations give both; where the answer lies beyond
them, a third one at the answer corrects it downwards.

Reference: McCandlish, Kaplan, Amodei & the OpenAI Dota Team, An Empirical Model of Large-Batch Training,
2018, section 2.2 and appendix A.1 (b and K b are their B_small and B_big).
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from thalweg.core.compiler import filter_jit
from thalweg.core.device import free_memory
from thalweg.core.tree import lane
from thalweg.engine.dispatch import ChunkLength, run_chunk, run_chunks
from thalweg.engine.group import LaneGroup, init_group, length
from thalweg.insight.finder.finding import Fits, NoiseScale
from thalweg.insight.landscape.sharpness import losses_of_rows
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

# Batches at each point, their size at most, and points along the run. With 16 batches |g|^2 has a sixteenth
# of the noise; five points show how the scale grows from the start (McCandlish et al. 2018, figure 4).
BATCHES, MOST_ROWS, POINTS = 16, 32, 5
MOST_STEPS = 200  # length of the run along which the scale is measured, at most
T_95 = 2.131  # Student's t for 95 %, two-sided, with BATCHES - 1 degrees of freedom
TINY = 1e-9  # examples: repoints a noise scale of zero where a logarithm is taken

# Share of the free memory that is left for evaluations, the best weights so far, fragmentation, and other
# programs. Ours, and generous: too small an answer costs little.
MARGIN = 0.3
# Batches that are compiled first; the second is large enough for activations to show.
SMALL, LARGE = 32, 256


class Moments(NamedTuple):
    """Unbiased estimates from the gradients of several batches at one point of the run.

    Args:
        length: |G|^2.
        noise: tr(Sigma), of single examples.
    """

    length: float
    noise: float


def noise_scale(problem: Problem, recipe: Recipe, *, updates: int | None = None) -> NoiseScale:
    """Return the simple noise scale, averaged over points along a short run.

    Args:
        problem: What to learn.
        recipe: How to train; its schedule is shortened to the measured run.
        updates: Length of that run at most; None for `MOST_STEPS`.

    Returns:
        The scale, with its interval over batches.
    """
    total = length(problem, recipe)
    steps = max(1, min(total, updates or MOST_STEPS))
    group, states = init_group(problem, [recipe.shortened(steps, total)])
    count = problem.data.train.count()
    rows = max(1, min(MOST_ROWS, count // BATCHES))
    random, grams = np.random.default_rng(0), []
    points = np.unique(np.linspace(0, steps, POINTS + 1).astype(int)[1:])
    done = 0
    for point in points:
        for result in run_chunks(group, states, done, int(point), ChunkLength(group.program.capacity)):
            states = result.states
        done = int(point)
        batches = random.permutation(count)[: BATCHES * rows].reshape(-1, rows)
        weights = lane((states.params, states.model_state), 0)
        grams.append(_inner_products(group, weights, jnp.asarray(batches)))
    gradients = int(np.ceil(len(points) * BATCHES * rows / recipe.batch(count)))
    return scale_of([np.asarray(gram) for gram in grams], rows, steps + gradients)


def moments(gram: Float[np.ndarray, "batch batch"], rows: int) -> Moments:
    """Return the unbiased estimates from the inner products of the batches' gradients.

    `sum_kl g_k . g_l = K^2 |g|^2`, and the diagonal holds the |g_k|^2.

    Args:
        gram: Inner products of the gradients of K batches.
        rows: Examples in each batch.
    """
    batches = len(gram)
    whole, each = float(gram.sum()) / batches**2, float(np.trace(gram)) / batches
    unbiased = batches / (batches - 1)
    return Moments((batches * whole - each) / (batches - 1), rows * (each - whole) * unbiased)


def scale_of(grams: list[Float[np.ndarray, "batch batch"]], rows: int, steps: int) -> NoiseScale:
    """Return the scale from the inner products at each point, with its jackknife interval over batches.

    With B_k the scale without the k-th batch of every place, the variance of log B is
    `(K-1)/K sum_k (log B_k - mean log B_k)^2`.

    Args:
        grams: Inner products, for each point.
        rows: Examples in a batch.
        steps: The cost, in updates.

    Reference: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11 (the jackknife).
    """
    batches = len(grams[0])
    value = _quotient([moments(gram, rows) for gram in grams])
    subsets = [np.delete(np.arange(batches), left_out) for left_out in range(batches)]
    without = np.array(
        [_quotient([moments(gram[np.ix_(subset, subset)], rows) for gram in grams]) for subset in subsets]
    )
    if not np.isfinite(value) or not np.isfinite(without).all():
        return NoiseScale(value, float(without.min()), float("inf"), steps)
    spread = np.sqrt((batches - 1) * np.log(np.maximum(without, TINY)).var())
    middle = np.log(max(value, TINY))
    low, high = np.exp(middle - T_95 * spread), np.exp(middle + T_95 * spread)
    return NoiseScale(value, float(low), float(high), steps)


def fits(problem: Problem, recipe: Recipe, *, free: int | None = None, margin: float = MARGIN) -> Fits:
    """Return the largest batch whose compiled update fits in memory with a margin.

    Args:
        problem, recipe: What to learn, and how.
        free: Bytes available; None for what the device reports or, on CPU, what the machine has free.
        margin: Share of them that stays free.
    """
    count = problem.data.train.count()
    available = free_bytes() if free is None else free
    usable = (1 - margin) * available
    small, large = max(1, min(SMALL, count // 2)), min(LARGE, count)
    needed = {batch: update_bytes(problem, recipe, batch) for batch in {small, large}}
    each = max((needed[large] - needed[small]) / max(large - small, 1), 0.0)
    fixed = needed[small] - each * small
    batch = count if each == 0 else max(0, min(count, int((usable - fixed) / each)))
    if batch > large:
        each = max(each, (update_bytes(problem, recipe, batch) - fixed) / batch)
        batch = max(0, min(count, int((usable - fixed) / each)))
    return Fits(batch, int(fixed), each, int(available), margin)


def update_bytes(problem: Problem, recipe: Recipe, batch: int) -> int:
    """Return the bytes that a compiled update of one lane needs: arguments, results and temporaries."""
    sized = dataclasses.replace(recipe, batch_size=batch, accumulate=1, rate_rule="none")
    group, states = init_group(problem, [sized])
    split, batches = group.feed.dispatch(group.splits, 0, 1, group.program.capacity)
    lowered = run_chunk.lower(group.program, group.inputs, split, batches, jnp.int32(1), states)
    memory: Any = lowered.compile().memory_analysis()
    return int(
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes
    )


def free_bytes() -> int:
    """Return the bytes available for a run: on the device, or on the machine where that is the device."""
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    return free_memory()


def _quotient(points: list[Moments]) -> float:
    """Return the quotient of the averages; infinite where the gradient cannot be distinguished from noise."""
    length, noise = (float(np.mean(column)) for column in zip(*points, strict=True))
    return max(noise, 0.0) / length if length > 0 else float("inf")


def _inner_products(group: LaneGroup, weights: PyTree, rows: Array) -> Float[Array, "batch batch"]:
    """Return the inner products of the gradients of batches of examples, `batch row`."""
    params, model_state = weights

    @filter_jit
    def gradients(params: PyTree, model_state: PyTree, rows: Array) -> Array:
        def of_batch(batch: Array) -> Array:
            grads = jax.grad(lambda at: losses_of_rows(group, at, model_state, batch).mean())(params)
            return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grads)])

        flat = jax.lax.map(of_batch, rows)
        return flat @ flat.T

    return gradients(params, model_state, rows)
