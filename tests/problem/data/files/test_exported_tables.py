"""Tables as programs export them, and cells as shops, laboratories and surveys write them: what is meant."""

import math
import warnings
from datetime import datetime

import polars as pl
import pytest

import thalweg as tw
from tests.problem.data.files.test_real_tables import said, understood, values
from thalweg.problem.data.files.tables import looks_like_table
from thalweg.problem.data.load import load

ROWS = [("2021-03-01", "14.5", "red"), ("2021-03-02", "13.25", "blue"), ("2021-03-03", "16.5", "red")]
ROWS += [("2021-03-04", "12.5", "blue"), ("2021-03-05", "11.0", "red"), ("2021-03-06", "10.5", "blue")]
TEMP = [float(row[1]) for row in ROWS]
NAMES = ("day", "temp", "colour")


def lines(separator=",", end=""):
    return [separator.join(row) + end for row in (NAMES, *ROWS)]


def wrote(*parts):
    return "\n".join(parts) + "\n"


PLAIN = wrote(*lines())
PIPES = lines(" | ")


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff\ufeff" + PLAIN,  # a mark for each program on the way
        PLAIN + "\0\0",
        "".join(line + end for line, end in zip(lines(), ["\n", "\r\n"] * 4, strict=False)),
        PLAIN.replace("\n", "\r\r\n"),
        wrote(*(f'"{line}"' for line in lines())),  # whole lines in quotation marks
        wrote(lines()[0], *(f'"{line}"' for line in lines()[1:])),
        wrote(lines()[0], *lines(end=",,,")[1:]),  # rows end in empty cells that have no names
        wrote(";".join(NAMES), *lines()[1:]),  # the names are divided by another mark
        wrote("Station,12,,", "Logger,B7,,", *lines(end=",x")).replace(",x", ",kind", 1),
        wrote("COPY public.t (day, temp, colour) FROM stdin;", *lines("\t")[1:], "\\."),
        wrote(f" {PIPES[0]} ", "-----+------+--------", *(f" {p} " for p in PIPES[1:]), "(6 rows)"),
        wrote(*lines(), "", "Source: own survey, values are estimated"),
        wrote(*lines(":")),
        wrote(lines()[0], *(f'"=""{a}""",{b},{c}' for a, b, c in ROWS)),  # a formula that keeps zeros, quoted
        wrote(PIPES[0], *(f'="{a}" | {b} | {c}' for a, b, c in ROWS)),
        wrote(PIPES[0], *(f'{a} | ="{b}" | {c}' for a, b, c in ROWS)),
        wrote(*lines("\\t")),
        wrote("day,temp,colour", ",°C,-", *lines()[1:]).replace("°C", "degC"),  # a single unit
        wrote("day,temp,colour", "c,c,d", ",,class", *lines()[1:]),  # Orange's three lines
        wrote("city,temp,colour", "day,,", *lines()[1:]),  # pandas names the index under the names
        wrote(*lines(), "Min,10.5,", "Max,16.5,", "Mean,13.04,"),
        wrote(*lines(), ",78.25,"),  # the sum of all others, without a word
        wrote(*lines(), "All days,78.25,"),
        wrote(lines()[0], "All days,78.25,", *lines()[1:]),
    ],
)
def test_what_programs_write_around_a_table_is_no_part_of_it(tmp_path, content):
    found = understood(tmp_path, content)
    assert [column.name for column in found.columns][:3] == list(NAMES)
    assert values(found)["temp"] == TEMP and found.columns[0].kind == "date"
    assert found.columns[2].values.to_list() == [row[2] for row in ROWS]
    assert all(column.kind == "skip" for column in found.columns[3:] if column.name != "kind")


