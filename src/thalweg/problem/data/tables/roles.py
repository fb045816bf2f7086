"""Columns that carry nothing to learn: identifiers, row numbers, constants. Left out, and said so."""

from __future__ import annotations

import re

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.column_types import CATEGORY, NUMBER, Typed
from thalweg.problem.data.inputs.words import has_words
from thalweg.problem.data.note import Note

# Below this many rows all values of an ordinary column may well differ by chance.
FEWEST_ROWS = 20
ID_NAME = re.compile(r"(?i:(^|[_\s.-])(id|uuid|guid|key|index|idx|no|nr|row)$)|[a-z]I[dD]$")


def useless(columns: dict[str, Typed], keep: tuple[str, ...]) -> list[Note]:
    """Return a note for each column to be left out; its `columns` name it.

    The last column that is left is never left out for looking like a row number.
    """
    notes = [note for name, typed in columns.items() if name not in keep and (note := _note(name, typed))]
    if len(notes) == len(columns):
        notes = [note for note in notes if note.kind != "id"]
    return notes


def _note(name: str, typed: Typed) -> Note | None:
    present = typed.values.drop_nulls()
    if present.len() == 0:
        return Note("constant", f"{name} is empty; it was left out.", (name,))
    distinct = present.n_unique()
    if distinct == 1 and present.len() == typed.values.len():
        return Note("constant", f"{name} is {_written(present[0])} in every row; it was left out.", (name,))
    if distinct < typed.values.len() or distinct < FEWEST_ROWS:
        return None
    if typed.kind == CATEGORY and has_words(typed.values):
        return None  # a name or a description, and no identifier
    if typed.kind == CATEGORY:
        return Note("id", f"{name} differs in every row, like an identifier; it was left out.", (name,))
    if typed.kind == NUMBER and typed.whole and _is_row_number(present):
        text = f"{name} numbers the rows from {int(present.min() or 0)}; it was left out."  # type: ignore[arg-type]
        return Note("id", text, (name,))
    if typed.kind == NUMBER and typed.whole and ID_NAME.search(name):
        return Note(
            "id", f"{name} is named like an identifier and differs in every row; it was left out.", (name,)
        )
    return None


def _is_row_number(values: pl.Series) -> bool:
    """0..n-1 or 1..n, in any order."""
    array = values.to_numpy()
    return bool(array.min() in (0, 1) and np.ptp(array) == array.size - 1)


def _written(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
