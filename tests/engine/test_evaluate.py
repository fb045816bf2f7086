"""Evaluation of batched and of mapped lanes: the same losses, and the same predictions."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.made import blobs, net
from thalweg.engine.evaluate import EVALUATION_ROWS, evaluate, losses_of
from thalweg.engine.group import init_group, weights
from thalweg.engine.program import BATCH, MAP
from thalweg.problem.data.load import load
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe

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
