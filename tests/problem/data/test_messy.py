"""The generator of messy tables: what it writes, what its check catches, and how Thalweg reads its files."""

import csv
import gzip
import math
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import dateutil.parser
import pytest

from tests.problem.data.messy import (
    DEVELOPMENT,
    HELD_OUT,
    Remark,
    SeenColumn,
    Understood,
    check,
    main,
    make,
    report,
    score,
    understood_by_thalweg,
    verdict,
)
from tests.problem.data.messy_check import ASKED, RIGHT, SILENT
from tests.problem.data.styles.dates import date_orders
from tests.problem.data.styles.faults import KNOWN_MARKS, WORD_MARKS
from tests.problem.data.styles.numbers import decimal_marks

READ = range(0, 9_960, 166)
TABLES = [make(seed) for seed in range(250)]


def oracle(table, changed=None, remarks=None):
    """What a perfect reader makes of the table; `changed` replaces the seen columns at some places."""
    seen, said = [], []
    for place, column in enumerate(table.columns):
        name = column.name or f"column_{place}"
        seen.append(SeenColumn(name, column.kinds[0], column.values))
        if column.ambiguous or column.word_on or column.kinds[0] == "skip":
            said.append(Remark(f"{name} was guessed", (name,), f"--types {name}=skip"))
    seen = [(changed or {}).get(place, column) for place, column in enumerate(seen)]
    return Understood(seen, said if remarks is None else remarks)


def pick(condition):
    """Return the first table and column for which the condition holds."""
    return next((t, i, c) for t in TABLES for i, c in enumerate(t.columns) if condition(t, c))


# ---- the reader --------------------------------------------------------------------------------------------


def test_thalweg_reads_messy_tables_or_asks():
    try:
        results = score(READ, understood_by_thalweg)
    except NotImplementedError as error:
        pytest.skip(str(error))
    verdicts = [kind for kind, _ in results.values()]
    assert verdicts.count(SILENT) == 0, report(results)
    assert verdicts.count(RIGHT) >= 0.97 * len(verdicts), report(results, with_asked=True)


# ---- the generator -----------------------------------------------------------------------------------------


def test_the_ranges_of_seeds_are_disjoint():
    assert not set(DEVELOPMENT) & set(HELD_OUT)
    assert set(READ) <= set(DEVELOPMENT)


def test_a_seed_always_gives_the_same_file(tmp_path):
    for seed in (3, 29, 404):
        first, again = make(seed), make(seed)
        assert first.data == again.data
        assert first.write(tmp_path).name == again.write(tmp_path).name
    assert make(3).data != make(4).data


def test_the_files_do_not_depend_on_the_hashes_of_the_process():
    command = (
        "import hashlib; from tests.problem.data.messy import make; "
        "print(hashlib.sha256(b''.join(make(seed).data for seed in range(60))).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", command],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_compressed_files_hold_the_same_bytes(tmp_path):
    table = next(t for t in TABLES if t.layout.suffix.endswith(".gz"))
    assert gzip.decompress(table.write(tmp_path).read_bytes()) == table.data


def is_easy(layout):
    """Whether the csv module reads the decoded file without further ado."""
    around = layout.before or layout.after or layout.sep_line or layout.total or layout.odd or layout.program
    rows = layout.short or layout.padded or layout.trailing != "no"
    usual = layout.header == "names" and layout.quoting != "none" and layout.newline != "\r"
    return usual and not around and not rows and layout.separator in (",", ";", "\t", "|")


def parse(style, cell):
    """The plain reading of a cell in an easy style."""
    if cell in (*KNOWN_MARKS, *WORD_MARKS):
        return None
    if style.startswith("number"):
        return float(cell)
    return datetime.fromisoformat(cell) if style.startswith("date") else cell