def test_printed_frames_keep_their_names(tmp_path):
    rows = "".join(f"{i:<3d} {i}.50  {'red' if i % 2 else 'blue':>5}\n" for i in range(12))
    found = understood(tmp_path, "    temp colour\n" + rows + "\n[12 rows x 2 columns]\n", "t.txt")
    assert [c.name for c in found.columns] == ["index", "temp", "colour"]
    assert values(found)["temp"] == [i + 0.5 for i in range(12)]


def test_names_that_a_survey_completes_in_a_second_line(tmp_path):
    rows = "".join(
        f"{7 * i + 3},{20 + i % 5},{'Red' if i % 2 else ''},{'' if i % 3 else 'Blue'}\n" for i in range(20)
    )
    found = understood(tmp_path, "Respondent,Age,Likes,\n,Response,Red,Blue\n" + rows)
    assert list(values(found)) == ["Respondent", "Age Response", "Likes Red", "Likes Blue"]
    assert found.columns[1].missing == 0 and found.columns[0].values.len() == 20


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        # Rows that a careless reader would leave out.
        ("who,a,b\nAnn,1,2\nBob,3,4\nCid,5,6\nDan,7,8\nEva,9,10\nFay,15,40\n", 6),  # no sums
        ("who,a\nAnn,1\nBob,3\nCid,5\nAll,9\n", 4),  # too few rows to say so
        ("t,a\n1,1\n2,1\n3,2\n4,4\n5,8\n6,16\n", 6),  # each doubles, and is the sum of those before
        ("who,a\nMin,1\nAnn,3\nBob,5\nCid,9\nMax,7\n", 5),
        ("q,a\nred; blue,1\nred; green,2\nblue; green,3\n", 3),
        ('"a, b"\n"c, d"\n"e, f, g"\n"h, i"\n', 3),  # one column of texts with commas
    ],
)
def test_rows_that_only_look_like_sums_stay(tmp_path, content, rows):
    assert understood(tmp_path, content, header=True).columns[0].values.len() == rows


def test_a_row_of_sums_of_numbers_in_scientific_notation_is_left_out(tmp_path):
    rows = "".join(f"{word},{i}.25,{i}.08E+02\n" for i, word in enumerate(["a", "b", "c"] * 3, 1))
    found = understood(tmp_path, "word,x,y\n" + rows + ",47.25,4572\n")
    assert found.columns[0].values.len() == 9
    other = understood(tmp_path, "word,x,y\n" + rows + ",47.25,4573\n", "other.csv")
    assert other.columns[0].values.len() == 10


@pytest.mark.parametrize(
    ("cells", "meant"),
    [
        (["43,-", "12,50", "7,--"], [43.0, 12.5, 7.0]),  # no cents, and no minus
        (["CHF 43.\u2013", "CHF 12.50", "CHF 7.-"], [43.0, 12.5, 7.0]),
        (["78,- €", "16,50 €", "-3,00 €"], [78.0, 16.5, -3.0]),
        (["ca. 50", "~40", "approx. 7.5", "30"], [50.0, 40.0, 7.5, 30.0]),
        (["4-door", "5-door", "2-door"], [4.0, 5.0, 2.0]),
        (["4.5-kg", "5.5kg", "2-kg"], [-4.5, 5.5, -2.0]),
        (["\u20144.5", "5.5", "\uff0d2"], [-4.5, 5.5, -2.0]),
        (["5h 30m", "0h 45min", "12h 6m"], [5.5, 0.75, 12.1]),
        (["PT5H30M", "PT45M", "PT12H6M"], [5.5, 0.75, 12.1]),
        (["1 d 6 h", "2 days 12 h", "30 min 0 s"], [30.0, 60.0, 0.5]),
        (["9:00.0", "30:00", "45:00.0"], [0.15, 0.5, 0.75]),  # minutes and seconds throughout
        (["-01:30", "00:45", "12:00"], [-1.5, 0.75, 12.0]),
        (["-1 days +12:00:00", "0 days 12:00:00", "2 days 00:00:00"], [-12.0, 12.0, 48.0]),
    ],
)
def test_numbers_and_times(tmp_path, cells, meant):
    rows = "".join(f"{cell};{word}\n" for cell, word in zip(cells, "xyzxy", strict=False))
    got = values(understood(tmp_path, "v;w\n" + rows))["v"]
    assert all(isinstance(a, float) and math.isclose(a, b) for a, b in zip(got, meant, strict=True)), got


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        (["1 - never", "2 - often", "3 - always"], ""),  # not -1, -2, -3
        (["<0.01", "0.5", "0.7", "<0.01"], "holds limits such as '<0.01'"),
        (["'0123", "'0456", "'0789"], "do not fit together"),
        (["+491701234567", "+491701234568", "+491701234567"], "numbers to dial"),
        (["12%", "0.34", "56%", "0.78"], "do not fit together"),
        (["CA 94305", "CA 94306", "CA 94305"], ""),
    ],
)
def test_names_with_digits_are_no_numbers(tmp_path, cells, word):
    found = understood(
        tmp_path, "v;w\n" + "".join(f"{cell};{'xy'[i % 2]}\n" for i, cell in enumerate(cells * 4))
    )
    assert found.columns[0].kind == "category" and word in said(found), said(found)


