"""Whole numbers that are codes (postcodes, numbers of kinds): recognised by what they say about the target.

The target is predicted from a column in two ways, each fitted on every other row and tested on the rest: by a
smooth curve, as from a quantity, and by one mean for each value, as from a category. A code has no order, so
the curve says little where the means say much.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.data import CLASSIFICATION
from thalweg.problem.data.inputs.column_types import CATEGORY, NUMBER, Typed, category_text
from thalweg.problem.data.inputs.rules import MAX_CATEGORIES
from thalweg.problem.data.labels import Target
from thalweg.problem.data.note import Note, guess

# Fewer values than this fit a curve as well as means.
LEAST_VALUES = 8
ROWS_PER_VALUE = 6
KNOTS = 5
# How much more of the target's variance the means must explain, and how little the curve, in comparison.
GAIN, LEFT = 0.1, 0.5
MOST_ROWS = 20_000  # a check, not a fit


def codes_as_categories(
    columns: dict[str, Typed], target: Target
) -> tuple[dict[str, Typed], tuple[Note, ...]]:
    """Return the columns with codes as categories, and notes on them."""
    found, notes = dict(columns), []
    for name, typed in columns.items():
        if typed.kind != NUMBER or typed.fixed or not typed.whole or not _is_code(typed.values, target):
            continue
        text = category_text(typed.values).alias(name)
        found[name] = replace(typed, kind=CATEGORY, values=text)
        count = typed.values.n_unique()
        shown = (
            f"{name}: its {count} values say much about {target.name}, but not by their order, as codes do."
        )
        notes.append(guess("code", f"{shown} It is used as categories.", (name,), types={name: NUMBER}))
    return found, tuple(notes)


def _is_code(values: pl.Series, target: Target) -> bool:
    present = values.is_not_null().to_numpy()
    x = values.drop_nulls().to_numpy()
    levels, codes = np.unique(x, return_inverse=True)
    if not LEAST_VALUES <= levels.size <= MAX_CATEGORIES or x.size < ROWS_PER_VALUE * levels.size:
        return False
    y = _centred(target)[present]
    rows = np.linspace(0, x.size - 1, min(x.size, MOST_ROWS)).astype(int)
    y, codes, x = y[rows], codes[rows], x[rows]
    fitted = half_of(rows.size)
    by_means = _explained(y, _means(y, codes, levels.size, fitted), fitted)
    if by_means < GAIN:
        return False
    by_curve = max(_explained(y, _curve(y, axis, fitted), fitted) for axis in (x, codes.astype(float)))
    return by_means - by_curve > GAIN and by_curve < LEFT * by_means


def explained_alone(typed: Typed, target: Target) -> float:
    """Return the share of the target's variance that a column explains on its own, at least 0.

    By a curve for numbers and dates, and by one mean for each value for categories; fitted on every other row
    and tested on the rest.
    """
    present = typed.values.is_not_null().to_numpy()
    if typed.is_text:
        levels, codes = np.unique(typed.values.drop_nulls().to_numpy().astype(str), return_inverse=True)
        if levels.size > len(codes) / 2:
            return 0.0  # nearly every row has its own
    else:
        codes, levels = typed.values.drop_nulls().to_physical().cast(pl.Float64).to_numpy(), np.empty(0)
    if codes.size < 2 * (KNOTS + 2):
        return 0.0
    y = _centred(target)[present]
    fitted = half_of(codes.size)
    predicted = _means(y, codes, levels.size, fitted) if typed.is_text else _curve(y, codes, fitted)
    return max(0.0, _explained(y, predicted, fitted))


def half_of(count: int) -> np.ndarray:
    """Return a random half of rows, `row` of bool, always the same: every other row may be alike."""
    return np.random.default_rng(0).permutation(count) % 2 == 0


def _centred(target: Target) -> np.ndarray:
    """Return the target as numbers, `row value`: one for each class, or standardised values."""
    if target.task == CLASSIFICATION:
        return np.eye(len(target.classes or ()))[target.values]
    values = target.values.reshape(len(target.values), -1).astype(float)
    return (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), np.finfo(float).tiny)


def _means(y: np.ndarray, codes: np.ndarray, count: int, fitted: np.ndarray) -> np.ndarray:
    sizes = np.bincount(codes[fitted], minlength=count)[:, None]
    sums = np.stack([np.bincount(codes[fitted], column, minlength=count) for column in y[fitted].T], axis=1)
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1), y[fitted].mean(axis=0))
    return means[codes]


def _curve(y: np.ndarray, x: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Return predictions of a line that bends at the quantiles of x, fitted by least squares."""
    scaled = (x - x.mean()) / max(float(x.std()), np.finfo(float).tiny)
    knots = np.quantile(scaled, np.linspace(0, 1, KNOTS + 2)[1:-1])
    basis = np.column_stack([np.ones_like(scaled), scaled, *(np.maximum(scaled - knot, 0) for knot in knots)])
    weights = np.linalg.lstsq(basis[fitted], y[fitted], rcond=None)[0]
    return basis @ weights


def _explained(y: np.ndarray, predicted: np.ndarray, fitted: np.ndarray) -> float:
    """Return the share of the variance of the rows not fitted that predictions explain."""
    tested = ~fitted
    total = float(np.sum((y[tested] - y[fitted].mean(axis=0)) ** 2))
    return 1 - float(np.sum((y[tested] - predicted[tested]) ** 2)) / total if total > 0 else 0.0
