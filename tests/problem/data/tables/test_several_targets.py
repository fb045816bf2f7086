"""Several columns of a table as its target: `heat,cool`."""

import json

import numpy as np
import polars as pl
import pytest

from tests.doors.process import called
from tests.problem.data.given import csv, refused
from thalweg.doors.answers import frame_of
from thalweg.insight.evaluation import evaluate
from thalweg.problem.data.load import load
from thalweg.problem.data.understanding import understand
from thalweg.problem.models import LinearModel
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.restore import restore
from thalweg.run.train import train

ROWS = 120
INPUTS = np.random.default_rng(0).normal(size=(ROWS, 3)).round(3)
TABLE = {
    "a": INPUTS[:, 0].tolist(),
    "heat": (INPUTS @ [1, 2, 3] * 10 + 5).round(2).tolist(),
    "b": INPUTS[:, 1].tolist(),
    "c": INPUTS[:, 2].tolist(),
    "cool": (INPUTS @ [0, -1, 1] + 100).round(2).tolist(),
    "wet": (INPUTS[:, 0] > 0).astype(int).tolist(),
    "dry": (INPUTS[:, 1] > 0).astype(int).tolist(),
    "word": [("u", "v", "w")[i % 3] for i in range(ROWS)],
}


def read(source=None, target="heat,cool", **options):
    return load(pl.DataFrame(TABLE) if source is None else source, target=target, **options)


def values(data, split="train"):
    """Return the targets of a split in their own unit."""
    facts = data.preparation
    return np.asarray(data.splits[split].targets) * facts.target_scale + facts.target_mean


def test_they_are_the_columns_of_one_target_and_no_inputs(tmp_path):
    data = read(csv(tmp_path / "t.csv", TABLE))
    assert (data.task, data.outputs, data.preparation.target_names) == ("regression", 2, ("heat", "cool"))
    rows = data.rows["train"]
    expected = np.stack([TABLE["heat"], TABLE["cool"]], axis=1)[rows]
    assert np.allclose(values(data), expected, atol=1e-3)
    features = data.preparation.columns.features
    assert {"a", "b", "c"} < set(features) and not {"heat", "cool", "heat,cool"} & set(features)


def test_file_frame_list_indices_and_a_pair_of_frames_are_the_same_data(tmp_path):
    frame = pl.DataFrame(TABLE)
    pair = (frame.drop("heat", "cool"), frame.select("heat", "cool"))
    same = [
        read(csv(tmp_path / "t.csv", TABLE)),
        read(),
        read(target=["heat", "cool"]),
        read(target=" heat , cool"),
        read(target="1,-4"),
        load(pair),
    ]
    assert len({data.fingerprint for data in same}) == 1
    assert {data.preparation.target for data in same} == {"heat,cool"}
    assert read(target="cool,heat").preparation.target_names == ("cool", "heat")


def test_a_column_of_that_name_comes_first():
    data = load(pl.DataFrame(TABLE | {"heat,cool": TABLE["word"]}), target="heat,cool")
    assert data.task == "classification" and "heat" in data.preparation.columns.features


def test_a_row_that_lacks_one_of_them_is_left_out():
    cool = [None if i in (3, 50) else value for i, value in enumerate(TABLE["cool"])]
    data = read(pl.DataFrame(TABLE | {"cool": cool}))
    assert sum(len(rows) for rows in data.rows.values()) == ROWS - 2
    assert "2 of 120 rows have no heat,cool; they were left out." in {note.text for note in data.notes}


def test_columns_of_0_and_1_are_labels():
    data = read(target="wet,dry")
    assert (data.task, data.preparation.classes) == ("multilabel", ("wet", "dry"))
    answers = data.preparation.answers(np.array([[2.0, -1.0]]), "multilabel")
    assert frame_of(answers, data.preparation.target_names).columns == [
        *("prediction_wet", "prediction_dry", "probability_wet", "probability_dry")
    ]


def test_a_test_table_has_its_own_columns(tmp_path):
    other = pl.DataFrame(TABLE).reverse().select("cool", "heat", "a", "b", "c", "word", "wet", "dry")
    other.write_csv(tmp_path / "test.csv")
    data = read(test=tmp_path / "test.csv")
    expected = np.stack([TABLE["heat"][::-1], TABLE["cool"][::-1]], axis=1)
    assert np.allclose(values(data, "test"), expected, atol=1e-3)


