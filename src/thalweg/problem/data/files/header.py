"""Whether the first row of a text table holds the names of its columns, and those names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.files.units import UNITS
from thalweg.problem.data.note import Note, guess

# What begins like a number, an amount or a date: `-1.5`, `$ 3`, `(12)`, `07-Sep`, `.5`.
_VALUE = re.compile(r"[(\s]*[-+−]?\s*[^\w\s]{0,3}\s*[.,]?\d.*|[-+]?(?i:nan|inf)|true|false", re.IGNORECASE)
_WHOLE = re.compile(r"-?\d{1,6}")
_SAMPLE = 1000
# A column holds values if this share of its cells look like one.
MOSTLY = 0.8
# Whole numbers in this range, in order, may name columns: years.
YEARS = range(1800, 2200)
# Lines of units and the like under the names, at most; and the rows below a line without brackets, at least.
MOST_UNDER, LEAST_BELOW = 3, 3
INDEX = "index"  # name of a first column without one
# Marks that people use for a missing value without saying so. Between numbers they are taken for one.
# fmt: off
UNDECLARED = (
    "?", "??", "-", "--", "---", "–", "—", ".", "..", "...", "*", "-/-", ":", "#DIV/0!",
    "#VALUE!", "#REF!", "#NUM!", "#NAME?", "na", "Na", "n.a.", "N.A.", "k.A.", "none", "NONE", "nil", "NIL",
    "missing", "Missing", "MISSING", "unknown", "Unknown", "UNKNOWN", "(null)", "\\N", "Null", "NAN", "n/d",
    "N/D", "nd", "ND", "n.d.", "tbd", "TBD", "blank", "(blank)", "empty", "Empty", "EMPTY", "n. a.", "k. A.",
    "not available", "no data", "#NULL!", "Not available", "not measured", "not applicable", "no answer",
    "No answer", "<null>", "<NULL>", "[NULL]", "[null]", "(NULL)", "n/v", "k.A", "o.A.", "keine Angabe",
    "nicht verfügbar", "fehlt", "non disponible", "sin dato", "s/d", "N.R.", "#DIV/0", "#WERT!", "#BEZUG!",
    "#ZAHL!", "#NV", "#VALEUR!", "#¡VALOR!", "#N/D", "1.#QNAN", "1.#IND", "-1.#IND", "-nan", "-nan(ind)",
    "inf", "Inf", "INF", "-inf", "-Inf", "-INF", "Infinity", "-Infinity", "0000-00-00",
    "0000-00-00 00:00:00", "00/00/0000",
    *(f".{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),  # Stata's
)
# fmt: on
# Such marks say nothing about whether a row holds names.
_MARKS = {"", "na", "n/a", "nan", "null", "#n/a", "<na>", *(mark.lower() for mark in UNDECLARED)}
# A unit in brackets, as under a name: `[kg]`, `(°C)`.
_UNIT = r"^([\[(][^\])]{1,15}[\])]|%|‰|°[CF]?)$"


def headed(
    cells: pl.DataFrame, header: bool | None, target: str | int | None, path: Path
) -> tuple[pl.DataFrame, bool, tuple[Note, ...]]:
    """Return the rows of a table under the names of its columns.

    Args:
        cells: All rows of the file as text.
        header: Whether the first one holds names; None: decided by comparing it with the others.
        target: The column to predict, if known: a first row of numbers that has it holds names.
        path: For messages.

    Returns:
        (the rows, whether the first one holds names, notes on what was guessed).

    Raises:
        DataError: The first row may be names or numbers, and nothing tells.
    """
    if not cells.height:
        raise DataError("table", "the file must hold rows", got="none", where=path, hint="give another file")
    first = ["" if cell is None else cell.strip() for cell in cells.row(0)]
    notes: tuple[Note, ...] = ()
    if header is None:
        header, notes = _decide(first, cells, target, path)
    if not header:
        return cells.rename({old: f"column_{i}" for i, old in enumerate(cells.columns)}), False, notes
    names, repeated = _names(first)
    frame = cells[1:].rename(dict(zip(cells.columns, names, strict=True)))
    is_header = pl.all_horizontal(pl.nth(i).eq_missing(cell) for i, cell in enumerate(cells.row(0)))
    rows = frame.filter(~is_header)
    if 0 < rows.height < frame.height:  # files that were joined
        again = frame.height - rows.height
        text = f"the line with the names stands in the table {again} more times; these were left out."
        frame = rows
        repeated += (Note("lines", text),)
    frame, named = _index_name(frame)
    repeated += named
    under = _lines_under(frame, _need_more(first))
    if under and _need_more(first) and not _are_units(frame.row(0)):
        names, repeated = _names(_joined_names(first, frame.row(0)))
        repeated += (Note("lines", f"the names stand in two lines; columns are called {', '.join(names)}."),)
        frame = frame[1:].rename(dict(zip(frame.columns, names, strict=True)))
        under -= 1
    if under:
        text = "the line under the names holds units, and was left out."
        if under > 1 or not _are_units(frame.row(0)):
            shown = ", ".join(cell for cell in frame.row(0)[:6] if cell)
            lines = "the line" if under == 1 else f"{under} lines"
            text = f"{lines} under the names ({shown}), without values, were left out."
            if under == 1:
                text = text.replace(
                    " were left out.", " was left out; if it holds them, remove the first line."
                )
        frame = frame[under:]
        repeated += (Note("lines", text),)
    return frame, True, (*notes, *repeated)


def _index_name(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Leave out a line under the names that only names the first column, as pandas writes pivoted tables."""
    row = frame.row(0) if frame.height > LEAST_BELOW and frame.width > 1 else (None,)
    name = (row[0] or "").strip()
    named = name and not any(row[1:]) and not is_value(name) and not _are_units(row)
    if not named or share_of_values(frame.to_series()[1:]) < MOSTLY:
        return frame, ()
    names = dict(zip(frame.columns, distinct_names([name, *frame.columns[1:]]), strict=True))
    text = f"the line under the names holds the name of the first column, {name!r}."
    return frame[1:].rename(names), (Note("lines", text),)


