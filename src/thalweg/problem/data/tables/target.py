"""The target column of a table: found by name or index, read, and encoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thalweg.core.errors import DataError, did_you_mean
from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.column_types import (
    CATEGORY,
    DATE,
    NUMBER,
    numbers_from,
    plain_text,
    read_column,
)
from thalweg.problem.data.labels import Target, decide, encode, encode_known
from thalweg.problem.data.note import Note


def find_column(columns: Sequence[str], wanted: str | int | None, who: str = "target") -> str:
    """Return the name of a column given by name or by index.

    Raises:
        DataError: None is given, or there is no such column (with the nearest name).
    """
    if wanted is None:
        raise DataError(
            "target",
            "a table needs the column to predict",
            where=f"columns {', '.join(columns[:20])}",
            hint=f"for example target={columns[-1]!r}, the last column",
        )
    if isinstance(wanted, str) and wanted in columns:
        return wanted
    trimmed = [name for name in columns if isinstance(wanted, str) and name.strip() == wanted.strip()]
    if trimmed:
        return trimmed[0]
    index = _index(wanted)
    if index is not None and -len(columns) <= index < len(columns):
        return columns[index]
    if index is not None:
        rule = f"the index must lie in 0..{len(columns) - 1}"
        raise DataError(who, rule, got=wanted, hint=f"the last column is {len(columns) - 1}, {columns[-1]!r}")
    raise DataError(who, "must be a column of the table", got=wanted, hint=did_you_mean(str(wanted), columns))


def read_target(series: pl.Series, task: str | None, marks: tuple[str, ...]) -> Target:
    """Read and encode the target of the training table; nothing in it is missing.

    Raises:
        DataError: It holds dates, is constant, or does not fit the task.
    """
    typed = read_column(series, marks)
    if typed.kind == DATE:
        raise DataError(
            "target",
            "must be numbers or classes",
            got="dates",
            where=series.name,
            hint="give a column with, for example, the number of days",
        )
    raw = _raw(typed.values, typed.kind, typed.whole)
    return encode(raw, decide(raw, task, table=True), series.name)


def read_known(
    series: pl.Series, target: Target, marks: tuple[str, ...], who: str
) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Encode the target of another table with the classes of training; nothing in it is missing.

    Labels that differ from the training ones by a full stop at the end only (as in the Adult test file)
    are taken for the same.

    Raises:
        DataError: A label that training lacks, or text among values.
    """
    classes = target.classes
    if classes is None or not isinstance(classes[0], str):
        values = numbers_from(series, marks)
        whole = classes is not None
        return encode_known(_raw(values, NUMBER, whole), target, who), ()
    text = plain_text(series, marks).cast(pl.String)
    found = set(text.unique().to_list())
    notes: tuple[Note, ...] = ()
    by_stem = {label.rstrip("."): label for label in classes}
    if (
        not found <= set(classes)
        and len(by_stem) == len(classes)
        and {x.rstrip(".") for x in found} <= set(by_stem)
    ):
        text = text.str.strip_chars_end(".").replace_strict(by_stem, return_dtype=pl.String)
        example = sorted(found - set(classes))[0]
        told = f"labels such as {example!r} in the test part were read as {by_stem[example.rstrip('.')]!r}."
        notes = (Note("labels", told, (series.name,)),)
    return encode_known(_raw(text, CATEGORY, False), target, who), notes


def present_rows(
    frame: pl.DataFrame, target: str, marks: tuple[str, ...]
) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Leave out the rows without a target, and say so.

    Raises:
        DataError: No row has one.
    """
    column = plain_text(frame[target], marks)
    absent = column.is_null() if not column.dtype.is_float() else column.is_null() | column.is_nan()
    count = int(absent.fill_null(True).sum())
    if count == 0:
        return frame, ()
    if count == frame.height:
        raise DataError(
            "target", "must have values", got="an empty column", where=target, hint="choose another column"
        )
    text = f"{count} of {frame.height} rows have no {target}; they were left out."
    return frame.filter(~absent), (Note("missing", text, (target,)),)


def _raw(values: pl.Series, kind: str, whole: bool) -> np.ndarray:
    if kind == CATEGORY:
        return np.array(values.to_list(), dtype=str)
    array = values.to_numpy()
    return array.astype(np.int64) if whole and np.array_equal(array, np.round(array)) else array


def _index(wanted: str | int) -> int | None:
    try:
        return int(wanted)
    except ValueError:
        return None
