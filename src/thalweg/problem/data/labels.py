"""The target: whether it is classes or values, and its encoding, from an array or from the column of a table.

A target without missing values is
- classification if it is text, booleans or categories;
- classification if it is whole numbers, at most 20 distinct, with at least 5 rows each on average;
- classification if it is whole numbers in an array (not a table) that are exactly 0..k-1, with at least 2
  rows each on average;
- regression otherwise.

`task=` overrides this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION
from thalweg.problem.data.inputs.column_types import (
    CATEGORY,
    DATE,
    NUMBER,
    Typed,
    plain_text,
    read_column,
    read_numbers,
)
from thalweg.problem.data.note import Note

# Ratings, digits and grades rarely have more than 20 steps; counts and amounts mostly do.
MAX_WHOLE_CLASSES = 20
ROWS_PER_CLASS = 5
ROWS_PER_CODE = 2


@dataclass(frozen=True)
class Target:
    """An encoded target.

    Args:
        task: `classification` or `regression`.
        values: int32 class numbers, `example`; or float64 values, `example target`.
        classes: Labels by class number; None for regression.
        name: Name of what is predicted.
    """

    task: str
    values: np.ndarray
    classes: tuple[Any, ...] | None = None
    name: str = "target"


def decide(raw: np.ndarray, task: str | None, *, table: bool = False) -> str:
    """Return the task of a target by the rules above."""
    if task is not None:
        return task
    if raw.dtype.kind not in "iuf":
        return CLASSIFICATION
    if raw.ndim > 1 and raw.shape[1] > 1:
        return REGRESSION
    if raw.dtype.kind == "f" and not np.array_equal(raw, np.round(raw)):
        return REGRESSION
    levels = np.unique(raw)
    few = levels.size <= MAX_WHOLE_CLASSES and raw.size >= ROWS_PER_CLASS * levels.size
    codes = not table and raw.dtype.kind in "iu" and np.array_equal(levels, np.arange(levels.size))
    coded = codes and raw.size >= ROWS_PER_CODE * levels.size
    return CLASSIFICATION if few or coded else REGRESSION


def encode(raw: np.ndarray, task: str, name: str, *, classes: Sequence[Any] | None = None) -> Target:
    """Encode the training targets.

    Args:
        raw: Labels or values, `example` or `example target`, without missing ones.
        task: `classification` or `regression`.
        name: Name of the target, for messages.
        classes: Labels by class number, if the set fixes them and `raw` holds the numbers.

    Raises:
        DataError: There is only one class, the target is constant, values are text, labels are fractions, or
            class numbers are outside the fixed ones.
    """
    if task == REGRESSION:
        return Target(task, _values(raw, name), None, name)
    labels = _labels(raw, name)
    if classes is not None:
        return Target(task, _checked_codes(labels, len(classes), name), tuple(classes), name)
    distinct, codes = np.unique(labels, return_inverse=True)
    if distinct.size < 2:
        got = f"{distinct.tolist()[0]!r} in every row" if distinct.size else "no rows"
        rule, hint = "must have at least two classes", "choose another target column"
        raise DataError("target", rule, got=got, where=name, hint=hint)
    return Target(task, codes.astype(np.int32), tuple(distinct.tolist()), name)


def encode_known(raw: np.ndarray, target: Target, name: str) -> np.ndarray:
    """Encode the targets of another split with the classes of the train split.

    Raises:
        DataError: A label does not occur in the train split.
    """
    if target.classes is None:
        return _values(raw, name, allow_constant=True)
    labels = _labels(raw, name)
    if labels.dtype.kind in "iuf" and not isinstance(target.classes[0], (int, float)):
        return _checked_codes(labels, len(target.classes), name)
    number = {label: code for code, label in enumerate(target.classes)}
    unknown = [label for label in np.unique(labels).tolist() if label not in number]
    if unknown:
        rule = "every label must occur in the train split"
        hint = "known are " + ", ".join(map(str, target.classes[:20]))
        raise DataError("target", rule, got=unknown[:5], where=name, hint=hint)
    return np.array([number[label] for label in labels.tolist()], dtype=np.int32)


def check_class_sizes(target: Target) -> None:
    """Reject a class with a single row, which cannot be divided between splits."""
    counts = np.bincount(target.values, minlength=len(target.classes or ()))
    if target.classes is not None and (counts == 1).any():
        label = target.classes[int((counts == 1).argmax())]
        rule = "every class must have at least 2 rows, to be divided between splits"
        hint = "leave the row out, merge the class into another, or use split=time"
        raise DataError("target", rule, got=f"1 row of {label!r}", where=target.name, hint=hint)


def read_target(
    frame: pl.DataFrame, name: str, task: str | None, marks: tuple[str, ...]
) -> tuple[pl.DataFrame, Target, tuple[Note, ...]]:
    """Read and encode the target column of a table.

    Returns:
        (the rows that have a target, the target, notes).

    Raises:
        DataError: The column is empty or constant, holds dates, or does not fit the task.
    """
    frame, notes = _with_target(frame, name, marks)
    typed = read_column(frame[name], marks)
    reject_dates(typed, name)
    raw = present_values(typed)
    return frame, encode(raw, decide(raw, task, table=True), name), notes


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
    frame, notes = _with_target(frame, target.name, marks)
    column, classes = frame[target.name], target.classes
    if classes is None or not isinstance(classes[0], str):
        typed = Typed(NUMBER, read_numbers(column, marks), whole=classes is not None)
        return frame, encode_known(present_values(typed), target, who), notes
    text = plain_text(column, marks).cast(pl.String)
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


def reject_dates(typed: Typed, name: str) -> None:
    """Reject a target column of dates."""
    if typed.kind == DATE:
        hint = "give a column with, for example, the number of days"
        raise DataError("target", "must be numbers or classes", got="dates", where=name, hint=hint)


def present_values(typed: Typed) -> np.ndarray:
    """Return the values of a column that are not missing: text, whole numbers as int64, or float64."""
    values = typed.values.drop_nulls()
    if typed.kind == CATEGORY:
        return np.array(values.to_list(), dtype=str)
    array = values.to_numpy()
    return array.astype(np.int64) if typed.whole and np.array_equal(array, np.round(array)) else array


def _with_target(
    frame: pl.DataFrame, name: str, marks: tuple[str, ...]
) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Return the rows that have a target, and a note on the others."""
    column = plain_text(frame[name], marks)
    missing = column.is_null() if not column.dtype.is_float() else column.is_null() | column.is_nan()
    count = int(missing.fill_null(True).sum())
    if count == 0:
        return frame, ()
    if count == frame.height:
        hint = "choose another target column"
        raise DataError("target", "must have values", got="an empty column", where=name, hint=hint)
    text = f"{count} of {frame.height} rows have no {name}; they were left out."
    return frame.filter(~missing), (Note("missing", text, (name,)),)


