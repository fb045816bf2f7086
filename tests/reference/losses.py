"""Losses with their slopes, metrics, scores of predictions and trivial baselines, in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

# From (outputs, targets) to the loss of every row, and its derivative with respect to the row's outputs.
Loss = Callable[[np.ndarray, Any], tuple[np.ndarray, np.ndarray]]


def cross_entropy(z: np.ndarray, y: np.ndarray, smoothing: float = 0.0, weights: Any = ()) -> Any:
    classes = z.shape[1]
    shares = (1 - smoothing) * np.eye(classes)[y] + smoothing / classes
    if len(weights):
        shares = shares * np.asarray(weights)
    logs = z - z.max(axis=1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    return -(shares * logs).sum(axis=1), np.exp(logs) * shares.sum(axis=1, keepdims=True) - shares


def binary_cross_entropy(z: np.ndarray, y: np.ndarray, positive: float = 1.0) -> Any:
    y = np.reshape(y, z.shape)
    values = positive * y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)
    return values.mean(axis=1), (-positive * y * expit(-z) + (1 - y) * expit(z)) / z.shape[1]


def hinge(z: np.ndarray, y: np.ndarray, margin: float = 1.0) -> Any:
    rows, classes = np.arange(len(z)), z.shape[1]
    excess = margin - z[rows, y][:, None] + z
    excess[rows, y] = 0
    active = (excess > 0).astype(float)
    slope = active / classes
    slope[rows, y] = -active.sum(axis=1) / classes
    return (excess * active).mean(axis=1), slope


def squared(z: np.ndarray, y: np.ndarray) -> Any:
    return ((z - y) ** 2).mean(axis=1), 2 * (z - y) / z.shape[1]


def absolute(z: np.ndarray, y: np.ndarray) -> Any:
    return np.abs(z - y).mean(axis=1), np.sign(z - y) / z.shape[1]


def huber(z: np.ndarray, y: np.ndarray, delta: float = 1.0) -> Any:
    e = z - y
    inner = np.abs(e) <= delta
    values = np.where(inner, e**2 / 2, delta * (np.abs(e) - delta / 2))
    return values.mean(axis=1), np.where(inner, e, delta * np.sign(e)) / z.shape[1]


def weighted(loss: Loss) -> Loss:
    """Return the loss of targets that are `(targets, weights)`: weight times loss."""

    def weigh(z: np.ndarray, targets: tuple[np.ndarray, np.ndarray]) -> Any:
        values, slope = loss(z, targets[0])
        return targets[1] * values, targets[1][:, None] * slope

    return weigh


# Metrics: from (outputs, targets) to a number for every row; then the last step, and whether more is better.
def _right(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (z.argmax(axis=1) == y).astype(float)


def _right_signs(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    return ((z > 0) == (np.reshape(y, z.shape) > 0.5)).mean(axis=1)


def _in_top5(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    return ((z > z[np.arange(len(z)), y][:, None]).sum(axis=1) < 5).astype(float)


METRICS: dict[str, tuple[Callable[..., Any], Callable[..., Any], bool]] = {
    "accuracy": (_right, lambda mean: mean, True),
    "signs": (_right_signs, lambda mean: mean, True),
    "top5": (_in_top5, lambda mean: mean, True),
    "rmse": (lambda z, y: ((z - y) ** 2).mean(axis=1), np.sqrt, False),
    "mae": (lambda z, y: np.abs(z - y).mean(axis=1), lambda mean: mean, False),
    "perplexity": (lambda z, y: cross_entropy(z, y)[0], np.exp, False),
}


def class_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Accuracy, mean recall, and the mean F1 of the classes that occur or are predicted, class by class."""
    recalls, f1 = [], []
    for label in sorted(set(target.tolist())):
        true = sum(1 for t, p in zip(target, prediction, strict=True) if t == label == p)
        actual, predicted = int((target == label).sum()), int((prediction == label).sum())
        recalls.append(true / actual)
        precision = true / predicted if predicted else 0.0
        both = precision + recalls[-1]
        f1.append(2 * precision * recalls[-1] / both if both else 0.0)
    f1 += [0.0] * len(set(prediction.tolist()) - set(target.tolist()))
    right = sum(1 for t, p in zip(target, prediction, strict=True) if t == p)
    return {
        "accuracy": right / len(target),
        "balanced_accuracy": sum(recalls) / len(recalls),
        "macro_f1": sum(f1) / len(f1),
    }


def value_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Root mean squared error, mean absolute error, share of the variance that is explained."""
    error = target - prediction
    unexplained = (error**2).sum() / ((target - target.mean()) ** 2).sum()
    return {"rmse": np.sqrt((error**2).mean()), "mae": np.abs(error).mean(), "r2": 1 - unexplained}


def label_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Share of right labels, of examples that are all right, and the mean F1 of labels in either."""
    f1 = []
    for t, p in zip(target.T, prediction.T, strict=True):
        if t.any() or p.any():
            true = (t * p).sum()
            false_ones, missed = (p * (1 - t)).sum(), (t * (1 - p)).sum()
            f1.append(2 * true / (2 * true + false_ones + missed))
    return {
        "accuracy": (target == prediction).mean(),
        "exact_match": np.mean([bool((t == p).all()) for t, p in zip(target, prediction, strict=True)]),
        "macro_f1": np.mean(f1),
    }
