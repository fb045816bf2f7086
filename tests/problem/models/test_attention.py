"""Attention in blocks of queries has the values and derivatives of the formula."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.contracts.layers import filled
from thalweg.problem.models import gpt
from thalweg.problem.models.gpt import CausalAttention
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.linear import Linear

WIDTH, HEADS = 6, 2
# Sums of up to 260 terms of order one in f64, and their derivatives.
TOLERANCE = 1e-12


def layer(rate=0.0):
    def make(key):
        keys = jax.random.split(key)
        mix, out = Linear(WIDTH, 3 * WIDTH, key=keys[0]), Linear(WIDTH, WIDTH, key=keys[1])
        return CausalAttention(mix, out, Dropout(rate), HEADS)

    return filled(eqx.filter_eval_shape(make, jax.random.key(0)))


def reference(module, x):
    """softmax(Q K^T / sqrt(d) + mask) V, head by head."""
    queries, keys, values = jnp.split(x @ module.mix.weight.T + module.mix.bias, 3, axis=-1)
    width = WIDTH // HEADS
    heads = []
    for head in range(HEADS):
        q, k, v = (array[..., head * width : (head + 1) * width] for array in (queries, keys, values))
        scores = jnp.einsum("btd,bsd->bts", q, k) / np.sqrt(width)
        visible = np.tril(np.ones((x.shape[1], x.shape[1]), bool))
        heads.append(jax.nn.softmax(jnp.where(visible, scores, -jnp.inf), axis=-1) @ v)
    return jnp.concatenate(heads, axis=-1) @ module.out.weight.T + module.out.bias


@pytest.mark.parametrize("time", [1, gpt.BLOCK_ROWS, gpt.BLOCK_ROWS + 1, 4 * gpt.BLOCK_ROWS + 4])
def test_blocks_give_the_values_and_derivatives_of_the_formula(time):
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: leaf.astype(float) if eqx.is_array(leaf) else leaf, layer())
        params, fixed = eqx.partition(wide, eqx.is_array)
        x = jnp.asarray(np.random.default_rng(1).normal(size=(2, time, WIDTH)))
        wave = np.random.default_rng(2).normal(size=x.shape)

        def value_and_grad(call):
            total = lambda params, x: jnp.sum(wave * call(eqx.combine(params, fixed), x))  # noqa: E731
            return jax.jit(jax.value_and_grad(total, argnums=(0, 1)))(params, x)

        ours, theirs = value_and_grad(lambda module, x: module(x)), value_and_grad(reference)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * float(np.abs(other).max()))


def test_large_scores_do_not_overflow():
    module = eqx.tree_at(lambda m: m.mix.weight, layer(), replace_fn=lambda w: 1e3 * w)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 8, WIDTH)), jnp.float32)
    value, slope = jax.value_and_grad(lambda x: jnp.sum(module(x)))(x)
    assert jnp.isfinite(value) and jnp.isfinite(slope).all()


def test_dropout_of_attention_weights_keeps_the_mean():
    x = jnp.asarray(np.random.default_rng(1).normal(size=(4, WIDTH)), jnp.float32)
    noisy, quiet = layer(0.5), layer()
    keys = jax.random.split(jax.random.key(3), 4000)
    found = jax.jit(jax.vmap(lambda key: noisy(x, key=key)))(keys)
    expected, spread = quiet(x), np.asarray(found).std(axis=0)
    assert (spread > 0.01).all()  # far beyond rounding
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - expected), 5 * spread / np.sqrt(4000) + 1e-6)
