"""Stop conditions: each stops its lane where it should and is named; one that is off is not compiled."""

import itertools

import jax
import numpy as np
import polars as pl
import pytest

from tests.made import blobs, line, net, problem
from thalweg.core.errors import RecipeError
from thalweg.engine import dispatch
from thalweg.engine.compilation import TRACES, in_use
from thalweg.engine.program import structure
from thalweg.problem.losses.metrics import accuracy, rmse
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.session.stop_conditions import Best, Conditions
from thalweg.run.train import train

OFF = Recipe(SGD(lr=0.05), batch_size=16, epochs=20)
FULL = Recipe(SGD(lr=0.05), batch_size="full", steps=400)


def with_(base: Recipe, **settings: object) -> Recipe:
    return Recipe.from_dict(base.to_dict() | settings)


def validations(run) -> pl.DataFrame:
    return run.record.evaluations.filter(pl.col("part") == "validation")


def test_a_target_stops_at_the_first_evaluation_that_reaches_it():
    plain = train(problem(), OFF)
    metrics = validations(plain)["metric"].to_numpy()
    target = float(metrics[2])
    run = train(problem(), with_(OFF, target=target))
    first = int(np.argmax(metrics >= target))
    assert run.result["stopped"] == "target" and run.result["weights"] == "final"
    assert run.result["steps"] == validations(plain)["step"][first] < plain.result["steps"]
    assert run.result["validation_metric"]["value"] >= target
    assert train(problem(), with_(OFF, target=1.0, epochs=1)).result["stopped"] == "epochs"


def test_a_target_of_an_error_is_reached_from_above():
    regression = Problem(MLP([1, 8, 1]), line())
    run = train(regression, Recipe(SGD(lr=0.1), batch_size=20, epochs=200, target=1.0))
    values = validations(run)["metric"].to_numpy()
    assert run.result["stopped"] == "target"
    assert (values[:-2] > 1.0).all()  # the last row is the evaluation of the weights that count
    assert run.result["validation_metric"]["value"] <= 1.0