def test_limits_count_as_their_numbers_if_the_column_is_said_to_be_one(tmp_path):
    told = understood(tmp_path, "v;w\n<0.01;x\n0.5;y\n>7;x\n", types={"v": "number"})
    assert values(told)["v"] == [0.01, 0.5, 7.0]


def test_a_bare_fraction_among_per_cents_is_said_and_not_taken_for_a_small_one(tmp_path):
    cells = [f"{i}%" for i in range(1, 40)]
    found = understood(tmp_path, "v;w\n" + "".join(f"{c};x{i % 2}\n" for i, c in enumerate([*cells, "0.4"])))
    assert values(found)["v"] == [*range(1, 40), None] and "'0.4'" in said(found)
    found = understood(tmp_path, "v;w\n" + "".join(f"{c};x{i % 2}\n" for i, c in enumerate([*cells, "40"])))
    assert values(found)["v"][-1] == 40


@pytest.mark.parametrize(
    ("name", "cells", "meant"),
    [
        (
            "at",
            ["[10/Oct/2000:13:55:36 -0700]", "[1/Nov/2000:00:00:00 +0100]"],
            [datetime(2000, 10, 10, 20, 55, 36), datetime(2000, 10, 31, 23)],
        ),
        (
            "at",
            ["2021-03-01T10:11:12+01:00[Europe/Berlin]", "2021-07-01T10:00:00+02:00[Europe/Berlin]"],
            [datetime(2021, 3, 1, 9, 11, 12), datetime(2021, 7, 1, 8)],
        ),
        ("month", ["202103", "202112"], [datetime(2021, 3, 1), datetime(2021, 12, 1)]),
        ("day", ["2021-03-01", "0000-00-00"], [datetime(2021, 3, 1), None]),
        ("Tag", ["Mo, 01.03.2021", "Do, 04.03.2021"], [datetime(2021, 3, 1), datetime(2021, 3, 4)]),
    ],
)
def test_dates(tmp_path, name, cells, meant):
    rows = "".join(f"{cell};{i}.5\n" for i, cell in enumerate(cells * 3))
    found = understood(tmp_path, f"{name};x\n" + rows)
    assert found.columns[0].kind == "date" and values(found)[name] == meant * 3


def test_whole_numbers_that_could_be_months_are_numbers_unless_the_name_says_months(tmp_path):
    found = understood(tmp_path, "price,x\n202103,1.5\n202112,2.5\n202101,1\n")
    assert found.columns[0].kind == "number"
    told = understood(tmp_path, "month,x\n202103,1.5\n202112,2.5\n202113,1\n")
    assert told.columns[0].kind == "number"  # no thirteenth month


WORDS = [f"{20 + i % 13}.{i % 7}5" for i in range(40)]


