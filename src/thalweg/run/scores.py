"""Predictions on the test split: a table, scores, and a trivial baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from thalweg.core.lazy import pl
from thalweg.engine.evaluate import Means, Predict
from thalweg.problem.data.data import CLASSIFICATION, MULTILABEL, REGRESSION, Data
from thalweg.problem.losses import whole_split
from thalweg.problem.losses.outputs import (
    boundary,
    class_columns,
    point_values,
    quantile_levels,
)
from thalweg.problem.problem import Problem

# The column of what each example counts.
WEIGHT = "weight"


def prediction_of(problem: Problem) -> Predict | None:
    """Return the function from outputs to predictions on the test split.

    None where the task has no prediction per example (language, several target values).
    """
    test = problem.data.test
    targets = None if test is None else test.known_targets
    if targets is None:
        return None
    if problem.data.task == CLASSIFICATION and targets.ndim == 1:
        return _Classes(problem.outputs)
    if problem.data.task == MULTILABEL:
        return _Labels(problem.outputs)
    one_value = problem.data.task == REGRESSION and targets.shape[1:] == (1,)
    return _Values(problem.outputs) if one_value else None


@dataclass(frozen=True)
class _Classes:
    """The predicted class of every example. Equal for equal meanings, as it selects a program.

    Args:
        meaning: What outputs mean (`Problem.outputs`).
    """

    meaning: str

    def __call__(self, outputs: PyTree) -> Array | None:
        if outputs.ndim > 2:
            return None
        return class_columns(outputs, self.meaning).argmax(-1).astype(jnp.int32)


@dataclass(frozen=True)
class _Labels:
    """Whether each of several labels applies, `example label`.

    Args:
        meaning: What outputs mean (`Problem.outputs`).
    """

    meaning: str

    def __call__(self, outputs: PyTree) -> Array | None:
        return (outputs > boundary(self.meaning)).astype(jnp.int8) if outputs.ndim == 2 else None


@dataclass(frozen=True)
class _Values:
    """The predicted value of every example, in the unit of prepared targets.

    Args:
        meaning: What outputs mean (`Problem.outputs`).
    """

    meaning: str

    def __call__(self, outputs: PyTree) -> Array | None:
        values = point_values(outputs, self.meaning)
        return values[:, 0] if values.shape[1:] == (1,) else None


def prediction_table(problem: Problem, means: Means | None, lane: int) -> pl.DataFrame:
    """Return target and prediction of every test example of a lane; empty without predictions.

    Classes are indices; several labels are lists of 0 and 1; values are in the target's unit. Where some
    examples count more than others, `weight` says what each counts, 1 on average. `for_people` makes the
    table that is saved.
    """
    test = problem.data.test
    if means is None or means.predictions is None or test is None or test.known_targets is None:
        return pl.DataFrame()
    classes = problem.data.task == CLASSIFICATION
    offsets = 0.0 if test.offsets is None else test.offsets.astype(np.float64)

    def column(name: str, values: np.ndarray) -> pl.Series:
        if problem.data.task == MULTILABEL:
            return pl.Series(name, values.astype(np.int8).tolist(), dtype=pl.List(pl.Int8))
        if classes:
            return pl.Series(name, values.astype(np.int32))
        return pl.Series(name, _in_unit(problem.data, values.ravel().astype(np.float64) + offsets))

    targets, weights = column("target", np.asarray(test.known_targets)), test.example_weights
    more = [] if weights is None else [pl.Series(WEIGHT, weights.astype(np.float64))]
    return pl.DataFrame([targets, column("prediction", means.predictions[lane][: test.count()]), *more])


def for_people(data: Data, test: pl.DataFrame) -> pl.DataFrame:
    """Return the table of test.parquet: `row`, `target` and `prediction`, classes by their names.

    `row` is the number of the example, from 0, among the rows of the source that the test split was taken
    from; left out where that is not known.
    """
    rows, classes = data.rows.get("test"), data.preparation.classes
    if data.task == CLASSIFICATION and classes is not None:
        names = pl.Series([str(label) for label in classes], dtype=pl.String)
        own = [column for column in test.columns if column != WEIGHT]
        test = test.with_columns(names.gather(test[column]).alias(column) for column in own)
    if rows is None or len(rows) != test.height:
        return test
    return test.insert_column(0, pl.Series("row", np.asarray(rows, np.int64)))


def scores(task: str, test: pl.DataFrame) -> dict[str, float]:
    """Return figures of the predictions on the test split.

    Classification: accuracy, balanced accuracy (mean recall of the classes), macro F1. Regression: root mean
    squared error, mean absolute error (both in the target's unit) and R2, NaN for a constant target. Several
    labels: accuracy (share of all labels that are right), exact match (share of the examples whose labels are
    all right), macro F1, the mean over the classes or labels that occur or are predicted. Examples count by
    their weight, if they have one.
    """
    weights = test[WEIGHT].to_numpy() if WEIGHT in test.columns else np.ones(test.height)
    if task == MULTILABEL:
        return _label_scores(*_label_arrays(test), weights)
    target, prediction = test["target"].to_numpy(), test["prediction"].to_numpy()
    values = _class_scores if task == CLASSIFICATION else _value_scores
    return values(target, prediction, weights)


def baseline(data: Data, meaning: Any = None) -> dict[str, Any] | None:
    """Return the score of a prediction that needs no network, on the test split; None where there is none.

    For a time series that is the last known value, or class, of each window (the naive forecast), which all
    steps of the horizon repeat; otherwise the most common class of the training split, or its mean, that of
    each of several targets; its quantiles where quantiles are predicted. For several labels, what is more
    common for each label. Examples count by their weights.

    Args:
        data: The data.
        meaning: What outputs mean (`Problem.outputs`).

    Returns:
        `name`, the metric (`accuracy`, or `rmse` or `pinball` in the target's unit); `value`; and `of`, what
        is predicted.
    """
    test, classes = data.test, data.task == CLASSIFICATION
    targets = None if test is None else test.known_targets
    if test is None or targets is None or data.task not in (CLASSIFICATION, REGRESSION, MULTILABEL):
        return None
    targets, own = np.asarray(targets), test.example_weights
    if data.task == MULTILABEL:
        train = np.asarray(data.train.known_targets)
        common = np.average(train, axis=0, weights=data.train.example_weights) > 0.5
        value = np.average(((targets > 0.5) == common).mean(axis=1), weights=own)
        return {"name": "accuracy", "value": float(value), "of": "the commonest answer for each label"}
    last_values = test.last_values
    one_column = targets.ndim == 1 if classes else targets.shape[1:] == (1,)
    several = not classes and targets.shape[1:] == (np.size(data.preparation.target_mean),) and not one_column
    if not (one_column or several or last_values is not None):
        return None
    levels = quantile_levels(meaning) if isinstance(meaning, str) else ()
    if levels and one_column and last_values is None:
        return _quantile_baseline(data, targets, levels)
    prediction, of = _constant(data, classes, last_values)
    if classes:
        return {"name": "accuracy", "value": float(np.average(targets == prediction, weights=own)), "of": of}
    offsets = 0.0 if test.offsets is None else test.offsets.astype(np.float64)[:, None]
    prediction = np.reshape(prediction, (-1, targets.shape[1] if several else 1))
    error = _in_unit(data, targets.astype(np.float64) + offsets) - _in_unit(
        data, prediction.astype(np.float64)
    )
    squared = np.mean(error**2) if own is None else np.average((error**2).mean(axis=1), weights=own)
    return {"name": "rmse", "value": float(np.sqrt(squared)), "of": of}


def _constant(data: Data, classes: bool, last_values: np.ndarray | None) -> tuple[Any, str]:
    """Return a prediction that needs no network, and its name."""
    if last_values is not None:
        return last_values, f"the last known {'class' if classes else 'value'}"
    known: Any = data.train.known_targets
    if known is None:  # a stream knows those of its first batch
        known = data.train.targets  # type: ignore[attr-defined]
    train, weights = np.asarray(known), data.train.example_weights
    if classes:
        return np.bincount(train, weights).argmax(), "the commonest class"
    means = np.average(train, axis=0, weights=weights)
    return means, "the training mean" if means.size == 1 else "the training mean of each target"


def _quantile_baseline(data: Data, targets: np.ndarray, levels: tuple[float, ...]) -> dict[str, Any]:
    train, own = np.asarray(data.train.known_targets, np.float64)[:, 0], data.train.example_weights
    weighted = {} if own is None else {"weights": own.astype(np.float64), "method": "inverted_cdf"}
    quantiles = np.quantile(train, levels, **weighted)
    error = _in_unit(data, targets.astype(np.float64)) - _in_unit(data, quantiles)
    each = np.maximum(levels * error, (np.asarray(levels) - 1) * error).mean(axis=1)
    test = data.test
    value = float(np.average(each, weights=None if test is None else test.example_weights))
    return {"name": "pinball", "value": value, "of": "the training quantiles"}


def _in_unit(data: Data, standardised: np.ndarray) -> np.ndarray:
    """Return standardised values in the target's own unit."""
    scale, mean = np.ravel(data.preparation.target_scale), np.ravel(data.preparation.target_mean)
    return standardised * scale + mean if scale.size > 1 else standardised * scale[0] + mean[0]


def _class_scores(target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    classes = int(max(target.max(initial=0), prediction.max(initial=0))) + 1
    counted = whole_split.counts(target, prediction, weights, classes)
    return {
        "accuracy": float(np.average(target == prediction, weights=weights)),
        "balanced_accuracy": whole_split.balanced_accuracy(counted),
        "macro_f1": whole_split.macro_f1(counted),
    }


def _label_arrays(test: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and predictions, `example label`."""
    target, prediction = (np.array(test[name].to_list(), np.int8) for name in ("target", "prediction"))
    return target, prediction


def _label_scores(target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    sums = (weights @ part for part in (target & prediction, target, prediction))
    return {
        "accuracy": float(np.average((target == prediction).mean(axis=1), weights=weights)),
        "exact_match": float(np.average((target == prediction).all(axis=1), weights=weights)),
        "macro_f1": whole_split.macro_f1(whole_split.Counts(*sums)),
    }


def _value_scores(target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    error = target - prediction
    return {
        "rmse": float(np.sqrt(np.average(error**2, weights=weights))),
        "mae": float(np.average(np.abs(error), weights=weights)),
        "r2": whole_split.r2(target, prediction, weights),
    }
