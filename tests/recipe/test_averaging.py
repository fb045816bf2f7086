"""Averages of weights against plain NumPy, and the loss scale of float16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.recipe.averaging import AVERAGES, EMA, SWA, NoAverage, Tail
from thalweg.recipe.precision import DTYPES, adjust_scale, initial_scale, to_pass_dtype, unscale
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Clock

STEPS, EPOCH = 24, 4
WALK = np.random.default_rng(0).normal(size=(STEPS, 3)).astype(np.float32)


def averaged(average, dtype=jnp.float32):
    """The weights to evaluate after every step of the walk."""
    params = {"w": jnp.zeros(3, dtype)}

    def advance(carry, step):
        state, walk = carry
        now = {"w": walk[step].astype(dtype)}
        clock = Clock(step.astype(jnp.float32), jnp.float32(STEPS), jnp.float32(EPOCH))
        state = average.update(state, now, clock)
        return (state, walk), average.evaluated(state, now)["w"]

    _, found = jax.lax.scan(advance, (average.init(params), jnp.asarray(WALK)), jnp.arange(STEPS))
    return np.asarray(found)


def expected(first, taken):
    """The mean of the weights at the (0-based) steps in `taken`; before the first, the weights themselves."""
    found, held = [], []
    for step in range(STEPS):
        if taken(step):
            held.append(WALK[step])
        found.append(np.mean(held, axis=0) if held else WALK[step])
    return np.stack(found)


def test_every_average_is_tested_here():
    assert set(AVERAGES) == {"none", "ema", "tail", "swa"}


def test_no_average_is_the_weights():
    np.testing.assert_array_equal(averaged(NoAverage()), WALK)


@pytest.mark.parametrize("ramp", [True, False])
def test_ema(ramp):
    mean, expected_means = np.zeros(3), []
    for step in range(STEPS):
        decay = min(0.8, (1 + step) / (10 + step)) if ramp else 0.8
        mean = decay * mean + (1 - decay) * WALK[step]
        expected_means.append(mean)
    np.testing.assert_allclose(averaged(EMA(decay=0.8, ramp=ramp)), expected_means, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("average", "start"), [(Tail(), 12), (Tail(start=2, unit="epochs"), 8), (Tail(start=0), 0)]
)
def test_tail(average, start):
    np.testing.assert_allclose(averaged(average), expected(WALK, lambda t: t >= start), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("average", "taken"),
    [
        (SWA(start=0.5), lambda t: t + 1 in (12, 16, 20, 24)),
        (SWA(start=5, unit="steps", every=3, every_unit="steps"), lambda t: t + 1 in range(5, 25, 3)),
    ],
)
def test_swa(average, taken):
    np.testing.assert_allclose(averaged(average), expected(WALK, taken), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_of_narrow_weights_are_float32_and_evaluated_narrow(name):
    average = AVERAGES[name]()
    state = average.init({"w": jnp.zeros(3, jnp.bfloat16)})
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state))
    assert averaged(average, jnp.bfloat16).dtype == jnp.bfloat16


def test_precisions():
    tree = {"w": jnp.ones(2), "index": jnp.arange(2), "name": "x"}
    for name in Recipe.described()["precision"].metadata["among"]:
        if name != "f64":
            assert to_pass_dtype(tree, name)["w"].dtype == DTYPES[name]
            assert to_pass_dtype(tree, name)["index"].dtype == tree["index"].dtype
    assert set(DTYPES) == set(Recipe.described()["precision"].metadata["among"])


def test_the_loss_scale_halves_on_overflow_and_doubles_after_2000_good_updates():
    state = initial_scale()
    assert float(adjust_scale(state, jnp.bool_(False)).scale) == float(state.scale) / 2
    for _ in range(1999):
        state = adjust_scale_jit(state)
    assert (float(state.scale), float(state.good)) == (2.0**16, 1999)
    state = adjust_scale_jit(state)
    assert (float(state.scale), float(state.good)) == (2.0**17, 0)
    grads = unscale({"w": jnp.full(2, 2.0**15, jnp.float16)}, state.scale)
    assert grads["w"].dtype == jnp.float32 and float(grads["w"][0]) == 0.25


adjust_scale_jit = jax.jit(lambda state: adjust_scale(state, jnp.bool_(True)))
