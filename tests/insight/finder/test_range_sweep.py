"""The range test and its readings: exact rates, and curves whose readings are known."""

import json

import jax
import numpy as np
import pytest

from tests.insight.finder import planted
from thalweg.core.errors import RecipeError
from thalweg.engine.group import init_group
from thalweg.insight.finder import range_sweep
from thalweg.insight.finder.range_sweep import range_test
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import LBFGS, SGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Cosine


@pytest.fixture(scope="module")
def problem():
    return Problem(MLP([4, 1]), planted.regression())


@pytest.fixture(scope="module")
def tested(problem):
    return range_test(problem, Recipe(SGD(lr=0.1), batch_size="full", schedule=Cosine(), steps=50))


def test_rates_begin_at_1e_8_and_double_after_each_batch(tested):
    rates = tested.curve["rate"].to_numpy()
    assert rates[0] == 1e-8 and np.allclose(rates[1:] / rates[:-1], 2.0, rtol=1e-12)
    assert tested.cost.steps == tested.curve.height and tested.cost.run_steps == 50


def test_losses_are_those_of_descent_with_these_rates(problem, tested):
    """Redo the test by hand: mean squared error of a line, by its closed gradient, from the same start."""
    inputs = np.asarray(problem.data.train.inputs, np.float64)
    targets = np.asarray(problem.data.train.targets, np.float64)
    design = np.hstack([inputs, np.ones((len(inputs), 1))])
    start = _start(problem)
    for rate, loss in tested.curve.select("rate", "loss").iter_rows():
        rest = design @ start - targets
        assert loss == pytest.approx(float((rest**2).mean()), rel=2e-3)
        start = start - rate * 2 * design.T @ rest / len(rest)


def _start(problem):
    """Return the first weights of seed 0 and their bias, in one column."""
    states = init_group(problem, [Recipe(SGD(lr=0.1), batch_size="full", steps=50)])[1]
    leaves = [np.asarray(leaf, np.float64)[0] for leaf in jax.tree.leaves(states.params)]
    weight, bias = sorted(leaves, key=lambda leaf: -leaf.size)
    return np.vstack([weight.reshape(-1, 1), bias.reshape(1, 1)])


def test_it_ends_with_the_explosion(tested):
    assert tested.explosion == tested.curve["rate"][-1] < 10
    losses = tested.curve["loss"].to_numpy()
    assert losses[-1] > range_sweep.EXPLODED * losses[:-1].min()


def test_readings_lie_below_the_explosion(tested):
    values = json.loads(json.dumps(tested.to_dict()))
    for name in ("steepest", "valley", "minimum", "slide"):
        assert 1e-8 <= values[name] < tested.explosion
    assert len(values["curve"]) == tested.curve.height


@pytest.mark.parametrize(
    "numbers",
    [{"start": 0.0}, {"start": 1.0, "end": 0.1}, {"factor": 1.0}, {"factor": float("nan")}, {"end": True}],
)
def test_invalid_numbers_are_refused(problem, numbers):
    with pytest.raises(RecipeError, match="range_test: "):
        range_test(problem, Recipe(SGD(), batch_size=32), **numbers)


def test_an_optimizer_without_a_rate_is_refused(problem):
    with pytest.raises(RecipeError, match="learning rate"):
        range_test(problem, Recipe(LBFGS(), batch_size="full"))


RATES = 10.0 ** np.arange(-8.0, 1.0, 0.25)


def falling():
    """Return losses flat at 2 up to 1e-4, falling evenly to 1 at 1e-1, and shooting up."""
    decades = np.log10(RATES)
    losses = np.where(decades < -4, 2.0, 2.0 - (decades + 4) / 3)
    return np.where(decades > -1, 1.0 + 20 * (decades + 1), losses)


def test_the_steepest_descent_of_a_bent_fall():
    losses = falling()
    losses[RATES >= 1e-2] -= 0.5  # a step down at 1e-2
    assert range_sweep.steepest(RATES, losses) == pytest.approx(10**-2.25)


def test_the_minimum_is_a_tenth_of_the_lowest():
    assert range_sweep.minimum(*range_sweep.trimmed(RATES, falling())) == pytest.approx(1e-2)


def test_the_valley_is_halfway_down_the_longest_fall():
    assert 1e-4 < range_sweep.valley(*range_sweep.trimmed(RATES, falling())) < 1e-1


def test_the_explosion_is_the_first_loss_out_of_bounds():
    losses = falling()
    assert range_sweep.explosion(RATES, losses) == pytest.approx(RATES[losses > 4][0])
    losses[10] = np.nan
    assert range_sweep.explosion(RATES, losses) == RATES[10]
    assert range_sweep.explosion(RATES, np.ones(36)) is None


def test_a_curve_that_never_falls_has_no_steepest_descent():
    assert range_sweep.steepest(RATES, np.linspace(1, 2, 36)) is None
    assert range_sweep.valley(RATES, np.linspace(1, 2, 36)) is None
