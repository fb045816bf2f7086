"""An epoch's short last batch is padded; the result is that of the short batch, also through batch norm."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.made import blobs
from thalweg.core.tree import lane as take_lane
from thalweg.engine.backward import Backward, Batch, Lane, _weighted_sum, backward, read_batch
from thalweg.engine.group import init_group
from thalweg.problem.models.layers.normalisation import BatchNorm
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe

# Two orders of the same sums in float64, of at most 20 terms: 20 times 1.1e-16, with a margin of 400.
TOLERANCE = 1e-12


class Normed(eqx.Module):
    """Two matrices with a batch norm and a dropout between them."""

    first: eqx.nn.Linear
    norm: BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self, key):
        one, two = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(6, 8, key=one), eqx.nn.Linear(8, 3, key=two)
        self.norm, self.dropout = BatchNorm(8), eqx.nn.Dropout(0.3)

    def __call__(self, x, state, *, key=None):
        x, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(x), key=key)), state


def lane_of(recipe: Recipe) -> tuple[Lane, tuple]:
    """Return a lane in float64 whose training split has 35 rows, and its first weights and model state."""
    group, states = init_group(Problem(Normed, blobs(count=50)), [recipe])
    numbers = take_lane(group.inputs.numbers, 0)
    whole = jax.tree.unflatten(group.program.recipe, numbers)
    state = take_lane(states, 0)
    return Lane(group.program, group.inputs, whole, group.splits["train"]), (state.params, state.model_state)


def computed(lane: Lane, batch: Batch, weights: tuple) -> Backward:
    passed = backward(lane, batch, *weights, None)
    return passed._replace(loss_of=passed.loss_of(weights[0]))


def assert_close(one, other):
    for ours, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert ours.dtype == theirs.dtype == jnp.float64
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


def first_rows(batch: Batch, count: int) -> Batch:
    inputs, targets = jax.tree.map(lambda leaf: leaf[:count], (batch.inputs, batch.targets))
    return Batch(inputs, targets, None, batch.key)


@pytest.mark.parametrize("size", [15, 1, 20])
def test_a_padded_batch_equals_the_short_one(size):
    with jax.enable_x64(True):
        lane, weights = lane_of(Recipe(SGD(lr=0.1), batch_size=20, steps=2, precision="f64"))
        assert lane.program.masked
        # Padding repeats a row of its own, and a wild one: whatever stands there must not be seen.
        at = jnp.where(jnp.arange(20) < size, jnp.arange(20), 30)
        wild = eqx.tree_at(
            lambda lane: lane.split.inputs, lane, jnp.asarray(lane.split.inputs).at[30].mul(1e6)
        )
        padded = read_batch(wild, at, jnp.int32(size), jax.random.key(3), jax.random.key(4))
        assert_close(computed(wild, padded, weights), computed(lane, first_rows(padded, size), weights))


def test_a_microbatch_of_padding_does_not_change_running_statistics():
    with jax.enable_x64(True):
        split = Recipe(SGD(lr=0.1), batch_size=20, steps=2, precision="f64", accumulate=2)
        lane, weights = lane_of(split)
        at = jnp.minimum(jnp.arange(20), 9)
        padded = read_batch(lane, at, jnp.int32(10), jax.random.key(3), jax.random.key(4))
        found = computed(lane, padded, weights)
        half = Batch(
            padded.inputs[:10], padded.targets[:10], jnp.ones(10), jax.random.split(padded.key, 2)[0]
        )
        whole, at_once = lane_of(Recipe(SGD(lr=0.1), batch_size=20, steps=2, precision="f64"))
        assert_close(found.model_state, computed(whole, half, at_once).model_state)
        assert_close(found.loss, computed(whole, half, at_once).loss)
        assert_close(found.grads, computed(whole, half, at_once).grads)


def test_a_row_of_padding_in_a_microbatch_adds_nothing_whatever_its_loss_is():
    losses = jnp.asarray([2.0, jnp.inf, 3.0, jnp.nan])
    assert _weighted_sum(losses, jnp.asarray([1.0, 0.0, 0.5, 0.0])) == 3.5
    slopes = jax.grad(lambda x: _weighted_sum(jnp.where(x > 2, jnp.inf, x) ** 2, jnp.asarray([1.0, 0.0])))
    assert slopes(jnp.asarray([2.0, 3.0])).tolist() == [4.0, 0.0]
