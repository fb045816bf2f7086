import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.problem.data.given import csv, refused
from thalweg.core.errors import DataWarning
from thalweg.problem.data.load import load
from thalweg.problem.data.predict_inputs import inputs_for, read_parts
from thalweg.problem.data.preparation import Preparation

RANDOM = np.random.default_rng(0)
TABLE = {
    "size": RANDOM.normal(size=60).round(5).tolist(),
    "kind": ["red", "green", "blue"] * 20,
    "y": [0, 0, 1, 1] * 15,
}


def trained(source, **settings):
    """Return data and their preparation, as it is read from a run folder."""
    data = load(source, test=0, validation=0, **settings)
    return data, Preparation.from_dict(json.loads(json.dumps(data.preparation.to_dict())))


def test_a_table_with_or_without_its_target(tmp_path):
    data, preparation = trained(csv(tmp_path / "t.csv", TABLE), target="y")
    without = {name: values for name, values in TABLE.items() if name != "y"}
    frames = (
        tmp_path / "t.csv",
        csv(tmp_path / "n.csv", without),
        pl.DataFrame(TABLE),
        pl.DataFrame(without),
    )
    for source in frames:
        assert np.array_equal(inputs_for(source, preparation), data.train.inputs)


def test_columns_may_be_reordered_and_more_may_be_present(tmp_path):
    data, preparation = trained(pl.DataFrame(TABLE), target="y")
    shuffled = pl.DataFrame({"kind": TABLE["kind"], "more": [1] * 60, "size": TABLE["size"]})
    assert np.array_equal(inputs_for(shuffled, preparation), data.train.inputs)


def test_missing_columns_are_named_with_the_nearest():
    _, preparation = trained(pl.DataFrame(TABLE), target="y")
    with refused("no columns size, kind (is it 'kinds'?)", "rename"):
        inputs_for(pl.DataFrame({"kinds": ["red"]}), preparation)


def test_unknown_categories_and_missing_values_are_accepted():
    _, preparation = trained(pl.DataFrame(TABLE), target="y")
    with pytest.warns(DataWarning, match="column 'kind'"):
        inputs = inputs_for(pl.DataFrame({"size": [None], "kind": ["violet"]}), preparation)
    assert inputs.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("options", "encoding", "separator"),
    [({"encoding": "cp1250"}, "cp1250", ","), ({"separator": "|"}, "utf-8", "|")],
)
def test_new_files_are_read_with_the_options_of_the_training_file(tmp_path, options, encoding, separator):
    other = ";" if separator == "|" else " "  # which would be taken for the separator
    towns = [f"{town}{other}1" for town in ("Łódź", "Kraków", "Gdańsk")] * 20
    kind = f"kind{other}number"
    rows = [("size", kind, "y"), *zip(TABLE["size"], towns, TABLE["y"], strict=True)]
    lines = [separator.join(map(str, row)) + "\n" for row in rows]
    (tmp_path / "t.csv").write_bytes("".join(lines).encode(encoding))
    data, preparation = trained(tmp_path / "t.csv", target="y", **options)
    assert np.array_equal(inputs_for(tmp_path / "t.csv", preparation), data.train.inputs)
    table = read_parts(tmp_path / "t.csv", preparation, stream=True)
    chunks = [table.rows(number) for number in range(len(table.starts) - 1)]
    assert pl.concat(chunks)[kind].to_list() == towns


def test_rows_of_a_new_file_that_are_left_out_are_told(tmp_path):
    _, preparation = trained(pl.DataFrame(TABLE), target="y")
    (tmp_path / "n.csv").write_text("size,kind\n0.5,red\n0.25,green\nTotal,\n")
    with pytest.warns(DataWarning, match="left out"):
        assert len(inputs_for(tmp_path / "n.csv", preparation)) == 2


def test_what_is_read_of_a_test_table_is_noted(tmp_path):
    csv(tmp_path / "t.csv", TABLE)
    (tmp_path / "e.csv").write_text("size,kind,y\n0.5,rot,0\n0.25,grün,1\n0.75,blau,1\nTotal,,2\n")
    data = load(tmp_path / "t.csv", target="y", test=tmp_path / "e.csv")
    said = " ".join(note.text for note in data.notes if note.kind == "test cells")
    assert "In the test split, column 'kind': 3 of 3 cells hold a category unknown to training" in said
    assert "left out." in said and data.test.count() == 3


