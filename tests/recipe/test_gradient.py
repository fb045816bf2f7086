"""Gradients before the update rule: clipping, noise, accumulation, skipping."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from thalweg.recipe.gradient import (
    accumulate,
    add_noise,
    all_finite,
    clip_norm,
    clip_rows,
    clip_value,
    process,
    select,
    split_batch,
)
from thalweg.recipe.recipe import Recipe

KEY = jax.random.key(0)
GRADS = {"w": jnp.array([[3.0, -4.0], [0.3, 0.4]]), "b": jnp.array([0.0, -12.0])}
PARAMS = {"w": jnp.array([[3.0, 4.0], [0.0, 0.0]]), "b": jnp.array([2.0, 0.5])}


def processed(**settings):
    return process(GRADS, PARAMS, Recipe(**settings), key=KEY, step=jnp.int32(3))


def test_without_settings_gradients_do_not_change():
    grads, norm = processed()
    assert np.isnan(norm)
    for name, value in GRADS.items():
        np.testing.assert_array_equal(grads[name], value)


def test_clip_by_norm_scales_down_and_never_up():
    whole = np.sqrt(9 + 16 + 0.25 + 144)
    grads, norm = processed(clip_norm=1.0)
    np.testing.assert_allclose(norm, whole, rtol=1e-6)
    np.testing.assert_allclose(optax.tree.norm(grads), 1.0, rtol=1e-6)
    np.testing.assert_allclose(grads["b"], GRADS["b"] / whole, rtol=1e-6)
    for limit in (whole + 1, 1e9):
        np.testing.assert_array_equal(clip_norm(GRADS, limit)["w"], GRADS["w"])
    zero = {"w": jnp.zeros(3)}
    np.testing.assert_array_equal(clip_norm(zero, 1.0)["w"], zero["w"])


def test_clip_by_value():
    grads, _ = processed(clip_value=0.35)
    np.testing.assert_allclose(grads["w"], [[0.35, -0.35], [0.3, 0.35]], rtol=1e-6)
    assert clip_value({"w": jnp.ones(2, jnp.bfloat16)}, jnp.float32(0.5))["w"].dtype == jnp.bfloat16


def test_adaptive_clipping_goes_by_rows_of_outputs():
    # Row 0: gradient 5 on weights of norm 5, limit 0.5. Row 1: gradient 0.5 on weights of norm 0, limit 1e-4.
    found = clip_rows(GRADS, PARAMS, 0.1)
    np.testing.assert_allclose(found["w"], [[0.3, -0.4], [0.3 * 2e-4, 0.4 * 2e-4]], rtol=1e-5)
    np.testing.assert_allclose(found["b"], [0.0, -0.05], rtol=1e-5)
    kernel = {"k": jnp.ones((2, 3, 2, 2))}
    np.testing.assert_allclose(clip_rows(kernel, kernel, 0.5)["k"], 0.5, rtol=1e-6)


def test_noise_has_its_variance_and_falls():
    zero = {"a": jnp.zeros(20_000), "b": jnp.zeros(20_000)}
    grads, _ = process(zero, zero, Recipe(noise=0.04, noise_decay=1.0), key=KEY, step=jnp.int32(3))
    np.testing.assert_allclose(np.var(grads["a"]), 0.04 / 4, rtol=0.05)
    assert abs(np.corrcoef(grads["a"], grads["b"])[0, 1]) < 0.03
    again, _ = process(zero, zero, Recipe(noise=0.04, noise_decay=1.0), key=KEY, step=jnp.int32(3))
    later, _ = process(zero, zero, Recipe(noise=0.04, noise_decay=1.0), key=KEY, step=jnp.int32(4))
    np.testing.assert_array_equal(grads["a"], again["a"])
    assert not np.array_equal(grads["a"], later["a"])
    assert add_noise({"a": jnp.zeros(3, jnp.bfloat16)}, jnp.float32(1), KEY)["a"].dtype == jnp.bfloat16


def test_skipping_an_update_selects_the_state_before_it():
    assert bool(all_finite(GRADS))
    broken = GRADS | {"b": jnp.array([jnp.nan, 1.0])}
    assert not bool(all_finite(broken)) and not bool(all_finite({"a": jnp.array([jnp.inf])}))
    kept = select(all_finite(broken), broken, PARAMS)
    np.testing.assert_array_equal(kept["b"], PARAMS["b"])


def batch_loss(params, batch):
    features, targets = batch
    return ((features @ params["w"] - targets) ** 2).sum(-1)


@pytest.mark.parametrize("rows", [12, 13, 1])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_accumulation_equals_the_whole_batch(rows, count):
    """Also with a short last microbatch, with masked rows, and with empty microbatches."""
    count = min(count, rows)
    random = np.random.default_rng(0)
    with jax.enable_x64(True):
        batch = (jnp.asarray(random.normal(size=(rows, 4))), jnp.asarray(random.normal(size=(rows, 2))))
        masked = (np.arange(rows) >= 4) & (np.arange(rows) < 9)
        weights = jnp.asarray(np.where(masked, 0.0, random.uniform(0.5, 2, rows)))
        params = {"w": jnp.asarray(random.normal(size=(4, 2)))}

        def whole(params):
            return (batch_loss(params, batch) * weights).sum() / weights.sum()

        def sums_of(params, microbatch, seen):
            examples, weights_of_rows = microbatch
            return (batch_loss(params, examples) * weights_of_rows).sum(), (
                weights_of_rows.sum(),
                seen + 1,
            )

        loss, grads, seen = jax.jit(lambda p: accumulate(sums_of, p, split_batch(batch, weights, count), 0))(
            params
        )
        wanted_loss, wanted = jax.value_and_grad(whole)(params)
        np.testing.assert_allclose(loss, wanted_loss, rtol=1e-12)
        np.testing.assert_allclose(grads["w"], wanted["w"], rtol=1e-12, atol=1e-15)
        assert int(seen) == count


def test_an_empty_batch_has_a_zero_gradient():
    def sums_of(params, microbatch, carry):
        return (params["w"] * microbatch[1]).sum(), (microbatch[1].sum(), carry)

    microbatches = split_batch(jnp.zeros((4, 1)), jnp.zeros(4), 2)
    loss, grads, _ = accumulate(sums_of, {"w": jnp.ones(())}, microbatches)
    assert float(loss) == 0.0 and float(grads["w"]) == 0.0