def test_the_gradient_is_that_of_the_final_weights():
    plain = train(problem(), with_(FULL, clip_norm=1e9))
    norms = plain.record.steps["gradient_norm"].to_numpy()
    limit = float(np.sqrt(norms[100] * norms[101]))
    run = train(problem(), with_(FULL, gradient_below=limit))
    first = int(np.argmax(norms < limit))
    assert run.result["stopped"] == "gradient_below"
    assert run.result["steps"] == first  # the update with the small gradient was not made
    there = train(problem(), with_(FULL, steps=first))
    for ours, theirs in zip(jax.tree.leaves(run.params), jax.tree.leaves(there.params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_the_gradient_is_compared_before_clipping():
    run = train(problem(), with_(FULL, clip_norm=1e-3, gradient_below=0.01, steps=60))
    assert run.result["stopped"] == "steps"


def test_the_loss_change_is_taken_between_two_evaluations():
    plain = train(problem(), OFF)
    changes = np.abs(np.diff(validations(plain)["loss"].to_numpy()))
    limit = float(np.sort(changes)[1]) * 1.0001
    run = train(problem(), with_(OFF, loss_change_below=limit))
    assert run.result["stopped"] == "loss_change_below"
    assert run.result["steps"] == validations(plain)["step"][1 + int(np.argmax(changes < limit))]


def test_without_a_validation_split_the_training_loss_is_compared():
    data = blobs()
    alone = Problem(net, type(data)(**{**data.__dict__, "validation": None}))
    plain = train(alone, OFF)
    interval = 4 * 14  # the first end of an epoch of 14 steps that is at least 50 steps away
    losses = plain.record.steps["loss"].to_numpy()[: 5 * interval].astype(np.float64)
    changes = np.abs(np.diff(losses.reshape(-1, interval).mean(axis=1)))
    limit = float(changes[2]) * 1.0001
    run = train(alone, with_(OFF, loss_change_below=limit))
    assert run.result["stopped"] == "loss_change_below"
    assert run.result["steps"] == interval * (2 + int(np.argmax(changes < limit)))


def test_seconds_are_those_of_training(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(dispatch.time, "perf_counter", lambda: float(next(ticks)))  # a dispatch takes seconds
    run = train(problem(), with_(OFF, epochs=2000, seconds=20.0))
    assert run.result["stopped"] == "seconds" and 0 < run.result["steps"] < 2000 * 14
    assert 20.0 <= run.result["seconds"]["train"] < 23.0


def test_lanes_of_a_dispatch_share_its_seconds_by_their_steps():
    lanes = Conditions([with_(OFF, seconds=2.0), with_(OFF, seconds=4.0), OFF], accuracy, width=4)
    losses = np.zeros((4, 30))
    (reason, over), *_ = lanes.trained(6.0, np.array([20, 10, 30, 0]), losses)
    assert reason == "seconds" and over.tolist() == [True, False, False, False]
    assert lanes.seconds.tolist() == [2.0, 1.0, 3.0, 0.0]
    (_, over), *_ = lanes.trained(3.0, np.array([0, 10, 0, 0]), losses)
    assert over.tolist() == [True, True, False, False]


def test_nan_meets_no_condition():
    lanes = Conditions([with_(OFF, target=0.0, loss_change_below=9.0)] * 2, rmse)
    nothing = (np.array([np.nan, np.inf]), np.array([np.nan, np.nan]))
    for validation in (nothing, nothing, None, None):
        assert not any(which.any() for _, which in lanes.evaluated(validation))


def copied(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.array(array) for name, array in arrays.items()}


def test_what_is_saved_and_loaded_continues_where_it_was():
    recipes, done = [with_(OFF, seconds=9.0, loss_change_below=0.1)] * 2, np.array([2, 1])
    first, second = Conditions(recipes, rmse), Conditions(recipes, rmse)
    losses = np.array([[1.0, 2.0], [3.0, 4.0]])
    list(first.trained(6.0, done, losses))
    list(first.evaluated(None))
    list(first.trained(6.0, done, losses))
    second.load_state_arrays(copied(first.state_arrays()))
    for conditions in (first, second):
        (_, over), *_ = conditions.trained(3.0, done, losses)
        (_, settled), *_ = conditions.evaluated(None)
        assert over.tolist() == [True, False] and settled.tolist() == [True, True]

    best, again = Best([2, None]), Best([2, None])
    alive, weights = np.array([True, True]), {"w": np.zeros((2, 1), np.float32)}
    for loss in (1.0, 2.0):
        best.observe(np.array([loss, -loss]), np.array([5, 5]), weights, alive)
    again.load_state_arrays(copied(best.state_arrays()))
    again.weights = best.weights
    for each in (best, again):
        each.observe(np.array([1.5, np.nan]), np.array([6, 6]), weights, alive)
        assert each.exhausted.tolist() == [True, False] and each.loss.tolist() == [1.0, -2.0]


def test_each_lane_has_its_own_conditions():
    recipes = [
        OFF,
        with_(OFF, target=0.5),
        with_(OFF, loss_change_below=100.0),
        with_(OFF, gradient_below=1e-9),
        with_(OFF, gradient_below=100.0),
    ]
    runs = train(problem(), recipes, strict=True)
    expected = ["epochs", "target", "loss_change_below", "epochs", "gradient_below"]
    assert [run.result["stopped"] for run in runs] == expected
    assert runs[4].result["steps"] == 0
    for recipe, run in zip(recipes, runs, strict=True):
        alone = train(problem(), recipe)
        assert alone.result["steps"] == run.result["steps"]
        for one, other in zip(jax.tree.leaves(alone.params), jax.tree.leaves(run.params), strict=True):
            assert np.array_equal(one, other)


def test_conditions_of_the_host_do_not_change_the_program():
    host = with_(OFF, target=0.9, seconds=5.0, loss_change_below=1e-3, patience=3)
    assert structure(host) == structure(OFF)
    assert structure(with_(OFF, gradient_below=1e-3)) != structure(OFF)
    with in_use():  # else all programs of this process may be given up after the first
        train(problem(), with_(OFF, gradient_below=1e-9, epochs=1))
        before = TRACES["chunk"]
        train(problem(), with_(OFF, gradient_below=2e-9, epochs=1))
        train(problem(), with_(OFF, target=0.9, loss_change_below=1e-9, epochs=1))
        train(problem(), with_(OFF, epochs=1))
    assert TRACES["chunk"] <= before + 1  # the program without a gradient condition, at most


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seconds": -1}, "seconds must be above 0; got -1.0"),
        ({"seconds": 0}, "seconds must be above 0"),
        ({"gradient_below": -1e-3}, "gradient_below must be above 0"),
        ({"loss_change_below": 0.0}, "loss_change_below must be above 0"),
        ({"target": float("nan")}, "target must be finite"),
        ({"target": "high"}, "target must be a number"),
    ],
)
def test_impossible_conditions_are_refused(settings, message):
    with pytest.raises(RecipeError, match=message):
        Recipe(**settings)


def test_targets_that_cannot_be_reached_are_refused_before_any_work():
    data = blobs()
    alone = type(data)(**{**data.__dict__, "validation": None})
    with pytest.raises(RecipeError, match="target needs a validation split"):
        train(Problem(net, alone), with_(OFF, target=0.9))
    with pytest.raises(
        RecipeError, match=r"possible accuracy; got 97.0\nhint: accuracy is a fraction: try 0.97"
    ):
        train(problem(), with_(OFF, target=97))
    with pytest.raises(RecipeError, match="target must be at least 0, the best possible rmse"):
        train(Problem(MLP([1, 8, 1]), line()), with_(OFF, target=-0.1))


def test_conditions_come_from_toml_and_from_the_command_line():
    text = 'target = 0.97\nseconds = 60\ngradient_below = 1e-6\nloss_change_below = "off"\n'
    recipe = toml.read(text)
    assert (recipe.target, recipe.seconds, recipe.gradient_below) == (0.97, 60.0, 1e-6)
    assert recipe.loss_change_below is None and toml.read(toml.write(recipe)) == recipe
    changed = Recipe.from_dict(toml.settings(recipe.to_dict(), ["target=off", "loss_change_below=1e-4"]))
    assert changed.target is None and changed.loss_change_below == 1e-4


def test_a_lane_that_has_stopped_keeps_its_last_figures():
    first = float(validations(train(problem(), OFF))["loss"][0])
    statuses = []
    train(problem(), [with_(OFF, target=0.0), OFF], progress=statuses.append)
    lanes = [status.lanes for status in statuses if status.note is None][-1]
    assert lanes[0].state == "target" and lanes[1].state == "epochs"
    assert lanes[0].validation_loss == pytest.approx(first) and lanes[1].validation_loss < first