@pytest.mark.parametrize("mark", ["sensor off", "n/a (not measured)", "#WERT!", "<null>"])
def test_words_among_numbers_mean_that_a_value_is_missing(tmp_path, mark):
    cells = [mark if i % 5 == 4 else cell for i, cell in enumerate(WORDS)]
    content = "v,y\n" + "".join(f"{cell},{i % 2}\n" for i, cell in enumerate(cells))
    found = understood(tmp_path, content)
    assert values(found)["v"] == [None if cell == mark else float(cell) for cell in cells]
    assert repr(mark) in said(found) and "types={'v': 'category'}" in said(found)
    data = load(tmp_path / "t.csv", target="y")
    (rule,) = data.preparation.columns.rules
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new = rule.apply(pl.Series("v", [mark, "25.5"]), ())
    assert new[:, -1].tolist() == [1.0, 0.0]  # the flag of missing values


def test_a_word_among_a_few_levels_is_a_name(tmp_path):
    cells = ["1", "2", "3", "roof", "2", "1", "roof"] * 4
    found = understood(tmp_path, "level,y\n" + "".join(f"{cell},{i}.5\n" for i, cell in enumerate(cells)))
    assert found.columns[0].kind == "category" and found.columns[0].distinct == 4


@pytest.mark.parametrize("name", ["rows", "count", "value", "category"])
def test_columns_may_have_any_name(tmp_path, name):
    rows = "".join(f"{'xyz'[i % 3]},{'ab'[i % 2]}\n" for i in range(30))
    found = understood(tmp_path, f"{name},kind\n" + rows, target="kind")
    assert found.columns[0].kind == "category" and found.columns[0].summary().startswith("x (10)")


def test_a_column_that_is_empty_in_training_says_nothing_later(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "v,w,y\n"
        + "".join(f",{i}.5,{i % 2}\n" for i in range(20))
        + "".join(f"3,{i}.5,{i % 2}\n" for i in range(9))
    )
    data = load(path, target="y", split="time", validation=0)
    rule = next((rule for rule in data.preparation.columns.rules if rule.column == "v"), None)
    assert rule is None or (math.isfinite(rule.mean) and rule.apply(pl.Series("v", ["3"]), ())[0, 0] == 0)


def test_whole_numbers_from_zero_in_a_tiny_table_are_said_to_be_values(tmp_path):
    found = understood(tmp_path, "x,y\n1.5,0\n2.5,2\n3.5,1\n", target="y")
    assert "taken as values, not as classes. task='classification'" in said(found)


@pytest.mark.parametrize(
    ("content", "meant"),
    [
        (
            'a,b\n1,",20"\n2,",35"\n3,"1,5"\n',
            [[1, 2, 3], [0.2, 0.35, 1.5]],
        ),  # a cell that begins with a comma
        ('"a"|"b"|"c"\n"x"||1.5\n"y"||2.5\n"x"||3.5\n', [["x", "y", "x"], None, [1.5, 2.5, 3.5]]),
        (
            "a  b\n0,3  €7\u2019649,04\n0,4  €14\u2019203,79\n0,5  €2\u2019532,82\n",
            [[0.3, 0.4, 0.5], [7649.04, 14203.79, 2532.82]],
        ),
        ("# room 3, north\n,0,1\n0,5.1,3.5\n1,4.9,3\n2,6.2,3.4\n", [None, [5.1, 4.9, 6.2], [3.5, 3, 3.4]]),
        (
            "Auszug 7\n\nAm,Menge\n16 Nov 1995,1\u00a0522\n17 Nov 1995,808\n18 Nov 1995,4\u00a0935\n",
            [None, [1522, 808, 4935]],
        ),
        (  # a price without cents among decimal commas
            "  # size    price  name\n 83,29   95,95   w\n  3,94  280,50   w\n 17,92   29,95   r\n"
            "201,07   49,50   w\n 53,22   103,-   w\n",
            [
                [83.29, 3.94, 17.92, 201.07, 53.22],
                [95.95, 280.5, 29.95, 49.5, 103],
                ["w", "w", "r", "w", "w"],
            ],
        ),
        ('5" x;a;1.5\n7" y;b;2.5\n5" x;a;2\n9" y;b;3\n', [None, ["a", "b", "a", "b"], [1.5, 2.5, 2, 3]]),
    ],
)
def test_cells_are_divided_where_marks_stand_in_them(tmp_path, content, meant):
    read = list(values(understood(tmp_path, content)).values())
    assert len(read) == len(meant)
    assert all(wanted is None or got == wanted for got, wanted in zip(read, meant, strict=True)), read


