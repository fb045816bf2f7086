"""Cells as ledgers, instruments, offices and surveys write them: each is read as meant, or a word is said."""

# ruff: noqa: RUF001 (letters and signs of other languages are meant)

from datetime import datetime

import polars as pl
import pytest

from thalweg.problem.data.inputs.column_types import read_column
from thalweg.problem.data.tables.columns import type_notes
from thalweg.problem.data.understanding import understand

# More rows of a column, so that a share of bad cells would be seen.
ROWS = 12


def column(*cells, name="c"):
    return read_column(pl.Series(name, [*cells] * (1 + ROWS // len(cells)), dtype=pl.String))


def first(read, count=1):
    return read.values[:count].to_list()


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (["3Q19", "1Q20"], datetime(2019, 7, 1)),
        (["Q3/12", "Q1/13"], datetime(2012, 7, 1)),
        (["2018-T2", "2019-T1"], datetime(2018, 4, 1)),
        (["4. Quartal 2021", "1. Quartal 2021"], datetime(2021, 10, 1)),
        (["KW 21/2019", "KW 3/2020"], datetime(2019, 5, 20)),
        (["2019 KW 21", "2020 KW 3"], datetime(2019, 5, 20)),
        (["KW 53/2020", "KW 3/2020"], datetime(2020, 12, 28)),
        (["Week 21, 2019", "Week 3, 2020"], datetime(2019, 5, 20)),
        (["21. KW 2019", "3. KW 2020"], datetime(2019, 5, 20)),
        (["H2 2019", "H1 2020"], datetime(2019, 7, 1)),
        (["2019H2", "2020H1"], datetime(2019, 7, 1)),
        (["2012M11", "2013M02"], datetime(2012, 11, 1)),
        (["11/2010", "2/2011"], datetime(2010, 11, 1)),
        (["4 stycznia 2020", "7 lipca 2021"], datetime(2020, 1, 4)),
        (["23 марта 2019 г.", "1 июля 2020 г."], datetime(2019, 3, 23)),
        (["27. tammikuuta 2020", "1. lokakuuta 2019"], datetime(2020, 1, 27)),
        (["2020. január 5.", "2021. július 30."], datetime(2020, 1, 5)),
        (["20.IV.2013", "1.XII.2014"], datetime(2013, 4, 20)),
        (["2015년 5월 13일", "2016년 1월 2일"], datetime(2015, 5, 13)),
        (["2014. 7. 27.", "2015. 11. 3."], datetime(2014, 7, 27)),
        (["/Date(1562467113000)/", "/Date(1562467114000+0200)/"], datetime(2019, 7, 7, 2, 38, 33)),
    ],
)
def test_dates(cells, value):
    read = column(*cells)
    assert read.kind == "date" and first(read) == [value]


@pytest.mark.parametrize(
    ("name", "cells", "value"),
    [
        ("date", ["150622", "160131"], datetime(2015, 6, 22)),
        ("date", ["2011169", "2012001"], datetime(2011, 6, 18)),
        ("date", ["04012020", "31122020"], datetime(2020, 1, 4)),
        ("week", ["201829", "201951"], datetime(2018, 7, 16)),
        ("x", ["11.2010", "02.2011"], datetime(2010, 11, 1)),
        ("x", ["2022.07", "2021.11"], datetime(2022, 7, 1)),
    ],
)
def test_numbers_that_are_dates_are_said(name, cells, value):
    read = column(*cells, name=name)
    assert read.kind == "date" and first(read) == [value]
    assert any(name in note.columns and "types" in note.change for note in read.notes)
    assert column(*cells, name="amount" if name != "x" else "version").kind != "date" or name == "x"


def test_the_year_may_come_first_in_two_digits():
    days = [f"{13 + i % 4}-{1 + i % 12:02d}-{1 + (5 * i) % 28:02d}" for i in range(60)]
    read = column(*days, name="when")
    assert first(read, 2) == [datetime(2013, 1, 1), datetime(2014, 2, 6)]
    assert [note.change for note in read.notes] == ["dates='dmy'"]
    month_ends = [f"{28 + i % 3}-{4 + i % 3:02d}-{1 + i % 28:02d}" for i in range(60)]
    assert first(column(*month_ends)) == [datetime(2001, 4, 28)]


@pytest.mark.parametrize(
    "cells",
    [["2004-05", "2005-06", "2010-11"], ["2004/05", "2005/06", "2010/11"], ["2004/2005", "2005/2006"]],
)
def test_seasons_are_no_months(cells):
    assert column(*cells, name="season").kind == "category"


@pytest.mark.parametrize(
    "cells",
    [["3x1012", "5x1024"], ["5 x 12", "10 x 20"], ["640x1024", "2x105"], ["1200 m2 x 3", "1900 m2 x 4"]],
)
def test_sizes_are_neither_powers_nor_dates(cells):
    assert column(*cells).kind == "category"


def test_areas_are_no_months():
    assert first(column("1200 m2", "2004 m2")) == [1200.0]


def test_the_user_may_say_that_seasons_are_months():
    read = read_column(pl.Series("season", ["2004-05", "2005-06", "2010-11"]), given="date")
    assert read.kind == "date" and first(read) == [datetime(2004, 5, 1)]


def test_versions_are_no_dates():
    assert column("2.4.19", "2.5.20", "3.1.21", name="app version").kind == "category"
    assert column("2.4.19", "2.5.20", "3.1.21", name="when").kind == "date"


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (["$ (1,234.00)", "$ 5.50", "$ -"], -1234.0),
        (["$ -", "$ (1,234.00)", "$ 5.50"], 0.0),
        (["8.20x10^4", "1.5x10^-3"], 82_000.0),
        (["7.41×10⁻²", "2×10³"], 0.0741),
        (["3 lakh", "1.5 crore"], 300_000.0),
        (["3万", "1.5億"], 30_000.0),
        (["2 thousand", "1.5 million"], 2000.0),
        (["2 days", "1 day"], 2.0),
        (["5 Tage", "1 Tag"], 5.0),
        (["9 pm", "12 am"], 21.0),
        (["03:30h", "12:15h"], 3.5),
    ],
)
def test_numbers(cells, value):
    read = column(*cells)
    assert read.kind == "number" and first(read) == [pytest.approx(value)]


