"""The plan of lanes: by rule, by remembered timings, within memory."""

import json

import pytest

from tests.made import blobs
from thalweg.engine import autotune
from thalweg.engine import plan as lanes
from thalweg.engine.layout.compaction import width_for
from thalweg.engine.program import BATCH, HOST_SETTINGS, MAP
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe

TINY, MIDDLE, LARGE = ([6, *hidden, 3] for hidden in ((4,), (64,), (256, 256)))
PAIRED, RATES = [6, 128, 64, 3], [0.1 * (lane + 1) for lane in range(8)]
BASE = Recipe(SGD(lr=0.1), batch_size=16, epochs=2)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    return tmp_path


def planned(sizes, lanes_of=8, **settings):
    recipes = BASE.vary(lr=[0.1 * (lane + 1) for lane in range(lanes_of)])
    return lanes.plan(Problem(MLP(sizes), blobs()), recipes, **settings)


def test_the_rule_by_size_and_the_strict_mode():
    assert planned(TINY).layouts == (BATCH,) and planned(LARGE).layouts == (MAP,)
    assert planned(TINY, strict=True).layouts == (MAP,)
    assert planned(TINY, lanes_of=1).layouts == (MAP,)


def test_timings_override_the_rule(own_cache, monkeypatch):
    timed = []
    times = {MAP: 9.0, BATCH: 4.0}
    monkeypatch.setattr(lanes, "WORTH_MEASURING", 0)

    def time_layout(_, __, layout, ___):
        timed.append(layout)
        return times[layout]

    monkeypatch.setattr(autotune, "_time_layout", time_layout)
    assert planned(MIDDLE).layouts == (BATCH,) and not timed  # not allowed to measure: the rule
    times |= {MAP: 3.0}
    plan = planned(MIDDLE, measure=True)
    assert plan.layouts == (MAP,) and timed == [MAP, BATCH] and "3 mapped" in plan.text()
    assert planned(MIDDLE).layouts == (MAP,) and len(timed) == 2  # remembered
    assert len(json.loads((own_cache / autotune.FILE).read_text())) == 1
    monkeypatch.setattr(autotune, "VERSION", autotune.VERSION + 1)
    assert planned(MIDDLE).layouts == (BATCH,)  # timings of another version are ignored
    monkeypatch.undo()
    (own_cache / autotune.FILE).write_text("{torn")
    assert planned(MIDDLE).layouts == (BATCH,)


def test_timings_are_remembered_per_number_of_lanes_seeds_and_workers():
    problem = Problem(MLP(TINY), blobs())
    paired, other = BASE.vary(lr=[0.1, 0.2]), BASE.vary(seed=[0, 1])
    cases = [(paired, 1), (paired, 2), (paired[:1], 1), (other, 1)]
    assert len({autotune._key(problem, *case) for case in cases}) == 4


def test_a_trial_times_both_layouts():
    timings = autotune.measure_timings(Problem(MLP(TINY), blobs()), BASE.vary(lr=[0.1, 0.2]), 2)
    assert timings[MAP] > 0 and timings[BATCH] > 0


def test_a_trial_uses_lanes_that_do_not_diverge():
    tried = autotune._stable_lanes(BASE.vary(lr=[1e5, 0.1, 1e4], seed=[3, 4]))
    assert [(recipe.optimizer.lr, recipe.seed) for recipe in tried] == [(0.1, 3), (0.1, 4)] * 3


def test_lanes_of_one_seed_are_batched_where_those_of_many_are_not():
    problem, paired, other = Problem(MLP(PAIRED), blobs()), BASE.vary(lr=RATES), BASE.vary(seed=range(8))
    assert [lanes.plan(problem, some).layouts for some in (paired, other)] == [(BATCH,), (MAP,)]


def test_batched_widths_waste_little():
    assert [width_for(count, BATCH) for count in (1, 3, 4, 5, 12, 13)] == [1, 4, 4, 8, 12, 16]
    assert [width_for(count, MAP) for count in (1, 3, 5, 12)] == [1, 4, 8, 16]


def test_shards_spread_neighbours_and_fill_the_workers():
    plan = planned(LARGE, lanes_of=40, workers=2)
    assert len(plan.shards) == 4 and plan.workers == 2
    assert sorted(lane for shard in plan.shards for lane in shard.lanes) == list(range(40))
    assert plan.shards[0].lanes[:3] == (0, 4, 8) and {shard.width for shard in plan.shards} == {16}


def test_batched_lanes_are_divided_by_seed():
    recipes = BASE.vary(seed=[0, 1], lr=[0.1 * (lane + 1) for lane in range(6)])
    plan = lanes.plan(Problem(MLP(TINY), blobs()), recipes, workers=2)
    for shard in plan.shards:
        assert len({recipes[lane].seed for lane in shard.lanes}) == 1


def test_a_trial_times_lanes_that_would_share_a_shard(monkeypatch):
    """Lanes of two seeds never share a batch: a trial with both would time what is not done."""
    timed = []
    monkeypatch.setattr(lanes, "WORTH_MEASURING", 0)
    monkeypatch.setattr(autotune, "_time_layout", lambda _, tried, *__: timed.append(tried) or 1.0)
    recipes = BASE.vary(seed=[0, 1], lr=[0.1 * (lane + 1) for lane in range(8)])
    lanes.plan(Problem(MLP(MIDDLE), blobs()), recipes, workers=2, measure=True)
    assert [{recipe.seed for recipe in tried} for tried in timed] == [{0}, {0}]
    assert len(timed[0]) == 4


def test_settings_that_the_program_reads_select_it():
    """Lanes with and without `gradient_below` have programs of their own; patience is read by the host."""
    assert {"epochs", "steps", "patience", "target", "seconds", "loss_change_below"} == set(HOST_SETTINGS)
