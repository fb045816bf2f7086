"""Small tables in the forms that people's files have, written by hand, and what is meant by each."""

import math
from datetime import datetime

import polars as pl
import pytest

import thalweg as tw
from tests.problem.data.given import refused
from thalweg.problem.data.load import load


def understood(tmp_path, content, name="t.csv", encoding="utf-8", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return tw.understand(str(path), **options)


def values(found):
    return {column.name: column.values.to_list() for column in found.columns}


def said(found):
    return " ".join(note.text for note in found.notes)


# ---- what separates the cells ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "meant"),
    [
        # Spaces set columns apart, and commas stand inside the cells.
        (" 0.6   6,043.40\n-0.9  21,398.8\n-2.7  5,000.00\n", [[0.6, -0.9, -2.7], [6043.4, 21398.8, 5e3]]),
        ("age    temp\n 12  6,9e+0\n 13    -,5\n 14     ,3\n", [[12, 13, 14], [6.9, -0.5, 0.3]]),
        ("name         age\nSmith,John    45\nLi,Jane        7\nOrr,Al        33\n", [None, [45, 7, 33]]),
        # A comma in every cell, under names without one.
        ("name;size\nSmith, J, Dr.;5\nOrr, A, Dr.;6\nLi, B, Dr.;7\n", [None, [5, 6, 7]]),
        ("€ 1,50|€ 2,50\n€ 3,50|€ 2,20\n€ 4,50|€ 2,30\n", [[1.5, 3.5, 4.5], [2.5, 2.2, 2.3]]),
        ("6,043.4|7,000.0\n1,143.4|1,043.4\n9,000.0|27,043\n", [[6043.4, 1143.4, 9e3], [7e3, 1043.4, 27043]]),
        # Other separators inside the cells of comma files.
        ("id,tags,kind\n1,7;2,9\n2,3;4,8\n3,5;6,8\n", [[1, 2, 3], ["7;2", "3;4", "5;6"], [9, 8, 8]]),
        ("id|tags\n1|a;b;c\n2|d;e;f\n3|a;c;d\n", [[1, 2, 3], ["a;b;c", "d;e;f", "a;c;d"]]),
        ("a    ,b \n12   ,5 \n13   ,6 \n2    ,7 \n", [[12, 13, 2], [5, 6, 7]]),
        ("Station 12\n\nday hour,x\n1 10:00,5\n2 11:00,6\n", [["1 10:00", "2 11:00"], [5, 6]]),
        ("Preise, Mai\nName;Preis\nA;1,50\nB;2,50\nC;3,50\n", [["A", "B", "C"], [1.5, 2.5, 3.5]]),
        # A single column of decimal commas.
        ("Wert\n1,5\n2,5\n3,25\n", [[1.5, 2.5, 3.25]]),
    ],
)  # fmt: skip
def test_what_separates_the_cells(tmp_path, content, meant):
    read = list(values(understood(tmp_path, content, "t.txt")).values())
    assert len(read) == len(meant)
    for got, wanted in zip(read, meant, strict=True):
        assert wanted is None or got == wanted


def test_one_column_of_decimal_commas_is_said(tmp_path):
    assert "one column, of numbers with decimal commas. separator=','" in said(
        understood(tmp_path, "Wert\n1,5\n2,5\n3,25\n")
    )


def test_the_note_on_a_separator_names_another_one(tmp_path):
    found = understood(tmp_path, "a,b,c;d\nx,y,z;w\nx,v,z;w\nu,y,z;w\n")
    assert [note.change for note in found.notes if note.kind == "separator"] == ["separator=';'"]


# ---- lines that are no rows --------------------------------------------------------------------------------

TOA5 = (
    '"TOA5","CR1000","CR1000","1234","CR1000.Std.27","CPU:prog.CR1","5567","Table1"\n'
    '"TIMESTAMP","RECORD","BattV","AirT"\n"TS","RN","Volts","Deg C"\n"","","Min","Avg"\n'
    '"2023-01-01 00:10:00",7,12.6,5.25\n"2023-01-01 00:20:00",9,12.5,5.5\n'
    '"2023-01-01 00:30:00",9,12.5,"NAN"\n'
    '"2023-01-01 00:40:00",12,12.5,4.75\n'
)


def test_a_logger_writes_its_name_units_and_statistics_around_the_names(tmp_path):
    found = understood(tmp_path, TOA5, "t.dat")
    assert values(found)["AirT"] == [5.25, 5.5, None, 4.75]
    assert found.columns[0].kind == "date" and found.columns[0].values[0] == datetime(2023, 1, 1, 0, 10)
    assert "2 lines under the names (TS, RN, Volts, Deg C)" in said(found) and "TOA5" in said(found)


