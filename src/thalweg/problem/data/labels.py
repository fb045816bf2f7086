"""The target's encoding: class numbers, labels or values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thalweg.core.caller import option, option_name
from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION, MULTILABEL, REGRESSION
from thalweg.problem.data.note import Note
from thalweg.problem.data.tasks import (
    MAX_WHOLE_CLASSES,
    ROWS_PER_CLASS,
    is_binary,
    is_one_hot,
)

# From this ratio of the largest class to the smallest on, accuracy alone misleads.
IMBALANCE = 3.0
# In fewer rows all labels may differ by chance.
MIN_IDENTIFIER_ROWS = 20


@dataclass(frozen=True)
class Target:
    """An encoded target.

    Args:
        task: `classification`, `regression` or `multilabel`.
        values: int32 class numbers, `example`; or float64 values, or zeros and ones, `example target`.
        classes: Labels by class number, or the names of several labels; None for regression.
        name: Name of what is predicted.
        left_out: Labels, as the data have them, of classes that were left out as too small.
        columns: Names of several target columns.
    """

    task: str
    values: np.ndarray
    classes: tuple[Any, ...] | None = None
    name: str = "target"
    left_out: tuple[Any, ...] = ()
    columns: tuple[str, ...] = ()


def encode(raw: np.ndarray, task: str, name: str, *, classes: Sequence[Any] | None = None) -> Target:
    """Encode the training targets.

    Args:
        raw: Labels or values, `example` or `example target`, without missing ones.
        task: `classification`, `regression` or `multilabel`.
        name: Name of the target, for messages.
        classes: Labels by class number, if the set fixes them and `raw` holds the numbers; names of the
            columns of several targets.

    Raises:
        DataError: There is only one class, the target is constant, values are text, labels are fractions, or
            class numbers are outside the fixed ones.
    """
    if task == REGRESSION:
        return Target(task, _values(raw, name), None, name)
    if task == MULTILABEL:
        labels = range(raw.shape[1]) if classes is None else classes
        return Target(task, raw.astype(np.float64), tuple(labels), name)
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
        DataError: A label does not occur in the train split, or targets have another number of columns.
    """
    if target.classes is None or target.task == MULTILABEL:
        values = _values(raw, name, allow_constant=True)
        _check_columns(values, target, name)
        return values
    labels = _labels(raw, name, known=True)
    if labels.dtype.kind in "iuf" and not isinstance(target.classes[0], (int, float)):
        every = np.arange(len(target.classes) + len(target.left_out))
        codes = np.cumsum(~np.isin(every, target.left_out)) - 1
        return codes[_checked_codes(labels, every.size, name)].astype(np.int32)
    number = {label: code for code, label in enumerate(target.classes)}
    unknown = [label for label in np.unique(labels).tolist() if label not in number]
    if unknown:
        rule = "every label must occur in the train split"
        hint = "known are " + ", ".join(map(str, target.classes[:20]))
        raise DataError("target", rule, got=unknown[:5], where=name, hint=hint)
    return np.array([number[label] for label in labels.tolist()], dtype=np.int32)


def without_small_classes(
    target: Target, least: int, named: bool = False
) -> tuple[Target, np.ndarray, tuple[Note, ...]]:
    """Leave out the rows of classes with fewer rows than `least`.

    Args:
        target: All rows.
        least: `min_class` of the options; 1 leaves out nothing.
        named: Whether the classes are names and the data hold their numbers.

    Returns:
        (the target of the rows that stay, which rows stay, `example` of bool, notes).

    Raises:
        DataError: The target has no classes, or fewer than two classes have enough rows.
    """
    every = np.ones(target.values.shape[0], bool)
    if least <= 1:
        return target, every, ()
    if target.task != CLASSIFICATION or target.classes is None:
        hint = f"leave it out, or use {option('task', CLASSIFICATION)}"
        raise DataError("load", "min_class is for classes", got=target.task, where=target.name, hint=hint)
    counts = np.bincount(target.values, minlength=len(target.classes))
    stays = counts >= least
    if stays.all():
        return target, every, ()
    if stays.sum() < 2:
        got = f"{int(stays.sum())} of {stays.size} classes"
        rule, hint = (
            f"at least two classes must have {least} rows",
            f"use a smaller {option_name('min_class')}",
        )
        raise DataError("target", rule, got=got, where=target.name, hint=hint.removesuffix("="))
    rows = stays[target.values]
    small = np.flatnonzero(~stays)
    labels = [target.classes[i] for i in small]
    classes = tuple(label for label, stay in zip(target.classes, stays, strict=True) if stay)
    text = (
        f"{int((~rows).sum())} rows of {plural_classes(len(labels))} with fewer than {least} rows were left "
        f"out: {listed(labels)}."
    )
    codes = (np.cumsum(stays) - 1)[target.values[rows]].astype(np.int32)
    left_out = tuple(small.tolist()) if named else tuple(labels)
    kept = replace(target, values=codes, classes=classes, left_out=left_out)
    return kept, rows, (Note("rare", text, (target.name,)),)


def is_left_out(raw: np.ndarray, target: Target) -> np.ndarray:
    """Return which labels of another split are of classes that were left out, `example` of bool."""
    if not target.left_out:
        return np.zeros(raw.shape[0], bool)
    return np.isin(_labels(raw, target.name, known=True), np.array(target.left_out))


