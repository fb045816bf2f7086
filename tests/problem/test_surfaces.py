"""Surfaces: their formulas, descent on them against the update by hand, noise, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

import thalweg as tw
from thalweg.core.errors import ModelError
from thalweg.problem.surfaces import SURFACES


@pytest.mark.parametrize("name", SURFACES)
def test_the_formula_in_words_is_the_function(name):
    surface, random = SURFACES[name], np.random.default_rng(0)
    w0, w1 = random.uniform(-2, 2, (2, 20))
    written = surface.formula.replace("cos 3 w0", "cos(3*w0)").replace("cos 3 w1", "cos(3*w1)")
    written = written.replace("^", "**").replace("100 (", "100*(").replace("4 w1", "4*w1")
    written = written.replace("0.05 w0", "0.05*w0").replace("5 w1", "5*w1")
    expected = eval(written, {"exp": np.exp, "cos": np.cos, "w0": w0, "w1": w1})
    np.testing.assert_allclose(
        surface.height(jnp.asarray(w0), jnp.asarray(w1)), expected, rtol=2e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", SURFACES)
def test_the_start_lies_in_the_window(name):
    surface = SURFACES[name]
    assert surface.window[0] < surface.start[0] < surface.window[1]
    assert surface.window[2] < surface.start[1] < surface.window[3]


@pytest.fixture(scope="module")
def descents():
    recipe = tw.Recipe(tw.SGD(lr=0.15), batch_size=1, steps=30)
    return tw.train(tw.surface("bowl"), recipe.vary(lr=[0.15, 0.24, 0.26]), progress=False)


def test_thirty_steps_down_the_bowl_are_those_by_hand(descents):
    w = np.array([3.0, 2.0])
    for _ in range(30):
        w = w - 0.15 * np.array([2 * w[0], 8 * w[1]])
    np.testing.assert_allclose(descents[0].model.w, w, rtol=1e-4, atol=1e-9)


def test_descent_is_stable_up_to_two_over_the_curvature(descents):
    below, above = (abs(float(run.record.steps["loss"][-1])) for run in descents[1:])
    assert below < 25.0 < above


def test_noise_tilts_the_gradient_and_not_the_height():
    noisy = tw.surface("bowl", noise=0.5)
    recipes = tw.Recipe(tw.SGD(lr=1e-3), batch_size=1, steps=1).vary(seed=range(80))
    ends = np.stack([np.asarray(run.params.w) for run in tw.train(noisy, recipes, progress=False)])
    gradients = (np.array([3.0, 2.0]) - ends) / 1e-3
    np.testing.assert_allclose(gradients.mean(axis=0), [6.0, 16.0], atol=0.2)
    np.testing.assert_allclose(gradients.std(axis=0), 0.5, rtol=0.3)
    picture = tw.landscape(noisy, side=3)
    assert picture.loss[1, 1] == 0.0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: tw.surface("bowll"), "bowl"),
        (lambda: tw.surface("bowl", start=(1.0,)), "two finite numbers"),
        (lambda: tw.surface("bowl", start=(1.0, float("nan"))), "two finite numbers"),
        (lambda: tw.surface("bowl", noise=-1.0), "at least 0"),
    ],
)
def test_what_is_no_surface_is_refused(call, says):
    with pytest.raises(ModelError, match=says):
        call()
