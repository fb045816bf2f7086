"""Finding the learning rate: on problems that are whole, and on those with trouble planted in them."""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tests import made
from tests.insight.finder import planted
from thalweg.core.errors import RecipeError
from thalweg.insight.finder.finding import INCONCLUSIVE, LANE
from thalweg.insight.finder.learning_rate import COARSE, RateSearch, find_lr
from thalweg.insight.finder.valley import Valley
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import LBFGS, SGD, Adam, GradientDescent, Muon, Prodigy
from thalweg.recipe.recipe import Recipe, with_rate
from thalweg.run.train import train


def losses_at(problem, recipe, *rates):
    """Return the mean loss of whole runs with each rate, over seeds that the finder does not use."""
    seeds = range(2)
    recipes = [dataclasses.replace(with_rate(recipe, rate), seed=seed) for rate in rates for seed in seeds]
    losses = [run.result["validation_loss"] for run in train(problem, recipes)]
    losses = [math.inf if loss is None else loss for loss in losses]
    return np.reshape(losses, (len(rates), -1)).mean(axis=1)


@pytest.fixture(scope="module")
def finding():
    return find_lr(planted.blobs(), planted.RECIPE, share=10.0)


def test_a_rate_is_found_that_is_better_than_a_bad_default(finding):
    assert finding.status in ("found", "flat")
    assert finding.low <= finding.value <= finding.high
    assert finding.value > 4 * finding.default == 4e-3
    loss, own_loss = losses_at(planted.blobs(), planted.RECIPE, finding.value, finding.default)
    assert loss < own_loss


def test_the_recipe_has_the_rate_in_place_and_nothing_else_changed(finding):
    assert finding.recipe.optimizer.lr == finding.value
    assert finding.recipe.to_dict() | {"optimizer": 0} == planted.RECIPE.to_dict() | {"optimizer": 0}


def test_a_finding_is_plain_data(finding):
    values = json.loads(json.dumps(finding.to_dict()))
    assert values["value"] == finding.value and len(values["curve"]) == finding.curve.height
    assert values["cost"]["share"] == finding.cost.share
    assert set(finding.curve.columns) == {
        "rung", "steps", "rate", "seed", "loss", "train_loss", "stopped", "diverged_at",
    }  # fmt: skip
    assert (
        finding.fitted["loss"].is_finite().all() and (finding.fitted["low"] <= finding.fitted["high"]).all()
    )


def test_lanes_get_longer_and_seeds_are_paired(finding):
    rungs = finding.curve.partition_by("rung", maintain_order=True)
    assert [rung["steps"][0] for rung in rungs] == sorted({rung["steps"][0] for rung in rungs})
    seeds = [set(some["seed"]) for some in rungs[1].partition_by("rate")]
    assert all(some == seeds[0] and len(some) == 2 for some in seeds)
    assert 0 not in set(finding.curve["seed"])  # the run's own order of batches is not looked at


@pytest.mark.parametrize("share", [0.1, 1.0, 3.3])
def test_the_budget_is_held_strictly(share):
    finding = find_lr(planted.blobs(), planted.RECIPE, share=share)
    made = finding.curve["steps"] * 1
    assert finding.cost.steps <= share * 120 and finding.cost.run_steps == 120
    assert finding.cost.steps <= int(made.sum())


def test_the_same_problem_recipe_and_share_find_the_same():
    first, second = (find_lr(planted.blobs(), planted.RECIPE, share=1.0) for _ in range(2))
    assert first.curve.equals(second.curve) and first.value == second.value and first.reason == second.reason


def test_with_no_room_for_lanes_the_own_rate_stays():
    finding = find_lr(planted.blobs(), dataclasses.replace(planted.RECIPE, steps=10), share=0.1)
    assert (finding.status, finding.value, finding.cost.steps) == ("cannot tell", 1e-3, 0)
    assert "budget of 1 lane-step" in finding.reason and finding.recipe.optimizer.lr == 1e-3


def test_a_second_rate_moves_along():
    finding = find_lr(
        planted.blobs(), Recipe(Muon(lr=2e-5, adam_lr=3e-7), batch_size=32, steps=120), share=3.0
    )
    assert finding.setting == "optimizer.lr" and finding.value > 1e-3
    assert finding.recipe.optimizer.adam_lr == pytest.approx(3e-7 * finding.value / 2e-5)
    assert "optimizer.adam_lr" in finding.reason