def _lines_under(frame: pl.DataFrame, incomplete: bool = False) -> int:
    """Return how many lines under the names are no rows: units, names of statistics, as loggers write.

    Such a line has a word in at least two of the columns of values, a value in none, and repeats nothing that
    stands below. One that names only the first column may follow, or one without words in columns of values.

    Args:
        frame: The rows.
        incomplete: Whether the names above lack some, which such a line may have.
    """
    rest = frame[max(1, min(MOST_UNDER, frame.height - LEAST_BELOW)) : _SAMPLE]
    valued = [name for name in frame.columns if share_of_values(rest[name]) >= MOSTLY]
    count = 0
    while count < min(MOST_UNDER, frame.height - 1):
        row = frame.row(count)
        below = frame[count + 1 : _SAMPLE]
        cells = {name: cell for name, cell in zip(frame.columns, row, strict=True) if not _is_blank(cell)}
        words = {name: cell for name, cell in cells.items() if name in valued}
        fresh = all(not is_value(word) and word not in below[name] for name, word in words.items())
        unit = len(words) == len(cells) == 1 and next(iter(words.values())).strip().lower() in UNITS
        least = 0 if count or unit or (incomplete and _is_blank(row[0])) else 1
        named = fresh and len(words) > least and below.height >= LEAST_BELOW
        flags = count and not words and all(cell not in below[name] for name, cell in cells.items())
        if not (_are_units(row) or named or (flags and below.height >= LEAST_BELOW)):
            break
        count += 1
    return count


def _is_blank(cell: str | None) -> bool:
    """Return whether a cell is empty or holds a mark for a missing value."""
    return cell is None or cell.strip().lower() in _MARKS


def is_value(cell: str) -> bool:
    """Return whether a cell begins like a number or a date, or stands for a missing one."""
    return cell.strip().lower() in _MARKS or _VALUE.fullmatch(cell.strip()) is not None


def share_of_values(column: pl.Series) -> float:
    """Return the share of the cells that are values, among those that are not missing."""
    cells = column.drop_nulls().str.strip_chars()
    cells = cells.filter(~cells.str.to_lowercase().is_in(list(_MARKS)))
    return float(np.mean([bool(_VALUE.fullmatch(cell)) for cell in cells])) if cells.len() else 0.0


def _need_more(first: Sequence[str]) -> bool:
    """Return whether names repeat, or are empty beyond the first column, so that a second line is needed."""
    named = [name for name in first[1:] if name]
    return len(set(named)) < len(named) or len(named) < len(first) - 1


def _joined_names(first: Sequence[str], second: Sequence[str | None]) -> list[str]:
    """Return names that stand in two lines, where the first line names several columns at once."""
    joined, over = [], ""
    for place, (upper, lower) in enumerate(zip(first, second, strict=True)):
        over = upper or (over if place > 1 or first[0] else "")
        joined.append(" ".join(part for part in (over, (lower or "").strip()) if part))
    return joined


def _are_units(row: Sequence[str | None]) -> bool:
    """Return whether a row holds nothing but units in brackets."""
    present = [cell.strip() for cell in row if cell is not None and cell.strip()]
    in_brackets = [bool(re.match(_UNIT, cell)) for cell in present]
    short = all(len(cell) <= 6 and not any(map(str.isdigit, cell)) for cell in present)
    return len(row) > 1 and any(in_brackets) and (all(in_brackets) or short)


