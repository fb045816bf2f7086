"""A regression's figures: quantiles of the error, and errors by range of the prediction."""

from typing import Any

import numpy as np

from thalweg.core.lazy import special
from thalweg.insight.decisions.case import Case

LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
# Ranges of equally many rows each; fewer where one would hold less than LEAST rows.
RANGES, LEAST = 8, 15


def of_values(case: Case) -> dict[str, Any]:
    """Return the figures of predicted values; errors are predictions minus targets.

    Returns:
        `rmse`, `mae`, `r2` (None for a constant target), `bias` (the mean error), `quantiles` (`level`,
        `error`), and `ranges` by prediction: `from`, `to`, `rows`, `bias` with `low` and `high` of its 95 %
        interval, `rmse`, `mae`, `within` (nine in ten errors are at most so large).
    """
    predicted, error = case.answers.predicted, case.answers.predicted - case.targets
    spread = float(np.var(case.targets))
    quantiles = np.quantile(error, LEVELS)
    return {
        "rmse": _root(error),
        "mae": float(np.abs(error).mean()),
        "r2": 1 - float(np.mean(error**2)) / spread if spread > 0 else None,
        "bias": float(error.mean()),
        "quantiles": [
            {"level": level, "error": float(value)} for level, value in zip(LEVELS, quantiles, strict=True)
        ],
        "ranges": _ranges(predicted, error),
    }


def _ranges(predicted: np.ndarray, error: np.ndarray) -> list[dict[str, Any]]:
    number = min(RANGES, len(error) // LEAST)
    if number < 2:
        return []
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, number + 1)[1:-1]))
    at = np.searchsorted(edges, predicted, side="left")
    found = []
    for each in np.unique(at):
        own, inside = error[at == each], predicted[at == each]
        mean, count = float(own.mean()), len(own)
        half = special.stdtrit(count - 1, 0.975) * own.std(ddof=1) / np.sqrt(count) if count > 1 else np.nan
        found.append(
            {
                "from": float(inside.min()),
                "to": float(inside.max()),
                "rows": count,
                "bias": mean,
                "low": float(mean - half) if np.isfinite(half) else None,
                "high": float(mean + half) if np.isfinite(half) else None,
                "rmse": _root(own),
                "mae": float(np.abs(own).mean()),
                "within": float(np.quantile(np.abs(own), 0.9)),
            }
        )
    return found


def _root(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))