def _labels(raw: np.ndarray, name: str) -> np.ndarray:
    labels = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if labels.ndim != 1:
        rule, hint = "class labels must be one for each row", "give class numbers, not one-hot rows"
        raise DataError("target", rule, got=f"shape {labels.shape}", where=name, hint=hint)
    if labels.dtype.kind == "f":
        fractions = labels[labels != np.round(labels)]
        if fractions.size:
            rule, hint = "class labels must be whole numbers or text", "use task=regression for values"
            raise DataError("target", rule, got=float(fractions[0]), where=name, hint=hint)
        return labels.astype(np.int64)
    return labels if labels.dtype.kind in "iub" else labels.astype(str)


def _checked_codes(labels: np.ndarray, count: int, name: str) -> np.ndarray:
    outside = labels[(labels < 0) | (labels >= count)]
    if outside.size:
        rule = f"class numbers must lie in 0..{count - 1}"
        where = f"{name}: {outside.size} of {labels.size} rows"
        hint = "check that the label file belongs to these examples"
        raise DataError("target", rule, got=int(outside[0]), where=where, hint=hint)
    return labels.astype(np.int32)


def _values(raw: np.ndarray, name: str, *, allow_constant: bool = False) -> np.ndarray:
    if raw.dtype.kind not in "iufb":
        rule = "must be numbers for regression"
        got = str(raw.reshape(-1)[0]) if raw.size else None
        hint = "leave out task, or use task=classification"
        raise DataError("target", rule, got=got, where=name, hint=hint)
    values = raw.astype(np.float64)
    values = values[:, None] if values.ndim == 1 else values
    constant = [i for i in range(values.shape[1]) if values.shape[0] and np.ptp(values[:, i]) == 0]
    if constant and not allow_constant:
        rule = "must vary"
        got = f"{float(values[0, constant[0]])} in every row"
        raise DataError("target", rule, got=got, where=name, hint="choose another target column")
    return values
