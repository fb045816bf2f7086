"""Any Equinox module is called as its signature says, its noise and its state looked after."""

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


def test_equinox_batch_norm_keeps_its_state_through_training():
    built = build(WithBatchNorm, KEY)
    before = jax.tree.leaves(built.model_state)
    found, state = apply(built, INPUTS, key=None, training=True)
    assert found.shape == (6, 3)
    assert any(not np.array_equal(a, b) for a, b in zip(before, jax.tree.leaves(state), strict=True))
    _, after = apply(built._replace(model_state=state), INPUTS, key=None, training=False)
    assert eqx.tree_equal(jax.tree.leaves(state), jax.tree.leaves(after))


def test_a_ready_module_is_taken_as_it_is_and_a_factory_by_key():
    ready = eqx.nn.Linear(4, 3, key=KEY)
    assert eqx.tree_equal(build(ready, jax.random.key(1)).params.weight, ready.weight)
    made = [build(lambda key: eqx.nn.Linear(4, 3, key=key), jax.random.key(s)).params.weight for s in (1, 2)]
    assert not np.array_equal(*made)


def test_noise_differs_between_examples_and_steps_and_is_gone_in_inference():
    built = build(MLP([4, 16, 3], dropout=0.5), KEY)
    same = jnp.broadcast_to(INPUTS[0], INPUTS.shape)
    first = apply(built, same, key=jax.random.key(1), training=True)[0]
    assert np.unique(np.asarray(first), axis=0).shape[0] > 1
    assert not np.array_equal(first, apply(built, same, key=jax.random.key(2), training=True)[0])
    np.testing.assert_array_equal(first, apply(built, same, key=jax.random.key(1), training=True)[0])
    quiet = apply(built, same, key=None, training=False)[0]
    np.testing.assert_array_equal(quiet, jnp.broadcast_to(quiet[0], quiet.shape))


@pytest.mark.parametrize("call", [lambda m, x: m(x), lambda m, x: m(x, key=jax.random.key(0))])
def test_a_plain_network_of_ours_is_called_like_any_equinox_module(call):
    assert call(MLP([4, 8, 3])(KEY), INPUTS[0]).shape == (3,)


GPT_SMALL = GPT(layers=2, heads=2, width=8, context=5, vocabulary=7)


def test_a_model_of_whole_batches_gives_what_it_gives_each_example():
    built = build(GPT_SMALL, KEY)
    tokens = jax.random.randint(KEY, (6, 5), 0, 7)
    found = apply(built, tokens, key=None, training=True)[0]
    module = eqx.combine(built.params, built.fixed)
    each = jnp.stack([module(row) for row in tokens])
    np.testing.assert_allclose(found, each, rtol=1e-5, atol=1e-6)


def test_the_noise_of_a_model_of_whole_batches_differs_between_examples():
    built = build(dataclasses.replace(GPT_SMALL, dropout=0.5), KEY)
    same = jnp.zeros((6, 5), int)
    found = apply(built, same, key=jax.random.key(1), training=True)[0]
    assert np.unique(np.asarray(found), axis=0).shape[0] == 6
    quiet = apply(built, same, key=None, training=False)[0]
    np.testing.assert_array_equal(quiet, jnp.broadcast_to(quiet[0], quiet.shape))
