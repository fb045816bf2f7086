"""A model's figures by group: does it serve all of them alike?"""

from itertools import pairwise
from typing import Any

import numpy as np

from thalweg.core.caller import argument
from thalweg.core.errors import DataError, did_you_mean
from thalweg.insight.decisions.case import Case
from thalweg.insight.decisions.columns import NUMBER
from thalweg.insight.decisions.cost import USUAL
from thalweg.insight.decisions.curves import Ranking
from thalweg.insight.intervals import FEWEST_RESAMPLED, bootstrap, wilson
from thalweg.insight.wording import clipped

MISSING, OTHERS = "(missing)", "(all others)"
# Groups of the most rows; the rest is one.
MOST = 12
# Distinct numbers up to which each is a group of its own; more become four ranges of equally many rows.
FEW_NUMBERS = 6
WIDTH = 60  # characters of a name


def by_group(case: Case, name: str, threshold: float | None = None) -> dict[str, Any]:
    """Return the figures of each group of rows.

    Args:
        case: The rows.
        name: A column of the table, used as input or not.
        threshold: From which score on a row is called positive; None for the usual one.

    Returns:
        `column`, `threshold` as given, and `groups`, the largest first: `group`, `rows`, and of classes
        `accuracy` with `low` and `high` (Wilson's 95 % interval); of two classes also `share` (of positives),
        `flagged`, `true_positive_rate`, `false_positive_rate`, `precision`, `auc`; of values `rmse` with
        `low` and `high` (bootstrap), `mae`, `bias`. None where there is nothing to divide by.

    Raises:
        DataError: The rows have no such column.
    """
    names = group_column(case, name)
    distinct, counts = np.unique(names.astype(str), return_counts=True)
    kept = distinct[np.argsort(-counts, kind="stable")[:MOST]]
    groups = [(str(each), names == each) for each in kept]
    rest = ~np.isin(names.astype(str), kept)
    groups += [(OTHERS, rest)] if rest.any() else []
    measured = _of_values if case.answers.values is not None else _of_classes
    found = [
        {"group": group, "rows": int(inside.sum())} | measured(case, inside, threshold)
        for group, inside in groups
    ]
    return {"column": name, "threshold": threshold, "groups": found}


def _of_values(case: Case, inside: np.ndarray, threshold: float | None) -> dict[str, Any]:
    error = (case.answers.predicted - case.targets)[inside]
    interval = None
    if len(error) >= FEWEST_RESAMPLED and np.ptp(error**2):
        interval = bootstrap((error**2)[:, None], lambda means: np.sqrt(means[:, 0]))
    low, high = (None, None) if interval is None else interval
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "low": low,
        "high": high,
        "mae": float(np.abs(error).mean()),
        "bias": float(error.mean()),
    }


def _of_classes(case: Case, inside: np.ndarray, threshold: float | None) -> dict[str, Any]:
    two = len(case.classes) == 2
    positive = case.targets == 1
    if two and threshold is not None:
        right = (case.answers.positive() >= threshold) == positive
    else:
        right = case.answers.predicted == case.targets
    low, high = wilson(int(right[inside].sum()), int(inside.sum()))
    found: dict[str, Any] = {"accuracy": float(right[inside].mean()), "low": low, "high": high}
    if not two:
        return found
    ranking = Ranking(positive[inside], np.asarray(case.answers.positive()[inside], np.float64))
    usual = USUAL if case.answers.shares is not None else 0.0
    at = ranking.at(usual if threshold is None else threshold)
    return found | {
        "share": float(ranking.positive.mean()),
        "flagged": at["flagged"],
        "true_positive_rate": at["recall"],
        "false_positive_rate": at["false_positive_rate"],
        "precision": at["precision"],
        "auc": ranking.auc()[0] if ranking.both else None,
    }


def group_column(case: Case, name: str) -> np.ndarray:
    """Return the group of each row by a column: its text, or for many numbers one of four ranges.

    Raises:
        DataError: The rows have no such column.
    """
    if case.cells is None:
        rule, hint = "needs the columns of a table", f"leave {argument('by')} out"
        raise DataError(argument("by"), rule, got=name, hint=hint)
    if name not in case.cells.columns:
        hint = did_you_mean(name, case.cells.columns)
        raise DataError(argument("by"), "must be a column of the table", got=name, hint=hint)
    own = next((column for column in case.columns if column.name == name), None)
    if own is not None and own.kind == NUMBER and case.inputs is not None:
        return _ranges(own.numbers(case.inputs))
    series = case.cells[name]
    if series.dtype.is_numeric():
        return _ranges(series.cast(float).fill_null(float("nan")).to_numpy())
    return np.array([MISSING if cell is None else clipped(cell, WIDTH) for cell in series], object)


def _ranges(values: np.ndarray) -> np.ndarray:
    present = values[~np.isnan(values)]
    distinct = np.unique(np.round(present, 9))
    if len(distinct) <= FEW_NUMBERS:
        names = [f"{value:.6g}" for value in values]
    else:
        cuts = np.quantile(present, [0.25, 0.5, 0.75])
        edges = [f"{edge:.4g}" for edge in (present.min(), *cuts, present.max())]
        ranges = [f"{low} to {high}" for low, high in pairwise(edges)]
        names = [ranges[at] for at in np.searchsorted(cuts, values, side="left").clip(0, 3)]
    return np.array([MISSING if np.isnan(v) else name for v, name in zip(values, names, strict=True)], object)
