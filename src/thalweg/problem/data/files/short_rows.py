"""Rows of a text table whose last cells are empty and not written, or not seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from thalweg.problem.data.files.separator import QUOTED
from thalweg.problem.data.note import Note

# Beyond this share of the whole lines, these may be the ones that are wrong.
MOST_SHORT = 0.5
# So many short lines are a habit of the program, where one or two may be damaged.
LEAST_HABIT = 3
_WORDS = re.compile(r"[^\W\d_]+(?:\s+[^\W\d_]+)*")


def short_rows(lines: Sequence[str], whole: Sequence[int], wrong: Sequence[int], mark: str) -> list[int]:
    """Return the lines that may be filled up at their end; none if any of the wrong ones may not.

    Each of their cells has to be written as others of its column are. Where the cells would fit as well with
    the gap further to the left, as among columns of numbers, a line is short by the program's habit only if
    several are, and if no whole line ends in an empty cell.

    Args:
        lines: All lines.
        whole: Which of them have the usual number of fields.
        wrong: Which have another number.
        mark: What separates the fields.
    """
    if not whole or not wrong or len(wrong) > max(1, MOST_SHORT * len(whole)):
        return []
    rows = [_forms(lines[i], mark) for i in whole]
    width = Counter(map(len, rows)).most_common(1)[0][0]
    columns = [Counter(row[place] for row in rows if len(row) == width) for place in range(width)]
    habit = len(wrong) >= LEAST_HABIT and not columns[-1][""]
    for i in wrong:
        cells = _forms(lines[i], mark)
        gap = [""] * (width - len(cells))
        if not min(2, width - 1) <= len(cells) < width or not _fit([*cells, *gap], columns):
            return []
        moved = (_fit([*cells[:place], *gap, *cells[place:]], columns) for place in range(len(cells)))
        if not habit and any(moved):
            return []
    return list(wrong)


def names_of_rows(text: str) -> bool:
    """Return whether rows begin with names of their own in quotation marks, as R writes them.

    If such rows end in a space and the line of names does not, their last cell is empty: R has no name for
    the names of rows.
    """
    head, *rows = (line for line in text.split("\n") if line.strip())
    first = [QUOTED.match(row) for row in rows]
    names = {match[0] for match in first if match}
    return QUOTED.sub("", head).strip() == "" and len(names) == len(rows) > 1


def filled_ends(text: str) -> str:
    """Return the text with an empty cell in quotation marks behind the space that rows end in."""
    return re.sub(r"(?m) $", ' ""', text)


def ended_early(short: Sequence[int], width: int, first: int) -> Note:
    """Return the note on filled lines.

    Args:
        short: The lines.
        width: How many cells whole lines have.
        first: Number of the first of them in the file, from 1.
    """
    which = f"{len(short)} lines end" if len(short) > 1 else "a line ends"
    where = f"the first is line {first}" if len(short) > 1 else f"line {first}"
    text = f"{which} before the last of {width} cells; what is not there was read as missing ({where})."
    return Note("lines", text)


def _forms(line: str, mark: str) -> list[str]:
    """Return how each cell is written: `9-9-9` for a date, `a` for words, nothing for an empty cell."""
    fields = QUOTED.sub(lambda cell: cell[0].replace(mark, " "), line).split(mark)
    return [_WORDS.sub("a", re.sub(r"\d+", "9", field.strip(' "'))) for field in fields]


def _fit(forms: Sequence[str], columns: Sequence[Counter[str]]) -> bool:
    """Return whether every cell is empty, or written as another of its column."""
    return all(not form or column[form] > 0 for form, column in zip(forms, columns, strict=True))