def test_units_without_brackets_are_no_row(tmp_path):
    found = understood(
        tmp_path, "Time,Temp,P\ns,degC,kPa\n0.0,20.1,101\n0.5,20.2,102\n1.5,20.4,103\n1.6,21,104\n"
    )
    assert values(found)["Temp"] == [20.1, 20.2, 20.4, 21.0]
    assert "the line under the names (s, degC, kPa), without values, was left" in said(found)


def test_a_header_that_stands_in_the_table_again_is_a_header(tmp_path):
    rows = [f"d{i},{'xyz'[i % 3]},{'uv'[i % 2]},{i}.5\n" for i in range(12)]
    names = "who,kind,side,speed\n"
    found = understood(tmp_path, names + "".join(rows[:6]) + names + "".join(rows[6:]))
    assert found.columns[3].name == "speed" and values(found)["speed"] == [i + 0.5 for i in range(12)]
    assert "stands in the table" in said(found)
    found = understood(tmp_path, "a,x,1.5\n" * 2 + "b,y,2.5\nb,x,3.5\n" * 3)
    assert found.columns[0].name == "column_0" and found.columns[0].values.len() == 8


@pytest.mark.parametrize(
    "row",
    ["n.a.,n.a.,x", "failed,2.5,x", "?,-,x"],  # missing marks, one bad cell: a row like the others
)
def test_a_first_row_with_missing_values_is_a_row(tmp_path, row):
    rows = "".join(f"{i}.5,{i + 3}.25,y\n" for i in range(30))
    found = understood(tmp_path, f"a,b,c\n{row}\n{rows}")
    assert found.columns[0].values.len() == 31 and found.columns[0].kind == "number"


def test_names_in_two_lines_are_joined(tmp_path):
    rows = "n,1.5,0.2,10\ns,2.5,0.3,20\ne,3.5,0.1,15\nw,2.2,0.4,12\n"
    found = understood(tmp_path, ",price,price,volume\n,mean,std,sum\nregion,,,\n" + rows)
    assert values(found)["price std"] == [0.2, 0.3, 0.1, 0.4] and "volume sum" in values(found)
    assert "the names stand in two lines" in said(found)


@pytest.mark.parametrize(
    "content",
    [
        "a|b\n---|---\n1|1,5\n2|2,5\n3|3,5\n",
        "| a | b |\n|:--|--:|\n| 1 | 1,5 |\n| 2 | 2,5 |\n| 3 | 3,5 |\n",
        "+---+-----+\n| a | b   |\n+---+-----+\n| 1 | 1,5 |\n| 2 | 2,5 |\n| 3 | 3,5 |\n+---+-----+\n",
        " a |  b  \n---+-----\n 1 | 1,5 \n 2 | 2,5 \n 3 | 3,5 \n(3 rows)\n",
        "a    b\n===  ===\n1    1,5\n2    2,5\n3    3,5\n",
    ],
)
def test_lines_that_draw_a_table_are_no_rows(tmp_path, content):
    found = understood(tmp_path, content)
    assert values(found) == {"a": [1, 2, 3], "b": [1.5, 2.5, 3.5]}
    assert "left out: " in said(found)


def test_dashes_inside_a_table_are_missing_values(tmp_path):
    found = understood(tmp_path, "a|b\n1|4\n---|---\n2|5\n3|6\n")
    assert values(found)["b"] == [4, None, 5, 6]


AT = [datetime(2020, 1, 1, 10), datetime(2020, 2, 3, 23)]


# ---- cells -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "meant"),
    [
        (["1.5", ".a", ".b", ".", "2.5"], [1.5, None, None, None, 2.5]),  # Stata's missing values
        (["1.5", "#NULL!", "2.5"], [1.5, None, 2.5]),
        (["1.5D+02", "2.5D-01", "3.0d+00"], [150.0, 0.25, 3.0]),  # Fortran
        (["1,5E-03", "-2,25e+02", "7,0E+00"], [0.0015, -225.0, 7.0]),
        (["12.50-", "13.00", "7.25-"], [-12.5, 13.0, -7.25]),
        (["(1,234.50)", "2,000.00", "(55.20)"], [-1234.5, 2000.0, -55.2]),
        (["1'234.5", "99'000.0", "12.5"], [1234.5, 99000.0, 12.5]),
        (["2\u202f148\u202f271", "515\u00a0695", "342\u2009522"], [2148271.0, 515695.0, 342522.0]),
        (["08:15:00", "09:05:24", "17:45:36"], [8.25, 9.09, 17.76]),
        (["8h15", "9.30 Uhr", "17:45"], [8.25, 9.5, 17.75]),
        (["2 days 03:00:00", "0 days 12:30:00", "1 day, 0:00:00"], [51.0, 12.5, 24.0]),
    ],
)
def test_numbers(tmp_path, cells, meant):
    rows = "".join(f"{cell};{word}\n" for cell, word in zip(cells, "xyzxy", strict=False))
    got = values(understood(tmp_path, "v;w\n" + rows))["v"]
    for a, b in zip(got, meant, strict=True):
        assert (a is None) is (b is None) and (b is None or math.isclose(a, b)), got


