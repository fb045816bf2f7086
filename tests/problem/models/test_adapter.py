"""Any Equinox module is called according to its signature, with its own key and state."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.problem.models import GPT, MLP
from thalweg.problem.models.adapter import apply, build

KEY = jax.random.key(0)
INPUTS = jax.random.normal(KEY, (6, 4))


class WithBatchNorm(eqx.Module):
    norm: eqx.nn.BatchNorm
    linear: eqx.nn.Linear

    def __init__(self, key):
        self.norm = eqx.nn.BatchNorm(4, "batch", mode="batch")
        self.linear = eqx.nn.Linear(4, 3, key=key)

    def __call__(self, x, state):
        x, state = self.norm(x, state)
        return self.linear(x), state


def test_the_state_of_equinox_batch_norm_changes_in_training_only():
    model = build(WithBatchNorm, KEY)
    before = jax.tree.leaves(model.model_state)
    found, state = apply(model, INPUTS, key=None, training=True)
    assert found.shape == (6, 3)
    assert any(not np.array_equal(a, b) for a, b in zip(before, jax.tree.leaves(state), strict=True))
    _, after = apply(model._replace(model_state=state), INPUTS, key=None, training=False)
    assert eqx.tree_equal(jax.tree.leaves(state), jax.tree.leaves(after))


def test_a_module_is_used_unchanged_and_a_factory_called_with_the_key():
    ready = eqx.nn.Linear(4, 3, key=KEY)
    assert eqx.tree_equal(build(ready, jax.random.key(1)).params.weight, ready.weight)
    weights = [
        build(lambda key: eqx.nn.Linear(4, 3, key=key), jax.random.key(seed)).params.weight for seed in (1, 2)
    ]
    assert not np.array_equal(*weights)


def test_noise_differs_between_examples_and_keys_and_is_off_in_inference():
    model = build(MLP([4, 16, 3], dropout=0.5), KEY)
    same = jnp.broadcast_to(INPUTS[0], INPUTS.shape)
    first = apply(model, same, key=jax.random.key(1), training=True)[0]
    assert np.unique(np.asarray(first), axis=0).shape[0] > 1
    assert not np.array_equal(first, apply(model, same, key=jax.random.key(2), training=True)[0])
    np.testing.assert_array_equal(first, apply(model, same, key=jax.random.key(1), training=True)[0])
    quiet = apply(model, same, key=None, training=False)[0]
    np.testing.assert_array_equal(quiet, jnp.broadcast_to(quiet[0], quiet.shape))


@pytest.mark.parametrize("call", [lambda m, x: m(x), lambda m, x: m(x, key=jax.random.key(0))])
def test_an_mlp_can_be_called_like_any_equinox_module(call):
    assert call(MLP([4, 8, 3])(KEY), INPUTS[0]).shape == (3,)


GPT_SMALL = GPT(layers=2, heads=2, width=8, context=5, vocabulary=7)


def test_a_model_of_whole_batches_gives_the_same_as_on_each_example():
    model = build(GPT_SMALL, KEY)
    tokens = jax.random.randint(KEY, (6, 5), 0, 7)
    found = apply(model, tokens, key=None, training=True)[0]
    module = eqx.combine(model.params, model.fixed)
    each = jnp.stack([module(row) for row in tokens])
    np.testing.assert_allclose(found, each, rtol=1e-5, atol=1e-6)


def test_the_noise_of_a_model_of_whole_batches_differs_between_examples():
    model = build(dataclasses.replace(GPT_SMALL, dropout=0.5), KEY)
    same = jnp.zeros((6, 5), int)
    found = apply(model, same, key=jax.random.key(1), training=True)[0]
    assert np.unique(np.asarray(found), axis=0).shape[0] == 6
    quiet = apply(model, same, key=None, training=False)[0]
    np.testing.assert_array_equal(quiet, jnp.broadcast_to(quiet[0], quiet.shape))