def check_class_sizes(target: Target) -> None:
    """Reject classes with a single row, which cannot be divided between splits; all of them are named."""
    if target.classes is None:
        return
    counts = np.bincount(target.values, minlength=len(target.classes))
    lone = [target.classes[i] for i in np.flatnonzero(counts == 1)]
    if lone:
        rule = "every class must have at least 2 rows, to be divided between splits"
        hint = f"leave such rows out with {option('min_class', 2)}, merge the classes into others, or use "
        hint += option("split", "time")
        got = f"1 row of {lone[0]!r}" if len(lone) == 1 else f"{len(lone)} classes with 1 row"
        where = target.name if len(lone) == 1 else f"{target.name}: {listed(lone)}"
        raise DataError("target", rule, got=got, where=where, hint=hint)


def reject_identifier(target: Target) -> None:
    """Reject labels that nearly all differ: names or numbers of the rows, not classes.

    Raises:
        DataError: There are as many classes as rows; or in 20 rows or more, more than half as many.
    """
    if target.task != CLASSIFICATION or target.classes is None:
        return
    rows, distinct = target.values.size, np.unique(target.values).size
    if distinct == rows or (rows >= MIN_IDENTIFIER_ROWS and distinct > rows / 2):
        rule = "must have classes that repeat, and this looks like an identifier of the rows"
        hint = f"choose another target column, or use {option('task', REGRESSION)} if it is a number"
        got = f"{distinct} different labels in {rows} rows"
        raise DataError("target", rule, got=got, where=target.name, hint=hint)


def imbalance(codes: np.ndarray, classes: tuple[Any, ...]) -> tuple[Note, ...]:
    """Note classes of which one is much larger than another."""
    counts = np.bincount(codes, minlength=len(classes))
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    if counts[largest] < IMBALANCE * counts[smallest]:
        return ()
    most, least = counts[largest] / codes.size, counts[smallest] / codes.size
    text = (
        f"class {classes[largest]} has {most:.1%} of the training rows, class {classes[smallest]} "
        f"{least:.1%}: always predicting {classes[largest]} would be right in {most:.1%}."
    )
    return (Note("imbalance", text),)


def constant_labels(values: np.ndarray, labels: tuple[Any, ...]) -> tuple[Note, ...]:
    """Note labels that are the same in every training row."""
    constant = [str(labels[i]) for i in np.flatnonzero(np.ptp(values, axis=0) == 0)]
    if not constant:
        return ()
    text = (
        f"labels that are the same in every training row, so nothing is learned of them: {listed(constant)}."
    )
    return (Note("constant", text, tuple(constant)),)


def _labels(raw: np.ndarray, name: str, known: bool = False) -> np.ndarray:
    """Return one label for each row; `known`: they are compared with those of training, so fractions pass."""
    labels = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if labels.ndim == 2 and labels.dtype.kind in "iufb" and is_one_hot(labels):
        return labels.argmax(axis=1)
    if labels.ndim != 1:
        rule, hint = "class labels must be one for each row", "give class numbers, or rows with a single 1"
        raise DataError("target", rule, got=f"shape {labels.shape}", where=name, hint=hint)
    if labels.dtype.kind == "f":
        fractions = labels[labels != np.round(labels)]
        if not fractions.size:
            return labels.astype(np.int64)
        levels = np.unique(labels)
        if not known and (levels.size > MAX_WHOLE_CLASSES or labels.size < ROWS_PER_CLASS * levels.size):
            rule = "class labels must be whole numbers or text"
            few = f"up to {MAX_WHOLE_CLASSES} that repeat may be fractions"
            where = f"{name}: {levels.size} different ones; {few}"
            hint = f"use {option('task', REGRESSION)} for values"
            raise DataError("target", rule, got=float(fractions[0]), where=where, hint=hint)
        return labels
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
        hint = f"leave out task, or use {option('task', CLASSIFICATION)}"
        raise DataError("target", rule, got=got, where=name, hint=hint)
    values = raw.astype(np.float64)
    values = values[:, None] if values.ndim == 1 else values
    constant = [i for i in range(values.shape[1]) if values.shape[0] and np.ptp(values[:, i]) == 0]
    if constant and not allow_constant:
        rule = "must vary"
        got = f"{float(np.ravel(values[:, constant[0]])[0])} in every row"
        raise DataError("target", rule, got=got, where=name, hint="choose another target column")
    return values


def _check_columns(values: np.ndarray, target: Target, name: str) -> None:
    if values.shape[1:] != target.values.shape[1:]:
        rule = f"targets must have {target.values.shape[1]} columns, as in training"
        hint = "check that both splits were made in the same way"
        raise DataError("target", rule, got=values.shape[1], where=name, hint=hint)
    if target.task == MULTILABEL and not is_binary(values):
        wrong = values[(values != 0) & (values != 1)]
        hint = "check that both splits were made in the same way"
        raise DataError(
            "target", "labels must be 0 or 1, as in training", got=float(wrong[0]), where=name, hint=hint
        )


def plural_classes(count: int) -> str:
    """Write a number of classes."""
    return "1 class" if count == 1 else f"{count} classes"


def listed(names: Sequence[Any], most: int = 50) -> str:
    """Write names one after another; beyond `most` only how many more there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