@pytest.mark.parametrize(
    ("name", "cells", "meant"),
    [
        ("at", ["01JAN2020:10:00:00", "03FEB2020:23:00:00"], AT),
        ("at", ["Wed Jan 1 10:00:00 UTC 2020", "Mon Feb 3 23:00:00 UTC 2020"], AT),
        ("at", ["2020-01-01 10", "2020-02-03 23"], AT),
        ("Date", ["44197", "44198"], [datetime(2021, 1, 1), datetime(2021, 1, 2)]),  # a spreadsheet's days
        ("order date", ["44197.5", "44199"], [datetime(2021, 1, 1, 12), datetime(2021, 1, 3)]),
    ],
)  # fmt: skip
def test_dates(tmp_path, name, cells, meant):
    found = understood(tmp_path, f"{name},x\n" + "".join(f"{cell},{i}.5\n" for i, cell in enumerate(cells)))
    assert found.columns[0].kind == "date" and values(found)[name] == meant


@pytest.mark.parametrize("name", ["price", "update", "candidate", "days"])
def test_numbers_in_the_range_of_dates_are_numbers_unless_the_name_says_dates(tmp_path, name):
    assert understood(tmp_path, f"{name},x\n44197,1.5\n44198,2.5\n44199,1\n").columns[0].kind == "number"


def test_days_of_spreadsheets_are_said_and_read_so_in_prediction(tmp_path):
    rows = "".join(f"{44197 + 9 * i},{i % 2}\n" for i in range(60))
    path = tmp_path / "t.csv"
    path.write_text("Date,y\n" + rows)
    data = load(path, target="y")
    assert "from the days since 1900 that spreadsheets count. types={'Date': 'number'}" in said(data)
    (rule,) = data.preparation.columns.rules
    read = rule.apply(pl.Series("Date", ["44197", "44206"]), ())
    as_dates = pl.Series("Date", [datetime(2021, 1, 1), datetime(2021, 1, 10)])
    assert (read == rule.apply(as_dates, ())).all()
    told = understood(tmp_path, "n,y\n44197,1\n44198,2\n", types={"n": "date"})
    assert told.columns[0].values[0].year == 2021


