"""Evaluation of batched and of mapped lanes: the same losses, and the same predictions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.made import blobs, net
from thalweg.engine import evaluate as evaluating
from thalweg.engine import evaluation_batches
from thalweg.engine.evaluate import evaluate, losses_of
from thalweg.engine.evaluation_batches import EVALUATION_ROWS, PRIME, batches_of, row_bytes
from thalweg.engine.group import init_group, weights
from thalweg.engine.program import BATCH, MAP
from thalweg.problem.data.load import load
from thalweg.problem.models import CNN, GRU, MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe

RANDOM = np.random.default_rng(0)
# Several batches in either layout, the last of them padded.
GIVEN = Problem(net, blobs(2000))


def largest(outputs):
    return outputs.argmax(-1).astype(jnp.int32)


def evaluated(layout, which=None):
    recipes = [Recipe(SGD(lr=0.1), batch_size=16, steps=1, seed=seed) for seed in range(3)]
    group, states = init_group(GIVEN, recipes, layout=layout)
    given = (weights(group, states), states.model_state)
    return evaluate(group.program, group.inputs, group.splits["train"], given, which=which, predict=largest)


def test_both_layouts_give_the_same_means():
    one, other = evaluated(MAP), evaluated(BATCH)
    count = GIVEN.data.train.count()
    assert count > 2 * EVALUATION_ROWS and count % EVALUATION_ROWS
    assert (one.examples == count).all() and (other.examples == count).all()
    # Sums of at most 512 losses in other batches, of float32: as many roundings.
    np.testing.assert_allclose(one.loss[:3], other.loss[:3], rtol=EVALUATION_ROWS * 2**-24)
    assert one.predictions.shape[1:] == other.predictions.shape[1:] == (count,)
    np.testing.assert_array_equal(one.predictions[:3], other.predictions[:3])
    right = (one.predictions[:3] == np.asarray(GIVEN.data.train.targets)).mean(axis=1)
    np.testing.assert_allclose(right, one.metric[:3], rtol=1e-6)


@pytest.mark.parametrize("layout", [MAP, BATCH])
def test_a_lane_that_is_not_selected_has_no_means(layout):
    all_of_them = evaluated(layout)
    which = np.zeros(len(all_of_them.loss), bool)
    which[1] = True
    some = evaluated(layout, which)
    assert some.loss[1] == all_of_them.loss[1] and np.isnan(some.loss[[0, 2]]).all()
    assert (some.predictions[[0, 2]] == -1).all()
    np.testing.assert_array_equal(some.predictions[1], all_of_them.predictions[1])


PICTURES = RANDOM.normal(size=(150, 12, 12)).astype(np.float32), RANDOM.integers(0, 2, 150)
SERIES = RANDOM.normal(size=(150, 40, 3)).astype(np.float32), PICTURES[1]


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        (MLP([144, 300, 2]), PICTURES, 4 * 300),  # and not the 43,200 weights
        (CNN(channels=(5, 7)), PICTURES, 4 * 6 * 6 * 9 * 5),  # the patches of the second convolution
        (GRU(width=8), SERIES, 4 * 40 * 24),  # the projections of 40 steps, for three gates
    ],
    ids=["mlp", "cnn", "gru"],
)
@pytest.mark.parametrize("layout", [MAP, BATCH])
def test_the_largest_array_of_a_row_is_known(monkeypatch, model, data, expected, layout):
    told = []
    monkeypatch.setattr(evaluating, "batches_of", lambda *of: told.append(of[-1]) or batches_of(*of))
    given = Problem(model, load(data))
    recipes = [Recipe(SGD(lr=0.1), batch_size=4, steps=1, seed=seed) for seed in range(2)]
    group, states = init_group(given, recipes, layout=layout)
    losses_of(
        group.program, group.inputs, group.splits["train"], (weights(group, states), states.model_state)
    )
    assert told == [expected]


def test_loops_are_looked_into():
    def forward(rows):
        return jax.lax.map(lambda row: (row[:, None] * row).sum(), rows)

    assert row_bytes(forward, np.zeros((PRIME, 30), np.float32)) == 4  # one row at a time
    inner = jax.jit(lambda rows: jax.vmap(jnp.outer)(rows, rows).sum((1, 2)))  # its result is small
    assert row_bytes(inner, np.zeros((PRIME, 30), np.float32)) == 4 * 30 * 30


@pytest.mark.parametrize(
    ("layout", "lanes", "row", "rows"),
    [
        (MAP, 4, 0, 512),
        (MAP, 4, 1000, 256),
        (MAP, 4, 4096, 64),
        (MAP, 4, 10**9, 1),
        (BATCH, 4, 1000, 64),
        (BATCH, 4, 10, 256),
    ],
)
def test_a_batch_has_the_rows_that_memory_holds(monkeypatch, layout, lanes, row, rows):
    monkeypatch.setattr(evaluation_batches, "MOST_BYTES", 300_000)
    group, _ = init_group(GIVEN, [Recipe(SGD(lr=0.1), batch_size=16, steps=1)], layout=layout)
    program = dataclasses.replace(group.program, layout=layout)
    cut = batches_of(program, GIVEN.data.train, lanes, 2, row)
    assert cut.rows == rows and cut.stride == 2
    assert np.diff(cut.starts).tolist() == [2 * rows] * (len(cut.starts) - 1)
    assert cut.starts[-1] < GIVEN.data.train.count() <= cut.starts[-1] + 2 * rows


def test_fewer_rows_at_a_time_give_the_same_means(monkeypatch):
    usual = evaluated(MAP)
    monkeypatch.setattr(evaluation_batches, "MOST_BYTES", 64 * 100)
    jax.clear_caches()  # the number of rows is no part of what a program is known by
    few = evaluated(MAP)
    np.testing.assert_allclose(few.loss, usual.loss, rtol=1e-5)
    np.testing.assert_array_equal(few.predictions, usual.predictions)


def test_a_metric_of_the_whole_split_is_not_made_up_for_other_lanes():
    given = Problem(net, blobs(), metric="macro_f1")
    recipes = [Recipe(SGD(lr=0.1), batch_size=16, steps=1, seed=seed) for seed in range(3)]
    group, states = init_group(given, recipes)
    state = (weights(group, states), states.model_state)
    which = np.array([False, True, False])
    some = evaluate(group.program, group.inputs, group.splits["test"], state, which=which)
    assert np.isnan(some.metric).tolist() == [True, False, True]


def test_every_third_example_gives_the_mean_over_those_examples():
    group, states = init_group(GIVEN, [Recipe(SGD(lr=0.1), batch_size=16, steps=1)])
    given, split = (weights(group, states), states.model_state), group.splits["train"]
    each = losses_of(group.program, group.inputs, split, given)[0]
    means = evaluate(group.program, group.inputs, split, given, stride=3, predict=largest)
    assert each.shape == (split.count(),) and means.examples == len(each[::3])
    assert len(each) % 3 and len(each[::3]) % EVALUATION_ROWS
    assert means.loss[0] == pytest.approx(each[::3].mean(), rel=1e-5)
    whole = evaluate(group.program, group.inputs, split, given, predict=largest)
    assert whole.loss[0] == pytest.approx(each.mean(), rel=1e-5)
    np.testing.assert_array_equal(means.predictions[0], whole.predictions[0, ::3])


def test_every_third_of_weighted_examples_gives_their_weighted_mean():
    inputs = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    counts = np.random.default_rng(1).integers(1, 9, 400).astype(np.float64)
    data = load((inputs, np.arange(400) % 3), weights=counts, test=0, validation=0)
    group, states = init_group(Problem(net, data), [Recipe(SGD(lr=0.1), batch_size=16, steps=1)])
    split, given = group.splits["train"], (weights(group, states), states.model_state)
    every = np.asarray(split.example_weights)
    own = every[::3]
    losses = np.asarray(losses_of(group.program, group.inputs, split, given)[0]) / every
    means = evaluate(group.program, group.inputs, split, given, stride=3)
    assert own.mean() != pytest.approx(1.0, rel=1e-3)
    assert means.loss[0] == pytest.approx((own * losses[::3]).sum() / own.sum(), rel=1e-5)
