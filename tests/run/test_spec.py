"""The specification of a run: run.json is read back as the same specification, also from older folders."""

import json
from dataclasses import fields

import pytest

from tests.made import problem
from thalweg.core.errors import RecipeError, RunFolderError
from thalweg.engine.mesh import Devices
from thalweg.recipe.optimizers import SGD, AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.spec import Halving, RunSpec, SaveOptions
from thalweg.run.train import plan

RECIPES = Recipe(SGD(lr=0.1), batch_size=16, epochs=3).vary(lr=[0.1, 0.2], seed=[0, 1])
# The keys of `origin` in run.json; folders of earlier versions have the same.
KEYS = (
    "problem",
    "recipes",
    "many",
    "plan",
    "strict",
    "halving",
    "init",
    "init_names",
    "every",
    "last",
    "data",
    "schedule_total",
    "forked",
    "folds",
    "judged",
    "devices",
    "data_on",
)


def spec() -> RunSpec:
    return RunSpec.of(
        problem(),
        RECIPES,
        many=True,
        plan=plan(problem(), RECIPES),
        strict=True,
        halving=Halving(factor=2.0),
        init="/models/first",
        init_names={"layers.0.weight": "encoder.weight"},
        save=SaveOptions(every="10m", last=5),
        schedule_total=90,
        forked={"run": "/runs/first", "step": 30},
        devices=Devices(2, 4),
        data_on="host",
    )


def test_a_specification_is_read_back_as_it_was_written():
    written = json.loads(json.dumps(spec().to_dict()))
    assert tuple(written) == KEYS
    assert RunSpec.from_dict(written, "run.json") == spec()


def test_where_a_run_is_saved_is_no_part_of_what_is_read_back(tmp_path):
    saved = SaveOptions(tmp_path, force=True, every="500", finding={"value": 0.1})
    written = RunSpec.of(problem(), RECIPES, many=True, plan=plan(problem(), RECIPES), save=saved).to_dict()
    assert RunSpec.from_dict(written, "run.json").save == SaveOptions(every="500")


def test_a_file_of_weights_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = RunSpec.of(problem(), RECIPES, many=True, plan=plan(problem(), RECIPES), init="first/final")
    assert given.to_dict()["init"] == str(tmp_path / "first" / "final")


def test_a_folder_without_a_newer_option_gets_its_default():
    written = spec().to_dict()
    required = {"problem", "recipes", "many", "plan"}
    read = RunSpec.from_dict({name: written[name] for name in required}, "run.json")
    plain = RunSpec.of(problem(), RECIPES, many=True, plan=plan(problem(), RECIPES))
    assert all(getattr(read, item.name) == getattr(plain, item.name) for item in fields(RunSpec))


def test_a_folder_without_a_required_field_is_refused():
    written = spec().to_dict()
    del written["recipes"]
    with pytest.raises(RunFolderError, match=r"what the run was started with; got no recipes"):
        RunSpec.from_dict(written, "run.json")


def test_lanes_have_numbers_labels_and_folders(tmp_path):
    lanes = spec().lanes(tmp_path)
    assert [lane.number for lane in lanes] == [0, 1, 2, 3]
    assert [lane.recipe for lane in lanes] == RECIPES
    assert lanes[1].label == "lr 0.1, seed 1" and lanes[3].folder.folder == tmp_path / "lanes" / "003"
    single = [Recipe(AdamW(), batch_size=16, epochs=1)]
    (lane,) = RunSpec.of(problem(), single, many=False, plan=plan(problem(), single)).lanes(tmp_path)
    assert lane.label == "" and lane.folder.folder == tmp_path
    assert all(lane.folder.folder is None for lane in spec().lanes(None))


def test_rungs_lie_before_the_end():
    assert Halving().rungs == [1 / 9, 1 / 3]  # a rung at the end would freeze what has just finished
    assert Halving(factor=2.0, first=0.25).rungs == [0.25, 0.5]


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_a_factor_that_halves_nothing_is_refused(factor):
    with pytest.raises(RecipeError, match="factor must be above 1"):
        Halving(factor=factor)