def test_a_rate_of_zero_is_searched_around_the_rules_own():
    finding = find_lr(planted.blobs(), Recipe(Adam(lr=0.0), batch_size=32, steps=120), share=3.0)
    assert finding.default == 0.0 and finding.value > 1e-3


def test_a_default_that_diverges_is_left():
    recipe = Recipe(SGD(lr=100.0), batch_size="full", steps=120)
    finding = find_lr(Problem(MLP([4, 1]), planted.regression()), recipe, share=3.0)
    assert finding.diverges <= 100.0 and finding.value <= finding.diverges / 2
    assert finding.low <= finding.value <= finding.high


# What breaks other finders, planted.


@pytest.mark.parametrize(
    ("problem", "recipe"),
    [
        (planted.noisy_labels, planted.RECIPE),
        (planted.odd_first_batch, dataclasses.replace(planted.RECIPE, shuffle="none")),
        (lambda: planted.blobs(MLP([6, 16, 3], dropout=0.5)), planted.RECIPE),
        (lambda: planted.blobs(MLP([6, 16, 3], normalisation="batch")), planted.RECIPE),
        (lambda: Problem(MLP([4, 8, 1]), planted.regression(1e4)), planted.RECIPE),
    ],
    ids=["noise", "first batch", "dropout", "batch norm", "large targets"],
)
def test_trouble_does_not_mislead(problem, recipe):
    problem = problem()
    # Ten runs: what the finder's six seconds buy here. With half of that the one seed of the last rung is
    # misled by the odd first batch.
    finding = find_lr(problem, recipe, share=10.0)
    assert finding.value is not None and finding.low <= finding.value <= finding.high
    assert finding.diverges is None or finding.value <= finding.diverges / 2
    loss, own_loss = losses_at(problem, recipe, finding.value, finding.default)
    assert loss <= 1.05 * own_loss


def test_tiny_data_does_not_mislead():
    """Of 40 examples 6 are left to compare by, and a single set of them is a lottery: five are drawn."""
    recipe, losses = dataclasses.replace(planted.RECIPE, batch_size=8), []
    for seed in range(5):
        problem = planted.blobs(count=40, seed=seed)
        finding = find_lr(problem, recipe, share=10.0)
        assert finding.low <= finding.value <= finding.high
        losses.append(losses_at(problem, recipe, finding.value, finding.default))
    loss, own_loss = np.mean(losses, axis=0)
    assert loss < own_loss


def test_nan_from_some_rate_on_is_the_edge():
    finding = find_lr(planted.cliff(), planted.DESCENT, share=5.0)
    # Full-batch descent on the line: the first step is 2 lr mean(x^2), and NaN waits beyond 2.
    assert finding.diverges is not None and 0.5 < finding.diverges < 8
    assert (
        finding.value <= finding.diverges / 2
        and finding.curve.filter(pl.col("rate") < 0.5)["loss"].is_not_null().all()
    )


def test_nan_in_the_data_is_said_at_once():
    finding = find_lr(planted.with_nan(), planted.RECIPE, share=1.0)
    assert (finding.status, finding.value) == ("all diverged", None)
    assert "before the first update" in finding.reason and finding.cost.steps <= 9
    assert finding.recipe == planted.RECIPE


def test_training_that_begins_at_a_minimum():
    finding = find_lr(planted.solved(), Recipe(SGD(lr=0.01), batch_size=8, steps=200), share=3.0)
    assert finding.status == "flat" and "begins at a minimum" in finding.reason
    assert finding.value <= finding.high


# Bad input, each with its own answer.


def test_a_zero_gradient_cannot_learn():
    finding = find_lr(planted.blocked(), planted.RECIPE, share=1.0)
    assert (finding.status, finding.value) == ("cannot learn", None)
    assert "gradient is zero" in finding.reason


def test_a_constant_loss_cannot_learn():
    finding = find_lr(planted.constant_loss(), planted.RECIPE, share=1.0)
    assert (finding.status, finding.value) == ("cannot learn", None)
    assert "whatever the weights are" in finding.reason


def test_all_lanes_diverging():
    finding = find_lr(planted.explosive(), planted.DESCENT, share=1.0)
    assert (finding.status, finding.value, finding.low) == ("all diverged", None, None)
    assert "Every lane diverged, down to" in finding.reason
    assert finding.curve["rate"].min() < 1e-6  # it looked far below before it gave up


def test_data_smaller_than_one_batch_is_refused():
    with pytest.raises(RecipeError, match="at most the training split's 210 examples; got 512"):
        find_lr(planted.blobs(), Recipe(Adam(), batch_size=512))


