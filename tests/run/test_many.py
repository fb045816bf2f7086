"""Many recipes in one call: groups, pairs, frozen lanes, waves, halving, and what is on disk."""

import numpy as np
import polars as pl
import pytest

from tests.made import blobs, problem
from thalweg.core.errors import RecipeError
from thalweg.core.stop_reason import StopReason
from thalweg.engine import plan as lanes
from thalweg.engine.compilation import TRACES, in_use
from thalweg.engine.program import BATCH, MAP
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD, AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder import sweep_record as sweeps
from thalweg.run.folder.filesystem import SHARDS
from thalweg.run.folder.folder import RunFile
from thalweg.run.folder.record import read
from thalweg.run.spec import Halving
from thalweg.run.train import train
from thalweg.run.verify import examine

BASE = Recipe(SGD(lr=0.1), batch_size=16, epochs=3)


def test_a_sweep_over_numbers_and_seeds_compiles_once():
    recipes = BASE.vary(lr=[0.1, 0.2, 0.3], seed=[0, 1])
    with in_use():  # many programs of other tests may be kept, and then all are given up after the first
        train(problem(), recipes, strict=True)
        before = dict(TRACES)
        train(problem(), BASE.vary(lr=[1e-3, 5.0, 0.7], seed=[5, 6]), strict=True)
        assert dict(TRACES) == before


def test_groups_differ_in_structure_and_the_table_says_which():
    recipes = [
        *BASE.vary(lr=[0.1, 0.2]),
        Recipe(AdamW(), batch_size=16, epochs=3),
        Recipe(SGD(0.1), batch_size=8),
    ]
    runs = train(problem(), recipes)
    assert runs.table["group"].to_list() == [0, 0, 1, 2]
    assert runs.table["optimizer"].to_list() == ["sgd", "sgd", "adamw", "sgd"]
    assert [run.recipe for run in runs] == recipes
    assert runs.table["steps"].to_list() == [run.result["steps"] for run in runs]


def test_lanes_with_the_same_seed_start_alike_and_others_do_not():
    runs = train(problem(), BASE.vary(lr=[1e-6, 2e-6], seed=[0, 1]))
    first = [float(run.record.steps["loss"][0]) for run in runs]
    assert first[0] == first[2] and first[1] == first[3] and first[0] != first[1]


@pytest.mark.parametrize("strict", [True, False])
def test_a_lane_that_diverges_is_frozen_and_costs_no_more_steps(strict):
    runs = train(problem(), BASE.vary(lr=[0.1, 1e8, 0.2, 1e9, 0.3, 1e10]), strict=strict)
    assert runs.result["plan"]["layouts"] == ((MAP,) if strict else (BATCH,))
    table = runs.table
    assert table["stopped"].to_list() == ["epochs", "diverged"] * 3
    assert (table.filter(pl.col("stopped") == "diverged")["diverged_at"] < 10).all()
    assert runs[0].result["steps"] == 3 * 14 and len(runs[1].record.steps) == runs[1].result["steps"] + 1


def test_dead_lanes_are_removed_from_the_product():
    """With half of the lanes dead or more, the dispatch is narrower and the others agree within rounding."""
    recipes = BASE.vary(lr=[0.1, 1e8, 1e9, 1e10, 0.2, 1e8 + 1, 1e9 + 1, 1e10 + 1])
    many, alone = train(problem(), recipes), train(problem(), recipes[4])
    assert many[4].record.steps["step"].equals(alone.record.steps["step"])
    np.testing.assert_allclose(many[4].record.steps["loss"], alone.record.steps["loss"], rtol=1e-3, atol=1e-5)


def test_waves_keep_within_memory_and_change_nothing(monkeypatch):
    recipes = BASE.vary(lr=[0.1, 0.2, 0.3], seed=[0, 1, 2])
    whole = train(problem(), recipes, strict=True)
    one = lanes.plan(problem(), recipes, strict=True, memory=4 * whole.result["plan"]["bytes"][0])
    assert len(one.waves) > 1 and sorted(lane for s in one.shards for lane in s.lanes) == list(range(9))
    monkeypatch.setattr(lanes, "MEMORY_SHARE", 0)
    waves = train(problem(), recipes, strict=True)
    assert len(waves.result["plan"]["waves"]) > 1
    assert waves.table.equals(whole.table)


def test_halving_freezes_the_worse_settings_over_all_their_seeds():
    recipes = BASE.vary(lr=[0.3, 1e-5, 1e-6], seed=[0, 1], epochs=[12])
    runs = train(Problem(MLP([6, 8, 3]), blobs()), recipes, halving=Halving(factor=3, first=0.3))
    assert runs.table["stopped"].to_list() == ["epochs", "epochs"] + [StopReason.HALVED] * 4
    steps = runs.table["steps"].to_list()
    assert steps[0] == 12 * 14 and 0.3 * steps[0] <= steps[2] < 0.7 * steps[0]


def test_halving_needs_a_validation_split():
    data = blobs()
    data = type(data)(data.name, data.task, data.train, None, data.test, preparation=data.preparation)
    with pytest.raises(RecipeError, match="validation"):
        train(Problem(MLP([6, 8, 3]), data), [BASE], halving=Halving())


def test_no_lanes_and_too_many_are_refused_before_any_work():
    with pytest.raises(RecipeError, match="at least one"):
        train(problem(), [])
    with pytest.raises(RecipeError, match="at most"):
        train(problem(), [BASE] * (lanes.MOST_LANES + 1))


def test_a_sweep_on_disk_is_a_table_and_ordinary_runs(tmp_path):
    recipes = BASE.vary(lr=[0.1, 1e9], seed=[0, 1])
    runs = train(problem(), recipes, keep=tmp_path / "sweep")
    sweep = sweeps.read(tmp_path / "sweep")
    assert sweep.table.drop("test_loss").equals(runs.table.drop("test_loss"))
    assert sweep.result["varied"] == ["optimizer.lr", "seed"] and sweep.result["stopped"] == {
        "epochs": 2,
        "diverged": 2,
    }
    assert not (tmp_path / "sweep" / SHARDS).exists()
    listed = RunFile.read(tmp_path / "sweep").files
    assert listed.keys() >= {f"lanes/{lane:03d}/run.json" for lane in range(4)}
    assert examine(tmp_path / "sweep").sound
    for lane, run in enumerate(runs):
        record = sweep.lane(lane)
        assert record.result["test_loss"] == run.result["test_loss"]
        assert record.steps.equals(run.record.steps) and set(record.steps["lane"]) == {0}
    assert read(sweep.lanes[0]).recipe["optimizer"]["lr"] == 0.1