def test_easy_files_are_read_back_by_a_plain_parser():
    """Where layout and styles are the usual ones, the csv module finds the names and the values."""
    compared, quoted = Counter(), 0
    easy = (
        "number plain .",
        "category words",
        "text",
        "date ISO",
        "date ISO with time",
        "date ISO with minutes",
    )
    for table in TABLES + [make(seed) for seed in range(250, 650)]:
        if not is_easy(table.layout):
            continue
        encoding = table.layout.encoding.removesuffix("-le").removesuffix("-be")
        text = StringIO(table.data.decode(encoding), newline="")
        quoted += any('"' in cell for column in table.columns for cell in column.cells)
        lines = list(csv.reader(text, delimiter=table.layout.separator))
        assert lines[0] == table.header
        for place, column in enumerate(table.columns):
            read = [line[place] for line in lines[1:]]
            assert read == column.cells
            if column.style in easy and not column.word_on and not column.free:
                assert [parse(column.style, cell) for cell in read] == column.values
                compared[column.style.split()[0]] += 1
    assert all(compared[style] >= 5 for style in ("number", "category", "date", "text")), compared
    assert quoted


def read_number(cell, decimal):
    """The number in a cell whose decimal mark is known, by a reading of our own."""
    cell = re.sub(r"\[\w\]|\(p\)|\s", "", cell)
    negative = re.search("[-\u2212(]", re.sub("[eE][+-]", "e", cell))
    digits = re.search(r"[\d.,'\u2019]+([eE][+-]\d+)?", cell)
    unit = {"k": 1e3, "M": 1e6}.get(cell[digits.end() :], 1)
    plain = re.sub("['\u2019,]" if decimal == "." else "['\u2019.]", "", digits[0]).replace(decimal, ".")
    return float(plain) * unit * (-1 if negative else 1)


def test_numbers_are_those_that_the_cells_show():
    compared = Counter()
    for column in (column for table in TABLES for column in table.columns):
        if column.write is None or "sentinel" in column.style:
            continue
        for cell, value in zip(column.cells, column.values, strict=True):
            if value is not None:
                assert math.isclose(read_number(cell, column.convention), value, rel_tol=1e-12), (cell, value)
        compared[column.style] += 1
    assert len(compared) > 60, compared


def test_dates_are_those_that_the_cells_show():
    compared = Counter()
    for column in (column for table in TABLES for column in table.columns):
        own = ("epoch", "compact", "date as in", "202103", "logged: weekday", "date as offices", "packed")
        own += ("without a year", "date yy")
        if column.meaning != "date" or any(part in column.style for part in own):
            continue
        first = datetime(2000, 1, 1)
        for cell, value in zip(column.cells, column.values, strict=True):
            if value is not None:
                year_first = re.match(r"\d{4}", cell) is not None
                day_first = not year_first and (column.convention != "mdy" or "." in cell)
                plain = re.sub(r"\[UTC\]|[\[\]]", "", cell)
                plain = re.sub(r"(?<=/\d{4}):", " ", plain)  # as servers log
                read = dateutil.parser.parse(plain, dayfirst=day_first, default=first)
                read = read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read
                assert read == value, (column.style, cell)
        compared[column.style] += 1
    assert len(compared) > 25, compared


def test_a_perfect_reader_is_right_on_every_table():
    for table in TABLES:
        problems = check(oracle(table), table)
        assert verdict(problems) == RIGHT, (table.seed, problems)


def test_styles_of_every_kind_occur():
    layouts = [table.layout for table in TABLES]
    assert len({layout.separator for layout in layouts}) >= 9
    assert len({layout.encoding for layout in layouts}) >= 7
    assert {layout.header for layout in layouts} == {
        "names",
        "none",
        "numbers",
        "years",
        "duplicates",
        "r",
        "comment",
    }
    styles = {column.style for table in TABLES for column in table.columns}
    for part in (
        "k/M",
        "per cent",
        "currency",
        "thousands by",
        "negative ()",
        "footnotes",
        "epoch",
        "AM/PM",
        "Indian",
        "time of day",
        "duration",
        "below a limit",
        "telephone",
        "without cents",
        "date logged",
        "date as offices",
        "packed",
        "season",
        "ledger",
        "answers with",
        "power as",
    ):
        assert any(part in style for style in styles), part
    assert len({layout.program for layout in layouts}) >= 8
    assert (
        min(len(t.columns[0].cells) for t in TABLES) <= 5 < 200 < max(len(t.columns[0].cells) for t in TABLES)
    )


