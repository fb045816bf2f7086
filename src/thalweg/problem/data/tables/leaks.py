"""Columns from which the target follows, and targets that only number the rows.

A column that is not known at prediction time makes a test score worthless. Three kinds are looked for, on at
most 20,000 rows: a column that alone predicts the target (a copy under another code, the same in another
unit, its logarithm), columns of which the target is a sum or another linear combination, and a target that is
an identifier.
"""

from __future__ import annotations

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION
from thalweg.problem.data.inputs.column_types import NUMBER, Typed
from thalweg.problem.data.labels import Target, reject_identifier
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.tables.codes import half_of
from thalweg.problem.data.tables.columns import ID_NAME, MIN_ID_ROWS

# A column leaks if it alone removes this share of the error of the best constant prediction.
SUSPICIOUS = 0.98
BINS = 64  # a straight line in 64 steps leaves 1/64^2 of the variance, far below what is tested for
MIN_LEAK_ROWS = 50  # fewer, and half of them are too few to tell a leak from chance
MAX_LEAK_ROWS = 20_000  # a check, not a fit: more rows would not change the answer
# What a rounded sum leaves: an error of a thousandth of the target's standard deviation.
EXACT = 1 - 1e-6
MAX_COMBINED = 100  # columns; their least squares take less than a tenth of a second


def check_target(target: Target, options: LoadOptions) -> None:
    """Reject a target that is an identifier of the rows.

    Raises:
        DataError: Nearly all class labels differ; or a number that nobody called a value is a row number, or
            is named like an identifier and differs in every row.
    """
    if options.separate_test is None:
        reject_identifier(target)
    if target.task != REGRESSION or options.task is not None or target.values.shape[1] > 1:
        return
    values = target.values[:, 0]
    if (
        values.size < MIN_ID_ROWS
        or np.unique(values).size < values.size
        or (values != np.round(values)).any()
    ):
        return
    numbers_rows = np.array_equal(values, np.arange(values.size) + values[0]) and values[0] in (0, 1)
    if numbers_rows or ID_NAME.search(target.name):
        rule = "must be something to predict, and this column looks like an identifier of the rows"
        got = f"whole numbers that all differ, from {values.min():.0f} to {values.max():.0f}"
        hint = f"choose another target column, or use {option('task', REGRESSION)}"
        raise DataError("target", rule, got=got, where=target.name, hint=hint)


def leaks(columns: dict[str, Typed], target: Target) -> tuple[Note, ...]:
    """Note columns from which the target follows almost perfectly.

    Predictions are fitted on every other row and tested on the rest. Such columns are not dropped: only the
    user knows whether a column is available at prediction time.
    """
    count = target.values.shape[0]
    if len(columns) < 2 or count < MIN_LEAK_ROWS:
        return ()
    rows = np.linspace(0, count - 1, min(count, MAX_LEAK_ROWS)).astype(int)
    notes = []
    for name, typed in columns.items():
        relation = _relation(typed, target, rows)
        if relation:
            text = f"{name} {relation}: is it known at prediction time?"
            notes.append(Note("leak", text, (name,)))
    return (*notes, *_combination(columns, target, rows))


def _relation(typed: Typed, target: Target, rows: np.ndarray) -> str:
    """Return in words how the target follows from one column; empty if it does not."""
    bins = _bins(typed, target)[rows]
    if _is_copy(bins, target, rows):
        return f"is a copy of {target.name} under other names, one for each class"
    x = _numbers(typed)[rows] if not typed.is_text else np.full(rows.size, np.nan)
    exact = _exact_form(x, _as_numbers(target, rows)) if target.task == REGRESSION else ""
    if exact:
        return f"alone gives {target.name} exactly, as {exact}"
    removed = max(_removed_by_line(x, target, rows), _removed_by_bins(bins, target, rows))
    if removed < SUSPICIOUS:
        return ""
    return f"alone removes {removed:.1%} of the error in predicting {target.name}"


def _exact_form(x: np.ndarray, y: np.ndarray | None) -> str:
    """Return the form `y = f(x)` that holds exactly; empty if none of those tried does.

    A unit changes by a factor and a constant (Celsius), by a power (miles per gallon and litres per 100 km),
    or by a logarithm (decibels).
    """
    if y is None:
        return ""
    forms = {"a multiple of it plus a constant": (x, y)}
    with np.errstate(divide="ignore", invalid="ignore"):
        log_x, log_y = np.log(x), np.log(y)
    if not np.isinf(log_x).any() and not (x < 0).any():
        forms["a multiple of its logarithm plus a constant"] = (log_x, y)
    if np.isfinite(log_y).all():
        forms["an exponential function of it"] = (x, log_y)
        if len(forms) > 2:
            forms["a multiple of a power of it"] = (log_x, log_y)
    return next((name for name, (u, v) in forms.items() if _line_removes(u, v[:, None]) >= EXACT), "")


def _is_copy(bins: np.ndarray, target: Target, rows: np.ndarray) -> bool:
    """Return whether each of several values goes with one class, and each class with one value."""
    if target.task != CLASSIFICATION:
        return False
    pairs = np.unique(np.stack([bins, target.values[rows]]), axis=1)
    values, classes = (np.unique(side).size for side in pairs)
    return pairs.shape[1] == values == classes > 2


