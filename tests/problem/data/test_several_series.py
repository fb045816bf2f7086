"""Which row follows which: several series in one table, dates out of order, gaps and repeats."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.problem.data.given import refused
from thalweg.core.caller import command_line
from thalweg.problem.data.inputs import columns_from
from thalweg.problem.data.load import load
from thalweg.problem.data.predict_inputs import examples_for
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.train import train

CASES = Path(__file__).parents[2] / "data" / "cases"
SHORT = Recipe(AdamW(lr=1e-3), batch_size=32, steps=20)


def days(count, first=dt.date(2020, 1, 1)):
    return [first + dt.timedelta(i) for i in range(count)]


def shops(names="abc", count=100):
    """Sales of shops, each row's value unlike all others: shop number * 1000 + row."""
    one = [
        pl.DataFrame({"shop": [name] * count, "day": days(count), "y": 1000.0 * i + np.arange(count)})
        for i, name in enumerate(names)
    ]
    return pl.concat(one)


def texts(data, *kinds):
    return " ".join(note.text for note in data.notes if note.kind in kinds or not kinds)


def values(data, split):
    """Return the rows' targets and each window's targets, in their own unit: `example time`, both."""
    windows, scale = data.splits[split], data.preparation.target_scale
    inputs, targets = windows.batch(np.arange(windows.count()))
    offsets = windows.offsets[:, None]
    past = np.asarray(inputs)[..., -1] / windows.change_scale + offsets  # the distances from the last value
    following = np.asarray(targets) + offsets
    return [x * scale + data.preparation.target_mean for x in (past, following)]


# Several series


def test_series_are_found_where_dates_repeat():
    data = load(shops(), target="y", window=5)
    assert data.preparation.columns.series == ("shop",)
    assert "day repeats, but not within one shop" in texts(data, "series")
    change = next(note.change for note in data.notes if note.change)
    assert change == "series='COLUMN'"
    with command_line():
        assert "--series COLUMN would change that." in texts(load(shops(), target="y", window=5))