@pytest.mark.parametrize(
    ("cells", "marks"),
    [
        (["1,234", "845"], {".", ","}),
        (["1,234", "12,5"], {","}),
        (["1,234,567"], {"."}),
        (["1.234,5"], {","}),
        (["0,123"], {","}),
        (["1.234e5", "7"], {"."}),
        (["12,34,567.8"], {"."}),
        (["$5", "USD 7"], {".", ","}),
        (["1,2k"], {","}),
        (["1,200 kg"], {".", ","}),
    ],
)
def test_the_decimal_marks_that_fit_all_cells(cells, marks):
    assert decimal_marks(cells) == marks


@pytest.mark.parametrize(
    ("cells", "orders"),
    [
        (["01/02/2020", "03/04/2020"], {"dmy", "mdy"}),
        (["01/02/2020", "13/04/2020"], {"dmy"}),
        (["1-13-20", "2-3-20"], {"mdy"}),
        (["2020-01-02", "03 Feb 2020"], {"dmy", "mdy"}),
    ],
)
def test_the_orders_of_day_and_month_that_fit_all_cells(cells, orders):
    assert date_orders(cells) == orders


# ---- what the check catches --------------------------------------------------------------------------------


def plain_number(table, column):
    return column.style == "number plain ." and not column.ambiguous and None not in column.values


def test_a_wrong_value_is_a_silent_error():
    table, place, column = pick(plain_number)
    values = [*column.values[:-1], column.values[-1] + 1]
    wrong = oracle(table, {place: SeenColumn(column.name, "number", values)})
    problems = check(wrong, table)
    assert verdict(problems) == SILENT
    assert column.cells[-1] in problems[0].reason


def test_a_missing_value_read_as_zero_is_a_silent_error():
    table, place, column = pick(lambda t, c: c.meaning == "number" and None in c.values and not c.ambiguous)
    values = [0.0 if value is None else value for value in column.values]
    seen = SeenColumn(column.name or f"column_{place}", "number", values)
    assert verdict(check(oracle(table, {place: seen}, []), table)) == SILENT


def test_a_wrong_kind_is_silent_unless_the_switch_is_named():
    table, place, column = pick(plain_number)
    name = column.name or f"column_{place}"
    wrong = {place: SeenColumn(name, "category", column.cells)}
    said = oracle(table).remarks
    for switch, expected in (("", SILENT), ("--drop", SILENT), (f"--types {name}=number", ASKED)):
        remarks = [*said, Remark(f"{name} looks like words", (name,), switch)]
        assert verdict(check(oracle(table, wrong, remarks), table)) == expected, switch


def test_a_remark_on_another_column_excuses_nothing():
    table, place, column = pick(plain_number)
    wrong = {place: SeenColumn(column.name, "text", column.cells)}
    remarks = [*oracle(table).remarks, Remark("other looks like words", ("other",), "--types other=number")]
    assert verdict(check(oracle(table, wrong, remarks), table)) == SILENT


def test_a_remark_on_the_encoding_excuses_no_number():
    table, place, column = pick(plain_number)
    wrong = {place: SeenColumn(column.name, "number", [0.0] * len(column.values))}
    said = oracle(table).remarks
    for switch, expected in (("--encoding cp1252", SILENT), ("--decimal ,", ASKED)):
        remarks = [*said, Remark("the file was read so", (), switch)]
        assert verdict(check(oracle(table, wrong, remarks), table)) == expected


