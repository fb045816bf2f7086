"""Whether probabilities hold: how often rows of a stated probability are what was stated."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from thalweg.insight.intervals import wilson

# Bins of the curve, of equally many rows each; fewer where a bin would hold less than LEAST rows.
BINS, LEAST = 10, 15
# Data sets of labels that are drawn to see what chance alone makes of the calibration error.
DRAWS = 200
MOST_DRAWN = 5_000  # rows of these


def calibration(
    stated: Float[np.ndarray, " row"], happened: Bool[np.ndarray, " row"]
) -> dict[str, Any] | None:
    """Compare stated probabilities with what happened; None where there are too few rows for two bins.

    Args:
        stated: The probability of each row.
        happened: Whether the row was what it states.

    Returns:
        `bins` (for each the mean stated probability, the share that happened, its 95 % Wilson interval, and
        rows), `error` (the expected calibration error: the mean of |stated - happened| over the bins, by
        rows) and `chance` (its mean for labels drawn from the stated probabilities: what a model without any
        error of calibration shows on so few rows).

    References: Naeini, Cooper & Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning,
    2015 (bins of equally many rows); Brocker & Smith, Increasing the Reliability of Reliability Diagrams,
    2007 (consistency by resampling).
    """
    number = min(BINS, len(stated) // LEAST)
    if number < 2:
        return None
    bins = _bins(stated, number)
    error = _error(stated, happened[None], bins)[0]
    random = np.random.default_rng(0)
    rows = np.arange(len(stated))
    if len(rows) > MOST_DRAWN:
        rows = random.permutation(len(rows))[:MOST_DRAWN]
    drawn = random.random((DRAWS, len(rows))) < stated[rows]
    chance = _error(stated[rows], drawn, bins[rows]).mean()
    # An error by chance falls as the root of the number of rows.
    chance *= np.sqrt(len(rows) / len(stated))
    shown = []
    for each in np.unique(bins):
        inside = bins == each
        count, right = int(inside.sum()), int(happened[inside].sum())
        low, high = wilson(right, count)
        mean = float(stated[inside].mean())
        shown.append({"stated": mean, "happened": right / count, "low": low, "high": high, "rows": count})
    return {"bins": shown, "error": float(error), "chance": float(chance)}


def _bins(stated: np.ndarray, number: int) -> np.ndarray:
    """Return the bin of each row; rows of equal probability are in one bin."""
    edges = np.quantile(stated, np.linspace(0, 1, number + 1)[1:-1])
    return np.searchsorted(np.unique(edges), stated, side="left")


def _error(stated: np.ndarray, happened: Bool[np.ndarray, "draw row"], bins: np.ndarray) -> np.ndarray:
    """Return the calibration error of several draws of what happened, `draw`."""
    gaps = happened - stated
    member = (bins[:, None] == np.unique(bins)).astype(np.float64)
    return np.abs(gaps @ member).sum(axis=1) / len(stated)
