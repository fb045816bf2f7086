"""What was understood of a data set, without training."""

import json

import numpy as np
import polars as pl

import thalweg as tw
from tests.problem.data.given import csv, refused

COUNT = 200
RANDOM = np.random.default_rng(3)


def table(tmp_path, **more):
    columns = {
        "id": list(range(COUNT)),
        "size": RANDOM.normal(size=COUNT).round(4).tolist(),
        "kind": ["red", "green"] * (COUNT // 2),
        "when": [f"{1 + i % 28:02d}.03.2021" for i in range(COUNT)],
        "y": [0, 1] * (COUNT // 2),
    } | more
    return csv(tmp_path / "t.csv", columns)


def test_every_column_is_there_with_its_type_and_role(tmp_path):
    found = tw.understand(table(tmp_path), target="y")
    assert {column.name: (column.kind, column.role) for column in found.columns} == {
        "id": ("skip", "id"),
        "size": ("number", "input"),
        "kind": ("category", "input"),
        "when": ("date", "input"),
        "y": ("number", "target"),
    }
    assert found.data.task == "classification"


def test_how_much_a_column_explains_is_measured_on_other_rows(tmp_path):
    explains = {c.name: c.explains for c in tw.understand(table(tmp_path), target="y").columns}
    assert explains["kind"] > 0.99  # the kind is the class
    assert explains["size"] < 0.1 and explains["y"] is None


def test_a_target_is_not_needed_and_nothing_is_left_out_silently(tmp_path):
    found = tw.understand(table(tmp_path, same=["a"] * COUNT))
    assert found.data is None
    assert {c.name: c.role for c in found.columns if c.role != "input"} == {"id": "id", "same": "constant"}
    assert {name for note in found.notes for name in note.columns} >= {"id", "same"}


def test_values_far_from_all_others_are_named_with_their_row(tmp_path):
    size = RANDOM.normal(size=COUNT).round(4).tolist()
    size[41] = 1e6
    far = tw.understand(table(tmp_path, size=size)).far
    assert [(value.row, value.column, value.value) for value in far] == [(42, "size", 1e6)]


def test_the_same_as_json(tmp_path):
    plain = tw.understand(table(tmp_path), target="y").to_dict()
    assert json.loads(json.dumps(plain))["columns"] == plain["columns"]
    assert plain["data"]["splits"] == {"train": 144, "validation": 16, "test": 40} and plain["rows"] == COUNT


def test_other_data_are_shown_by_their_splits():
    found = tw.understand("digits")
    assert found.columns == () and found.data.outputs == 10


def test_a_text_file_is_shown_as_the_table_it_looks_like(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("a\tb\n" + "1.5\tx\n" * 40)
    assert [column.kind for column in tw.understand(path).columns] == ["number", "category"]


def test_a_missing_file_is_refused(tmp_path):
    with refused("file or folder that exists"):
        tw.understand(tmp_path / "nothing.csv")


def test_a_frame_of_structures_is_divided():
    frame = pl.DataFrame({"p": [{"x": 1.5, "y": "a"}, {"x": 2.5, "y": "b"}, {"x": 0.5, "y": "a"}]})
    found = tw.understand(frame)
    assert [(c.name, c.kind) for c in found.columns] == [("p.x", "number"), ("p.y", "category")]
    assert [note.kind for note in found.notes] == ["nested"]
