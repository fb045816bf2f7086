"""Write the tables of docs/data.md from the reader: `python scripts/data_page.py`; --check compares only.

Each row is an example that is read here and now, so that the page says what the code does.
"""

import re
import sys
import tempfile
from pathlib import Path

import polars as pl

from thalweg.core.caller import command_line
from thalweg.core.errors import DataError
from thalweg.problem.data.files.tables import read_table
from thalweg.problem.data.inputs.column_types import Reading, Typed, read_column

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
MANY = ["1.5"] * 30

# Cells of a column, as a text file has them.
COLUMNS: list[tuple[str, list[str]]] = [
    ("plain", ["1", "-2.5", "3e-2"]),
    ("decimal comma", ["0,5", "12,25"]),
    ("decimal comma, dots for thousands", ["1.234,5", "0,5"]),
    ("thousands", ["1,234,567", "1,234.50"]),
    ("thousands in other ways", ["1 234,5", "12 345,25"]),
    ("thousands, Swiss", ["1'234.50", "99'000.00"]),
    ("thousands, Indian", ["12,34,567", "1,23,456"]),
    ("nothing tells", ["1,234", "950"]),
    ("currency", ["$1,234.50", "$3"]),
    ("two currencies", ["$5", "€5"]),
    ("per cent", ["5%", "7.5 %"]),
    ("negative", ["(12)", "5-", "\u22123"]),
    ("a unit", ["12 kg", "13 kg"]),
    ("two units", ["12 kg", "800 g"]),
    ("k, M, bn", ["1.2M", "300k", "5"]),
    ("footnotes", ["12*", "13 [1]"]),
    ("rough numbers", ["ca. 12", "~13"]),
    ("prices without cents", ["12,- €", "13,50 €"]),
    ("a hyphen", ["4-door", "5-door"]),
    ("bounds in words", ["up to 50", "up to 20"]),
    ("numbers in signs", ["\u00b10.5", "\u00b11.5"]),
    ("all in parentheses", ["(0.25)", "(1.31)"]),
    ("a ledger's zero and less", ["$ (1,234.00)", "$ -"]),
    ("scales in words", ["2 thousand", "1.5 million"]),
    ("one and many", ["1 day", "2 days"]),
    ("flags of statistics offices", ["12.5", "13.1 e", "9.9", "8.7 p"]),
    ("powers of ten", ["8.2x10^4", "1.5x10^-3"]),
    ("places on a plate", ["5E12", "7E3"]),
    ("limits", ["<0.01", "0.5"]),
    ("Fortran's exponents", ["1.5D+02", "2.5D-01"]),
    ("times", ["1:30", "0:45:30", "8h15"]),
    ("durations", ["1 h 30 min", "PT45M", "-0:30"]),
    ("minutes, seconds and their fraction", ["9:00.0", "30:00", "45:00.0"]),
    ("numbers to dial", ["+491701234567", "+491701234568"]),
    ("leading zeros", ["00501", "10001"]),
    ("more digits than a float has", ["1234567890123456788", "1234567890123456789"]),
    ("NA among codes of places", ["NA", "EU", "AS", "OC"]),
    ("a typing error among many", [*MANY, "1.l5"]),
    ("undeclared marks", [*MANY, "?", "-", "n.a."]),
    ("one kind of words among numbers", [*(f"{i}.5" for i in range(30)), "sensor off", "sensor off"]),
    ("numbers and words", ["1", "2", "low", "high"]),
    ("ISO dates", ["2024-01-31", "2024-02-01 10:30"]),
    ("with a zone", ["2024-01-31T10:00:00+02:00", "2024-02-01T00:00:00Z"]),
    ("month names", ["07-Sep-2022", "March 1, 2023", "7. März 2021"]),
    ("day first", ["31/12/2020", "01/02/2021"]),
    ("month first", ["12/31/2020", "01/02/2021"]),
    ("order not told", ["01/02/2020", "03/02/2020"]),
    ("months in a row", [f"{month:02d}/01/{year}" for year in (2000, 2001) for month in range(1, 13)]),
    ("AM and PM", ["1/2/2020 3:04 PM", "1/3/2020 11:00 AM"]),
    ("compact", ["20240131", "20240201"]),
    ("year and month", ["202401", "202402"]),
    ("of servers", ["[10/Oct/2000:13:55:36 -0700]"]),
    ("quarters, weeks", ["2020Q1", "2020-W05"]),
    ("other quarters, weeks, half years", ["3Q19", "KW 21/2019", "2019H2"]),
    ("months in numbers", ["11/2010", "2012M11", "02-2011"]),
    ("months in other languages", ["4 stycznia 2020", "27. tammikuuta 2020", "20.IV.2013"]),
    ("no marks in a date", ["150622", "160131"]),
    ("seasons", ["2004-05", "2005-06", "2010-11"]),
    ("days without a year", ["05.02.", "12.11."]),
    ("days that spreadsheets count", ["44197", "44198.5"]),
    ("several forms", ["2020-01-31", "31/01/2020", "Jan 31, 2020"]),
    ("capitals alone differ", ["yes", "Yes", "no", "yes", "no"]),
    ("sentences", ["the service was very slow", "a fine meal and good wine"]),
]

