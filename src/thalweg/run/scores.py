"""Predictions on the test split: a table, scores, and a trivial baseline."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from thalweg.core.lazy import pl
from thalweg.engine.evaluate import Means, Predict
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data
from thalweg.problem.data.preparation import class_logits
from thalweg.problem.problem import Problem


def prediction_of(problem: Problem) -> Predict | None:
    """Return the function from outputs to predictions on the test split.

    None where the task has no single prediction per example (language, several targets).
    """
    test = problem.data.test
    targets = None if test is None else test.known_targets
    if targets is None:
        return None
    if problem.data.task == CLASSIFICATION and targets.ndim == 1:
        return _classes
    return _values if problem.data.task == REGRESSION and targets.shape[1:] == (1,) else None


def _classes(outputs: PyTree) -> Array | None:
    if outputs.ndim > 2:
        return None
    return class_logits(outputs).argmax(-1).astype(jnp.int32)


def _values(outputs: PyTree) -> Array | None:
    return outputs[:, 0] if outputs.shape[1:] == (1,) else None


def prediction_tables(problem: Problem, means: Means | None, lanes: int) -> list[pl.DataFrame]:
    """Return target and prediction of every test example, for each lane; empty without predictions.

    Classes are indices; values are in the target's unit.
    """
    test = problem.data.test
    if means is None or means.predictions is None or test is None or test.known_targets is None:
        return [pl.DataFrame()] * lanes
    classes, (mean, scale) = problem.data.task == CLASSIFICATION, _unit(problem.data)

    def column(name: str, values: np.ndarray) -> pl.Series:
        if classes:
            return pl.Series(name, values.astype(np.int32))
        return pl.Series(name, values.ravel().astype(np.float64) * np.ravel(scale)[0] + np.ravel(mean)[0])

    targets = column("target", np.asarray(test.known_targets))
    return [pl.DataFrame([targets, column("prediction", means.predictions[lane])]) for lane in range(lanes)]


def scores(task: str, test: pl.DataFrame) -> dict[str, float]:
    """Return figures of the predictions on the test split.

    Classification: accuracy, balanced accuracy (mean recall of the classes), macro F1. Regression: root mean
    squared error, mean absolute error (both in the target's unit) and R2, NaN for a constant target.
    """
    target, prediction = test["target"].to_numpy(), test["prediction"].to_numpy()
    return _class_scores(target, prediction) if task == CLASSIFICATION else _value_scores(target, prediction)


def baseline(data: Data, test: pl.DataFrame) -> dict[str, Any]:
    """Return the score, on the test split, of always predicting the most common class of the training split,
    or its mean; for a time series, of predicting the last known value (the naive forecast).
    """
    target, classes = test["target"].to_numpy(), data.task == CLASSIFICATION
    if data.test is not None and (last_values := data.test.last_values) is not None:
        prediction, of = last_values, "the last known value"
    else:
        train = np.asarray(data.train.targets)  # type: ignore[attr-defined]
        prediction = np.bincount(train).argmax() if classes else train.mean()
        of = "the commonest class" if classes else "the training mean"
    if classes:
        return {"name": "accuracy", "value": float(np.mean(target == prediction)), "of": of}
    mean, scale = (float(np.ravel(value)[0]) for value in _unit(data))
    error = target - prediction * scale - mean
    return {"name": "rmse", "value": float(np.sqrt(np.mean(error**2))), "of": of}


def _unit(data: Data) -> tuple[Any, Any]:
    return data.preparation.target_mean, data.preparation.target_scale


def _class_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    labels, codes, counts = np.unique(target, return_inverse=True, return_counts=True)
    right = target == prediction
    hits = np.bincount(codes[right], minlength=labels.size)
    predicted = np.array([np.count_nonzero(prediction == label) for label in labels])
    return {
        "accuracy": float(np.mean(right)),
        "balanced_accuracy": float(np.mean(hits / counts)),
        "macro_f1": float(np.mean(2 * hits / (counts + predicted))),
    }


def _value_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    error, spread = target - prediction, float(np.var(target))
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "r2": 1.0 - float(np.mean(error**2)) / spread if spread > 0 else float("nan"),
    }