def test_identifiers_with_more_digits_than_a_float_holds_stay_apart(tmp_path):
    rows = "".join(f"{1234567890123456789 + i // 4},{i % 2}\n" for i in range(40))
    found = understood(tmp_path, "tweet,y\n" + rows)
    assert found.columns[0].kind == "category" and found.columns[0].distinct == 10
    assert "more digits than a float" in said(found)
    frame = pl.DataFrame({"tweet": [1234567890123456789 + i // 4 for i in range(40)], "y": [0, 1] * 20})
    assert tw.understand(frame).columns[0].distinct == 10
    amounts = understood(tmp_path, "wei,y\n1234567890123456789,1\n12345678901234567890123,2\n1.5,3\n")
    assert amounts.columns[0].kind == "number"


@pytest.mark.parametrize(
    ("name", "cells", "kept"),
    [
        ("country", ["NA", "ZA", "BW", "ZM", "NA", "AO"], True),
        ("continent", ["NA", "EU", "AS", "OC", "NA", "AF"], True),
        ("sales", ["NA", "EMEA", "APAC", "LATAM", "NA"], True),
        ("state", ["NA", "CA", "GA", "PA", "NA", "CO"], False),  # states of America
        ("size", ["NA", "XS", "S", "M", "NA", "L"], False),
        ("country", ["NA", "Germany", "France", "NA", "Italy"], False),
    ],
)
def test_na_among_codes_of_places_is_no_missing_value(tmp_path, name, cells, kept):
    rows = "".join(f"{cell},{i}.5\n" for i, cell in enumerate(cells * 3))
    found = understood(tmp_path, f"{name},x\n{rows}")
    assert found.columns[0].missing == (0 if kept else 6)
    assert ("stands among codes of places" in said(found)) is kept
    told = understood(tmp_path, f"{name},x\n{rows}", missing="NA")
    assert told.columns[0].missing == 6


def test_na_as_a_place_is_an_input_of_its_own_in_prediction_too(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "country,y\n" + "".join(f"{code},{i % 2}\n" for i, code in enumerate(["NA", "ZA", "BW", "ZM"] * 20))
    )
    rule = load(path, target="y").preparation.columns.rules[0]
    assert "country=NA" in rule.features
    new = rule.apply(pl.Series("country", ["NA", "BW"]), ())
    assert new[0].argmax() == rule.features.index("country=NA") and new.sum(axis=1).tolist() == [1, 1]


# ---- quotation marks, sums ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "meant"),
    [
        ("'a','b'\n'1,5','it''s'\n'2,5','y'\n", {"a": [1.5, 2.5], "b": ["it's", "y"]}),
        ('a,b\n"say \\"hi\\", ok",1.5\n"x",2\n', {"a": ['say "hi", ok', "x"], "b": [1.5, 2]}),
        ('a,b\n"C:\\",1.5\n"D:\\x",2\n', {"a": ["C:\\", "D:\\x"], "b": [1.5, 2]}),
        ('a;b\n="00123";1,5\n="90210";2\n', {"a": ["00123", "90210"], "b": [1.5, 2]}),
        ("a,b\nit's,1.5\n'tis,2\n", {"a": ["it's", "'tis"], "b": [1.5, 2]}),
        ("a;b\n1;2,5\n3;4\n\x1a", {"a": [1, 3], "b": [2.5, 4]}),
    ],
)
def test_quotation_marks(tmp_path, content, meant):
    assert values(understood(tmp_path, content)) == meant


def test_rows_that_sum_up_others_and_a_remark_in_the_last_row_are_left_out(tmp_path):
    rows = "Nord;1;2\nSüd;3;4\nZwischensumme;4;6\nOst;5;6\nWest;7;8\nZwischensumme;12;14\nGesamt;16;20\n"
    found = understood(tmp_path, "Region;Jan;Feb\n" + rows)
    assert values(found)["Jan"] == [1, 3, 5, 7]
    assert "2 rows sum up others" in said(found) and "'Gesamt', sums up" in said(found)
    found = understood(tmp_path, "day,v\n2020-01-01,5\n2020-01-02,6\n2020-01-03,7\nMade on 2024-01-01,\n")
    assert values(found)["v"] == [5, 6, 7] and "'Made on 2024-01-01'" in said(found)
    found = understood(tmp_path, "who,v\nAnn,5\nBob,6\nCarl,7\nDora,\n")
    assert values(found)["v"] == [5, 6, 7, None]


def test_a_date_that_stands_for_none_is_said(tmp_path):
    days = [f"20{10 + i % 10}-03-0{1 + i % 9},{i % 3}.5\n" for i in range(30)]
    assert "until is 9999-12-31 in a row, as databases write for no date. missing='9999-12-31'" in said(
        understood(tmp_path, "until,v\n" + "".join(days) + "9999-12-31,1.5\n")
    )
    assert "no date" not in said(understood(tmp_path, "until,v\n" + "".join(days)))
    early = "".join(f"19{i % 30:02d}-01-01,{i % 3}.5\n" for i in range(60))
    assert "no date" not in said(understood(tmp_path, "born,v\n" + early))


# ---- other files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "what", "reader"),
    [
        (b"PK\x03\x04" + bytes(40), "a workbook", "polars.read_excel"),
        (b"\xd0\xcf\x11\xe0" + bytes(40), "old form", "pandas.read_excel"),
        (b"SQLite format 3\x00" + bytes(40), "SQLite", "read_database"),
        (b"PAR1" + bytes(40), "a Parquet file", "polars.read_parquet"),
        (b"%PDF-1.4\n1 0 obj", "a PDF document", "save the table in it as .csv"),
        (bytes(range(32)) * 9 + b"\xff\xfe\xfd", "a binary file", "save the table in it as .csv"),
        (b"<!DOCTYPE html>\n<html><body>404, not found</body></html>\n", "a web page", "pandas.read_html"),
        (b'<?xml version="1.0"?>\n<a><b c="1"/></a>\n', "XML", "pandas.read_xml"),
        (b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "an object a line", "rename it to t.jsonl"),
        (b'[{"a": 1, "b": 2}, {"a": 3}]\n', "JSON", "polars.read_json"),
        (b"@relation iris\n@attribute a numeric\n@data\n1,x\n2,y\n", "an ARFF file", "loadarff"),
        (b"+1 1:0.5 2:0.25\n-1 1:0.75 3:0.5\n+1 2:0.1 3:0.2\n", "svmlight", "load_svmlight_file"),
    ],
)
def test_other_formats_are_named_with_what_reads_them(tmp_path, content, what, reader):
    with refused("must be a text table or Parquet", what, reader):
        understood(tmp_path, content)


def test_tables_that_begin_like_another_format_are_read(tmp_path):
    assert values(understood(tmp_path, "12 10:30\n13 11:45\n14 12:15\n", "t.data"))["column_0"] == [
        12,
        13,
        14,
    ]
    assert understood(tmp_path, "<5,1.5\n<6,2.5\n<5,3.5\n", header=False).columns[1].kind == "number"
    assert values(understood(tmp_path, "[kg],[m]\n1.5,2\n3,4\n5,6\n"))["[kg]"] == [1.5, 3, 5]
