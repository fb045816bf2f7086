"""The task, from the target: whether it is classes, several labels, or values, and what is said about it.

A target without missing values is
- classification if it is text, booleans or categories;
- classification if it is whole numbers, at most 10 distinct, with at least 5 rows each on average; also up to
  20 distinct if none has more than three times the rows of another, as codes of classes in a planned sample,
  while grades and counts thin out towards their ends;
- classification if it is whole numbers in an array (not a table) that are exactly 0..k-1, with at least 2
  rows each on average;
- classification if it is 0, 1/255, ..., (k-1)/255, class numbers that were divided with the pixels;
- classification if it is a matrix of zeros and a single one in each row (one-hot);
- multi-label if it is any other matrix of zeros and ones;
- regression otherwise.

`task=` overrides this; where numbers could mean either, a note says so. Targets are never standardised unless
they are values.
"""

import numpy as np

from thalweg.problem.data.data import CLASSIFICATION, MULTILABEL, REGRESSION
from thalweg.problem.data.note import Note, guess

# Digits and ratings have up to 10 steps; grades from 0 to 20 and counts more, with few rows at their ends (in
# the UCI table of student performance 18 final grades with 1 to 56 rows each), where coded classes (vowel,
# texture and libras: 11, 11 and 15 of equal size) are balanced.
MAX_DIGITS = 10
MAX_WHOLE_CLASSES = 20
MAX_IMBALANCE = 3
ROWS_PER_CLASS = 5
ROWS_PER_CODE = 2
# Whole numbers taken as values get a note up to this many distinct ones: codes of towns, products, species.
MAX_NOTED_VALUES = 100
PIXEL = 1 / 255


def decide(raw: np.ndarray, task: str | None, *, table: bool = False) -> str:
    """Return the task of a target by the rules above.

    Args:
        raw: Labels or values, `example` or `example target`, without missing ones.
        task: As the user gave it. A matrix of zeros and ones with several ones in a row is multi-label even
            if the user calls it a classification.
        table: Whether it is a column of a table.
    """
    if task == REGRESSION:
        return task
    if raw.ndim > 1 and raw.shape[1:] != (1,) and raw.dtype.kind in "iufb":
        if raw.ndim > 2 or not is_binary(raw) or not raw.any():
            return task or REGRESSION
        return CLASSIFICATION if is_one_hot(raw) else MULTILABEL
    if task is not None or raw.dtype.kind not in "iuf":
        return CLASSIFICATION
    levels, counts = np.unique(raw, return_counts=True)
    few = levels.size <= MAX_WHOLE_CLASSES and raw.size >= ROWS_PER_CLASS * levels.size
    if not _is_whole(levels):
        return CLASSIFICATION if few and _are_pixel_codes(levels) else REGRESSION
    codes = not table and raw.dtype.kind in "iu" and np.array_equal(levels, np.arange(levels.size))
    coded = codes and raw.size >= ROWS_PER_CODE * levels.size
    digits = few and (levels.size <= MAX_DIGITS or counts.max() <= MAX_IMBALANCE * counts.min())
    return CLASSIFICATION if digits or coded else REGRESSION


def task_notes(raw: np.ndarray, asked: str | None, name: str, *, table: bool = False) -> tuple[Note, ...]:
    """Say how numbers were read that could as well be read otherwise, and how to change it.

    Args:
        raw: As for `decide`.
        asked: The task that the user gave; then only a change of form is noted.
        name: Name of the target.
        table: As for `decide`.
    """
    matrix = raw.ndim > 1 and raw.shape[1:] != (1,)
    task = decide(raw, asked, table=table)
    if raw.ndim == 2 and matrix and raw.dtype.kind in "iufb" and is_binary(raw) and task != REGRESSION:
        if task == CLASSIFICATION:
            text = f"{name} has a single 1 in each row of {raw.shape[1]} columns; the column is the class."
        else:
            several = int((raw.sum(axis=1) > 1).sum())
            text = (
                f"{name} is {raw.shape[1]} columns of 0 and 1, with several ones in {several} of "
                f"{len(raw)} rows: labels that do not exclude each other (multi-label)."
            )
        return (guess("task", text, (name,), task=REGRESSION),)
    # Label files (idx, binary batches) have a byte for each class number; counts come in wider types.
    label_file = not table and raw.dtype == np.uint8 and task == CLASSIFICATION
    if matrix or asked is not None or raw.dtype.kind not in "iuf" or label_file:
        return ()
    return _number_notes(np.unique(raw), raw.size, name, task)


def _number_notes(levels: np.ndarray, count: int, name: str, task: str) -> tuple[Note, ...]:
    """Note numbers that could be classes or values."""
    few = levels.size <= MAX_WHOLE_CLASSES and count >= ROWS_PER_CLASS * levels.size
    ends = f"{name} takes {levels.size} values from {levels[0]:g} to {levels[-1]:g}"
    if not _is_whole(levels):
        if few and _are_pixel_codes(levels):
            text = f"{ends} in steps of 1/255, like class numbers divided by 255; they are taken as classes."
            return (guess("task", text, (name,), task=REGRESSION),)
        if few and _is_evenly_spaced(levels):
            text = f"{ends}, evenly spaced; they are taken as values, not as classes."
            return (guess("task", text, (name,), task=CLASSIFICATION),)
        return ()
    if levels.size <= 2 and (task == CLASSIFICATION or set(levels.tolist()) == {0, 1}):
        return ()
    if task == CLASSIFICATION:
        text = f"{ends}, all whole numbers; they are taken as classes."
        return (guess("task", text, (name,), task=REGRESSION),)
    repeated = levels.size <= MAX_NOTED_VALUES and count >= ROWS_PER_CODE * levels.size
    counted = levels[0] in (0, 1) and np.array_equal(np.diff(levels), np.ones(levels.size - 1))
    few = levels.size <= (MAX_DIGITS if counted else min(MAX_WHOLE_CLASSES, count - 1))
    if repeated or few:
        text = f"{ends}, all whole numbers; they are taken as values, not as classes."
        return (guess("task", text, (name,), task=CLASSIFICATION),)
    return ()


def is_binary(raw: np.ndarray) -> bool:
    """Return whether all values are 0 or 1."""
    return bool(((raw == 0) | (raw == 1)).all())


def is_one_hot(raw: np.ndarray) -> bool:
    """Return whether a matrix, `example class`, has a single 1 in each row and otherwise zeros."""
    return len(raw) > 0 and is_binary(raw) and bool((raw.sum(axis=1) == 1).all())


def _is_whole(levels: np.ndarray) -> bool:
    return levels.dtype.kind != "f" or np.array_equal(levels, np.round(levels))


def _is_evenly_spaced(levels: np.ndarray) -> bool:
    """Return whether there are at least three levels at equal distances, as far as float32 can tell."""
    steps = np.diff(levels.astype(np.float64))
    return levels.size >= 3 and bool(np.ptp(steps) <= 1e-6 * np.abs(levels).max())


def _are_pixel_codes(levels: np.ndarray) -> bool:
    """Return whether the levels are 0, 1/255, 2/255, ... without a gap."""
    return levels.size >= 2 and bool(np.allclose(levels, np.arange(levels.size) * PIXEL, rtol=1e-5, atol=0))
