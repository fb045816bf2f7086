"""Windows of a time series: cut in time, standardised by the past, nothing shared between splits."""

import numpy as np
import polars as pl
import pytest

from tests.problem.data.given import REAL, needs_real, refused
from thalweg.problem.data.inputs import columns_from
from thalweg.problem.data.load import load
from thalweg.problem.data.predict_inputs import inputs_for
from thalweg.problem.models import parse
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.scores import for_people
from thalweg.run.train import train

RNG = np.random.default_rng(0)


def table(count=200):
    """Two columns in time order; `load` is 10 times the row, `noise` is noise."""
    return pl.DataFrame({"noise": RNG.normal(0, 1, count), "load": 10.0 * np.arange(count) + 3})


def raw(data, values):
    """Values in their own unit."""
    return np.asarray(values) * data.preparation.target_scale + data.preparation.target_mean


def test_a_window_is_followed_by_its_targets():
    data = load(table(), target="load", window=5, horizon=3)
    assert (data.task, data.input_shape, data.outputs) == ("regression", (5, 2), 3)
    inputs, targets = data.train.batch(np.array([0, 7]))
    own = data.preparation.columns.table.inputs(table())
    np.testing.assert_array_equal(inputs[1], np.asarray(own[7:12]) * [0, 1] + np.asarray(inputs[1]) * [1, 0])
    np.testing.assert_allclose(raw(data, targets), [[53, 63, 73], [123, 133, 143]], rtol=1e-4)


def test_no_row_is_shared_by_two_splits():
    # The target is the row's number, so that what a window holds can be read off its values.
    data = load(np.arange(300.0), window=7, horizon=2, test=0.3, validation=0.2)
    column = data.preparation.columns.table.rules[0]
    rows = {}
    for name, split in data.splits.items():
        inputs, targets = split.batch(np.arange(split.count()))
        seen = np.asarray(inputs)[..., 0] * column.scale + column.mean
        rows[name] = set(np.round(np.concatenate([seen.ravel(), raw(data, targets).ravel()])).astype(int))
    assert rows["train"] == set(range(168)) and rows["validation"] == set(range(168, 210))
    assert rows["test"] == set(range(210, 300))
    assert [split.count() for split in data.splits.values()] == [168 - 8, 42 - 8, 90 - 8]


def test_scales_come_from_the_training_rows_alone():
    series = RNG.normal(5, 2, 400)
    wild = np.concatenate([series[:288], 1e6 * series[288:]])  # 0.8 * 0.9 of 400 rows
    tame, other = (load(values, window=4) for values in (series, wild))
    assert tame.preparation.target_mean == other.preparation.target_mean == pytest.approx(series[:288].mean())
    assert tame.preparation.columns == other.preparation.columns
    np.testing.assert_array_equal(tame.train.rows, other.train.rows)


def test_windows_with_a_missing_target_are_left_out_and_missing_inputs_flagged():
    values = np.sin(np.arange(200.0))
    values[50] = np.nan
    data = load(values, window=3, horizon=2)
    assert data.input_shape == (3, 2)  # the value, and whether it is missing
    starts = set(data.train.starts.tolist())
    assert starts == set(range(144 - 4)) - {
        46,
        47,
    }  # the windows whose targets, rows 49-50 and 50-51, miss one
    inputs, _ = data.train.batch(np.array(sorted(starts).index(48)).reshape(1))
    assert np.asarray(inputs)[0, :, 1].tolist() == [0, 0, 1]


def test_classes_one_step_ahead():
    labels = np.where(np.arange(240) % 3 == 0, "up", "down")
    data = load(pl.DataFrame({"x": RNG.normal(0, 1, 240), "move": labels}), target="move", window=4)
    assert (data.task, data.outputs, data.preparation.classes) == ("classification", 2, ("down", "up"))
    _, targets = data.train.batch(np.arange(6))
    assert targets.tolist() == [0, 0, 1, 0, 0, 1]
    with refused("one step ahead", "horizon=2"):
        load(pl.DataFrame({"x": labels, "move": labels}), target="move", window=4, horizon=2)


def test_the_past_of_the_target_can_be_kept_out():
    data = load(table(), target="load", window=5, drop="load")
    assert data.preparation.columns.table.features == ("noise",)


