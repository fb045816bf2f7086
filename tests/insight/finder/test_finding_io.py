"""A finding at rest is the finding: read back equal, refused where it is damaged."""

import json
from dataclasses import fields

import polars as pl
import pytest

from tests.insight import found
from thalweg.core.errors import RunFolderError
from thalweg.insight.finder import finding_io as kept
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.filesystem import as_json


@pytest.mark.parametrize("make", [found.finding, found.kept, found.lost, found.full_batch, found.empty])
def test_read_back_equal(make):
    finding = make()
    told = json.loads(as_json(kept.as_dict(finding, Recipe())))
    again = kept.from_dict(told)
    for one in fields(finding):
        before, after = getattr(finding, one.name), getattr(again, one.name)
        assert before.equals(after) if isinstance(before, pl.DataFrame) else before == after, one.name
    assert toml.read(told["recipe_before"] + "\n") == Recipe()


@pytest.mark.parametrize("make", [found.batches, found.no_batch])
def test_batch_sizes_read_back_equal(make):
    finding = make()
    told = json.loads(as_json(kept.as_dict(finding, Recipe())))
    again = kept.batch_from_dict(told)
    assert kept.is_of_batches(told) and not kept.is_of_batches(kept.as_dict(found.finding(), Recipe()))
    for one in fields(finding):
        before, after = getattr(finding, one.name), getattr(again, one.name)
        assert before.equals(after) if isinstance(before, pl.DataFrame) else before == after, one.name
    with pytest.raises(RunFolderError, match="complete finding"):
        kept.batch_from_dict({key: value for key, value in told.items() if key != "fits"})


def test_a_folder_of_its_own(tmp_path):
    finding = found.finding()
    told = kept.as_dict(finding, Recipe())
    kept.write(tmp_path, told, finding)
    assert kept.is_finding(tmp_path) and toml.read(tmp_path / "recipe.toml") == finding.recipe
    assert pl.read_parquet(tmp_path / "lanes.parquet").equals(finding.curve)
    assert kept.read(tmp_path)["environment"]["thalweg"]
    (tmp_path / "problem.json").write_text("{}")
    assert not kept.is_finding(tmp_path)  # a run that holds a finding is a run


def test_what_a_killed_search_left_half_written_is_removed(tmp_path):
    (tmp_path / ".thalweg-0123456789abcdef.part").write_bytes(b"half")
    (tmp_path / ".thalweg-notes.part").write_bytes(b"somebody's")
    finding = found.finding()
    kept.write(tmp_path, kept.as_dict(finding, Recipe()), finding)
    assert [path.name for path in tmp_path.glob("*.part")] == [".thalweg-notes.part"]


def test_damage_is_refused(tmp_path):
    finding = found.finding()
    kept.write(tmp_path, kept.as_dict(finding, Recipe()), finding)
    (tmp_path / "finding.json").write_text('{"value": ')
    with pytest.raises(RunFolderError, match="readable"):
        kept.read(tmp_path)
    told = kept.as_dict(finding, Recipe())
    for name in ("curve", "recipe", "cost", "value"):
        with pytest.raises(RunFolderError, match="complete finding"):
            kept.from_dict({key: value for key, value in told.items() if key != name})


def test_a_finding_of_schema_1_is_read():
    finding, batches = found.finding(), found.batches()
    values = json.loads(as_json(kept.as_dict(finding, Recipe())))
    old = {key: value for key, value in values.items() if key != "schema"}
    old |= {"standing": old.pop("status"), "asked": old.pop("recipe_before")}
    assert kept.from_dict(old).status == "found" and kept.current(old)["recipe_before"] == old["asked"]
    values = json.loads(as_json(kept.as_dict(batches, Recipe())))
    rows = [{"standing" if key == "status" else key: row[key] for key in row} for row in values["table"]]
    assert kept.batch_from_dict(values | {"table": rows}).table.equals(batches.table)