@pytest.mark.parametrize("target", [0, 2])
def test_a_file_without_names_and_without_its_target(tmp_path, target):
    order = ["y", "size", "kind"] if target == 0 else ["size", "kind", "y"]
    path = csv(tmp_path / "t.csv", {name: TABLE[name] for name in order})
    path.write_text(path.read_text().split("\n", 1)[1])
    data, preparation = trained(path, target=target, header=False)
    bare = csv(tmp_path / "n.csv", {"size": TABLE["size"], "kind": TABLE["kind"]})
    bare.write_text(bare.read_text().split("\n", 1)[1])
    assert np.array_equal(inputs_for(bare, preparation), data.train.inputs)
    assert np.array_equal(inputs_for(path, preparation), data.train.inputs)


def test_marks_of_missing_values_are_those_of_training(tmp_path):
    marked = TABLE | {"size": ["?", *TABLE["size"][1:]]}
    data, preparation = trained(csv(tmp_path / "t.csv", marked), target="y", missing="?")
    assert np.array_equal(inputs_for(tmp_path / "t.csv", preparation), data.train.inputs)


def test_arrays_and_their_files(tmp_path):
    x, y = RANDOM.normal(size=(40, 2)), np.arange(40) % 2
    data, preparation = trained((x, y))
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    for source in (x, (x, y), tmp_path / "x.npy", str(tmp_path / "x.npz")):
        assert np.array_equal(inputs_for(source, preparation), data.train.inputs)
    with refused("must have the shape (2,)", "(3,)", "(rows, 2)"):
        inputs_for(np.zeros((4, 3)), preparation)
    with refused("must be finite numbers"):
        inputs_for(np.full((4, 2), np.nan), preparation)


def test_an_npy_table_with_or_without_its_target(tmp_path):
    np.save(tmp_path / "t.npy", np.column_stack([np.arange(40) % 2, RANDOM.normal(size=(40, 2))]))
    data, preparation = trained(tmp_path / "t.npy", target=0)
    np.save(tmp_path / "x.npy", np.load(tmp_path / "t.npy")[:, 1:])
    for name in ("t.npy", "x.npy"):
        assert np.array_equal(inputs_for(tmp_path / name, preparation), data.train.inputs)


def test_pictures(tmp_path):
    for label in "ab":
        (tmp_path / "train" / label).mkdir(parents=True)
        for i in range(10):
            image = RANDOM.integers(0, 256, (9, 8)).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / "train" / label / f"{i}.png")
    data, preparation = trained(tmp_path)
    assert np.array_equal(inputs_for(tmp_path / "train", preparation), data.train.inputs)
    one = inputs_for(tmp_path / "train" / "a" / "0.png", preparation)
    assert np.array_equal(one, data.train.inputs[:1])


def test_brightness_must_fit_the_training_images():
    images = RANDOM.integers(0, 256, (40, 8, 8)).astype(np.uint8)
    _, preparation = trained((images, np.arange(40) % 2))
    assert np.array_equal(inputs_for(images.astype(float), preparation), images)
    with refused("brightness values from 0 to 255", "multiply by 255"):
        inputs_for(images / 255, preparation)
    with refused("brightness values from 0 to 255", "300"):
        inputs_for(images.astype(int) * 0 + 300, preparation)


@pytest.mark.parametrize(("name", "count"), [("digits", 1797), ("iris", 150), ("moons", 1000)])
def test_named_sets(name, count):
    _, preparation = trained(name)
    assert inputs_for(name, preparation).shape[0] == count


def test_text(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("to be or not to be\n" * 90)
    data, preparation = trained(path)
    assert np.array_equal(inputs_for(path, preparation), data.train.tokens)


def test_another_kind_of_data_is_refused(tmp_path):
    _, table = trained(pl.DataFrame(TABLE), target="y")
    _, array = trained((RANDOM.normal(size=(40, 2)), np.arange(40) % 2))
    (tmp_path / "t.txt").write_text("to be or not to be\n" * 90)
    _, text = trained(tmp_path / "t.txt")
    (tmp_path / "x.npy").touch()
    (tmp_path / "x.csv").touch()
    with refused("trained on a table", who="predict"):
        inputs_for(tmp_path / "x.npy", table)
    with refused("takes arrays of shape (2,)", who="predict"):
        inputs_for(tmp_path / "x.csv", array)
    with refused("must be a polars or pandas frame", "got int", who="table"):
        inputs_for(5, table)
    with refused("must be the path of a text", "got int", who="predict"):
        inputs_for(5, text)
    with refused("takes arrays, not text", who="predict"):
        inputs_for("tinyshakespeare", array)
    with refused("takes text, not arrays", who="predict"):
        inputs_for("digits", text)
    with refused("file or folder that exists"):
        inputs_for("nowhere.csv", table)