def test_no_window_reaches_from_one_series_into_another():
    data = load(shops(), target="y", window=5, horizon=2)
    for name, split in data.splits.items():
        past, following = values(data, name)
        whole = np.round(np.concatenate([past, following], axis=1))
        np.testing.assert_array_equal(np.diff(whole, axis=1), 1)
        assert len(np.unique(whole[:, 0] // 1000)) == 3 and split.count() == 3 * len(whole) // 3
    assert data.train.count() == 3 * (72 - 6)


def test_no_row_and_no_time_is_shared_by_two_splits():
    frame = shops().filter((pl.col("shop") != "b") | (pl.col("day") > dt.date(2020, 2, 1)))
    data = load(frame, target="y", window=5)
    times = {}
    for name in data.splits:
        past, following = values(data, name)
        times[name] = np.round(np.concatenate([past, following], axis=1)) % 1000
    assert times["train"].max() < times["validation"].min()
    assert times["validation"].max() < times["test"].min()


def test_without_dates_every_series_is_cut_at_the_same_share():
    uneven = pl.concat([shops("a", 100), shops("b", 200)]).drop("day")
    data = load(uneven, target="y", window=5, series="shop")
    assert data.train.count() == (72 - 5) + (144 - 5) and data.test.count() == (20 - 5) + (40 - 5)
    assert "at the same share of its rows" in texts(data, "series")


def test_the_order_of_rows_and_columns_makes_no_difference():
    by_store, by_date = (
        load(CASES / f"series_by_{by}.csv", target="sales", window=12) for by in ("store", "date")
    )
    assert by_store.fingerprint == by_date.fingerprint
    shuffled = pl.read_csv(CASES / "series_by_date.csv", infer_schema=False).sample(
        fraction=1, shuffle=True, seed=1
    )
    assert load(shuffled, target="sales", window=12).fingerprint == by_date.fingerprint
    runs = [train(Problem(MLP([None, 8, None]), data), SHORT) for data in (by_store, by_date)]
    assert runs[0].result["test_loss"] == runs[1].result["test_loss"]


def test_the_default_network_learns_five_stores():
    run = train(
        Problem(None, load(CASES / "series_by_store.csv", target="sales", window=12)),
        Recipe(AdamW(lr=1e-3), batch_size=32, epochs=30),
    )
    # Noise 0.5; the last known value is 3.8 away.
    assert run.result["test_metrics"]["rmse"] < 1.5
    assert run.result["test_metric"]["value"] == pytest.approx(run.result["test_metrics"]["rmse"], rel=1e-4)
    assert run.result["baseline"] == {
        "name": "rmse",
        "value": pytest.approx(3.777, abs=1e-3),
        "of": "the last known value",
    }
    test = run.record.test
    assert test["target"].min() < 120 and test["target"].max() > 480  # in their own unit, level and all


def test_small_changes_of_large_values_are_resolved():
    """One million and a wave of 1: in float32, values in the unit of changes would be 0.06 apart."""
    wave = [np.sin(np.arange(200) / 3) + level for level in (1e6, 5e6)]
    frame = pl.concat(
        [pl.DataFrame({"s": [n] * 200, "t": days(200), "y": y}) for n, y in zip("ab", wave, strict=True)]
    )
    windows = load(frame, target="y", window=6).train
    _, targets = windows.batch(np.arange(windows.count()))
    rows = np.asarray(windows.starts)[:50]
    change = (wave[0][rows + 6] - wave[0][rows + 5]) / load(
        frame, target="y", window=6
    ).preparation.target_scale
    np.testing.assert_allclose(np.asarray(targets)[:50, 0], change, atol=1e-5)


def test_whole_numbers_may_name_series_but_counts_do_not():
    guests = (np.arange(300) % 100 + 13 * (np.arange(300) // 100)) % 40  # unlike each other on every day
    frame = shops("abc").with_columns(
        shop=pl.col("shop").replace_strict({"a": 12, "b": 3, "c": 7}),
        guests=pl.Series(guests),
    )
    data = load(frame, target="y", window=5)
    assert data.preparation.columns.series == ("shop",)
    assert "shop=12" in data.preparation.columns.table.features
    with refused("must have different dates", "200 of 300 rows repeat", "series="):
        load(frame.drop("shop"), target="y", window=5)


def test_two_columns_may_name_a_series_together():
    pair = pl.concat([shops("ab").with_columns(item=pl.lit(item)) for item in ("pen", "ink")])
    for options in ({}, {"series": "shop,item"}, {"series": "shop, item"}):
        data = load(pair, target="y", window=5, **options)
        assert data.preparation.columns.series == ("shop", "item") and data.train.count() == 4 * (72 - 5)
    with refused("rows of one shop must have different dates", "200 of 400", "series='shop,item'"):
        load(pair, target="y", window=5, series="shop")


def test_a_panel_of_years_and_a_calendar():
    panel = pl.DataFrame({"country": np.repeat(["DE", "FR"], 60), "year": [*range(1960, 2020)] * 2})
    data = load(panel.with_columns(gdp=pl.Series(np.arange(120.0))), target="gdp", window=2)
    assert data.preparation.columns.series == ("country",) and "year runs in steps of 1" in texts(data)
    hours = pl.datetime_range(dt.datetime(2020, 1, 30), dt.datetime(2020, 2, 8), "1h", eager=True)
    frame = pl.DataFrame(
        {
            "hour": hours.dt.hour(),
            "year": hours.dt.year(),
            "month": hours.dt.month(),
            "day": hours.dt.day(),
            "y": np.arange(217.0) % 7,
        }
    )
    data = load(frame.sample(fraction=1, shuffle=True, seed=1), target="y", window=4)
    assert data.preparation.columns.clock.columns == ("year", "month", "day", "hour")
    assert "year, month, day, hour runs in steps of 1 hour, without gaps" in texts(data)


def test_a_series_shorter_than_a_window_is_named():
    frame = pl.concat([shops("ab"), shops("c", 9)])
    data = load(frame, target="y", window=12, validation=0.2)
    assert "no windows in the train split, for lack of 13 rows there, of 1 series: c." in texts(data, "short")
    with refused("validation split must have at least 61 rows of one series", "at most 8", "larger share"):
        load(shops(), target="y", window=60)


def test_classes_of_several_series():
    frame = shops().with_columns(y=pl.when(pl.col("y") % 3 < 1).then(pl.lit("up")).otherwise(pl.lit("down")))
    data = load(frame, target="y", window=4)
    assert data.outputs == 2 and data.train.count() == 3 * (72 - 4) and data.train.offsets is None
    _, targets = data.train.batch(np.arange(6))
    assert targets.tolist() == [0, 0, 1, 0, 0, 1]


def test_a_series_that_is_not_a_column_is_refused():
    with refused("must be a column of the table", "shop", who="series"):
        load(shops(), target="y", window=5, series="shopp")
    with refused("the target cannot tell series apart"):
        load(shops(), target="y", window=5, series="y")


def test_a_missing_target_keeps_the_last_value_that_is_known():
    y = np.where(np.arange(300) % 10 == 4, np.nan, shops()["y"].to_numpy())
    data = load(shops().with_columns(y=pl.Series(y, nan_to_null=True)), target="y", window=5, horizon=2)
    windows = data.train
    ends = np.asarray(windows.starts) + 4
    last = windows.last_values * data.preparation.target_scale + data.preparation.target_mean
    shop, row = np.divmod(ends, 72)
    np.testing.assert_allclose(last, 1000 * shop + row - (row % 10 == 4), atol=1e-2)
    assert np.isfinite(np.asarray(windows.batch(np.arange(windows.count()))[0])).all()


# Order, steps, gaps


ONE = pl.DataFrame({"day": days(200), "y": np.sin(np.arange(200.0)) + np.arange(200) / 50})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ONE.reverse(), "The rows ran from the latest to the earliest; they were sorted by day."),
        (
            ONE.sample(fraction=1, shuffle=True, seed=3),
            "The rows were not in time order; they were sorted by day.",
        ),
    ],
)
def test_rows_are_sorted_by_their_dates(rows, said):
    data = load(rows, target="y", window=5)
    assert said in texts(data, "order")
    assert data.fingerprint == load(ONE, target="y", window=5).fingerprint


def test_rows_in_order_are_not_said_to_be_sorted():
    assert "sorted" not in texts(load(ONE, target="y", window=5))


def test_times_with_zones_are_sorted_as_points_in_time():
    berlin = pl.datetime_range(
        dt.datetime(2020, 10, 20), dt.datetime(2020, 10, 30), "1h", time_zone="Europe/Berlin", eager=True
    )
    frame = pl.DataFrame({"when": berlin, "y": np.arange(float(len(berlin)))})
    data = load(frame, target="y", window=5)  # an hour that occurs twice on the wall
    assert "when runs in steps of 1 hour, without gaps." in texts(data, "order")
    assert not texts(data, "repeats", "gaps")


@pytest.mark.parametrize(
    ("dates", "step"),
    [
        (
            pl.date_range(dt.date(1990, 1, 31), dt.date(2006, 8, 31), "1mo", eager=True).dt.month_end(),
            "1 month",
        ),
        (pl.date_range(dt.date(1960, 1, 1), dt.date(2009, 12, 1), "3mo", eager=True), "3 months"),
        (pl.date_range(dt.date(1800, 1, 1), dt.date(1999, 1, 1), "1y", eager=True), "1 year"),
        (pl.Series([day for day in days(280) if day.weekday() < 5]), "1 working day"),
        (
            pl.datetime_range(dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 3), "15m", eager=True),
            "15 minutes",
        ),
        (pl.date_range(dt.date(2020, 1, 1), dt.date(2023, 12, 31), "1w", eager=True), "7 days"),
    ],
)
def test_steps_of_every_kind_have_no_gaps(dates, step):
    frame = pl.DataFrame({"when": dates, "y": np.sin(np.arange(float(len(dates))))})
    assert f"when runs in steps of {step}, without gaps." in texts(load(frame, target="y", window=3), "order")