@pytest.mark.parametrize(
    ("optimizer", "why"),
    [
        (LBFGS(), "line search finds its step length"),
        (GradientDescent(), "line search finds its step length"),
        (Prodigy(), "prodigy estimates its own"),
    ],
)
def test_an_optimizer_without_a_rate_is_refused(optimizer, why):
    batch = "full" if optimizer.line_search else 32
    with pytest.raises(RecipeError, match=why) as refused:
        find_lr(planted.blobs(), Recipe(optimizer, batch_size=batch))
    assert "train it as it is" in str(refused.value)


@pytest.mark.parametrize("share", [0, -1.0, math.nan, math.inf, True, "much"])
def test_an_invalid_share_is_refused(share):
    with pytest.raises(RecipeError, match="share must be"):
        find_lr(planted.blobs(), planted.RECIPE, share=share)


@pytest.mark.parametrize("seeds", [0, 1.5, True])
def test_an_invalid_number_of_seeds_is_refused(seeds):
    with pytest.raises(RecipeError, match="seeds must be"):
        find_lr(planted.blobs(), planted.RECIPE, seeds=seeds)


def test_without_a_validation_split_the_training_loss_counts():
    problem = planted.blobs()
    problem = dataclasses.replace(problem, data=dataclasses.replace(problem.data, validation=None))
    finding = find_lr(problem, planted.RECIPE, share=1.0)
    assert finding.curve["loss"].to_list() == finding.curve["train_loss"].to_list()


def test_the_test_split_is_never_read():
    problem = planted.blobs()
    broken = dataclasses.replace(made.blobs().test, inputs=np.full((45, 6), np.nan, np.float32))
    spoilt = dataclasses.replace(problem, data=dataclasses.replace(problem.data, test=broken))
    first, second = (find_lr(one, planted.RECIPE, share=1.0) for one in (problem, spoilt))
    assert first.curve.equals(second.curve)


def searched(losses, diverged=()):
    """A search after its first grid: the losses by octave, of which some diverged."""
    rows = [
        {"rung": 1, "steps": 8, "rate": 2.0**octave, "seed": 0, "loss": None if octave in diverged else loss}
        | {"train_loss": loss, "stopped": "diverged" if octave in diverged else "steps"}
        | {"diverged_at": 5 if octave in diverged else None}
        for octave, loss in losses.items()
    ]
    curve = pl.DataFrame(rows, schema=LANE)
    rungs = SimpleNamespace(recipe=Recipe(Adam(lr=1.0)), curve=curve, total=8, spent=0)
    return RateSearch(rungs, None, None, rung=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("losses", "more"),
    [
        ({-2: 1.0, 0: 0.8, 2: 0.6}, [2 + COARSE]),
        ({-2: 1.0, 0: 0.6, 2: 0.8}, []),
        ({-2: 0.6, 0: 0.8, 2: 1.0}, [-2 - COARSE]),
        ({-2: 1.0, 0: 1.0, 2: 1.0}, []),  # nothing fell: the lowest rate is best as it stays at the start
    ],
)
def test_the_first_grid_grows_beyond_the_end_that_is_best(losses, more):
    assert searched(losses)._extension() == more


def test_a_found_rate_is_at_most_half_of_what_diverged():
    search = searched({-2: 1.0, 0: 0.5, 1.07: 0.9}, diverged=(1.07,))
    at = np.array([-1.0, 0.0, 0.07])  # of which 2^0.07 is rounded up
    valley = Valley(at, np.array([0.0, 0.0, 1.0]), 1.0 - np.eye(3))
    search.valley = lambda: valley  # type: ignore[method-assign]
    assert math.isclose(search.diverges, 2**1.07) and search._decide().value == search.diverges / 2


@pytest.mark.parametrize(("diverged", "chance"), [(0.8, 1.0), (1.2, 0.6)])
def test_the_own_rate_is_left_for_certain_where_twice_of_it_diverged(diverged, chance):
    """Elsewhere the lanes must tell, and here they cannot."""
    search = searched({-1: 0.6, 0: 0.5, diverged: 0.9}, diverged=(diverged,))
    search.valley = lambda: Valley(np.array([-1.0, 0.0]), np.array([0.6, 0.4]), 1.0 - np.eye(2))  # type: ignore[method-assign]
    decision = search._decide()
    assert decision.chance == chance
    assert (decision.status == INCONCLUSIVE) == (chance < 1) and decision.value == (
        0.5 if chance == 1 else 1.0
    )