# Whole files.
FILES: list[tuple[str, str]] = [
    ("comma", "a,b\n1,x\n2,y\n"),
    ("semicolon, decimal commas", "a;b\n1,5;x\n2,5;y\n"),
    ("runs of spaces", "  1.5   2.5  3\n 10.5   0.5  4\n  7.5   1.5  4\n"),
    ("several characters", "a::b\n1::x\n2::y\n"),
    ("Excel's first line", "sep=|\na|b\n1|x\n2|y\n"),
    ("titles, remarks, a source", "Report 2024\n\n# in euros\na,b\n1,x\n2,y\nSource: survey\n"),
    ("no names", "5.1,red\n4.9,blue\n6.2,red\n"),
    ("years as names", "city,2018,2019,2020\nc0,1,2,3\nc1,4,5,6\n"),
    ("numbers that may be names", "3,7\n4,9\n5,2\n"),
    ("row numbers without a name", ",a\n0,1.5\n1,2.5\n"),
    ("equal names", "a,a\n1,2\n3,4\n"),
    ("a line of units", "a,b\n[kg],[m]\n1,2\n3,4\n"),
    ("several lines under the names", "t,x\ns,kPa\n,mean\n0.5,101\n1,102\n1.5,99\n"),
    ("names in two lines", ",p,p\n,mean,sd\nn,1.5,0.2\ns,2.5,0.3\ne,3.5,0.1\nw,2,0.5\n"),
    ("a drawn table", "| a | b |\n|---|---|\n| 1 | x |\n| 2 | y |\n"),
    ("aligned columns with commas", "name      age\nLee,Ann    45\nOrr,Al      7\nFoy,Bo     33\n"),
    ("decimal commas alone", "price\n1,5\n2,25\n"),
    ("other quotation marks", "'a','b'\n'1,5','it''s'\n'2,5','y'\n"),
    ("subtotals", "a,b\nx,1\ny,2\nSubtotal,3\nz,4\nSubtotal,4\n"),
    ("a remark in the last row", "day,b\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\nMade by X,\n"),
    ("another format", '{"a": 1}\n{"a": 2}\n'),
    ("statistics below", "a,b\nx,1\ny,2\nz,3\nu,5\nMin,1\nMax,5\n"),
    ("sums without a word", "a,b,c\nx,1,5\ny,2,6\nz,3,7\nu,5,9\nv,6,8\nw,7,4\nAll,24,39\n"),
    (
        "settings above",
        "Station,12,,\nLogger,B7,,\nday,a,b,c\n2020-01-01,1,x,3\n2020-01-02,2,y,4\n2020-01-03,1,x,5\n",
    ),
    ("whole lines in quotation marks", '"a,b"\n"1,x"\n"2,y"\n'),
    ("names divided by another mark", "a;b;c\n1,x,5\n2,y,6\n3,z,7\n"),
    ("a dump of PostgreSQL", "COPY t (a, b) FROM stdin;\n1\tx\n2\ty\n3\tz\n\\.\n"),
    ("a total", "a,b\nx,1\ny,2\nz,3\nTotal,6\n"),
    ("inches", 'size,price\n5",1\n6",2\n7",3\n'),
    ("an empty row", "a,b\n1,x\n,\n2,y\n"),
]


def page(text: str) -> str:
    """Return the page with its tables as the code makes them."""
    with command_line():
        tables = {"columns": _columns(), "files": _files()}
    for name, table in tables.items():
        marks = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
        text = re.sub(marks, lambda found, table=table: found[1] + table + found[2], text, flags=re.DOTALL)
    return text


def _columns() -> str:
    rows = ["| what | cells | read as | said |", "|---|---|---|---|"]
    for what, cells in COLUMNS:
        names = {"with a zone": "when", "days that spreadsheets count": "date", "year and month": "month"}
        names["no marks in a date"] = "date"
        name = names.get(what, "x")
        typed = read_column(pl.Series(name, cells, dtype=pl.String), Reading())
        shown = [*cells[:1], "...", *cells[30:]] if len(cells) > 29 else cells[:3]
        rows.append(f"| {what} | {_code(shown)} | {_typed(typed, cells)} | {_said(typed)} |")
    return "\n".join(rows) + "\n"


def _typed(typed: Typed, cells: list[str]) -> str:
    values = typed.values.to_list()
    first = values[:1] + values[30:] if len(cells) > 29 else values[:3]
    shown = ", ".join("missing" if value is None else _plain(value) for value in first)
    return f"{typed.kind}: {shown}" if typed.kind in ("number", "date") else typed.kind


def _plain(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value).removesuffix(" 00:00:00")


def _said(typed: Typed) -> str:
    text = " ".join(note.text for note in typed.notes)
    marks = ", ".join(f"`{mark}`" for mark in typed.marked)
    said = [text, f"{marks}: missing" if marks else ""]
    return " ".join(part for part in said if part).replace("|", "\\|")


def _files() -> str:
    rows = ["| what | file | columns | rows | said |", "|---|---|---|---|---|"]
    for what, text in FILES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file.csv"
            path.write_text(text, encoding="utf-8")
            lines = "<br>".join(
                f"`{line}`" if line else "(blank)" for line in text.replace("|", "¦").split("\n")[:-1]
            )
            try:
                table = read_table(path)
            except DataError as error:
                rows.append(f"| {what} | {lines} | refused |  | {error.hint} |")
                continue
            names, said = _code(table.frame.columns), " ".join(note.text for note in table.notes)
            said = said.replace("|", "\u00a6")
            rows.append(
                f"| {what} | {lines} | {names} | {table.frame.height} | {said} |".replace(
                    "`sep=¦`", "`sep=\\|`"
                )
            )
    return "\n".join(rows) + "\n"


def _code(cells: list[str]) -> str:
    return ", ".join(cell if cell == "..." else f"`{cell}`" for cell in cells)


def main() -> int:
    """Write the page, or compare it."""
    text = PAGE.read_text(encoding="utf-8")
    fresh = page(text)
    if "--check" in sys.argv[1:]:
        print(
            "docs/data.md is",
            "up to date" if fresh == text else "out of date: run python scripts/data_page.py",
        )
        return int(fresh != text)
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
