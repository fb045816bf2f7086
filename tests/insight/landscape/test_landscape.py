"""Landscapes of runs in memory and in folders: paths, lines, curves; and what is refused."""

import numpy as np
import pytest

import thalweg as tw
from tests.made import blobs
from thalweg.core.errors import BadInput, DataError, ModelError
from thalweg.insight.landscape.line import bezier, rise
from thalweg.recipe.recipe import Recipe
from thalweg.view.landscape.file import svg

RECIPE = Recipe(tw.Adam(lr=0.02), batch_size=32, steps=60)


@pytest.fixture(scope="module")
def runs():
    problem = tw.Problem(tw.MLP([6, 8, 3]), blobs())
    return tw.train(problem, RECIPE.vary(seed=range(3)), progress=False, strict=True)


@pytest.fixture(scope="module")
def line(runs):
    return tw.landscape(runs[0], runs[1], curve=2000)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("landscape") / "run"
    tw.fit("iris", "mlp:4", epochs=2, keep=folder, progress=False)
    return folder


def test_the_path_is_that_of_the_run(runs):
    shown = tw.landscape(runs[0], plane="path", side=5)
    (trail,) = shown.trails
    assert trail.step[0] == 0 and trail.step[-1] == 60 and not shown.notes
    logged = runs[0].record.steps["loss"]
    assert trail.loss[0] == pytest.approx(float(logged[0]), rel=0.3)
    assert shown.marks[0].loss == pytest.approx(trail.loss[-1], rel=1e-5)
    assert sum(shown.plane.explained) > 0.8
    centre = [np.abs(axis).argmin() for axis in (shown.y, shown.x)]
    assert np.isfinite(shown.loss[centre[0], centre[1]])


def test_a_line_ends_at_the_losses_of_both_runs(runs, line):
    for end, run in ((0, runs[0]), (-1, runs[1])):
        assert line.loss["train"][end] == pytest.approx(run.result["train_loss"], rel=1e-4)
        assert line.loss["validation"][end] == pytest.approx(run.result["validation_loss"], rel=1e-4)
    assert line.names == ("seed 0", "seed 1")


def test_a_trained_curve_is_lower_than_the_line(line):
    assert line.barrier() > 0 and not line.connected
    assert line.barrier(curve=True) < 0.5 * line.barrier()
    for end in (0, -1):
        assert line.curve_loss["train"][end] == pytest.approx(line.loss["train"][end], rel=1e-5)


def test_a_run_has_no_barrier_to_itself(runs):
    assert tw.landscape(runs[0], runs[0]).connected


def test_the_plane_through_three_runs_holds_their_losses(runs):
    shown = tw.landscape(*runs, side=5)
    for mark, run in zip(shown.marks, runs, strict=True):
        assert mark.loss == pytest.approx(run.result["train_loss"], rel=1e-4)


def test_a_folder_gives_what_its_run_gives(saved):
    few = tw.landscape(saved, side=3)
    result = tw.read(saved).result
    assert few.marks[0].loss == pytest.approx(result["train_loss"], rel=1e-4)
    assert few.loss[1, 1] == few.marks[0].loss  # the origin of the plane
    assert tw.landscape(str(saved), side=3, seed=1).loss[0, 0] != few.loss[0, 0]


def test_rise_and_bezier_by_hand():
    assert rise(np.array([0.0, 0.5, 1.0]), np.array([1.0, 3.0, 2.0])) == 1.5
    assert rise(np.array([0.0, 0.5, 1.0]), np.array([1.0, np.nan, 2.0])) == np.inf
    unequal = np.array([0.0, 0.25, 1.0]), np.array([1.0, 2.0, 2.0])  # the line is at 1.25 there
    assert rise(*unequal) == 0.75
    assert bezier(0.5) == (0.25, 0.25, 0.5) and bezier(0.0) == (1.0, 0.0, 0.0)


def test_recipes_on_a_surface_end_where_the_update_by_hand_does():
    recipes = Recipe(tw.SGD(lr=0.1), batch_size=1, steps=4).vary(lr=[0.05, 0.3])
    shown = tw.landscape(tw.surface("bowl"), recipes=recipes, side=5)
    small, large = shown.trails
    w = np.array([3.0, 2.0])
    for step in range(5):
        np.testing.assert_allclose(small.at[step], w, rtol=1e-5)
        w = w - 0.05 * np.array([2.0, 8.0]) * w
    assert large.loss[-1] > large.loss[0]
    np.testing.assert_allclose(shown.loss[2, 0], 16.0, rtol=1e-6)  # at (-4, 0)
    assert svg(shown).startswith("<svg")


def other_model(runs):
    return tw.train(tw.Problem(tw.MLP([6, 4, 3]), blobs()), RECIPE, progress=False)


def other_data(runs):
    return tw.train(tw.Problem(tw.MLP([6, 8, 3]), blobs(seed=1)), RECIPE, progress=False)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda runs: tw.landscape(runs[0], other_model(runs)), ModelError, "same parameters"),
        (lambda runs: tw.landscape(runs[0], other_data(runs)), DataError, "same data"),
        (lambda runs: tw.landscape(runs[0], runs[1], runs[2], runs[0]), BadInput, "one, two or three"),
        (lambda runs: tw.landscape(runs[0], runs[1], plane="path"), BadInput, "no plane"),
        (lambda runs: tw.landscape(runs[0], plane="runs"), BadInput, "three runs"),
        (lambda runs: tw.landscape(runs[0], plane="pathh"), BadInput, "path"),
        (lambda runs: tw.landscape(runs[0], curve=10), BadInput, "two runs"),
        (lambda runs: tw.landscape(runs[0], side=2), BadInput, "from 3"),
        (lambda runs: tw.landscape(runs[0], sid=5), BadInput, "side"),
        (lambda runs: tw.landscape(runs[0], recipes=[RECIPE]), BadInput, "on a surface"),
        (lambda runs: tw.landscape(runs[0].problem), BadInput, "a run, or a surface"),
        (lambda runs: tw.landscape(runs[0], split="holdout"), BadInput, "split of the data"),
        (lambda runs: tw.landscape(runs[0], weights="best"), BadInput, "run folder"),
        (lambda runs: tw.landscape(runs), BadInput, "a run or its folder"),
    ],
)
def test_what_does_not_belong_together_is_refused(runs, call, error, says):
    with pytest.raises(error, match=says):
        call(runs)


def test_a_run_on_arrays_in_memory_needs_its_problem(tmp_path):
    problem = tw.Problem(tw.MLP([6, 8, 3]), blobs())
    tw.train(problem, RECIPE, keep=tmp_path / "run", progress=False)
    with pytest.raises(DataError, match="problem"):
        tw.landscape(tmp_path / "run")
    assert tw.landscape(tmp_path / "run", problem=problem, side=3).loss.shape == (3, 3)
