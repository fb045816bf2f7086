"""Curvature: exact for small models, estimates within their errors, kinds of points, histories."""

import numpy as np
import pytest

import thalweg as tw
from tests.insight.landscape.made import first
from thalweg.core.errors import BadInput
from thalweg.insight.landscape import curvature as module
from thalweg.insight.landscape.curvature import curvature, curvature_of
from thalweg.insight.landscape.points import Points
from thalweg.recipe.recipe import Recipe


def at(surface, *start):
    """Return the curvature of a surface at a point: a run whose rate is too small to move."""
    problem = tw.surface(surface, start=start)
    return curvature(tw.train(problem, Recipe(tw.SGD(lr=1e-12), batch_size=1, steps=1), progress=False))


@pytest.fixture(scope="module")
def points():
    return Points(first(tw.MLP([6, 8, 3], activation="tanh")))


@pytest.fixture(scope="module")
def exact(points):
    return curvature_of(points)


def test_the_bowl_has_its_two_curvatures():
    found = at("bowl", 0.0, 0.0)
    np.testing.assert_allclose(found.top, [8.0, 2.0], rtol=1e-5)
    assert found.trace == pytest.approx(10.0) and found.exact and found.index.kind == "minimum"


def test_a_saddle_and_a_slope_are_told_from_a_minimum():
    saddle = at("saddle", 0.0, 0.0)
    assert (saddle.index.kind, saddle.index.down, saddle.lowest) == ("saddle", 1, pytest.approx(-2.0))
    slope = at("saddle", 2.0, 0.5)
    assert slope.index.kind == "no critical point" and "Not a critical point" in repr(slope)


def test_estimates_agree_with_all_eigenvalues(points, exact, monkeypatch):
    monkeypatch.setattr(module, "DENSE", 10)
    monkeypatch.setattr(module, "TRACE_VECTORS", 8000)  # so few parameters need many
    found = curvature_of(points)
    assert exact.exact and not found.exact
    np.testing.assert_allclose(found.top, exact.top, rtol=0.01)
    assert found.lowest == pytest.approx(exact.lowest, rel=0.02)
    assert abs(found.trace - exact.trace) <= 0.05 * abs(exact.trace)
    assert abs(found.trace - exact.trace) <= 4 * found.trace_error
    assert found.gauss_newton == pytest.approx(exact.gauss_newton, rel=0.01)
    assert np.sum(found.weights) == pytest.approx(1.0)


def test_the_density_integrates_to_one(exact):
    eigenvalues, share = exact.density()
    assert np.trapezoid(share, eigenvalues) == pytest.approx(1.0, abs=1e-3)


def test_the_history_of_a_quadratic_is_flat_and_its_edge_is_two_over_the_rate():
    recipe = Recipe(tw.SGD(lr=0.1, momentum=0.5), batch_size=1, steps=20)
    run = tw.train(tw.surface("bowl"), recipe, progress=False)
    history = curvature(run, history=True).history
    np.testing.assert_allclose(history.value, 8.0, rtol=1e-4)
    np.testing.assert_allclose(history.edge.value, 3.0 / 0.1, rtol=1e-5)
    assert history.step[0] == 0 and history.step[-1] == 20 and "below" in history.sentence


def test_other_rules_have_no_edge():
    run = tw.train(tw.surface("bowl"), Recipe(tw.Adam(lr=0.1), batch_size=1, steps=5), progress=False)
    assert curvature(run, history=True).history.edge is None


@pytest.mark.parametrize(
    ("give", "says"),
    [
        (lambda: curvature(3), "a run or its folder"),
        (lambda: curvature("nowhere/at/all"), "no such file|must"),
    ],
)
def test_what_is_no_run_is_refused(give, says):
    with pytest.raises(BadInput, match=says):
        give()
