import json
import warnings
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from thalweg.core.errors import DataError, DataWarning
from thalweg.problem.data.inputs import new_cells
from thalweg.problem.data.inputs.numbers import NumberFormat
from thalweg.problem.data.inputs.rules import CategoryRule, DateRule, NumberRule, rules_from
from thalweg.problem.data.load import load

RANDOM = np.random.default_rng(0)


def series(values, dtype=None):
    return pl.Series("c", values, dtype=dtype)


def test_numbers_are_standardised():
    rule = NumberRule.fit(series([1.0, 2.0, 3.0, 4.0]))
    assert rule.unit == 0 and rule.features == ("c",)
    assert np.allclose(rule.apply(series(["1", "2.5"]), ())[:, 0], [-1.5 / np.sqrt(1.25), 0])


def test_a_missing_number_enters_as_the_mean_with_a_flag():
    rule = NumberRule.fit(series([1.0, 2.0, 3.0, None]))
    assert rule.features == ("c", "c missing") and rule.mean == 2.0
    assert rule.apply(series(["", "2", "?"]), ("?",)).tolist() == [[0, 1], [0, 0], [0, 1]]


def test_a_number_missing_only_later_enters_as_the_mean():
    assert NumberRule.fit(series([1.0, 2.0, 3.0])).apply(series([None, 2.0]), ()).tolist() == [[0], [0]]


def test_two_values_enter_as_zero_and_one():
    rule = NumberRule.fit(series([5.0, 5, 5, 5, 7]))
    assert rule.apply(series([5, 7]), ()).tolist() == [[0], [1]]


def test_a_long_tail_enters_as_its_logarithm():
    values = np.exp(RANDOM.normal(0, 2, 500))
    rule = NumberRule.fit(series(values))
    assert rule.unit == pytest.approx(np.median(values))
    inputs = rule.apply(series(values), ())[:, 0]
    expected = np.log1p(values / rule.unit)
    assert np.allclose(inputs, (expected - expected.mean()) / expected.std(), atol=1e-5)


def test_no_logarithm_if_it_does_not_help():
    assert NumberRule.fit(series(RANDOM.normal(size=500))).unit == 0
    assert NumberRule.fit(series(np.r_[np.zeros(498), 1.0, 2.0])).unit == 0


def test_extreme_numbers_are_clipped():
    rule = NumberRule.fit(series(RANDOM.normal(size=100)))
    assert rule.apply(series([1e30, -1e30]), ()).tolist() == [[8], [-8]]


def test_each_category_has_an_input_the_most_frequent_first():
    rule = CategoryRule.fit(series(["b", "a", "b", "a", "b"]))
    assert rule.features == ("c=b", "c=a")
    assert rule.apply(series(["a ", "b"]), ()).tolist() == [[0, 1], [1, 0]]


def test_rare_and_unknown_categories_share_an_input():
    rule = CategoryRule.fit(series(["a"] * 50 + ["b"] * 50 + ["c"]))
    assert rule.features == ("c=a", "c=b", "c=other")
    assert rule.apply(series(["c", "never seen"]), ()).tolist() == [[0, 0, 1]] * 2


def test_without_rare_ones_an_unknown_category_enters_as_zeros():
    with pytest.warns(DataWarning, match="1 of 1 cells hold a category unknown to training"):
        assert CategoryRule.fit(series(["a", "a", "b", "b"])).apply(series(["z"]), ()).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("categories", "new"),
    [
        (["TRUE", "FALSE"], series([True, False])),
        (["true", "false"], series(["True", "False"])),
        (["1", "2"], series(["1.0", "2.00"])),
        (["1.0", "2.0"], series(["1", "2"])),
        (["00501", "10001"], series([501, 10001])),
        (["501", "10001"], series([501.0, 10001.0])),
    ],
)
def test_categories_are_known_in_the_form_that_other_programs_write(categories, new):
    rule = CategoryRule("c", tuple(categories))
    assert rule.apply(new, ()).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("cell", ["01", "1.5", "10", "Tru", "-1"])
def test_other_cells_are_not_taken_for_a_category(cell):
    rule = CategoryRule("c", ("1", "true", "2", "02"))
    with pytest.warns(DataWarning):
        assert not rule.apply(series([cell]), ()).any()


def test_a_number_that_two_categories_write_is_unknown():
    with pytest.warns(DataWarning):
        assert not CategoryRule("c", ("02", "002")).apply(series([2]), ()).any()


def test_few_unknown_categories_and_those_of_columns_with_rare_ones_are_no_news():
    assert CategoryRule("c", ("a", "b")).apply(series(["a", "a", "z"]), ()).sum() == 2
    assert CategoryRule("c", ("a", "b"), other=True).apply(series(["z"]), ()).tolist() == [[0, 0, 1]]


def test_times_and_durations_have_the_unit_of_their_text():
    rule = NumberRule("c", 0.0, 1.0, written=NumberFormat(clock=True))
    for column in (["01:30:00"], pl.Series("c", ["01:30:00"]).str.to_time(), [timedelta(minutes=90)]):
        assert rule.apply(pl.Series("c", column), ()).tolist() == [[1.5]]