def test_windows_with_a_gap_are_left_out_and_said():
    rows = [i for i in range(200) if i not in (50, 51, 100)]
    data = load(ONE[rows], target="y", window=5)
    assert "2 gaps; the longest, of 3 days, ends at 2020-02-22" in texts(data, "gaps")
    assert "10 windows across a gap: left out" in texts(data, "gaps")
    column = next(rule for rule in data.preparation.columns.table.rules if rule.column == "y")
    inputs = np.asarray(data.train.batch(np.arange(data.train.count()))[0])
    seen = inputs[..., -1] * column.scale + column.mean
    at = np.abs(seen[..., None] - ONE["y"].to_numpy()).argmin(-1)
    assert (np.diff(at, axis=1) == 1).all()


def test_gaps_that_are_the_rule_are_no_reason_to_leave_windows_out():
    data = load(ONE[[i for i in range(200) if i % 4]], target="y", window=5)
    assert "They are too many to leave out" in texts(data, "gaps")
    assert data.train.count() == 108 - 5


def test_irregular_times_are_said():
    seconds = np.cumsum(np.random.default_rng(0).exponential(50, 200))
    when = [dt.datetime(2020, 1, 1) + dt.timedelta(seconds=float(s)) for s in seconds]
    assert "no regular step" in texts(
        load(ONE.with_columns(day=pl.Series(when)), target="y", window=5), "gaps"
    )