def test_day_and_month_swapped_is_a_silent_error_until_the_order_is_said():
    table, place, column = pick(
        lambda t, c: (
            c.convention == "dmy" and not c.ambiguous and "mixed" not in c.style and None not in c.values
        )
    )
    swapped = [
        value.replace(day=value.month, month=value.day) if value.day <= 12 else value
        for value in column.values
    ]
    assert swapped != column.values
    wrong = {place: SeenColumn(column.name, "date", swapped)}
    said = oracle(table).remarks
    assert verdict(check(oracle(table, wrong, said), table)) == SILENT
    remarks = [*said, Remark("month first", (), "--dates dmy")]
    assert verdict(check(oracle(table, wrong, remarks), table)) == ASKED


def test_an_ambiguous_column_needs_a_word_and_takes_any_reading():
    table, place, column = pick(lambda t, c: c.ambiguous and c.meaning == "number" and "settled" in c.style)
    name = column.name or f"column_{place}"
    silent = [remark for remark in oracle(table).remarks if name not in remark.columns]
    assert verdict(check(oracle(table, remarks=silent), table)) == SILENT
    other = {place: SeenColumn(name, "number", [value and value / 1000 for value in column.values])}
    remarks = [*silent, Remark("read as decimals", (name,), "--decimal ,")]
    assert verdict(check(oracle(table, other, remarks), table)) == RIGHT


def test_undeclared_marks_and_skipped_columns_need_a_word():
    for condition in (
        lambda t, c: c.word_on == "?" and not c.ambiguous,
        lambda t, c: c.word_on == "bad cells",
        lambda t, c: c.style == "index key",
    ):
        table, _, column = pick(condition)
        said = [remark for remark in oracle(table).remarks if column.name not in remark.columns]
        assert verdict(check(oracle(table, remarks=said), table)) == SILENT


def test_per_cent_may_be_scaled_as_a_whole_only():
    table, place, column = pick(lambda t, c: len(c.scales) == 2 and not c.ambiguous and c.meaning == "number")
    name = column.name or f"column_{place}"
    hundredth = [value and value / 100 for value in column.values]
    half = [*hundredth[:1], *column.values[1:]]
    assert not math.isclose(half[0], column.values[0])
    assert verdict(check(oracle(table, {place: SeenColumn(name, "number", hundredth)}), table)) == RIGHT
    assert verdict(check(oracle(table, {place: SeenColumn(name, "number", half)}), table)) == SILENT


def test_rows_and_columns_that_are_lost_or_gained_are_silent_errors():
    table, _, _ = pick(lambda t, c: t.layout.total and c.meaning == "number")
    read = oracle(table)
    longer = [replace(column, values=[*column.values, column.values[-1]]) for column in read.columns]
    assert verdict(check(replace(read, columns=longer), table)) == SILENT
    assert verdict(check(replace(read, columns=read.columns[1:-1]), table)) == SILENT
    renamed = [replace(column, name="other") for column in read.columns]
    assert verdict(check(replace(read, columns=renamed), table)) == SILENT
    asked = Remark("the first line is taken for data", (), "--header")
    assert verdict(check(replace(read, columns=read.columns[1:-1], remarks=[asked]), table)) == ASKED


def test_a_refusal_is_asked_about_if_it_says_why():
    table = TABLES[0]
    assert verdict(check(Understood(refused="the separator cannot be told"), table)) == ASKED
    assert verdict(check(Understood(refused=""), table)) == SILENT


def test_an_exception_of_the_reader_is_counted_with_its_reason():
    def broken(path, options):
        raise TypeError("no such dtype")

    results = score(range(2), broken)
    assert [kind for kind, _ in results.values()] == [SILENT, SILENT]
    assert "2 silent error" in report(results) and "0: TypeError: no such dtype" in report(results)


def test_the_command_writes_the_files_of_some_seeds(tmp_path, capsys):
    assert main(["--count", "3", "--seed", "7", "--write", str(tmp_path)]) == 0
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"table_7", "table_8", "table_9"}
    assert "3 tables written" in capsys.readouterr().out
