"""JSON Lines: a table with an object on every line, in UTF-8 (jsonlines.org; NDJSON is the same)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.note import Note, guess

SUFFIXES = (".jsonl", ".ndjson")
# Whole numbers beyond these do not fit the 64 bits of a column.
_LEAST, _MOST = -(2**63), 2**63 - 1
_RULE = 'every line must be a JSON object, such as {"a": 1, "b": "x"}'


def read_json_lines(content: bytes, path: Path, first: int = 1) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Return the table in the content of a JSON Lines file, and notes.

    The columns are the names of all objects, in the order in which they occur; an object without one of them
    has a missing value there. Whole numbers and others become numbers, values of several types become text.
    Objects and lists stay nested.

    Args:
        content: The bytes of the file.
        path: For messages.
        first: Number of the first line, for messages.

    Raises:
        DataError: A line is no JSON object (its number is named), or there is none.
    """
    columns: dict[str, list[Any]] = {}
    rows = 0
    for number, line in _lines(content, path, first):
        for name, value in _object(line, number, path).items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * rows
            column.append(value)
        rows += 1
        for column in columns.values():
            if len(column) < rows:
                column.append(None)
    if not rows:
        raise DataError(
            "table", "the file must hold rows", got="no line", where=path, hint="give another file"
        )
    notes: list[Note] = []
    return pl.DataFrame([_series(name, values, notes) for name, values in columns.items()]), tuple(notes)


def _lines(content: bytes, path: Path, first: int) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = first + content[: error.start].count(b"\n")
        rule, hint = "JSON must be UTF-8", "save the file in UTF-8"
        got = f"byte 0x{content[error.start]:02x}"
        raise DataError("table", rule, got=got, where=f"{path}, line {line}", hint=hint) from error
    for number, line in enumerate(text.split("\n"), first):
        if line.strip():
            yield number, line


def _object(line: str, number: int, path: Path) -> dict[str, Any]:
    where = f"{path}, line {number}"
    try:
        value = json.loads(line)
    except RecursionError:
        hint = "take the values out of their lists first"
        raise DataError("table", _RULE, got="values nested too deeply", where=where, hint=hint) from None
    except ValueError as error:  # also a number of too many digits
        got = f"{str(error).split(': line')[0]}: {_shown(line)}"
        hint = "the line is cut or damaged; correct it or leave it out"
        raise DataError("table", _RULE, got=got, where=where, hint=hint) from error
    if not isinstance(value, dict):
        hint = "write each row on a line of its own, as an object with the names of the columns"
        raise DataError("table", _RULE, got=_shown(line), where=where, hint=hint)
    return value


def _shown(line: str) -> str:
    line = line.strip()
    return line if len(line) <= 60 else f"{line[:57]}..."


def _series(name: str, values: list[Any], notes: list[Note]) -> pl.Series:
    """Return a column of one type; values of several types become text, noted."""
    kinds = _kinds(values)
    if kinds == {float, int}:
        return pl.Series(name, [None if v is None else float(v) for v in values], dtype=pl.Float64)
    if kinds == {int} and all(v is None or _LEAST <= v <= _MOST for v in values):
        return pl.Series(name, values, dtype=pl.Int64)
    if len(kinds) == 1 and kinds != {int}:
        try:
            return pl.Series(name, values, strict=True)
        except (TypeError, OverflowError, pl.exceptions.PolarsError):
            kinds = set()  # inner values of several types
    if kinds == {int}:
        return pl.Series(name, [None if v is None else str(v) for v in values], dtype=pl.String)
    shown = " and ".join(sorted({_NAMES.get(kind, kind.__name__) for kind in _kinds(values)}))
    text = f"{name} holds {shown}; it was read as text."
    numbers = kinds & {int, float}
    notes.append(
        guess("mixed", text, (name,), types={name: "number"}) if numbers else Note("mixed", text, (name,))
    )
    return pl.Series(name, [_as_text(value) for value in values], dtype=pl.String)


_NAMES = {
    int: "numbers",
    float: "numbers",
    str: "text",
    bool: "true or false",
    dict: "objects",
    list: "lists",
}


def _kinds(values: Iterable[Any]) -> set[type]:
    return {type(value) for value in values if value is not None}


def _as_text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