def test_names_in_russian_tell_the_two_encodings_apart(tmp_path):
    content = "Доход;цвет\n" + "".join(f"{i}.5;x{i % 2}\n" for i in range(20))
    for encoding in ("cp1251", "koi8-r"):
        assert [column.name for column in understood(tmp_path, content, encoding=encoding).columns] == [
            "Доход",
            "цвет",
        ]


def test_a_duration_is_an_input_beside_a_target():
    frame = pl.DataFrame({"took": pl.Series(range(60)).cast(pl.Duration("ms")), "y": [0, 1] * 30})
    (rule,) = load(frame, target="y").preparation.columns.rules
    assert rule.kind == "number" and 0.02 < rule.mean < 0.04  # seconds


def test_aligned_columns_without_a_plain_number_are_a_table(tmp_path):
    (tmp_path / "t.txt").write_text(
        "   length    length\n -$46.15  (2.392%)\n  -$9.42    0.792%\n $38.78  (1.266%)\n"
    )
    assert looks_like_table(tmp_path / "t.txt")
    (tmp_path / "p.txt").write_text("It was so.  Then not.\nNobody knew.  It rained.\nThe end.  Perhaps.\n")
    assert not looks_like_table(tmp_path / "p.txt")


def test_rows_of_quoted_cells_are_a_table_and_their_last_space_is_said(tmp_path):
    rows = "".join(f'"car" "{i},5" \n"bus" NA \n' for i in range(12))
    found = understood(tmp_path, '"age" "sex"\n' + rows, "t.txt")
    assert [column.name for column in found.columns] == ["age", "sex"]
    assert any("ends in a space" in note.text and note.change for note in found.notes)


def test_names_of_rows_before_a_column_that_is_empty_everywhere(tmp_path):
    """R has no name for them: `sex` is the column behind the last space."""
    rows = "".join(f'"car {i}" "{i},5" \n' for i in range(12))
    found = understood(tmp_path, '"age" "sex"\n' + rows, "t.txt")
    assert [column.name for column in found.columns][1:] == ["age", "sex"]
    assert values(found)["age"][1] == 1.5 and found.columns[2].values.null_count() == 12


def test_windows_and_koi8_are_told_apart_by_capitals(tmp_path):
    """In the other encoding, small letters are capitals: `dOHOD`."""
    names = ["\u0414\u043e\u0445\u043e\u0434", "\u0440\u043e\u0441\u0442"]  # Dohod, rost
    rows = "".join(f"{2598 + 37 * i}\t{i}368,64\n" for i in range(1, 15))
    for encoding in ("cp1251", "koi8_r"):
        (tmp_path / "t.tsv").write_bytes(("\t".join(names) + "\n" + rows).encode(encoding))
        assert [column.name for column in tw.understand(tmp_path / "t.tsv").columns] == names


def test_names_in_a_comment_above_prices(tmp_path):
    rows = "".join(f'"{"red" if i % 2 else "blue"}";"¥{i}7.35"\n' for i in range(1, 15))
    found = understood(tmp_path, '# "colour";"price"\n' + rows)
    assert [column.name for column in found.columns] == ["colour", "price"]
    assert values(found)["price"][0] == 17.35
