"""Columns that give the target away: one column alone that predicts it nearly perfectly is mostly a leak.

Reported, never dropped: whether such a column will be known at prediction time is its owner's to say.
"""

import numpy as np

from thalweg.problem.data.data import CLASSIFICATION
from thalweg.problem.data.inputs.column_types import CATEGORY, Typed
from thalweg.problem.data.labels import Target
from thalweg.problem.data.note import Note

# A single column that removes this share of the error of the best constant answer.
SUSPICIOUS = 0.98
BINS = 64  # a straight line in 64 steps leaves 1/64^2 of the variance, far below what is asked for
ENOUGH_ROWS = 50  # fewer, and a half holds too little to tell a leak from luck
MOST_ROWS = 20_000  # a check, not a fit: more rows would not change the answer


def giveaways(columns: dict[str, Typed], target: Target, name: str) -> tuple[Note, ...]:
    """Point out columns that predict the target alone, learnt on every other row and tried on the rest."""
    count = target.values.shape[0]
    if len(columns) < 2 or count < ENOUGH_ROWS:
        return ()
    rows = np.linspace(0, count - 1, min(count, MOST_ROWS)).astype(int)
    notes = []
    for column, typed in columns.items():
        removed = max(_by_value(_bins(typed)[rows], target, rows), _by_line(typed, target, rows))
        if removed >= SUSPICIOUS:
            text = (
                f"{column} alone removes {removed:.1%} of the error in {name}: will it be known beforehand?"
            )
            notes.append(Note("leak", text, (column,)))
    return tuple(notes)


def _bins(typed: Typed) -> np.ndarray:
    """Return a small number for each row: its category, or its place among the quantiles; 0 for missing."""
    if typed.kind == CATEGORY:
        return typed.values.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    values = typed.values.to_physical().cast(float).to_numpy()
    present = values[~np.isnan(values)]
    found = np.unique(present)
    edges = found if found.size <= BINS else np.quantile(present, np.arange(1, BINS) / BINS)
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right") + 1)


def _by_value(bins: np.ndarray, target: Target, rows: np.ndarray) -> float:
    """Return the share of the best constant's error that answering bin by bin removes, on other rows."""
    y = target.values[rows]
    fit, tried = np.arange(rows.size) % 2 == 0, np.arange(rows.size) % 2 == 1
    if target.task == CLASSIFICATION:
        width = len(target.classes or ())
        table = np.zeros((bins.max() + 1, width))
        np.add.at(table, (bins[fit], y[fit]), 1)
        usual = np.bincount(y[fit], minlength=width).argmax()
        answers = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), usual)
        return _share(np.mean(answers[bins[tried]] != y[tried]), np.mean(usual != y[tried]))
    sizes = np.bincount(bins[fit], minlength=bins.max() + 1)[:, None]
    sums = np.stack([np.bincount(bins[fit], v, minlength=bins.max() + 1) for v in y[fit].T], axis=1)
    mean = y[fit].mean(axis=0)
    answers = np.where(sizes > 0, sums / np.maximum(sizes, 1), mean)
    return _share(np.sum((answers[bins[tried]] - y[tried]) ** 2), np.sum((mean - y[tried]) ** 2))


def _by_line(typed: Typed, target: Target, rows: np.ndarray) -> float:
    """Return the share of the squared error that a straight line removes; 0 where there is none to draw."""
    if typed.kind == CATEGORY or target.task == CLASSIFICATION:
        return 0.0
    x = typed.values.to_physical().cast(float).to_numpy()[rows]
    present = ~np.isnan(x)
    if present.sum() < ENOUGH_ROWS:
        return 0.0
    x, y = x[present] - x[present].mean(), target.values[rows][present]
    y = y - y.mean(axis=0)
    line = x[:, None] * (x @ y) / max(float(x @ x), np.finfo(float).tiny)
    return _share(np.sum((y - line) ** 2), np.sum(y**2))


def _share(wrong: float, base: float) -> float:
    return float(1 - wrong / base) if base > 0 else 0.0