def test_repeated_dates_are_said_or_asked_about():
    twice = ONE.with_columns(
        day=pl.when(pl.int_range(200) == 77).then(pl.lit(days(200)[76])).otherwise("day")
    )
    assert "day repeats in 1 row (the first is 2020-03-17" in texts(
        load(twice, target="y", window=5), "repeats"
    )
    with refused("200 of 400 rows repeat the date of another", "types={'day': 'skip'}", "series="):
        load(pl.concat([ONE, ONE]), target="y", window=5)
    assert load(pl.concat([ONE, ONE]), target="y", window=5, types={"day": "skip"}).train.count() == 288 - 5


def test_a_series_that_begins_on_the_day_on_which_another_ends_repeats_no_day():
    later = shops("z").with_columns(day=pl.Series(days(100, days(100)[-1])))
    for options in ({"series": "shop"}, {}):
        data = load(pl.concat([shops("a"), later]), target="y", window=5, **options)
        assert data.preparation.columns.series == ("shop",) and not texts(data, "repeats")


def test_rows_without_a_date_are_left_out_and_counted():
    frame = ONE.with_columns(day=pl.when(pl.int_range(200) % 50 == 3).then(None).otherwise("day"))
    data = load(frame, target="y", window=5)
    assert "4 rows without day: left out." in texts(data, "missing")


def test_without_dates_the_order_is_a_guess_that_is_said(tmp_path):
    data = load(ONE.drop("day"), target="y", window=5)
    assert "No column holds dates" in texts(data, "order") and "types={'COLUMN': 'date'}" in texts(
        data, "order"
    )
    blocks = shops("ab").drop("day")
    assert "The rows of each shop lie together" in texts(load(blocks, target="y", window=5), "series")
    assert load(np.arange(100.0), window=5).notes[0].kind == "series"  # an array has no columns to name


def test_a_date_is_an_input_by_what_recurs():
    data = load(ONE, target="y", window=5)
    assert data.preparation.columns.table.features == ("day week sine", "day week cosine", "y")
    assert "all lie beyond those of training. The time of week is." in texts(data, "order")
    kept = load(ONE, target="y", window=5, keep="day")
    assert kept.preparation.columns.table.features[0] == "day days"
    alone = load(
        ONE[::7], target="y", window=2, drop="y", validation=0.2
    )  # of weeks in one year, nothing recurs
    assert alone.preparation.columns.table.features == ("day days",)


# Prediction and test files


def trained(frame, **options):
    return train(Problem(MLP([None, 8, None]), load(frame, target="y", window=5, **options)), SHORT)


def test_the_last_window_of_each_series_gives_one_answer():
    run = trained(shops("abc"))
    last = shops("abc", 105).filter(pl.col("day") >= days(101)[-1])  # rows 100 to 104
    answers = run.predict(last.sample(fraction=1, shuffle=True, seed=0))
    assert answers["shop"].tolist() == ["a", "b", "c"] and list(answers) == ["shop", "last_day", "prediction"]
    assert answers["last_day"].tolist() == [str(days(105)[-1])] * 3
    np.testing.assert_allclose(answers["prediction"], [104, 1104, 2104], atol=5)


