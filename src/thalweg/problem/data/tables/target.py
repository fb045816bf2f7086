"""The target of a table: one column, or several as a column of structures, without its missing rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.data import REGRESSION
from thalweg.problem.data.files.tables import TARGETS, find_columns
from thalweg.problem.data.inputs.column_types import (
    CATEGORY,
    DATE,
    NUMBER,
    Reading,
    Typed,
    plain_text,
    read_column,
    read_columns,
)
from thalweg.problem.data.inputs.new_cells import read_numbers
from thalweg.problem.data.labels import Target, encode, encode_known, is_left_out, without_small_classes
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.tasks import decide, task_notes


def read_target(
    column: pl.Series, typed: Typed | None, options: LoadOptions
) -> tuple[pl.Series, Target, tuple[Note, ...]]:
    """Encode the target column of a table.

    Args:
        column: The column; a target of several columns is one of structures.
        typed: What was read of it; None for structures.
        options: Task, marks of missing values, smallest class.

    Returns:
        (the rows that are used, `row` of bool; their target; notes).

    Raises:
        DataError: The column is empty or constant, holds dates, or does not fit the task.
    """
    present = column.is_not_null() if typed is None else typed.values.is_not_null()
    notes = _missing_note(present, column.name)
    if typed is None:
        raw, classes = _raw_target(column.filter(present), options.missing)
    else:
        reject_dates(typed, column.name)
        raw, classes = present_values(typed), None
    chosen = decide(raw, options.task, table=True)
    target = encode(raw, chosen, column.name, classes=None if chosen == REGRESSION else classes)
    target = replace(target, columns=classes or ())
    notes += task_notes(raw, options.task, column.name, table=True)
    target, rows, small = without_small_classes(target, options.min_class, named=classes is not None)
    used = present.to_numpy().copy()
    used[used] = rows
    return pl.Series(used), target, notes + small


def read_test_target(
    frame: pl.DataFrame, target: Target, marks: tuple[str, ...]
) -> tuple[pl.DataFrame, np.ndarray, tuple[Note, ...]]:
    """Read the target column of a separate test table, and encode it with the classes of training.

    Labels that differ from those of training only by a trailing full stop (as in the Adult test file) are
    read as the same.

    Returns:
        (the rows that have a target, the encoded targets, notes).

    Raises:
        DataError: A label does not occur in training, or a value is not a number.
    """
    who = f"{target.name}, test split"
    frame, notes = _with_target(frame, target, marks)
    frame = _without_left_out(frame, target, marks)
    column, classes = frame[target.name], target.classes
    if isinstance(column.dtype, pl.Struct):
        return frame, encode_known(_raw_target(column, marks, target)[0], target, who), notes
    if classes is None or not isinstance(classes[0], str):
        typed = read_column(column, Reading(marks))
        if typed.kind != NUMBER:
            typed = Typed(NUMBER, read_numbers(column, marks), whole=classes is not None)
        return frame, encode_known(present_values(typed), target, who), notes
    text = plain_text(column, marks, classes).cast(pl.String)
    new = set(text.unique().to_list()) - set(classes)
    by_stem = {label.rstrip("."): label for label in classes}
    if (
        new
        and len(by_stem) == len(classes)
        and {label.rstrip(".") for label in text.unique()} <= set(by_stem)
    ):
        text = text.str.strip_chars_end(".").replace_strict(by_stem, return_dtype=pl.String)
        example = sorted(new)[0]
        known = by_stem[example.rstrip(".")]
        message = f"labels such as {example!r} in the test split were read as {known!r}."
        notes += (Note("labels", message, (target.name,)),)
    return frame, encode_known(present_values(Typed(CATEGORY, text)), target, who), notes


def join_targets(frame: pl.DataFrame, wanted: str | int | None, reading: Reading) -> tuple[pl.DataFrame, str]:
    """Return a table in which the target is one column, and its name.

    Several columns, as in `heat,cool`, become one of structures, named by their names with commas between. A
    row that lacks one of the values has no target.

    Args:
        frame: The table.
        wanted: Name or index of the target, or several with commas between.
        reading: How cells are read.

    Raises:
        DataError: There is no such column, or one of several holds no numbers.
    """
    names = find_columns(frame.columns, wanted)
    if len(names) == 1:
        return frame, names[0]
    typed = read_columns(frame.select(names), reading)
    other = [f"{name} ({each.kind})" for name, each in typed.items() if each.kind != NUMBER]
    if other:
        hint = "give one target column; numbers, such as 0 and 1, may be several"
        raise DataError("target", "several target columns must hold numbers", got=", ".join(other), hint=hint)
    values = pl.DataFrame({name: each.values.cast(pl.Float64) for name, each in typed.items()})
    present = values.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    joined = pl.select(pl.when(present).then(values.to_struct())).to_series()
    return frame.drop(names).with_columns(joined.alias(TARGETS.join(names))), TARGETS.join(names)


def reject_dates(typed: Typed, name: str) -> None:
    """Reject a target column of dates."""
    if typed.kind == DATE:
        hint = "give a column with, for example, the number of days"
        raise DataError("target", "must be numbers or classes", got="dates", where=name, hint=hint)


def present_values(typed: Typed) -> np.ndarray:
    """Return the values of a column that are not missing: text, whole numbers as int64, or float64."""
    values = typed.values.drop_nulls()
    if typed.is_text:
        return np.array(values.to_list(), dtype=str)
    array = values.to_numpy()
    return array.astype(np.int64) if typed.whole and np.array_equal(array, np.round(array)) else array


def _raw_target(
    column: pl.Series, marks: tuple[str, ...], known: Target | None = None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return the values of a target column; of a structure a matrix, and the names of its columns.

    Args:
        column: The column.
        marks: Marks for a missing value.
        known: The target in training, whose columns a structure must have, in any order.
    """
    if not isinstance(column.dtype, pl.Struct):
        typed = read_column(column, Reading(marks))
        reject_dates(typed, column.name)
        return present_values(typed), None
    parts = column.struct.unnest()
    if known is not None and known.columns:
        if set(parts.columns) != set(known.columns):
            rule = f"must have the columns {', '.join(known.columns)}, as in training"
            got, hint = ", ".join(parts.columns), "give the same columns, in any order"
            raise DataError("target", rule, got=got, where=f"{column.name}, test split", hint=hint)
        parts = parts.select(known.columns)
    columns = [
        read_numbers(part.cast(pl.Int8) if part.dtype == pl.Boolean else part, marks) for part in parts
    ]
    missing = sum(part.null_count() for part in columns)
    if missing:
        rule, hint = "several targets must not be missing", "leave those rows out"
        raise DataError("target", rule, got=f"{missing} missing", where=column.name, hint=hint)
    return np.stack([part.to_numpy() for part in columns], axis=1), tuple(parts.columns)