def test_a_separate_test_series():
    data = load(np.arange(100.0), window=4, test=np.arange(100.0, 150.0))
    _, targets = data.test.batch(np.array([0]))
    assert raw(data, targets).item() == pytest.approx(104)
    assert data.test.count() == 46 and data.train.count() == 90 - 4


def test_a_test_file_without_a_header(tmp_path):
    rows = "\n".join(f"{i % 5},{i}.5" for i in range(60))
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(rows)
    data = load(tmp_path / "a.csv", header=False, target=1, window=3, test=str(tmp_path / "b.csv"))
    assert data.test.count() == 57 and data.preparation.target == "column_1"


def test_a_pair_of_inputs_and_target():
    frame = table()
    data = load((frame["noise"].to_numpy()[:, None], frame["load"].to_numpy()), window=5)
    assert data.preparation.target == "target" and data.input_shape == (5, 2)


def test_bad_series_are_refused(tmp_path):
    short = np.arange(50.0)
    with refused("the validation split must have at least 9 rows", "4 rows", "smaller window"):
        load(short, window=8)
    with refused("window must be a whole number"):
        load(short, window=0)
    with refused("horizon needs a window"):
        load(short, horizon=2)
    with refused("is split by time"):
        load(table(), target="load", window=4, split="group=noise")
    with refused("rows of one series must have different dates", "78 of 80 rows"):
        days = pl.DataFrame({"day": ["2020-01-02", "2020-01-01"] * 40, "y": RNG.normal(0, 1, 80)})
        load(days, target="y", window=4)
    with refused("one axis (time) or two"):
        load(np.zeros((9, 3, 3)), window=4)
    with refused("column to predict"):
        load(table(), window=4)
    with refused("window is for time series"):
        load("digits", window=4)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with refused("lines is for text"):
        load(tmp_path / "a.csv", lines=True, target="a")


def test_new_rows_become_windows_as_in_training():
    data = load(table(), target="load", window=5)
    columns = columns_from({"kind": "series"} | data.preparation.columns.to_dict())
    assert columns == data.preparation.columns
    new = inputs_for(table(9), data.preparation)
    assert new.shape == (5, 5, 2)
    with refused("at least the 5 rows of a window", "4 rows"):
        inputs_for(table(4), data.preparation)


@pytest.mark.parametrize("model", ["linear", "mlp:8", "rnn:8", "lstm:8"])
def test_every_kind_of_model_learns_a_wave(model):
    wave = np.sin(np.arange(400) / 4) + 10
    problem = Problem(parse(model), load(wave, window=12, horizon=1))
    run = train(problem, Recipe(AdamW(lr=1e-2), batch_size=32, steps=150))
    assert run.result["test_metric"]["value"] < 0.5 * run.result["baseline"]["value"]
    assert run.result["baseline"]["of"] == "the last known value"
    answers = run.predict(wave[-30:])["prediction"]
    assert answers.shape == (19,) and abs(answers[-1] - (np.sin(100) + 10)) < 0.5


@needs_real
def test_real_series():
    data = load(REAL / "timeseries/beijing_pm25.csv.gz", target="pm2.5", window=24, horizon=6)
    assert data.outputs == 6 and {"missing", "id", "series"} <= {note.kind for note in data.notes}
    for split in data.splits.values():
        assert np.isfinite(split.rows).all() and split.starts.max() + 30 <= len(split.rows)


def test_rows_are_those_that_windows_predict_as_they_were_numbered_in_the_file(tmp_path):
    days = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-05-30"))
    shuffled = np.random.default_rng(0).permutation(days.size)
    value = np.sin(np.arange(days.size) / 3) * 10 + np.arange(days.size)
    frame = pl.DataFrame({"day": days[shuffled], "value": value[shuffled]})
    data = load(frame, target="value", window=5)
    for split, rows in data.rows.items():
        windows = getattr(data, split)
        targets = np.asarray(windows.batch(np.arange(windows.count()))[1])[:, 0]
        own = targets * data.preparation.target_scale + data.preparation.target_mean
        np.testing.assert_allclose(own, frame["value"].to_numpy()[rows], rtol=1e-4, atol=1e-3)
    assert set(data.rows) == {"train", "validation", "test"}
    saved = for_people(data, pl.DataFrame({"target": own, "prediction": own}))
    assert saved.columns == ["row", "target", "prediction"] and saved["row"].to_list() == rows.tolist()
