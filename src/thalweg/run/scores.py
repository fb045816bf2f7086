"""Figures over the test predictions that need all of them at once, and what a trivial predictor would
reach.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.data import CLASSIFICATION, Data


def scores(task: str, test: pl.DataFrame) -> dict[str, float]:
    """Return further figures on the test part.

    Classification: accuracy, balanced accuracy (mean recall of the classes), macro F1. Regression: root mean
    squared error, mean absolute error (both in the target's unit) and R2, NaN for a constant target.
    """
    target, prediction = test["target"].to_numpy(), test["prediction"].to_numpy()
    return _class_scores(target, prediction) if task == CLASSIFICATION else _value_scores(target, prediction)


def baseline(data: Data, test: pl.DataFrame) -> dict[str, Any]:
    """Return what always answering the training part's commonest class, or its mean, scores on the test part;
    for a time series what answering the last known value scores (the naive forecast).
    """
    target, classes = test["target"].to_numpy(), data.task == CLASSIFICATION
    if data.test is not None and (last_values := data.test.last_values) is not None:
        answer, of = last_values, "the last known value"
    else:
        train = np.asarray(data.train.targets)  # type: ignore[attr-defined]
        answer = np.bincount(train).argmax() if classes else train.mean()
        of = "the commonest class" if classes else "the training mean"
    if classes:
        return {"name": "accuracy", "value": float(np.mean(target == answer)), "of": of}
    mean, scale = (float(np.ravel(given)[0]) for given in _unit(data))
    return {"name": "rmse", "value": float(np.sqrt(np.mean((target - answer * scale - mean) ** 2))), "of": of}


def _unit(data: Data) -> tuple[Any, Any]:
    return data.preparation.target_mean, data.preparation.target_scale


def _class_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    labels, codes, there = np.unique(target, return_inverse=True, return_counts=True)
    right = target == prediction
    hits = np.bincount(codes[right], minlength=labels.size)
    answered = np.array([np.count_nonzero(prediction == label) for label in labels])
    return {
        "accuracy": float(np.mean(right)),
        "balanced_accuracy": float(np.mean(hits / there)),
        "macro_f1": float(np.mean(2 * hits / (there + answered))),
    }


def _value_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    error, spread = target - prediction, float(np.var(target))
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "r2": 1.0 - float(np.mean(error**2)) / spread if spread > 0 else float("nan"),
    }
