"""Figures of a whole split, on the host in float64: those that are no mean over examples.

Each is that of scikit-learn on the same predictions, with the same weights of examples. A class that has no
example in the split has no figure of its own, and a mean over classes leaves it out; scikit-learn refuses
such a split.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

# Bins of the confidence, of equal width: the number of Guo et al. 2017.
BINS = 15


class Counts(NamedTuple):
    """Weights of the examples of each class: `hits` of those predicted right, `of` all, `predicted`."""

    hits: Float[np.ndarray, " class"]
    of: Float[np.ndarray, " class"]
    predicted: Float[np.ndarray, " class"]


def counts(
    target: Int[np.ndarray, " example"],
    predicted: Int[np.ndarray, " example"],
    weights: Float[np.ndarray, " example"],
    classes: int,
) -> Counts:
    """Return the counts of classes 0 to `classes` - 1."""

    def sums(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.bincount(codes, weights, minlength=classes)

    right = target == predicted
    return Counts(sums(target[right], weights[right]), sums(target, weights), sums(predicted, weights))


def balanced_accuracy(counted: Counts) -> float:
    """Return the mean recall of the classes that occur."""
    occurs = counted.of > 0
    return float(np.mean(counted.hits[occurs] / counted.of[occurs])) if occurs.any() else float("nan")


def macro_f1(counted: Counts) -> float:
    """Return the mean of `f1` over the classes that occur or are predicted."""
    each = f1(counted)
    each = each[counted.of + counted.predicted > 0]
    return float(np.mean(each)) if each.size else float("nan")


def micro_f1(counted: Counts) -> float:
    """Return F1 of the sums over the classes."""
    total = float(counted.of.sum() + counted.predicted.sum())
    return 2 * float(counted.hits.sum()) / total if total > 0 else float("nan")


def f1(counted: Counts) -> Float[np.ndarray, " class"]:
    """Return `2 hits / (of + predicted)` of each class; 0 where there is neither."""
    total = counted.of + counted.predicted
    return 2 * counted.hits / np.where(total > 0, total, 1)


def roc_auc(
    positive: np.ndarray, score: Float[np.ndarray, " example"], weights: Float[np.ndarray, " example"]
) -> float:
    """Return the area under the ROC curve: the chance that a positive scores above a negative, ties half.

    NaN where there are no positives, or only positives.
    """
    hits, misses = _at_each_score(positive, score, weights)
    total = hits.sum() * misses.sum()
    if not total > 0:
        return float("nan")
    below = np.cumsum(misses[::-1])[::-1] - misses  # negatives of lower scores
    return float(np.sum(hits * (below + 0.5 * misses)) / total)


def average_precision(
    positive: np.ndarray, score: Float[np.ndarray, " example"], weights: Float[np.ndarray, " example"]
) -> float:
    """Return the mean precision over the positives, `sum_n (R_n - R_(n-1)) P_n`; NaN without positives."""
    hits, misses = _at_each_score(positive, score, weights)
    if not hits.sum() > 0:
        return float("nan")
    found, taken = np.cumsum(hits), np.cumsum(hits + misses)
    return float(np.sum(hits * found / np.where(taken > 0, taken, 1)) / hits.sum())


def calibration_error(
    confidence: Float[np.ndarray, " example"], right: np.ndarray, weights: Float[np.ndarray, " example"]
) -> float:
    """Return the expected calibration error: the mean of |accuracy - confidence| over bins of confidence.

    The bins have equal width, `(i/15, (i+1)/15]`, and count by the weights of their examples.

    Reference: Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks, 2017.
    """
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights * (right - confidence), minlength=BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def r2(
    target: Float[np.ndarray, "example ..."],
    predicted: Float[np.ndarray, "example ..."],
    weights: Float[np.ndarray, " example"],
) -> float:
    """Return the share of the variance that is explained, as a mean over several values; NaN for none."""
    mean = np.average(target, axis=0, weights=weights)
    spread = np.average((target - mean) ** 2, axis=0, weights=weights)
    error = np.average((target - predicted) ** 2, axis=0, weights=weights)
    return float(np.mean(1 - error / spread)) if (spread > 0).all() else float("nan")


def mape(
    target: Float[np.ndarray, "example value"],
    predicted: Float[np.ndarray, "example value"],
    weights: Float[np.ndarray, " example"],
) -> float:
    """Return the mean of |error| / |target|; a target of 0 counts as the smallest float64 step."""
    size = np.maximum(np.abs(target), np.finfo(np.float64).eps)
    return float(np.mean(np.average(np.abs(target - predicted) / size, axis=0, weights=weights)))


def _at_each_score(
    positive: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the positives and of the negatives at each distinct score, highest first."""
    distinct, at = np.unique(-score, return_inverse=True)
    hits = np.bincount(at, weights * positive, minlength=distinct.size)
    return hits, np.bincount(at, weights * ~positive, minlength=distinct.size)