def test_a_column_of_dates_may_be_all_missing_as_pandas_has_it():
    rule = DateRule("c", "%Y-%m-%d", ("days",), (18_000.0,), (10.0,), True)
    assert rule.apply(series([float("nan"), None], pl.Float64), ()).tolist() == [[0, 1], [0, 1]]


def test_missing_categories_have_an_input_when_seen_in_training():
    rule = CategoryRule.fit(series(["a", "a", "b", "b", None]))
    assert rule.features == ("c=a", "c=b", "c=missing")
    assert rule.apply(series([None]), ()).tolist() == [[0, 0, 1]]


def test_at_most_a_hundred_categories():
    rule = CategoryRule.fit(series([f"k{i:03}" for i in range(150) for _ in range(20)]))
    assert len(rule.categories) == 100 and rule.other


def dates(step, count):
    start = datetime(2020, 1, 1)
    return pl.Series("c", [start + i * timedelta(hours=step) for i in range(count)])


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (dates(24, 30), {"days", "week"}),
        (dates(1, 100), {"days", "week", "day"}),
        (dates(24 * 30, 40), {"days", "year"}),
        (dates(24, 800), {"days", "year", "week"}),
    ],
)
def test_dates_enter_by_the_quantities_that_vary(values, parts):
    rule = DateRule.fit(values, "")
    assert {part.split()[0] for part in rule.parts} == parts
    inputs = rule.apply(values, ())
    assert np.allclose(inputs.mean(axis=0), 0, atol=1e-5) and np.allclose(inputs.std(axis=0), 1, atol=1e-5)


def test_a_missing_date_enters_as_the_mean_with_a_flag():
    rule = DateRule.fit(pl.Series("c", [datetime(2020, 1, d) for d in (1, 2, 3)] + [None]), "%Y-%m-%d")
    assert rule.features[0] == "c days" and rule.features[-1] == "c missing"
    inputs = rule.apply(series(["", "2020-01-02"]), ())
    assert inputs[0, :-1].tolist() == [0] * (inputs.shape[1] - 1) and inputs[:, -1].tolist() == [1, 0]
    assert abs(inputs[1, 0]) < 1e-5


@pytest.mark.parametrize(
    "rule",
    [
        NumberRule.fit(series([1.0, 0.1, None, 1e9])),
        CategoryRule.fit(series(["a", "a", "b", None])),
        DateRule.fit(dates(5, 50), "%Y-%m-%d"),
    ],
)
def test_rules_are_written_and_read_back_exactly(rule):
    assert rules_from([json.loads(json.dumps(rule.to_dict()))]) == (rule,)


CELLS = (
    *("1", "-2.50", "+3", "007", "1e3", "1_000", "1,5", "1,000", "inf", "nan", "NaN", "\u0661", "  4 "),
    *("", "NA", "?", "999", "999.0", "abc", "12345678901234567890", "0.1", "-0", "1.", ".5", "#N/A"),
    *("null", "5 %", "\u00a05", "0x1f", "1\n", "--1"),
)


def outcome(rule, column, marks):
    """Return a column's inputs and warnings, or the error."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            return rule.apply(column, marks).tobytes(), [str(each.message) for each in caught]
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("marks", [(), ("?",), ("999",)])
@pytest.mark.parametrize("written", [NumberFormat(), NumberFormat(decimal=","), NumberFormat(affixes=("%",))])
def test_few_cells_are_read_as_many_are(monkeypatch, marks, written):
    rules = [NumberRule("c", 2.0, 3.0, unit, flag, written) for unit, flag in ((0.0, False), (1.5, True))] + [
        CategoryRule("c", ("1", "NA", "abc", "-0"), other=True, missing=True)
    ]
    columns = [series([a, b], pl.String) for a in CELLS for b in (*CELLS[:3], "", "abc", None)]
    columns += [series([None, a, 2.5], pl.Float64) for a in (0.1, -0.0, np.nan, np.inf, 1e39, 999.0)]
    columns += [series([True, None]), series([1, 2**60]), series([None], pl.Null), series([], pl.String)]
    few = [outcome(rule, column, marks) for rule in rules for column in columns]
    monkeypatch.setattr(new_cells, "_SHORT", -1)
    monkeypatch.setattr(new_cells, "_marks", lambda marks: [0.0])
    assert few == [outcome(rule, column, marks) for rule in rules for column in columns]


def test_a_mark_of_missing_values_that_is_a_number_holds_for_typed_columns():
    frame = pl.DataFrame({"x": [1, 2, 999, 4] * 10, "f": [0.5, 999.0, 1.5, 2.5] * 10, "y": ["a", "b"] * 20})
    data = load(frame, target="y", missing=("999",))
    missing = {note.columns for note in data.notes if note.kind == "missing"}
    assert missing == {("x", "f")}
    assert data.preparation.columns.rules[0].apply(pl.Series("x", [999, 1]), ("999",))[:, 1].tolist() == [
        1,
        0,
    ]
