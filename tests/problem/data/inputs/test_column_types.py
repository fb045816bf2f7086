from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.inputs.column_types import Reading, read_column
from thalweg.problem.data.inputs.new_cells import read_dates, read_numbers


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", " 2.5 ", "-3e2", "+4"], "number", [1.0, 2.5, -300.0, 4.0]),
        (["1", "", "NA", "NaN", None], "number", [1.0, None, None, None, None]),
        ([" a", "b ", "?", "null"], "category", ["a", "b", "?", None]),
        (["1", "2", "x"], "category", ["1", "2", "x"]),
        (["", "NA"], "category", [None, None]),
        (["2020-01-31", ""], "date", [datetime(2020, 1, 31), None]),
        (["2020-01-31 10:20:30", "2020-02-01 00:00:00.5"], "date", None),
        (["2020-01-31T10:20:30Z"], "date", [datetime(2020, 1, 31, 10, 20, 30)]),
        (["31/12/2020", "01/02/2021"], "date", [datetime(2020, 12, 31), datetime(2021, 2, 1)]),
        (["12/31/2020", "01/02/2021"], "date", [datetime(2020, 12, 31), datetime(2021, 1, 2)]),
        (["1949-01", "1949-02"], "date", [datetime(1949, 1, 1), datetime(1949, 2, 1)]),
        (["2020-01-31", "soon"], "category", None),
        (["1-2", "3-4"], "category", None),
    ],
)
def test_types_are_inferred_from_text(cells, kind, values):
    column = read_column(pl.Series("c", cells, dtype=pl.String))
    assert column.kind == kind
    if values is not None:
        assert column.values.to_list() == values


@pytest.mark.parametrize(
    ("cells", "kind", "said"),
    [
        (["1", "2", "3", "low"] * 5, "category", "it was read as categories"),
        (
            [
                *map(str, range(40)),
                *(f"cabin {number} on the lower deck near the stern {number}" for number in range(40)),
            ],
            "text",
            "it was read as text",
        ),
    ],
)
def test_a_note_on_numbers_among_words_names_the_kind_that_was_read(cells, kind, said):
    column = read_column(pl.Series("c", cells, dtype=pl.String))
    assert column.kind == kind and said in column.notes[0].text


def test_further_marks_of_missing_values():
    column = read_column(pl.Series("c", ["1", " ?", "-9"]), Reading(("?", " -9")))
    assert column.kind == "number" and column.values.to_list() == [1.0, None, None]


@pytest.mark.parametrize(
    ("series", "kind"),
    [
        (pl.Series("c", [1, 2], dtype=pl.Int16), "number"),
        (pl.Series("c", ["1.5", "2"]).cast(pl.Decimal(10, 2)), "number"),
        (pl.Series("c", [True, False]), "category"),
        (pl.Series("c", ["a", "b"], dtype=pl.Categorical), "category"),
        (pl.Series("c", ["a", "b"], dtype=pl.Enum(["a", "b"])), "category"),
        (pl.Series("c", [date(2020, 1, 1)]), "date"),
        (pl.Series("c", [datetime(2020, 1, 1, tzinfo=UTC)]), "date"),
        (pl.Series("c", [None, None]), "category"),
    ],
)
def test_typed_columns_are_read(series, kind):
    assert read_column(series).kind == kind


def test_durations_and_times_become_seconds():
    length = pl.Series("c", [90_000], dtype=pl.Duration("ms"))
    assert read_column(length).values.to_list() == [90.0]
    assert read_column(pl.Series("c", [datetime(2020, 1, 1, 1).time()])).values.to_list() == [3600.0]


def test_nan_in_a_frame_is_a_missing_value():
    assert read_column(pl.Series("c", [1.0, np.nan])).values.null_count() == 1


def test_columns_that_hold_no_values_are_refused():
    with refused("column 'c' must hold numbers, text, booleans or dates", "List", "drop='c'"):
        read_column(pl.Series("c", [[1, 2]]))


def test_infinite_numbers_are_refused():
    with refused("column 'c' must hold finite numbers", "1 inf", "inf, in row 2", "missing='inf'"):
        read_column(pl.Series("c", ["1", "1e999", "2"]))
    with refused("column 'c' must hold finite numbers", "1 inf"):
        read_column(pl.Series("c", [1.0, float("inf"), 2.0]))
    with refused("that fit float32", "1e+300, in row 1"):
        read_column(pl.Series("c", [1e300, 2.0]))
    assert read_column(pl.Series("c", ["1", "inf", "2"]), Reading(("inf",))).values.null_count() == 1


@pytest.mark.parametrize("word", ["inf", "-Inf", "Infinity"])
def test_words_for_infinity_among_numbers_are_missing_and_counted(word):
    typed = read_column(pl.Series("c", ["1.5", word, "2.5", "3.5"]))
    assert typed.values.to_list() == [1.5, None, 2.5, 3.5] and typed.marked == {word: 1}
    assert read_numbers(pl.Series("c", ["1.5", word, "4"])).to_list() == [1.5, None, 4.0]


def test_new_cells_must_have_the_type_of_training():
    with refused("column 'c' must hold numbers", "got x", "row 2", "missing='x'"):
        read_numbers(pl.Series("c", ["1", "x"]))
    with refused("column 'c' must hold numbers", "Date"):
        read_numbers(pl.Series("c", [date(2020, 1, 1)]))
    with refused("column 'c' must hold dates written as %Y-%m-%d", "got 1/2/2020"):
        read_dates(pl.Series("c", ["2020-01-01", "1/2/2020"]), "%Y-%m-%d")
    with refused("column 'c' must hold dates"):
        read_dates(pl.Series("c", [5, 6]), "%Y-%m-%d")


@pytest.mark.parametrize("after", ["", "*", " kg"])
def test_dots_before_three_digits_are_doubted_whatever_stands_behind_them(after):
    cells = [f"{head}.{head + 100}{after if head % 2 else ''}" for head in range(2, 40)]
    column = read_column(pl.Series("c", cells, dtype=pl.String), Reading(likely_decimal="."))
    assert column.kind == "number" and "nothing in the column tells its decimal mark" in column.notes[0].text
    known = read_column(pl.Series("c", [*cells, "2.5"], dtype=pl.String), Reading(likely_decimal="."))
    assert all("decimal mark" not in note.text for note in known.notes)


@pytest.mark.parametrize(
    ("cells", "doubted"),
    [
        (["27.11", "24.10", "12.07", "16.03", "30.06"], True),
        (["07.11", "24.10", "12.07"], True),  # a padded day
        (["27.11", "24.10", "12.07"], False),  # chance
        (["27.11", "24.10", "12.07", "16.03", "30.36"], False),
    ],
)
def test_numbers_that_may_be_days_without_a_year_are_doubted(cells, doubted):
    named = read_column(pl.Series("Verkauft am", cells, dtype=pl.String)).notes
    assert any("days without a year" in note.text for note in named) == ("30.36" not in cells)
    notes = read_column(pl.Series("c", cells, dtype=pl.String)).notes
    assert any("days without a year" in note.text for note in notes) == doubted


@pytest.mark.parametrize("marks", [0, 8])
def test_days_among_marks_of_missing_values_are_said_to_be_dates(marks):
    column = read_column(pl.Series("c", ["Nov 9", "May 29", "Nov 14", "May 9"] * 5 + ["."] * marks))
    assert column.kind == "category" and "holds dates and other text" in column.notes[0].text