def test_the_first_line_may_be_numbers_that_the_target_names(tmp_path):
    lines = ["2001,7,2003", *(f"{i * 0.37:.2f},{i % 7},{i * 1.1:.1f}" for i in range(60))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    assert load(tmp_path / "t.csv", target="2003,2001").preparation.target_names == ("2003", "2001")


def test_what_is_understood_names_each():
    found = {
        column.name: column.role for column in understand(pl.DataFrame(TABLE), target="heat,cool").columns
    }
    assert found["heat"] == found["cool"] == "target" and found["a"] == "input"
    assert list(found) == list(TABLE)


@pytest.mark.parametrize(
    ("target", "words", "hint"),
    [
        ("heat,coool", "must be a column of the table; got coool", "did you mean 'cool'?"),
        ("heat,word", "several target columns must hold numbers; got word (category)", "0 and 1"),
        ("1,9", "the index must lie in 0..7; got 9", "the last column is 7"),
        ("heat,heat", "each column may be given once", "leave the others out"),
        ("heat,1", "each column may be given once; got heat,1", "leave the others out"),
        ("x,y", "must be a column of the table; got x,y", "known are"),
        (["heat,", "cool"], "names of several targets must have no commas", "rename"),
    ],
)
def test_what_cannot_be_is_refused(target, words, hint):
    with refused(words, hint):
        read(target=target)


def test_other_places_take_one_column(tmp_path):
    path = csv(tmp_path / "t.csv", TABLE)
    with refused("must be one column where a table is streamed"):
        read(path, stream=True)
    with refused("must be one column here; got heat,cool\nhint: give heat"):
        read(path, window=4)
    with refused("give each by itself: drop='wet' drop='dry'"):
        read(path, drop=["wet,dry"])


def test_predictions_and_figures_are_named_after_them(tmp_path):
    data = read(target="heat,cool")
    run = train(
        Problem(LinearModel(), data), Recipe(SGD(lr=0.1), batch_size=16, epochs=20), keep=tmp_path / "run"
    )
    trained = restore(tmp_path / "run")
    answers = trained.predict(pl.DataFrame(TABLE))
    assert answers["prediction"].shape == (ROWS, 2)
    named = frame_of(answers, trained.preparation.target_names)
    assert named.columns == ["row", "prediction_heat", "prediction_cool"]
    scored = evaluate(run, pl.DataFrame(TABLE))
    assert scored.targets["target"].to_list() == ["heat", "cool"]
    for name, rmse in zip(("heat", "cool"), scored.targets["rmse"], strict=True):
        errors = named[f"prediction_{name}"].to_numpy() - np.array(TABLE[name])
        assert rmse == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-4)
    shares = np.abs(named["prediction_cool"].to_numpy() - TABLE["cool"]) / np.abs(TABLE["cool"])
    assert scored.targets["mape"][1] == pytest.approx(shares.mean(), rel=1e-3)
    pooled = np.sqrt(np.mean(scored.targets["rmse"].to_numpy() ** 2))
    assert scored.metrics["rmse"] == pytest.approx(pooled, rel=1e-4)
    with refused("must have the targets, columns heat, cool"):
        evaluate(run, pl.DataFrame(TABLE).drop("cool"))


def test_the_command_names_predictions_after_them(tmp_path):
    csv(tmp_path / "t.csv", TABLE)
    options = ("--model", "linear", "--epochs", 1, "--no-references", "--out", "run", "-q")
    assert called("fit", "t.csv", "--target", "heat,cool", *options, at=tmp_path).returncode == 0
    printed = called("predict", "run", "t.csv", at=tmp_path).stdout
    assert printed.splitlines()[0] == "row,prediction_heat,prediction_cool"
    answered = json.loads(called("predict", "run", "t.csv", "--json", at=tmp_path).stdout)
    assert answered["columns"] == list(answered["answers"][0]) == printed.splitlines()[0].split(",")
    by_parts = called("predict", "run", "t.csv", "--stream", "--out", "parts.csv", at=tmp_path)
    assert (tmp_path / "parts.csv").read_text() == printed
    assert "'heat', 'cool'; a table that is read by parts" in by_parts.stderr
    scored = called("evaluate", "run", "t.csv", at=tmp_path).stdout
    assert [line.split()[0] for line in scored.splitlines()[-3:]] == ["target", "heat", "cool"]
