"""The rungs of a search: how many and how long for a budget in shares of a run or in seconds."""

import pytest

from tests.made import blobs, problem
from thalweg.core import compiler
from thalweg.insight.finder import learning_rate
from thalweg.insight.finder.rungs import (
    FIRST_LANES,
    LANES,
    PRODUCTS,
    Rungs,
    assumed_seconds,
    default_share,
    plan_rungs,
)
from thalweg.problem.models.mlp import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


def cost(plan):
    first, *others = zip(plan.steps, plan.seeds, strict=True)
    return FIRST_LANES * first[0] + sum(LANES * seeds * steps for steps, seeds in others)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 50.0])
@pytest.mark.parametrize("total", [1, 10, 300, 2000, 100_000])
@pytest.mark.parametrize("seeds", [None, 1, 4])
def test_rungs_fit_in_the_budget_and_grow(share, total, seeds):
    plan = plan_rungs(share, total, seeds)
    assert plan.budget == int(share * total + 1e-9) and cost(plan) <= plan.budget
    assert list(plan.steps) == sorted(plan.steps) and plan.steps[-1] <= total
    assert plan.seeds[0] == 1 and (seeds is None or set(plan.seeds[1:]) <= {seeds})


def test_ten_runs_reach_the_whole_length():
    assert plan_rungs(10.0, 2000).steps[-1] == 2000


def test_lane_steps_already_spent_count():
    assert plan_rungs(1.0, 2000, spent=500).steps[-1] < plan_rungs(1.0, 2000).steps[-1]


@pytest.mark.parametrize(
    ("seconds", "total", "share"),
    [
        (1e-3, 100_000, 0.1),  # a hundred seconds: six are less than a tenth
        (1e-3, 60_000, 0.1),
        (1e-3, 6000, 1.0),
        (1e-3, 5000, 1.0),  # 1.2 runs, rounded down
        (1e-4, 1000, 10.0),  # sixty runs, of which ten are allowed
    ],
)
def test_the_default_share_is_what_six_seconds_buy(seconds, total, share):
    assert default_share(seconds, total) == share


def test_a_budget_counts_operations_and_no_seconds():
    recipe = Recipe(SGD(lr=0.1), batch_size=16, steps=100)
    small, large = (assumed_seconds(Problem(MLP([6, width, 3]), blobs()), recipe) for width in (64, 6400))
    added = 2 * 16 * 3 * (6400 - 64) * 9 - 2 * 16 * (6400 - 64) * 6  # no gradient of the inputs
    assert large - small > added / PRODUCTS
    rungs = [Rungs(problem(), recipe) for _ in range(2)]
    assert rungs[0].update_seconds == rungs[1].update_seconds > 0


def test_a_brief_search_is_compiled_fast_and_no_other(monkeypatch):
    seen = []

    def stop(self: learning_rate.RateSearch, _: int) -> None:
        seen.append(self.rungs.brief)
        raise BrokenOff

    monkeypatch.setattr(learning_rate.RateSearch, "_first", stop)
    for steps in (200, 10**6):
        rungs = Rungs(problem(), Recipe(SGD(lr=0.1), batch_size=16, steps=steps))
        with pytest.raises(BrokenOff):
            learning_rate.RateSearch(rungs, 0.1, None).run()
    assert seen == [True, False]


def test_brief_lanes_are_compiled_fast(monkeypatch):
    seen = []

    def stop(*_: object, **__: object) -> None:
        seen.append(compiler._EFFORT.get() == compiler.LEAST)
        raise BrokenOff

    monkeypatch.setattr("thalweg.insight.finder.rungs.run_trials", stop)
    for brief in (True, False):
        rungs = Rungs(problem(), Recipe(SGD(lr=0.1), batch_size=16, steps=20), brief=brief)
        with pytest.raises(BrokenOff):
            rungs.train([0.1], 1, 8, 1)
    assert seen == [True, False]


class BrokenOff(Exception):
    """Ends a rung before it trains."""


def test_rates_are_tried_without_the_test_split():
    rungs = Rungs(problem(), Recipe(SGD(lr=0.1), batch_size=32, steps=10))
    assert rungs.problem.data.test is None and problem().data.test is not None
    assert rungs.problem.data.validation is not None
