import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.problem.data.given import REAL, csv, needs_real, refused
from thalweg.problem.data import arrays, text
from thalweg.problem.data.load import load
from thalweg.problem.data.options import LoadOptions, Source
from thalweg.problem.data.reading import READERS
from thalweg.problem.data.sets import named
from thalweg.problem.data.tables import series, table


def test_data_record_how_they_were_read(tmp_path):
    path = csv(tmp_path / "t.csv", {"a": range(60), "y": [0, 1] * 30})
    data = load(path, target="y", split_seed=4, missing="?")
    assert json.loads(json.dumps(data.source)) == {
        "from": str(path),
        "options": {"target": "y", "missing": ["?"], "split_seed": 4},
    }
    assert load(data.source["from"], **data.source["options"]).fingerprint == data.fingerprint
    assert load((np.eye(9), np.arange(9.0) + 0.5)).source == {"from": "in memory", "options": {}}


def test_a_name_can_be_given():
    assert load("iris", name="flowers").name == "flowers"


def test_a_missing_file_gets_the_nearest_name(tmp_path):
    (tmp_path / "houses.csv").touch()
    with refused("file or folder that exists", "did you mean", "houses.csv'"):
        load(tmp_path / "house.csv")
    with refused("did you mean the named set 'mnist'?"):
        load("mnst")
    with refused("named sets are digits, iris"):
        load(tmp_path / "nowhere" / "zzzzzzzzz.qqq")


def test_an_unknown_suffix_is_refused(tmp_path):
    (tmp_path / "sheet.xlsx").touch()
    with refused("must end in .csv, .tsv", "sheet.xlsx", "convert it to CSV"):
        load(tmp_path / "sheet.xlsx")


def test_another_type_is_refused():
    with refused("must be a name, a path, a frame, or a pair", "int"):
        load(5)


TIME = {"split": "time"}
REAL_TABLES = {
    "tabular/titanic.csv": ({"target": "Survived"}, 2, {"id", "missing", "rare", "skewed"}),
    "tabular/california_housing.csv.gz": ({"target": "median_house_value"}, 1, {"missing", "skewed"}),
    "tabular/credit_card_default.csv.gz": ({"target": "default.payment.next.month"}, 2, {"id", "imbalance"}),
    "tabular/covtype_sample_10k.csv.gz": ({"target": "Cover_Type"}, 7, {"constant", "imbalance"}),
    "tabular/winequality-red.csv": ({"target": 11, "header": False}, 6, {"duplicates"}),
    "timeseries/beijing_pm25.csv.gz": ({"target": "pm2.5"} | TIME, 1, {"missing", "id"}),
    "timeseries/electricity_elec2.csv.gz": ({"target": "class"} | TIME, 2, {"skewed"}),
    "timeseries/airline-passengers.csv": ({"target": "Passengers"} | TIME, 1, set()),
}


@needs_real
@pytest.mark.parametrize("name", REAL_TABLES)
def test_real_tables(name):
    settings, outputs, kinds = REAL_TABLES[name]
    data = load(REAL / name, **settings)
    assert (data.task, data.outputs) == ("regression" if outputs == 1 else "classification", outputs)
    assert kinds <= {note.kind for note in data.notes}
    for split in data.splits.values():
        assert np.isfinite(split.inputs).all() and np.abs(split.inputs).max() <= 8


@needs_real
def test_adult_with_its_own_test_file():
    folder = REAL / "tabular"
    data = load(
        folder / "adult-train.csv.gz",
        test=str(folder / "adult-test.csv.gz"),
        header=False,
        target="14",
        missing="?",
    )
    assert [split.count() for split in data.splits.values()] == [29_305, 3_256, 16_281]
    assert data.preparation.classes == ("<=50K", ">50K")
    assert np.mean(data.test.targets) == pytest.approx(0.236, abs=5e-4)  # as its documentation says
    assert {"labels", "imbalance", "missing"} <= {note.kind for note in data.notes}
    assert "column_1=missing" in data.preparation.columns.features


def test_a_path_is_not_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("file or folder that exists"):
        load(Path("iris"))


@pytest.mark.parametrize(
    ("source", "options", "reader"),
    [
        (Source("digits", "", ""), {}, named),
        (Source(Path("a.csv"), ".csv", "a"), {}, table),
        (Source(Path("a.csv"), ".csv", "a"), {"window": 4}, series),
        (Source(Path("a.npy"), ".npy", "a"), {}, arrays),
        (Source(Path("a.npy"), ".npy", "a"), {"window": 4}, series),
        (Source(Path("a.txt"), ".txt", "a"), {}, text),
        (Source(pl.DataFrame({"a": [1]}), "", ""), {}, table),
        (Source((pl.DataFrame({"a": [1]}), [1]), "", ""), {}, table),
        (Source((np.zeros((2, 2)), np.zeros(2)), "", ""), {}, arrays),
        (Source(np.zeros(9), "", ""), {"window": 4}, series),
    ],
)
def test_the_first_reader_that_accepts_a_source_reads_it(source, options, reader):
    chosen = LoadOptions(**options)
    assert next(r for r in READERS if r.accepts(source, chosen)) is reader.READER


def test_a_reader_refuses_options_that_do_not_apply():
    with refused("lines is for texts read by line", "got tuple"):
        load((np.zeros((4, 2)), np.arange(4)), lines=True)
    with refused("window is for time series", "a CSV, Parquet or npy file"):
        load("iris", window=4)
