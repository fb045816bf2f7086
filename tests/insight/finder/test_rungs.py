"""The rungs of a search: how many and how long for a budget in shares of a run or in seconds."""

import pytest

from thalweg.insight.finder.rungs import FIRST_LANES, LANES, default_share, plan_rungs


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
