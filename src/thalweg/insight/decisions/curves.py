"""Two classes by a score: ROC and precision-recall curves, thresholds, lift; all of NumPy, in float64.

A row is called positive where its score is at least the threshold, as in scikit-learn's curves.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from thalweg.insight.intervals import Z95

# Points of a curve that are kept: more could not be told apart on a screen.
POINTS = 60
# Shares of the rows, highest score first, of which the lift is told.
TOP = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class Ranking:
    """Rows by their score.

    Args:
        positive: Whether each row is of the positive class.
        score: Of each row: the higher, the more likely positive.
    """

    positive: Bool[np.ndarray, " row"]
    score: Float[np.ndarray, " row"]

    @cached_property
    def steps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct scores, highest first, and how many positives and negatives have at least each."""
        distinct, at = np.unique(-self.score, return_inverse=True)
        hits = np.bincount(at, self.positive, minlength=distinct.size)
        misses = np.bincount(at, ~self.positive, minlength=distinct.size)
        return -distinct, np.cumsum(hits), np.cumsum(misses)

    @property
    def positives(self) -> int:
        """Number of positive rows."""
        return int(self.positive.sum())

    @property
    def both(self) -> bool:
        """Whether there are positive rows and others, without which no curve exists."""
        return 0 < self.positives < len(self.positive)

    def roc(self) -> tuple[np.ndarray, np.ndarray]:
        """Return shares of the negatives and of the positives that are called positive, from (0, 0) on."""
        _, hits, misses = self.steps
        return np.r_[0.0, misses / misses[-1]], np.r_[0.0, hits / hits[-1]]

    def auc(self) -> tuple[float, float, float]:
        """Return the area under the ROC curve with its 95 % interval over the choice of rows.

        The area is the chance that a positive scores above a negative, ties counting half. Its variance is
        that of the placements: the share of negatives below each positive, and of positives above each
        negative. Ends are cut to [0, 1]; of one row of a class they are NaN.

        Reference: DeLong, DeLong & Clarke-Pearson, Comparing the Areas under Two or More Correlated Receiver
        Operating Characteristic Curves, 1988.
        """
        ours, others = np.sort(self.score[self.positive]), np.sort(self.score[~self.positive])
        below = _placed(others, ours)
        above = 1 - _placed(ours, others)
        area = float(below.mean())
        if min(len(ours), len(others)) < 2:
            return area, float("nan"), float("nan")
        half = Z95 * float(np.sqrt(below.var(ddof=1) / len(ours) + above.var(ddof=1) / len(others)))
        return area, max(0.0, area - half), min(1.0, area + half)

    def precision_recall(self) -> tuple[np.ndarray, np.ndarray]:
        """Return precision and recall at each distinct score, highest first."""
        _, hits, misses = self.steps
        return hits / (hits + misses), hits / hits[-1]

    def average_precision(self) -> float:
        """Return `sum_n (R_n - R_(n-1)) P_n`, as scikit-learn does."""
        precision, recall = self.precision_recall()
        return float(np.sum(np.diff(recall, prepend=0.0) * precision))

    def at(self, threshold: float) -> dict[str, float | None]:
        """Return what a threshold does: the share flagged, precision, recall, F1, and the four counts.

        The precision of no row is None.
        """
        flagged = self.score >= threshold
        tp, fp = int((flagged & self.positive).sum()), int((flagged & ~self.positive).sum())
        fn, tn = self.positives - tp, int((~flagged & ~self.positive).sum())
        return {
            "threshold": float(threshold),
            "flagged": float(flagged.mean()),
            "precision": tp / (tp + fp) if tp + fp else None,
            "recall": tp / (tp + fn) if tp + fn else None,
            "f1": 2 * tp / (2 * tp + fp + fn) if tp + fn + fp else None,
            "false_positive_rate": fp / (fp + tn) if fp + tn else None,
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "tn": tn,
        }

    def found(self, share: float) -> float:
        """Return the share of the positives among so many rows of the highest scores.

        Of rows with equal scores any are as likely as others.
        """
        _, hits, misses = self.steps
        taken = np.r_[0, hits + misses] / len(self.positive)
        return float(np.interp(share, taken, np.r_[0, hits] / hits[-1]))

    def lift(self) -> list[dict[str, float]]:
        """Return which share of the positives the highest scores hold, and how many times that of chance."""
        shares = [share for share in TOP if share * len(self.positive) >= 1]
        return [
            {"top": share, "found": (found := self.found(share)), "lift": found / share} for share in shares
        ]


def thinned(x: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """Return a curve of few points, ends included, as plain lists `x` and `y`.

    Points are taken evenly along the curve's length, so that steep parts keep theirs.
    """
    if len(x) > POINTS:
        length = np.cumsum(np.hypot(np.diff(x, prepend=x[0]), np.diff(y, prepend=y[0])))
        wanted = np.linspace(0, length[-1], POINTS)
        kept = np.unique(np.r_[0, np.minimum(np.searchsorted(length, wanted), len(x) - 1), len(x) - 1])
        x, y = x[kept], y[kept]
    return {"x": rounded(x), "y": rounded(y)}


def rounded(values: Any, digits: int = 6) -> list[float]:
    """Return numbers as plain ones of so many significant digits."""
    return [float(f"{value:.{digits}g}") for value in np.asarray(values, np.float64)]


def _placed(others: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return for each score the share of the others, sorted, that lie below it; ties count half."""
    below = np.searchsorted(others, scores, side="left")
    upto = np.searchsorted(others, scores, side="right")
    return (below + upto) / (2 * len(others))
