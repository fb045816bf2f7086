"""Curvature: against Hessians in closed form, and against descent that tips over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.insight.finder import planted
from thalweg.core.tree import lane
from thalweg.engine.group import init_group
from thalweg.insight.landscape.sharpness import full_loss, losses_of_rows, predicted_edge, sharpness
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD, Adam
from thalweg.recipe.recipe import Recipe
from thalweg.run.train import train

DESCENT = Recipe(SGD(lr=0.1), batch_size="full", steps=400)


@pytest.fixture(scope="module")
def line():
    return Problem(MLP([4, 1]), planted.regression())


def top(problem):
    """Return the largest eigenvalue of the Hessian of a line's mean squared error."""
    inputs = np.asarray(problem.data.train.inputs, np.float64)
    design = np.hstack([inputs, np.ones((len(inputs), 1))])
    return float(np.linalg.eigvalsh(2 * design.T @ design / len(design)).max())


def test_the_largest_eigenvalue_of_a_line(line):
    found = sharpness(*full_loss(line, DESCENT))
    assert found.value == pytest.approx(top(line), rel=0.05)


def test_the_largest_and_not_the_most_negative():
    bends = jnp.array([-5.0, 1.0, 3.0])
    found = sharpness(lambda at: 0.5 * (bends * at**2).sum(), jnp.ones(3))
    assert found.value == pytest.approx(3.0, rel=0.05)


def test_a_network_against_its_whole_hessian():
    problem = Problem(MLP([4, 3, 1], activation="tanh"), planted.regression())
    loss, params = full_loss(problem, DESCENT)
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    hessian = jax.hessian(lambda vector: loss(unravel(vector)))(flat)
    assert sharpness(loss, params).value == pytest.approx(
        float(np.linalg.eigvalsh(np.asarray(hessian, np.float64)).max()), rel=0.05
    )


def test_descent_tips_over_at_the_predicted_edge(line):
    edge = predicted_edge(line, DESCENT, updates=1000)
    assert edge.rate == pytest.approx(2 / top(line), rel=0.05) and edge.steps > 0
    recipes = DESCENT.vary(lr=[0.9 * edge.rate, 1.2 * edge.rate])
    stays, tips = (run.result for run in train(line, recipes))
    assert (stays["stopped"], tips["stopped"]) == ("steps", "diverged")


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(SGD(lr=0.1), batch_size=32),
        Recipe(SGD(lr=0.1, momentum=0.9), batch_size="full"),
        Recipe(Adam(), batch_size="full"),
        Recipe(SGD(lr=0.1), batch_size="full", clip_norm=1.0),
    ],
)
def test_other_rules_and_batches_have_no_predicted_edge(line, recipe):
    assert predicted_edge(line, recipe, updates=1000) == (None, 0)


def test_what_may_be_spent_is_held(line):
    assert predicted_edge(line, DESCENT, updates=4) == (None, 0)
    assert predicted_edge(line, DESCENT, updates=7).steps <= 7


def test_the_edge_is_that_of_the_rate_before_the_rule_for_batches(line):
    count = line.data.train.count()
    ruled = Recipe(SGD(lr=0.1), batch_size=count, steps=400, rate_rule="linear", rate_batch=2 * count)
    edge = predicted_edge(line, ruled, updates=1000)
    assert edge.rate == pytest.approx(2 * 2 / top(line), rel=0.05)


def test_the_largest_where_all_bend_down():
    bends = jnp.array([-5.0, -1.0, -3.0])
    found = sharpness(lambda at: 0.5 * (bends * at**2).sum(), jnp.ones(3))
    assert found.value == pytest.approx(-1.0, rel=0.05)


def test_rows_have_the_losses_of_running_statistics():
    problem = Problem(MLP([4, 8, 1], normalisation="batch"), planted.regression())
    group, states = init_group(problem, [DESCENT])
    params, state = (lane(tree, 0) for tree in (states.params, states.model_state))
    together = losses_of_rows(group, params, state, jnp.arange(8))
    alone = [losses_of_rows(group, params, state, jnp.array([row]))[0] for row in range(8)]
    np.testing.assert_allclose(together, np.array(alone), rtol=1e-5)