def test_flags_behind_figures_are_footnotes_but_house_numbers_are_not():
    figures = ["12.5", "13.1 e", "9.9", "8.7 p", "7.0", "1.5"]
    assert first(column(*figures), 2) == [12.5, 13.1]
    assert first(column("12.5", "13.1 b", "9.9", "8.7 b", ":", "1.5"), 2) == [
        12.5,
        13.1,
    ]  # a break, not a billion
    assert column("12.5", "13 a", "9.9", "8.7", "7.0", "1.5").kind == "number"
    assert column("12", "12a", "13", "14b", "15", "16").kind == "category"


def test_a_capital_makes_another_unit():
    assert column("31 mW", "2 MW", "5 mW").kind == "category"
    assert first(column("31 MW", "2 MW")) == [31.0]


@pytest.mark.parametrize(
    ("name", "cells", "word"),
    [
        ("day", ["05.02.", "12.11."], "days without a year"),
        ("day", ["05.02", "12.11", "21.04"], "days without a year"),
        ("day", ["05/02", "12/11", "21/04"], "days without a year"),
        ("start time", ["9.30", "22.15"], "times of day"),
        ("Uhrzeit", ["1430", "2215"], "times of day"),
        ("well", ["5E12", "7E3"], "codes"),
        ("se", ["(0.25)", "(1.31)"], "in parentheses"),
        ("x", ["[0.25]", "[1.31]"], "signs around them"),
        ("x", ["▲0.25", "▲1.31"], "signs around them"),
        ("x", ["△0.25", "△1.31", "△1.5", "-"], "signs around them"),
        ("lat", ["44°46′N", "12°30′S"], "signs around them"),
        ("x", ["up to 50", "up to 20"], "bounds"),
        ("x", ["5", "7", "10+"], ""),
        ("when", ["Mar 07", "Apr 12"], "may be days"),
        ("month", ["Jan-20", "Feb-21"], "may be days"),
        ("answer", ["yes", "Yes", "no"], "differ only in capitals"),
        ("answer", ["yes", "Yes", "YES", "no", "No"], "differ only in capitals"),
    ],
)
def test_what_is_open_is_said(name, cells, word):
    notes = column(*cells, name=name).notes
    assert any(name in note.columns and word in note.text for note in notes)


@pytest.mark.parametrize("cells", [["0.25", "(1.31)"], ["2.5", "7.1"], ["5.0E12", "7.1E3"], ["yes", "no"]])
def test_usual_columns_need_no_word(cells):
    assert not column(*cells).notes


def test_words_for_missing_are_said_where_the_decimal_mark_is_open_too():
    numbers = [f"{10 + i}.{234 + i}" for i in range(30)]
    read = column(*numbers, *["Undetermined"] * 5)
    assert first(read) == [10.234] and read.values.null_count() == 5
    assert any("Undetermined" in note.text for note in read.notes)


@pytest.mark.parametrize(
    ("answers", "codes", "said"),
    [
        (range(11), [97, 98, 99], True),
        (range(11), [-1, -8, -9], True),
        (range(1, 6), [8, 9], True),
        (range(1, 6), [8], False),  # one of titanic's columns
        (range(90), [97, 98, 99], False),
        (range(-3, 11), [], False),
    ],
)
def test_codes_for_no_answer_are_said(answers, codes, said):
    cells = [*map(str, [*answers] * 8), *map(str, codes * 2)]
    read = read_column(pl.Series("q1", cells, dtype=pl.String))
    assert read.kind == "number"
    assert any("no answer" in note.text for note in type_notes({"q1": read})) is said


def test_a_file_of_quoted_lines_is_a_table_and_no_prose(tmp_path):
    path = tmp_path / "export.txt"
    rows = "".join(f'"{i},a{i % 3},{i}.5"\n' for i in range(30))
    path.write_text('"n,kind,size"\n' + rows)
    assert [column.name for column in understand(path).columns] == ["n", "kind", "size"]


def test_euros_of_windows_1251(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_bytes(
        "".join(["kind;price\n", *(f"a{i % 3};€ {i}.25\n" for i in range(1, 30))]).encode("cp1251")
    )
    price = understand(path).columns[1]
    assert price.kind == "number" and price.values[0] == 1.25
