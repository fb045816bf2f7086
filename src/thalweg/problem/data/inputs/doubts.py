"""What a column may be instead, where its cells alone do not settle it: said, not changed."""

# ruff: noqa: RUF001 (signs that people write are meant)

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from thalweg.core.lazy import pl
from thalweg.problem.data.files.header import UNDECLARED
from thalweg.problem.data.note import Note, guess

# Of the cells of a column, so many have to look like something else.
MOST = 0.9
# A column of one value tells nothing.
LEAST = 2
SEVERAL = 5
SOME = 1000  # cells that are looked at
LONGEST = 40  # characters of a cell that is one number
_TIME_NAME = re.compile(
    r"(?i)(^|[^a-z])(time|uhrzeit|zeit|heure|hora|ora|hour|clock|tijd|tid)([^a-z]|$)|[a-z]Time$"
)
_DAY_NAME = re.compile(
    r"(?i)(^|[^a-z])(day|date|tag|datum|jour|fecha|d[ií]a|data|dag|am|geburtstag)([^a-z]|$)"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_DAY_AND_MONTH = rf"^{_DAY}\.(?:0?[1-9]|1[0-2])\.?$"
_DAY_OF_YEAR = re.compile(rf"{_DAY}[/-](?:0?[1-9]|1[0-2])|(?:0?[1-9]|1[0-2])[/-]{_DAY}")
_HOURS = r"^(?:[01]?\d|2[0-4])[.,][0-5]\d$"
_PACKED_HOURS = r"^(?:[01]?\d|2[0-3])[0-5]\d$"
# One number among signs that are no letters, or with the letter of a point of the compass.
_IN_SIGNS = re.compile(
    r"[^\w\s]*\s*(?:\d+(?:[.,]\d+)?\s*[^\w\s,;:/]*\s*){1,3}[NSEWO]?"
    r"|[NSEWO]\s*(?:\d+(?:[.,]\d+)?\s*[^\w\s,;:/]+\s*){1,3}"
)
_SIGNS = re.compile(r"[°′″'\"±▲▼△▽↑↓→←∅{}\[\]~^|≈]|[NSEWO]$")
_BOUND = re.compile(
    r"(?i)(?:up to|over|under|above|below|more than|less than|at least|at most|min\.?|max\.?|from|ab|bis"
    r"|über|unter|mindestens|höchstens|jusqu'à|plus de|moins de|hasta|más de|menos de)\s*[\d.,]+"
    r"|[\d.,]+\s*(?:or more|or less|and over|und mehr|et plus|\+)"
)
_NUMBER = re.compile(r"-?[\d.,]+")


def doubts_on_numbers(text: pl.Series) -> list[Note]:
    """Return what cells that were read as numbers may be: times, days without a year, places on a plate.

    Args:
        text: Trimmed cells, null where missing.
    """
    name, cells = str(text.name), text.drop_nulls().head(SOME)
    few = cells.n_unique() < LEAST

    def all_fit(pattern: str) -> bool:
        return not few and bool(cells.str.contains(pattern).mean() > MOST)  # type: ignore[operator]

    shown = repr(cells[0]) if cells.len() else ""
    said = ""
    # Of numbers with two decimals, few in a row have an end between .01 and .12.
    told = bool(_DAY_NAME.search(name)) or cells.n_unique() >= SEVERAL
    padded = cells.str.contains(r"^0\d\.|\.$").any()
    if all_fit(_DAY_AND_MONTH) and (padded or told) and cells.str.contains(r"\.(?:\d\d|\d\.)").all():
        said = f"{name}: {shown} and its like may be days without a year, or times"
    elif _TIME_NAME.search(name) and (all_fit(_HOURS) or all_fit(_PACKED_HOURS)):
        said = f"{name}: {shown} and its like may be times of day"
    elif all_fit(r"^\d{1,3}E\d{1,2}$"):
        said = f"{name}: {shown} and its like may be codes"
    elif cells.len() and cells.str.contains(r"^\(.*\)$").all():
        said = f"{name}: all cells are in parentheses, as negative numbers are; they may be something else"
    sentence = f"{said}; it was read as numbers."
    return [guess("mixed", sentence, (name,), types={name: "category"})] if said else []


def doubts_on_words(cells: Iterable[str], name: str) -> list[Note]:
    """Return what cells that were read as categories hold: numbers in signs, or bounds.

    Args:
        cells: Some of the column, none missing.
        name: Of the column.
    """
    every = [cell for cell in cells if cell not in UNDECLARED]
    some = [cell for cell in every if len(cell) <= LONGEST]
    signs = [c for c in some if _IN_SIGNS.fullmatch(c) and _SIGNS.search(c) and not _NUMBER.fullmatch(c)]
    bounds = [c for c in some if _BOUND.fullmatch(c)]
    days = [c for c in some if _DAY_OF_YEAR.fullmatch(c)]
    if len(set(days)) >= LEAST and len(days) > MOST * len(every):
        text = f"{name}: {days[0]!r} and its like may be days without a year; it was read as categories."
        return [guess("mixed", text, (name,), types={name: "text"})]
    numbers = sum(_NUMBER.fullmatch(c) is not None for c in some)
    for found, what in ((signs, "numbers with signs around them"), (bounds, "bounds")):
        if found and len(found) + numbers > MOST * len(every):
            text = f"{name} holds {what} such as {found[0]!r}; it was read as categories."
            return [guess("mixed", text, (name,), types={name: "number"})]
    return []


def known(present: pl.Series) -> int:
    """Return how many cells are no marks of missing values."""
    return present.len() - int(present.is_in(list(UNDECLARED)).sum() or 0)


def capitals_note(present: pl.Series) -> Note | None:
    """Return what is said of categories that differ by their capitals alone; None if there are none.

    Args:
        present: The cells of a column of text, none missing.
    """
    counts = present.alias("").value_counts(name="rows")
    alike: dict[str, list[str]] = {}
    for cell in sorted(counts.to_series(0).to_list()):
        alike.setdefault(cell.casefold(), []).append(cell)
    several = [cells for cells in alike.values() if len(cells) > 1]
    if not several or len(alike) > max(3.0, present.len() / 2):  # hardly any value repeats
        return None
    shown, name = " and ".join(map(repr, several[0][:3])), str(present.name)
    text = f"{name}: {shown} differ only in capitals; they count as different categories."
    return Note("capitals", text, (name,))


def words_for_missing(name: str, words: Iterable[str]) -> Note:
    """Return what is said of words that stand for missing values in a column alone."""
    text = f"{', '.join(map(repr, words))} in {name} was read as missing."
    return guess("missing", text, (name,), types={name: "category"})


def divided(unreadable: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Return (marks of missing values, other cells) of those that could not be read."""
    marked = {cell: rows for cell, rows in unreadable.items() if cell in UNDECLARED}
    return marked, {cell: rows for cell, rows in unreadable.items() if cell not in UNDECLARED}


def bad_cells(name: str, kind: str, bad: Mapping[str, int]) -> Note:
    """Return what is said of cells of a column that are not of its kind, with how many rows each has."""
    count = sum(bad.values())
    shown = ", ".join(repr(cell) for cell in list(bad)[:3]) + (", ..." if len(bad) > 3 else "")
    cells = f"a cell that is no {kind}" if count == 1 else f"{count} cells that are no {kind}s"
    text = f"{name} has {cells}, read as missing: {shown}."
    return guess("bad cells", text, (name,), types={name: "category"})
