"""Trials: variants as lanes over equal seeds, as long as the budget allows, compared seed by seed."""

import dataclasses
import signal

import pytest

from tests import made
from thalweg.core.errors import RecipeError
from thalweg.insight.trials import Variant, run_trials, validation_only
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe, with_rate
from thalweg.run.progress import Progress
from thalweg.run.train import train

RECIPE = Recipe(SGD(lr=0.01), batch_size=32, steps=40)
RATES = {"small": 0.01, "good": 0.1, "huge": 1e8}
VARIANTS = [Variant(name, with_rate(RECIPE, rate)) for name, rate in RATES.items()]


@pytest.fixture(scope="module")
def problem():
    return validation_only(made.problem())


@pytest.fixture(scope="module")
def trials(problem):
    return run_trials(problem, VARIANTS, (7, 8), 10)


def test_every_variant_is_trained_with_every_seed(trials):
    assert trials.table["variant"].to_list() == ["small", "small", "good", "good", "huge", "huge"]
    assert trials.table["seed"].to_list() == [7, 8] * 3 and len(trials.sweeps) == 1
    assert trials.steps == 10 and trials.seconds > 0


def test_a_lane_is_the_shortened_run(problem, trials):
    recipe = dataclasses.replace(VARIANTS[1].recipe.shortened(10, 40), seed=8)
    assert trials.losses("good")[8] == train(problem, recipe).result["validation_loss"]


def test_differences_are_paired_over_seeds(trials):
    small, good = trials.losses("small"), trials.losses("good")
    difference = trials.difference("small", "good")
    assert difference.number == 2 and difference.mean > 0
    assert difference.mean == pytest.approx(sum(small[seed] - good[seed] for seed in (7, 8)) / 2)


def test_a_diverged_lane_has_no_loss_and_cannot_be_compared(trials):
    assert set(trials.losses("huge").values()) == {None}
    assert trials.difference("huge", "good") is None
    rows = trials.table.filter(trials.table["variant"] == "huge").to_dicts()
    assert all(row["stopped"] == "diverged" and row["steps"] == row["diverged_at"] + 1 for row in rows)


def test_the_cost_is_what_was_computed_and_the_budget_limits_it(problem, trials):
    assert trials.lane_steps == trials.table["steps"].sum() <= 6 * 10
    limited = run_trials(problem, VARIANTS[:2], (7,), 10, budget=13)
    assert limited.steps == 6 and limited.lane_steps == 12


def test_variants_may_have_problems_of_their_own(problem, tmp_path):
    other = Problem(problem.model, made.blobs(seed=5))
    variants = [Variant("here", RECIPE), Variant("there", RECIPE, other)]
    trials = run_trials(problem, variants, (0,), keep=tmp_path / "kept")
    assert len(trials.sweeps) == 2 and trials.steps is None
    assert trials.table["steps"].to_list() == [40, 40]
    assert trials.losses("here") != trials.losses("there")
    assert [sweep.folder.name for sweep in trials.sweeps] == ["problem-0", "problem-1"]


def test_without_a_validation_split_the_training_loss_counts(problem):
    bare = dataclasses.replace(problem, data=dataclasses.replace(problem.data, validation=None))
    table = run_trials(bare, VARIANTS[:1], (0,), 5).table
    assert table["loss"].to_list() == table["train_loss"].to_list()


def test_trials_see_no_test_split(problem):
    assert "test" not in problem.data.splits


@pytest.mark.parametrize(
    ("variants", "seeds", "budget", "message"),
    [
        ([], (0,), None, "variants with different names"),
        (VARIANTS, (), None, "need seeds"),
        ([VARIANTS[0], VARIANTS[0]], (0,), None, "different names"),
        (VARIANTS, (0,), 2, "one update for each of 3 lanes; got 2"),
    ],
)
def test_impossible_trials_are_refused(problem, variants, seeds, budget, message):
    with pytest.raises(RecipeError, match=message):
        run_trials(problem, variants, seeds, 10, budget=budget)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_concluded_from_lanes_that_were_interrupted(problem, sent):
    class Interrupting(Progress):
        def start(self, plan):
            signal.raise_signal(sent)

    with pytest.raises(KeyboardInterrupt):
        run_trials(problem, VARIANTS[:2], (7,), 10, progress=Interrupting())
