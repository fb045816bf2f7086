"""What goes wrong in a column: missing marks, typing errors, sentinels."""

import random
from dataclasses import replace

from tests.problem.data.styles.column import Column

# Marks for a missing value that any reader knows; those of OTHER_MARKS need a word from the reader. Those of
# WORD_MARKS are known among numbers, but may be a name among categories (no garage: None).
KNOWN_MARKS = ("", "NA", "NaN", "null", "n/a", "#N/A", "N/A", "NULL", "nan")
WORD_MARKS = ("None", "<NA>")
OTHER_MARKS = ("?", "-", ".", "--", "empty", "missing", "n.d.")

_BAD_NUMBERS = (
    "12..5",
    "abc",
    "n.s.",
    "1O5",
    "<0.5",
    "see note",
    "x",
    "12;5",
    "err",
    "#DIV/0!",
    "1.2.3.4",
    "#REF!",
    "####",
    "#NUM!",
)
_BAD_DATES = ("unknown", "2020-13-45", "31.02.", "tomorrow?", "n.s.")


def with_missing(rng: random.Random, column: Column, marks: list[str]) -> Column:
    """Return the column with some cells replaced by marks for missing values."""
    rows = len(column.cells)
    if rows < 6 or column.style == "empty column" or column.style.startswith("constant"):
        return column
    share = rng.choice([0.02, 0.05, 0.1, 0.3])
    # The first row stays whole: without a header it is what tells that there is none.
    chosen = [i for i in range(1, rows) if rng.random() < share][: rows // 2]
    if not chosen:
        return column
    cells, values = list(column.cells), list(column.values)
    for i in chosen:
        cells[i], values[i] = rng.choice(marks), None
    column = replace(column, cells=cells, values=values)
    if column.meaning in ("number", "date") or (column.meaning == "target" and column.write):
        column.word_on = next((cells[i] for i in chosen if cells[i] in OTHER_MARKS), "")
    else:
        column.free = {i for i in chosen if cells[i] not in KNOWN_MARKS}
    return column


def after_copies(column: Column) -> Column:
    """Return a column after rows were copied over others: a word is needed only on what is still there."""
    if column.style.startswith("number sentinel") and not column.free:
        return replace(column, ambiguous=False, style="number plain .")
    pairs = zip(column.cells, column.values, strict=True)
    gone = {cell for cell, value in pairs if value is None} - {*KNOWN_MARKS, *WORD_MARKS}
    word = "bad cells" if gone - {*OTHER_MARKS} else next(iter(sorted(gone)), "")
    return replace(column, word_on=word if column.word_on else "")


def with_empty_rows(rng: random.Random, made: list[Column]) -> list[Column]:
    """Return the columns with one or two rows in the middle in which every cell is empty."""
    rows = len(made[0].cells)
    emptied = rng.sample(range(3, rows - 2), rng.randint(1, 2))
    return [
        replace(
            column,
            cells=["" if i in emptied else cell for i, cell in enumerate(column.cells)],
            values=[None if i in emptied else value for i, value in enumerate(column.values)],
        )
        for column in made
    ]


def with_bad_cells(rng: random.Random, column: Column) -> Column:
    """Return the column with one or two per cent of typing errors; only for long columns."""
    pool = _BAD_DATES if column.meaning == "date" else _BAD_NUMBERS
    rows = len(column.cells)
    if rows < 100 or column.needs_name or column.style.startswith("constant"):
        return column
    cells, values = list(column.cells), list(column.values)
    for i in rng.sample(range(1, rows), max(1, round(rows * rng.choice([0.01, 0.02])))):
        cells[i], values[i] = rng.choice(pool), None
    return replace(
        column, cells=cells, values=values, word_on="bad cells", style=column.style + ", bad cells"
    )


def with_sentinel(rng: random.Random, column: Column) -> Column:
    """Return a column of small numbers in which 999 or -999 may mean missing: a reader has to say."""
    mark = rng.choice(["999", "-999", "-9999"])
    if column.style != "number plain .":
        return column
    size = [abs(value) for value in column.values if value is not None]
    if len(size) < 30 or max(size) > 400:
        return column
    cells, values, free = list(column.cells), list(column.values), set()
    for i in rng.sample(range(len(cells)), max(2, len(cells) // 20)):
        cells[i], values[i] = mark, float(mark)
        free.add(i)
    return replace(
        column, cells=cells, values=values, free=free, ambiguous=True, style=f"number sentinel {mark}"
    )