def _decide(
    first: Sequence[str], cells: pl.DataFrame, target: str | int | None, path: Path
) -> tuple[bool, tuple[Note, ...]]:
    """Decide whether the first row holds names; see `_evidence`."""
    rest = cells[1 : 1 + _SAMPLE]
    if rest.height == 0:
        return True, ()
    again = pl.all_horizontal(
        pl.col(name).str.strip_chars().fill_null("").eq(cell)
        for name, cell in zip(cells.columns, first, strict=True)
    )
    votes = _votes(first, rest.filter(~again))
    if "name" not in votes:  # a copy of the first row says that it is one; a name in it, that it is repeated
        votes = _votes(first, rest)
    numbers = [cell for cell in first if cell and _VALUE.fullmatch(cell)]
    full = rest[rest.columns[0]].null_count() == 0
    if not first[0] and any(first) and full and ("value" not in votes or _are_counted(numbers, 2)):
        votes.append("name")  # row numbers or names of rows, which have no name themselves
    # Whole numbers may be names (years); one odd value, such as a date in another form, makes no header.
    telling = sum(
        vote == "value" and not _WHOLE.fullmatch(cell) for vote, cell in zip(votes, first, strict=False)
    )
    if "value" not in votes or ("name" in votes and telling <= 2 * votes.count("name")):
        return True, ()
    shown = ", ".join(first[:4]) + (", ..." if len(first) > 4 else "")
    whole = all(_WHOLE.fullmatch(cell) for cell in numbers)
    if target is not None and any(
        name in first and (whole or not name.lstrip("-").isdigit())
        for name in (str(target), *str(target).split(","))
    ):
        return True, ()
    if _are_counted(numbers):
        text = f"the first line ({shown}) was read as names, although these are numbers."
        return True, (guess("header", text, header=False),)
    if whole and len(set(numbers)) == len(numbers) == len(first):
        hint = (
            f"use {option('header', False)} for a file without names, {option('header', True)} if these are"
        )
        rule = "the first line must hold the names of the columns"
        raise DataError("table", rule, got=shown, where=path, hint=hint)
    text = f"the first line ({shown}) holds values, not names; columns are called column_0, ..."
    return False, (guess("header", text, header=True),)


def _votes(first: Sequence[str], rest: pl.DataFrame) -> list[str]:
    return [_evidence(cell, rest[name]) for cell, name in zip(first, rest.columns, strict=True)]


def _evidence(cell: str, column: pl.Series) -> str:
    """Return what a column says about the first row's cell: `name`, `value`, or nothing.

    It is a name where the other cells are values (numbers, dates) and it is not. It is a value where all are,
    or where it is one of the texts that the column repeats.
    """
    if cell.lower() in _MARKS:
        return ""
    others = column.drop_nulls().str.strip_chars()
    others = others.filter(~others.str.to_lowercase().is_in(list(_MARKS)))
    if others.len() == 0:
        return ""
    values = np.mean([bool(_VALUE.fullmatch(other)) for other in others])
    if values >= MOSTLY:
        return "value" if _VALUE.fullmatch(cell) else "name"
    if cell in others:
        return "value"
    return "name" if others.len() >= 10 and others.n_unique() <= others.len() / 3 else ""


def _are_counted(numbers: Sequence[str], least: int = 3) -> bool:
    """Return whether numbers count columns: 0, 1, 2, ..., or years in order."""
    if len(numbers) < 2 or not all(_WHOLE.fullmatch(number) for number in numbers):
        return False
    values = np.array([int(number) for number in numbers])
    steps = np.diff(values)
    if len(numbers) >= least and values[0] in (0, 1) and (steps == 1).all():
        return True
    years = all(value in YEARS for value in values.tolist())
    return years and bool((steps == steps[0]).all()) and steps[0] != 0


def _names(first: Sequence[str]) -> tuple[list[str], tuple[Note, ...]]:
    """Return the names of the columns, made different from one another."""
    plain = [cell.strip('"').strip() for cell in first]
    index = INDEX if INDEX not in plain else "row"  # a column that is called so keeps its name
    plain = [name or (index if i == 0 and len(first) > 1 else f"column_{i}") for i, name in enumerate(plain)]
    names = distinct_names(plain)
    repeated = tuple(name for name, before in zip(names, plain, strict=True) if name != before)
    return names, repeated_names(repeated)


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return names that differ: of equal ones, the later get a number, `size_2`."""
    given, distinct = set(names), dict[str, None]()  # in order
    for plain in names:
        name, number = plain, 2
        while name in distinct or (name != plain and name in given):
            name, number = f"{plain}_{number}", number + 1
        distinct[name] = None
    return list(distinct)


def repeated_names(repeated: Sequence[str]) -> tuple[Note, ...]:
    """Return a note on columns that were given another name."""
    if not repeated:
        return ()
    text = f"several columns have the same name; the later ones are called {', '.join(repeated)}."
    return (Note("names", text, tuple(repeated)),)