def _without_left_out(frame: pl.DataFrame, target: Target, marks: tuple[str, ...]) -> pl.DataFrame:
    """Return a test table without the rows of classes that training left out."""
    if not target.left_out:
        return frame
    raw, _ = _raw_target(frame[target.name], marks, target)
    if raw.dtype.kind == "U" and isinstance(target.left_out[0], str):
        raw = np.char.rstrip(raw, ".") if not np.isin(raw, target.left_out).any() else raw
    return frame.filter(pl.Series(~is_left_out(raw, target)))


def _with_target(
    frame: pl.DataFrame, target: Target, marks: tuple[str, ...]
) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Return the rows that have a target, and a note on the others."""
    name = target.name
    column = plain_text(
        frame[name], marks, [label for label in target.classes or () if isinstance(label, str)]
    )
    present = (
        column.is_not_null() if not column.dtype.is_float() else column.is_not_null() & column.is_not_nan()
    )
    return frame.filter(present), _missing_note(present, name)


def _missing_note(present: pl.Series, name: str) -> tuple[Note, ...]:
    """Return a note on the rows without a target.

    Raises:
        DataError: No row has one.
    """
    count = int((~present).sum())
    if count == 0:
        return ()
    if count == present.len():
        hint = "choose another target column"
        raise DataError("target", "must have values", got="an empty column", where=name, hint=hint)
    text = f"{count} of {present.len()} rows have no {name}; they were left out."
    return (Note("missing", text, (name,)),)
