"""Compares what a reader understood of a messy table or frame with what was meant.

The reader is seen through a neutral interface: `Understood`. One function, `understood_by_thalweg`, connects
Thalweg's own reader to it.

A problem counts as *silent* unless the reader has said something that leads a person to it: a remark that
names the option which would change that very guess, for that column or for the whole file. Where the file
does not settle what is meant, the remark is required, and what was taken does not matter.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from tests.problem.data.styles.column import Column
from tests.problem.data.styles.faults import KNOWN_MARKS
from thalweg.core.errors import DataError
from thalweg.problem.data.understanding import understand

RIGHT, ASKED, SILENT = "right", "asked", "silent error"

# Which options, when a remark names them, lead to which kind of problem: those that change rows and names; in
# a remark on a column, those that change its kind or its values; in a remark on the whole file, those that
# change the values of such columns.
SHAPE_SWITCHES = ("separator", "encoding", "header")
KIND_SWITCHES = ("types", "keep", "decimal", "dates", "missing", "task")
COLUMN_SWITCHES = {
    "number": ("decimal", "types", "missing"),
    "date": ("dates", "types", "missing"),
    "words": ("types", "missing", "encoding"),
    "class": ("types", "task"),
}
FILE_SWITCHES = {"number": ("decimal",), "date": ("dates",), "words": ("encoding",), "class": ()}


@dataclass(frozen=True)
class SeenColumn:
    """A column as the reader understood it.

    Args:
        name: Its name, or what the reader made up where the file has none.
        kind: `number`, `category`, `date`, `text`, or `skip` for a column that is left out.
        values: Row by row; None for missing. Numbers for `number`, `datetime` for `date` (aware, or naive in
            UTC or local time), strings for `category` and `text`. Not looked at for `skip`.
    """

    name: str
    kind: str
    values: list[Any]


@dataclass(frozen=True)
class Remark:
    """A sentence that the reader said about the file.

    Args:
        text: The sentence.
        columns: Names of the columns that it is about, as in `SeenColumn.name`; empty for the whole file.
        switch: The option that would change what was guessed, such as `--dates mdy`; empty if none is named.
    """

    text: str
    columns: tuple[str, ...] = ()
    switch: str = ""


@dataclass(frozen=True)
class Understood:
    """What a reader made of a file: all columns in their order, and what it said; or why it refused."""

    columns: list[SeenColumn] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    refused: str | None = None


@dataclass(frozen=True)
class Problem:
    """One difference between what was understood and what was meant.

    Args:
        style: How the column, or the file, is written; failures are grouped by it.
        reason: What differs, in a line.
        silent: Whether no remark leads to it.
    """

    style: str
    reason: str
    silent: bool


def understood_by_thalweg(source: Any, options: dict[str, Any]) -> Understood:
    """Read a file or a frame with Thalweg's reader and return what it understood.

    Args:
        source: The path of a file, or a pandas or Polars frame.
        options: What the user would pass: nothing, or `target`, the name of a column.
    """
    try:
        found = understand(source, **options)
    except DataError as error:
        return Understood(refused=str(error))
    columns = [SeenColumn(column.name, column.kind, column.values.to_list()) for column in found.columns]
    for name in (name for note in found.notes if note.kind == "nested" for name in note.columns):
        columns = _without_inner(columns, list(source.columns), name)
    return Understood(columns, [Remark(note.text, note.columns, note.change) for note in found.notes])


def _without_inner(columns: list[SeenColumn], names: list[Any], nested: str) -> list[SeenColumn]:
    """Put one column that is left out in place of those that a nested one was divided into."""
    inner = [
        c for c in columns if re.fullmatch(rf"{re.escape(nested)}(_\d+|\..*)", c.name) and c.name not in names
    ]
    place = columns.index(inner[0]) if inner else list(map(str, names)).index(nested)
    kept = [c for c in columns if c not in inner]
    return [*kept[:place], SeenColumn(nested, "skip", []), *kept[place:]]


def verdict(problems: list[Problem]) -> str:
    """Return RIGHT, ASKED or SILENT for a file with these problems."""
    if any(problem.silent for problem in problems):
        return SILENT
    return ASKED if problems else RIGHT


def judge(reader: Callable[[Any, dict[str, Any]], Understood], source: Any, table: Any) -> list[Problem]:
    """Let the reader read a source and check it. An exception that is no refusal counts as a silent error.

    Raises:
        NotImplementedError: The reader is not connected.
    """
    try:
        understood = reader(source, table.options)
    except NotImplementedError:
        raise
    except Exception as error:
        return [Problem(table.layout.label, f"{type(error).__name__}: {_line(str(error))}", True)]
    return check(understood, table)


def check(understood: Understood, table: Any) -> list[Problem]:
    """Compare what a reader understood with a `MessyTable` or `MessyFrame`; no problems: all is as meant."""
    if understood.refused is not None and _cannot_be_trained(table) and "class" in understood.refused:
        return []
    if understood.refused is not None:
        silent = not understood.refused.strip()
        return [Problem(table.layout.label, f"refused: {_line(understood.refused)}", silent)]
    pairs = _pairs(understood, table.columns)
    if pairs is None:
        names = [column.name for column in understood.columns]
        expected = [column.name for column in table.columns]
        said = _file_remark(understood)
        return [Problem(table.layout.label, f"columns {names} instead of {expected}", not said)]
    rows = len(table.columns[0].cells)
    wrong = {len(seen.values) for seen, _ in pairs if seen.kind != "skip"} - {rows}
    if wrong:
        said = _file_remark(understood) or _says(understood, r"\b(total|footer|last (row|line)|lines?)\b")
        return [Problem(table.layout.label, f"{wrong.pop()} rows instead of {rows}", not said)]
    problems = []
    for place, (seen, meant) in enumerate(pairs):
        problems += _name(seen, meant, understood, table, place)
        problems += _column(seen, meant, understood)
    return problems


def _cannot_be_trained(table: Any) -> bool:
    """Return whether the target that is told has a class of one row, or only one: it has to be refused."""
    target = next((c for c in table.columns if c.name == table.options.get("target")), None)
    if target is None or target.write is not None:
        return False
    counts = Counter(cell for cell in target.cells if cell not in KNOWN_MARKS)
    return len(counts) < 2 or 1 in counts.values()


# ---- the columns of a file ---------------------------------------------------------------------------------


def _pairs(understood: Understood, meant: list[Column]) -> list[tuple[SeenColumn, Column]] | None:
    """Return which seen column is which meant one, or None if they do not correspond.

    A reader may keep an empty column where lines end with a separator, and may leave row numbers out
    altogether.
    """
    seen = list(understood.columns)
    while len(seen) > len(meant) and (seen[-1].kind == "skip" or not any(_present(seen[-1].values))):
        seen.pop()
    if len(seen) == len(meant):
        return list(zip(seen, meant, strict=True))
    kept = [column for column in meant if column.meaning != "index"]
    if len(seen) == len(kept):
        return list(zip(seen, kept, strict=True))
    return None


def _present(values: Iterable[Any]) -> list[bool]:
    return [not _missing(value) for value in values]


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or value == ""


def _name(
    seen: SeenColumn, meant: Column, understood: Understood, table: Any, place: int
) -> Iterable[Problem]:
    name = table.header[place] if table.header else ""
    if name.strip() and table.header.count(name) == 1 and seen.name.strip() != name.strip():
        said = _file_remark(understood)
        yield Problem(table.layout.label, f"column {name!r} is called {seen.name!r}", not said)


def _column(seen: SeenColumn, meant: Column, understood: Understood) -> Iterable[Problem]:
    topic = _topic(meant)
    if meant.ambiguous and seen.kind == "skip" and _about(understood, seen):
        return  # left out with a word, such as a constant: nothing was taken
    if meant.ambiguous and not _leads(understood, seen, topic, COLUMN_SWITCHES[topic]):
        yield Problem(meant.style, f"{_label(seen)}: ambiguous, and nothing said of what was taken", True)
        return
    if meant.ambiguous:
        return
    if seen.kind == "number" and meant.style.startswith("answers") and _all_plain(meant):
        return  # none of the rows that are left has one of the ends of the scale, which have names
    if seen.kind not in meant.kinds:
        said = _leads(understood, seen, topic, KIND_SWITCHES)
        yield Problem(meant.style, f"{_label(seen)} ({meant.cells[0]!r}) is {seen.kind}", not said)
        return
    if seen.kind == "skip":
        if not _about(understood, seen):
            yield Problem(meant.style, f"{_label(seen)}: left out without a word", True)
        return
    difference = _difference(seen, meant)
    if difference:
        said = _leads(understood, seen, topic, COLUMN_SWITCHES[topic])
        yield Problem(meant.style, f"{_label(seen)} {difference}", not said)
    elif meant.word_on and not _about(understood, seen, meant.word_on):
        yield Problem(meant.style, f"{_label(seen)}: no word on {meant.word_on!r} taken for missing", True)


def _all_plain(meant: Column) -> bool:
    """Return whether every cell is a plain whole number, or marks a missing value."""
    return all(cell.strip('" ').isdigit() for cell in meant.cells if cell.strip() not in ("", *KNOWN_MARKS))


def _topic(meant: Column) -> str:
    if meant.meaning == "code" or meant.style == "integer classes":
        return "class"
    if meant.meaning == "target":
        return "number" if meant.write else "words"
    return {"number": "number", "date": "date"}.get(meant.meaning, "words")


def _label(seen: SeenColumn) -> str:
    return f"column {seen.name!r}"


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


# ---- what the reader said ----------------------------------------------------------------------------------


def _leads(understood: Understood, seen: SeenColumn, topic: str, switches: tuple[str, ...]) -> bool:
    """Return whether a remark names an option that would change this about the column."""
    for remark in understood.remarks:
        if _names(remark, seen) and _has_option(remark.switch, switches):
            return True
        if not remark.columns and _has_option(remark.switch, FILE_SWITCHES[topic]):
            return True
    return False


def _file_remark(understood: Understood) -> bool:
    return any(_has_option(remark.switch, SHAPE_SWITCHES) for remark in understood.remarks)


def _names(remark: Remark, seen: SeenColumn) -> bool:
    """Return whether the remark is about the column; its sentence counts if it lists no columns."""
    if remark.columns or not seen.name.strip():
        return seen.name in remark.columns
    return re.search(rf"(?<!\w){re.escape(seen.name.strip())}(?!\w)", remark.text) is not None


def _about(understood: Understood, seen: SeenColumn, mark: str = "") -> bool:
    """Return whether a remark mentions the column; for an undeclared mark, quoting the mark will do."""
    for remark in understood.remarks:
        quoted = f"'{mark}'" in remark.text or f'"{mark}"' in remark.text or f"`{mark}`" in remark.text
        nameless = not seen.name.strip() and not remark.columns and re.search("nameless|index", remark.text)
        if _names(remark, seen) or (mark and quoted) or nameless:
            return True
    return False


def _says(understood: Understood, pattern: str) -> bool:
    return any(re.search(pattern, remark.text, re.IGNORECASE) for remark in understood.remarks)


def _has_option(switch: str, options: tuple[str, ...]) -> bool:
    return any(re.search(rf"\b{option}\b", switch.replace("-", " ").replace("_", " ")) for option in options)


# ---- values ------------------------------------------------------------------------------------------------


def _difference(seen: SeenColumn, meant: Column) -> str:
    """Return the first value that differs, in words, or nothing if any reading of the column fits."""
    same = {"number": _same_number, "date": _same_moment}.get(seen.kind, _same_words)
    first = ""
    for reading in _readings(seen.kind, meant):
        pairs = enumerate(zip(seen.values, reading, strict=True))
        wrong = (i for i, (got, wanted) in pairs if not same(got, wanted) and not _excused(got, meant, i))
        row = next(wrong, None)
        if row is None:
            return ""
        first = first or f"row {row}: {meant.cells[row]!r} is {seen.values[row]!r}, meant {reading[row]!r}"
    return first


def _readings(kind: str, meant: Column) -> list[list[Any]]:
    """Return the values that are equally right: in several units, or in local time too."""
    if kind == "number":
        return [[_scaled(value, scale) for value in meant.values] for scale in meant.scales]
    if kind == "date" and meant.local:
        present = _present(meant.values)
        local = [value if there else None for value, there in zip(meant.local, present, strict=True)]
        return [meant.values, local]
    return [meant.values]


def _excused(got: Any, meant: Column, row: int) -> bool:
    return row in meant.free and (_missing(got) or str(got).strip() == meant.cells[row].strip())


def _scaled(value: Any, scale: float) -> float | None:
    if isinstance(value, str):
        digits = re.search(r"-?\d+(\.\d+)?", value)
        value = float(digits.group()) if digits else None
    return None if value is None else float(value) * scale


def _same_number(got: Any, wanted: float | None) -> bool:
    if _missing(got) or wanted is None:
        return _missing(got) and wanted is None
    try:
        return math.isclose(float(got), wanted, rel_tol=1e-6, abs_tol=1e-9)
    except (TypeError, ValueError):
        return False


def _same_moment(got: Any, wanted: datetime | None) -> bool:
    if got is None or wanted is None:
        return got is None and wanted is None
    if isinstance(got, date) and not isinstance(got, datetime):
        got = datetime(got.year, got.month, got.day)
    if not isinstance(got, datetime):
        return False
    if got.tzinfo is not None:
        got = got.astimezone(UTC).replace(tzinfo=None)
    return abs((got - wanted).total_seconds()) < 1


def _same_words(got: Any, wanted: Any) -> bool:
    if _missing(got) or wanted is None:
        return _missing(got) and wanted is None
    if isinstance(got, bool):
        return str(got).casefold() == str(wanted).casefold()
    if isinstance(got, float) and got.is_integer():
        got = int(got)
    if isinstance(wanted, float) and wanted.is_integer() and isinstance(got, int | str):
        return str(got) in (str(int(wanted)), str(wanted))
    if isinstance(wanted, bool):
        return str(got).casefold() == str(wanted).casefold()
    return str(got).strip() == str(wanted).strip()
