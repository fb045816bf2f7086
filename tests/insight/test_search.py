"""Searching: batches of lanes, losses reported to the sampler between them, the best recipe."""

import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tests import made
from thalweg.core.errors import BadInput, MissingExtra
from thalweg.insight import trials
from thalweg.insight.search import Budget, _value, search
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.ranges import Range
from thalweg.recipe.recipe import Recipe
from thalweg.run.run import Runs

SPACE = {"lr": (1e-3, 1e8), "momentum": [0.5, 0.9]}
RECIPE = Recipe(SGD(momentum=0.5), batch_size=32, steps=12)


@pytest.fixture(scope="module")
def problem():
    return made.problem()


@pytest.fixture(scope="module")
def result(problem, tmp_path_factory):
    return search(
        problem,
        RECIPE,
        SPACE,
        Budget(trials=7, lanes=4, seeds=(0, 1)),
        key=1,
        keep=tmp_path_factory.mktemp("search"),
    )


def test_every_trial_is_trained_with_every_seed(result):
    assert result.table["trial"].to_list() == list(range(7))
    assert result.table["batch"].to_list() == [0, 0, 0, 0, 1, 1, 1]
    assert [len(batch) for batch in result.batches] == [8, 6]
    assert [run.recipe.seed for run in result.batches[1]] == [0, 1] * 3
    assert result.batches[1].folder.name == "batch-001"


def test_a_trial_is_judged_by_its_mean_and_a_diverged_one_by_nothing(result):
    rows = result.table.to_dicts()
    for row, start in zip(rows[:4], range(0, 8, 2), strict=True):
        results = [result.batches[0][lane].result for lane in (start, start + 1)]
        lost = sum(result["stopped"] == "diverged" for result in results)
        assert row["diverged"] == lost
        if lost:
            assert row["value"] is None
        else:
            mean = sum(result["validation_loss"] for result in results) / 2
            assert row["value"] == pytest.approx(mean)
    assert any(row["diverged"] for row in rows) and any(row["value"] for row in rows)


def test_the_best_is_the_lowest_mean(result):
    lowest = min(
        (row for row in result.table.to_dicts() if row["value"] is not None), key=lambda row: row["value"]
    )
    assert (
        result.recipe.optimizer.lr == lowest["lr"] and result.recipe.optimizer.momentum == lowest["momentum"]
    )
    assert result.best.recipe.optimizer.lr == lowest["lr"]
    first = 2 * (lowest["trial"] % 4)  # its runs are adjacent, and no two losses are equal
    runs = result.batches[lowest["batch"]][first : first + 2]
    losses = [run.result["validation_loss"] for run in runs]
    assert result.best.result["validation_loss"] == min(losses) < max(losses)


def test_a_trial_of_which_one_lane_diverged_has_no_value():
    table = pl.DataFrame({"variant": ["a", "a", "b"], "diverged_at": [None, 7, None]})
    losses = {"a": {0: 0.5, 1: None}, "b": {0: 0.25}}
    made_up = SimpleNamespace(losses=losses.get, table=table)
    assert _value(made_up, "a") == (None, 1) and _value(made_up, "b") == (0.25, 0)  # type: ignore[arg-type]


def pretended(problem, recipes, **settings):
    """Stand in for training: the loss is a function of the rate, and large rates diverge."""
    losses = [abs(np.log10(recipe.optimizer.lr) + 1) for recipe in recipes]
    lost = [recipe.optimizer.lr > 1e3 for recipe in recipes]
    rest = {"steps": 12, "train_loss": None, "seconds": {"train": 0.0}}
    runs = [
        SimpleNamespace(
            recipe=recipe,
            result={"stopped": "diverged" if gone else "steps", "validation_loss": loss} | rest,
        )
        for recipe, loss, gone in zip(recipes, losses, lost, strict=True)
    ]
    return Runs(tuple(runs), pl.DataFrame(), {"plan": {"workers": 1}})


def test_optuna_is_asked_for_a_batch_and_told_what_it_reached(problem, monkeypatch):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    monkeypatch.setattr(trials, "train", pretended)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    space = {
        "lr": SPACE["lr"],
        "optimizer": [SGD(momentum=0.5), "adamw"],
        "accumulate": Range(1, 4, log=False),
    }
    outcome = search(problem, RECIPE, space, Budget(trials=40, lanes=8), study=study)
    states = [trial.state.name for trial in study.trials]
    assert len(states) == 40 and set(states) == {"COMPLETE", "PRUNED"}
    for row, trial in zip(outcome.table.to_dicts(), study.trials, strict=True):
        assert row["lr"] == trial.params["lr"]
        assert (row["value"] is None) == (trial.state.name == "PRUNED")
        assert row["value"] is None or row["value"] == trial.value
    assert study.best_value == outcome.table["value"].min() < 0.5  # the sampler was told, and learned
    lanes = [run.recipe for batch in outcome.batches for run in batch]
    assert {recipe.optimizer.name for recipe in lanes} == {"sgd", "adamw"}
    assert {recipe.accumulate for recipe in lanes} == {1, 2, 3, 4}
    assert outcome.recipe == outcome.best.recipe and outcome.study is study


def test_a_study_that_maximises_is_refused(problem):
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(direction="maximize")
    with pytest.raises(BadInput, match="must minimise one value"):
        search(problem, RECIPE, SPACE, study=study)


def test_without_optuna_the_extra_is_named(problem, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"pip install thalweg\[optuna\]"):
        search(problem, RECIPE, SPACE, study=object())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: search(p, RECIPE, {"lrr": (0.1, 1.0)}), "did you mean 'lr'"),
        (lambda p: search(p, RECIPE, {}), "at least one setting must vary"),
        (
            lambda p: search(p, RECIPE, SPACE, Budget(trials=0)),
            "trials must be a whole number of at least 1; got 0",
        ),
        (lambda p: search(p, RECIPE, SPACE, Budget(seeds=())), "seeds must not be empty"),
        (lambda p: search(without_validation(p), RECIPE, SPACE), "needs a validation split"),
    ],
)
def test_bad_input_is_refused(problem, call, message):
    with pytest.raises(BadInput) as caught:
        call(problem)
    assert message in str(caught.value)


def without_validation(problem):
    data = problem.data
    return Problem(
        problem.model, type(data)(data.name, data.task, data.train, None, data.test, data.preparation)
    )