def _combination(columns: dict[str, Typed], target: Target, rows: np.ndarray) -> tuple[Note, ...]:
    """Note columns whose linear combination is the target, such as the parts of a sum."""
    y = _as_numbers(target, rows)
    numbers = {name: _numbers(typed)[rows] for name, typed in columns.items() if typed.kind == NUMBER}
    complete = {name: x for name, x in numbers.items() if not np.isnan(x).any()}
    for candidates in (numbers, complete):
        if y is None or not 2 <= len(candidates) <= MAX_COMBINED:
            continue
        table = np.stack(list(candidates.values()), axis=1)
        present = ~np.isnan(table).any(axis=1)
        if present.sum() >= MIN_LEAK_ROWS:
            used = _combined(table[present], y[present])
            if len(used) >= 2:
                names = tuple(list(candidates)[i] for i in used)
                text = (
                    f"{target.name} is exactly a sum of multiples of {', '.join(names)}: are all of them "
                    "known at prediction time?"
                )
                return (Note("leak", text, names),)
            return ()
    return ()


def _as_numbers(target: Target, rows: np.ndarray) -> np.ndarray | None:
    """Return one number for each of some rows: a value, or the class where classes are numbers; else None."""
    if target.task == REGRESSION:
        return target.values[rows, 0] if target.values.shape[1] == 1 else None
    classes = target.classes or ()
    if target.task != CLASSIFICATION or not all(isinstance(label, (int, float)) for label in classes):
        return None
    return np.array(classes, float)[target.values[rows]]


def _combined(table: np.ndarray, y: np.ndarray) -> list[int]:
    """Return the columns that take part in a linear fit which is exact on other rows; none if it is not."""
    scale = table.std(axis=0)
    varies = np.flatnonzero(scale > 0)
    x = (table - table.mean(axis=0))[:, varies] / scale[varies]
    y = y - y.mean()
    fitted = half_of(y.size)
    x = np.column_stack([x, np.ones(y.size)])
    weights = np.linalg.lstsq(x[fitted], y[fitted], rcond=None)[0]
    error = y[~fitted] - x[~fitted] @ weights
    if _removed(np.sum(error**2), np.sum((y[~fitted] - y[fitted].mean()) ** 2)) < EXACT:
        return []
    # What takes part moves the target by more than the error that still counts as exact.
    return varies[np.abs(weights[:-1]) > 10 * np.sqrt(1 - EXACT) * y.std()].tolist()


def _numbers(typed: Typed) -> np.ndarray:
    return typed.values.to_physical().cast(float).to_numpy()


def _bins(typed: Typed, target: Target) -> np.ndarray:
    """Return a small number for each row: of its category, code or quantile; 0 for missing."""
    if typed.is_text:
        return typed.values.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    values = _numbers(typed)
    present = values[~np.isnan(values)]
    edges = np.unique(present)
    if edges.size > max(BINS, 2 * len(target.classes or ())):  # so many values may be codes of the classes
        edges = np.quantile(present, np.arange(1, BINS) / BINS)
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right") + 1)


def _removed_by_bins(bins: np.ndarray, target: Target, rows: np.ndarray) -> float:
    """Return the share of the best constant's error that one prediction per bin removes, on other rows."""
    y, fitted = target.values[rows], half_of(rows.size)
    tested = ~fitted
    if target.task == CLASSIFICATION:
        width = len(target.classes or ())
        table = np.zeros((bins.max() + 1, width))
        np.add.at(table, (bins[fitted], y[fitted]), 1)
        constant = np.bincount(y[fitted], minlength=width).argmax()
        predictions = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), constant)
        return _removed(np.mean(predictions[bins[tested]] != y[tested]), np.mean(constant != y[tested]))
    sizes = np.bincount(bins[fitted], minlength=bins.max() + 1)[:, None]
    sums = np.stack([np.bincount(bins[fitted], v, minlength=bins.max() + 1) for v in y[fitted].T], axis=1)
    mean = y[fitted].mean(axis=0)
    predictions = np.where(sizes > 0, sums / np.maximum(sizes, 1), mean)
    return _removed(np.sum((predictions[bins[tested]] - y[tested]) ** 2), np.sum((mean - y[tested]) ** 2))


def _removed_by_line(x: np.ndarray, target: Target, rows: np.ndarray) -> float:
    """Return the share of the squared error that a straight line removes; 0 for classes."""
    return 0.0 if target.task == CLASSIFICATION else _line_removes(x, target.values[rows])


def _line_removes(x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of the squares of y, `row target`, that a line in x removes; NaN in x is left out."""
    present = ~np.isnan(x)
    if present.sum() < MIN_LEAK_ROWS:
        return 0.0
    x, y = x[present] - x[present].mean(), y[present] - y[present].mean(axis=0)
    products = (x[:, None] * y).sum(axis=0)  # a sum: threads of a matrix product cost more than they save
    line = x[:, None] * products / max(float((x * x).sum()), np.finfo(float).tiny)
    return _removed(np.sum((y - line) ** 2), np.sum(y**2))


def _removed(error: float, constant_error: float) -> float:
    return float(1 - error / constant_error) if constant_error > 0 else 0.0