def test_predictions_are_those_of_the_test_split():
    run = trained(shops("abc"), horizon=2)
    columns, preparation = run.problem.data.preparation.columns, run.problem.data.preparation
    rows = shops("abc").filter(pl.col("day") >= days(81)[-1])
    examples = examples_for(rows, preparation)
    test = run.problem.data.test
    inputs = np.asarray(test.batch(np.arange(test.count()))[0])
    own = examples.inputs.reshape(3, 16, 5, -1)[:, : test.count() // 3].reshape(inputs.shape)
    np.testing.assert_allclose(own, inputs, atol=1e-5)
    assert columns_from({"kind": "series"} | columns.to_dict()) == columns
    assert run.predict(rows)["prediction"].shape == (48, 2)


def test_a_window_is_the_same_alone_as_among_others():
    """What is missing at its beginning, or altogether, is not taken from the rows before it."""
    row = np.arange(300) % 100
    y = np.where((row == 20) | ((row >= 40) & (row < 45)), np.nan, shops()["y"].to_numpy())
    frame = shops().with_columns(y=pl.Series(y, nan_to_null=True))
    data = load(frame, target="y", window=5)
    at = np.flatnonzero(np.asarray(data.train.starts) == 20)
    within = np.asarray(data.train.batch(at)[0])[0]
    np.testing.assert_allclose(examples_for(frame[20:25], data.preparation).inputs[0], within, atol=1e-5)
    assert 40 not in data.train.starts and 41 in data.train.starts  # nothing known to change from
    several, alone = (examples_for(rows, data.preparation) for rows in (frame[:60], frame[40:45]))
    assert several.offsets is not None and alone.offsets is not None
    assert several.offsets[40] == alone.offsets[0] == 0 != several.offsets[41]
    np.testing.assert_allclose(alone.inputs[0], several.inputs[40], atol=1e-5)


def test_unknown_and_short_series_are_named_in_prediction():
    preparation = load(shops("abc"), target="y", window=5).preparation
    new = pl.concat([shops("a", 6), shops("z", 6), shops("b", 3)])
    examples = examples_for(new, preparation)
    said = " ".join(note.text for note in examples.notes)
    assert examples.labels["shop"].tolist() == ["a", "a", "z", "z"]
    assert "z did not occur in training" in said and "no prediction for b: fewer than 5 rows" in said
    with refused("at least the 5 rows of a window", "3 rows in the longest series"):
        examples_for(shops("ab", 3), preparation)
    with refused("no column shop"):
        examples_for(shops().drop("shop"), preparation)


def test_new_rows_that_repeat_a_time_are_counted_and_the_targets_past_must_be_there():
    preparation = load(shops("abc"), target="y", window=5).preparation
    new = shops("ab", 6)
    said = [note.text for note in examples_for(pl.concat([new, new[:3]]), preparation).notes]
    assert said == ["3 rows with the time of another: each is taken as a step of its own."]
    with refused("must have the target's own past, the column 'y'", "add it"):
        examples_for(new.drop("y"), preparation)


def test_new_rows_may_lack_a_date_that_is_no_input():
    preparation = load(shops(), target="y", window=5, drop="day").preparation
    examples = examples_for(shops("ab", 6).drop("day"), preparation)
    assert list(examples.labels) == ["shop"] and examples.inputs.shape[0] == 4
    assert "without day, the rows are taken to be in time order" in examples.notes[0].text
    with refused("no column day"):
        examples_for(shops("ab", 6).drop("day"), load(shops(), target="y", window=5).preparation)


def test_dates_of_new_rows_are_read_as_in_training():
    written = shops().with_columns(day=pl.col("day").dt.strftime("%m/%d/%Y"))
    preparation = load(written, target="y", window=5).preparation
    either_way = written.filter(pl.col("day").str.contains("/(0.|1[0-2])/")).sample(fraction=1, shuffle=True)
    assert examples_for(either_way, preparation).labels["last_day"].tolist()[:2] == [
        "01/05/2020",
        "01/06/2020",
    ]


def test_a_separate_test_table_of_several_series():
    test = pl.concat([shops("ab", 20), shops("z", 20), shops("c", 3)])
    data = load(shops("abc"), target="y", window=5, test=test.sample(fraction=1, shuffle=True, seed=0))
    assert data.test.count() == 3 * 15 and "only in the test split: z." in texts(data)
    past, following = values(data, "test")
    np.testing.assert_allclose(np.diff(np.concatenate([past, following], axis=1), axis=1), 1, atol=1e-2)


def test_runs_of_earlier_versions_are_read():
    columns = load(ONE, target="y", window=5).preparation.columns
    plain = {"kind": "series"} | columns.to_dict()
    old = columns_from(
        {key: value for key, value in plain.items() if key in ("kind", "table", "window", "horizon")}
    )
    assert old.inputs(ONE).shape == columns.inputs(ONE).shape == (196, 5, 3)


def test_a_metric_of_the_whole_split_is_of_values_and_not_of_changes():
    draw = np.random.default_rng(0)
    table = shops().with_columns(pl.col("y") + draw.normal(0, 30, 300))
    problem = Problem(MLP([None, 4, None]), load(table, target="y", window=5), metric="r2")
    assert problem.data.test.offsets is not None
    run = train(problem, SHORT)
    target, predicted = (run.record.test[name].to_numpy() for name in ("target", "prediction"))
    r2 = 1 - np.sum((target - predicted) ** 2) / np.sum((target - target.mean()) ** 2)
    assert r2 > 0.9  # of changes it would be far lower: most of the variance is between shops
    assert run.result["test_metric"] == {"name": "r2", "value": pytest.approx(r2, rel=1e-4)}
