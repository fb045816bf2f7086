"""Rows of a text table that sum up others, and a remark in the last one."""

from __future__ import annotations

import re

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.files.header import MOSTLY, is_value, share_of_values
from thalweg.problem.data.files.plain_form import left_out
from thalweg.problem.data.note import Note

# What the first cell of a last row says that sums up the others.
TOTALS = {
    *(
        "total",
        "totals",
        "grand total",
        "sum",
        "summe",
        "gesamt",
        "gesamtsumme",
        "insgesamt",
        "totale",
        "somme",
    ),
    *(
        "total général",
        "suma",
        "summa",
        "totaal",
        "razem",
        "celkem",
        "toplam",
        "всего",
        "итого",
        "合計",
        "総計",
    ),
    *("average", "mean", "durchschnitt", "mittelwert", "moyenne", "media"),
}


SUBTOTALS = (
    *("subtotal", "sub-total", "sub total", "subtotals", "zwischensumme", "sous-total", "sous total"),
    *(
        "subtotale",
        "parziale",
        "subsuma",
        "subtotaal",
        "delsumma",
        "mezisoučet",
        "ara toplam",
        "小計",
        "итого по группе",
    ),
)


# Further words of such rows, where at least two of them stand together.
STATISTICS = (
    *(
        "min",
        "max",
        "minimum",
        "maximum",
        "median",
        "std",
        "sd",
        "stdev",
        "std dev",
        "std. dev.",
        "variance",
        "count",
    ),
    *(
        "n",
        "average",
        "avg",
        "mean",
        "sum",
        "total",
        "se",
        "standardabweichung",
        "mittel",
        "anzahl",
        "moyenne",
    ),
)
# From so few rows a sum cannot be told from a value.
LEAST_ROWS = 5
_POWER = r"(?i)(\d)(e[+-]?\d+)\s*$"  # of a number in scientific notation
_REMARK = re.compile(
    r"(?i)(?:notes?|source|quelle|fuente|fonte|remarks?|hinweis|anmerkung|bemerkung)\b|[*†©]"
)


def without_sums(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Leave out rows that sum up others, and a remark in the last one.

    They are found by what their first cell says, or by their numbers.
    """
    if frame.height < 4 or frame.width < 2:
        return frame, ()
    frame, notes = _without_remark(frame)
    frame, statistics = _without_statistics(frame)
    frame, total = _without_total(frame)
    parts = frame.to_series().str.strip_chars(" :").str.to_lowercase().is_in(SUBTOTALS).fill_null(False)
    if parts.any():
        rows = (
            "a row sums up others and was"
            if parts.sum() == 1
            else f"{parts.sum()} rows sum up others and were"
        )
        shown = frame.to_series().filter(parts)[0]
        notes += (Note("lines", f"{rows} left out: {shown!r}."),)
    frame, summed = _without_unnamed(frame.filter(~parts))
    return frame, (*notes, *statistics, *total, *summed)


def _without_remark(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Leave out a last row that is a remark: one cell of words, or a sentence that its commas divide."""
    first, last = frame.to_series(), frame.row(frame.height - 1)
    if not last[0] or is_value(last[0]):
        return frame, ()
    alone = not any(last[1:]) and share_of_values(first[1:-1]) >= MOSTLY
    if not alone:
        valued = [name for name in frame.columns if share_of_values(frame[name][1:-1]) >= MOSTLY]
        cells = [cell for name, cell in zip(frame.columns, last, strict=True) if name in valued]
        words = valued and all(cell is not None and not is_value(cell) for cell in cells)
        alone = bool(words) and _REMARK.match(last[0]) is not None
    if not alone:
        return frame, ()
    return frame[:-1], (left_out("after", [",".join(cell or "" for cell in last).rstrip(",")]),)


def _without_statistics(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Leave out several last rows that hold statistics of the others, such as minimum and maximum."""
    words = frame.to_series().str.strip_chars(" :").str.to_lowercase()
    count = 0
    while count < frame.height and words[-1 - count] in STATISTICS:
        count += 1
    above = words[: frame.height - count]
    if count < 2 or above.len() < 4 or above.is_in(STATISTICS).any() or words[-count:].n_unique() < count:
        return frame, ()
    shown = ", ".join(repr(cell) for cell in frame.to_series()[-count:])
    text = f"the last {count} rows, {shown}, sum up the others and were left out."
    return frame[:-count], (Note("lines", text),)


def _without_unnamed(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Leave out a last row, or a first one under the names, whose numbers are the sums of all others.

    All its numbers must be, and its first cell must be empty, or a word like no other of its column.
    """
    for place, end in ((frame.height - 1, "last"), (1, "first")):
        if frame.height <= LEAST_ROWS + 1:
            break
        label = frame.row(place)[0]
        rest = frame[1:].to_series() if frame.height else frame.to_series()
        unlike = label is None or (not is_value(label) and rest.n_unique() == rest.len())
        if unlike and _are_sums(frame, place):
            shown = "" if label is None else f", {label!r},"
            text = f"the {end} row{shown} holds the sums of all others and was left out."
            kept = pl.concat([frame[:place], frame[place + 1 :]])
            return kept, (Note("lines", text),)
    return frame, ()


def _are_sums(frame: pl.DataFrame, place: int) -> bool:
    """Return whether all numbers of a row are the sums of the other rows; the first row holds names."""
    for decimal in ".,":
        sums = [_is_sum(frame[name], place, decimal) for name in frame.columns[1:]]
        if False not in sums and True in sums:
            return True
    return False


def _is_sum(column: pl.Series, place: int, decimal: str) -> bool | None:
    """Return whether a cell is the sum of the others; None for a column of other things than numbers."""
    cell, cells = column[place], pl.concat([column[1:place], column[place + 1 :]]).drop_nulls()
    if cells.len() < LEAST_ROWS or share_of_values(cells) < MOSTLY:
        return None if cell is None or not is_value(cell) else False
    if cell is None:
        return None
    other = "," if decimal == "." else "."
    written = pl.concat([cells, pl.Series(cells.name, [cell])]).str.replace("\N{MINUS SIGN}", "-")
    powers = written.str.extract(_POWER, 2).fill_null("")
    plain = written.str.replace(_POWER, "$1").str.replace_all(r"[^\d.,\-]", "")
    plain = plain.str.replace_all(other, "", literal=True).str.replace_all(decimal, ".", literal=True)
    numbers = (plain + powers).cast(pl.Float64, strict=False)
    total, parts = numbers[-1], numbers[:-1].drop_nulls().to_numpy()
    if total is None or parts.size < LEAST_ROWS or np.count_nonzero(parts) < LEAST_ROWS - 1:
        return False
    places = len(plain[-1].partition(".")[2])
    rounding = min(0.5 * parts.size * 10.0**-places, 1e-3 * abs(total)) if places else 1e-9 * abs(total)
    return abs(total) > np.abs(parts).max() and abs(float(parts.sum()) - total) <= rounding


def _without_total(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Leave out a last row that sums up the others, by what its first cell with content says."""
    if frame.height < 4 or frame.width < 2:
        return frame, ()
    cells = [cell.strip() for cell in frame.row(frame.height - 1) if cell is not None and cell.strip()]
    word = cells[0].rstrip(":").lower() if cells else ""
    others = frame[:-1].select(pl.all().str.to_lowercase().is_in([word]).any())
    if word not in TOTALS or any(others.row(0)):
        return frame, ()
    return frame[:-1], (Note("lines", f"the last row, {cells[0]!r}, sums up the others and was left out."),)
