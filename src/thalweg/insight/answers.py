"""The predictions on the test split: which classes are confused, how large errors are, how sure that is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from thalweg.insight.intervals import FEWEST_RESAMPLED, bootstrap, wilson
from thalweg.insight.outcome import table, task_of, text
from thalweg.run.folder.record import Record


@dataclass(frozen=True)
class Pair:
    """A mistake that occurs `count` times: class `target` predicted as `prediction` (class indices)."""

    target: int
    prediction: int
    count: int


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix.

    Args:
        counts: `counts[i, j]` examples of class i predicted as class j.
        classes: Names, by index.
    """

    counts: Int[np.ndarray, "target prediction"]
    classes: tuple[str, ...]

    @property
    def totals(self) -> Int[np.ndarray, " target"]:
        """Examples of each class."""
        return self.counts.sum(axis=1)

    @property
    def shares(self) -> Float[np.ndarray, "target prediction"]:
        """Counts as shares of each true class; 0 for classes without an example."""
        return self.counts / np.maximum(self.totals, 1)[:, None]

    @property
    def recall(self) -> Float[np.ndarray, " target"]:
        """Share of each class that is predicted as such; NaN for classes without an example."""
        return np.where(self.totals > 0, np.diag(self.shares), np.nan)

    @property
    def precision(self) -> Float[np.ndarray, " prediction"]:
        """Share of the predictions of each class that are right; NaN for classes never predicted."""
        predicted = self.counts.sum(axis=0)
        return np.where(predicted > 0, np.diag(self.counts) / np.maximum(predicted, 1), np.nan)

    def mistakes(self, most: int = 5) -> list[Pair]:
        """Return the most frequent mistakes first; ties in class order."""
        wrong = self.counts - np.diag(np.diag(self.counts))
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        rows, columns = np.unravel_index(order, wrong.shape)
        pairs = [Pair(int(i), int(j), int(wrong[i, j])) for i, j in zip(rows, columns, strict=True)]
        return [pair for pair in pairs if pair.count > 0]


@dataclass(frozen=True)
class Residuals:
    """Numeric predictions on the test split, in the target's own unit, one value per row."""

    target: Float[np.ndarray, " example"]
    prediction: Float[np.ndarray, " example"]

    @property
    def error(self) -> Float[np.ndarray, " example"]:
        """Prediction minus target."""
        return self.prediction - self.target

    @property
    def rmse(self) -> float:
        """Root of the mean squared error."""
        return float(np.sqrt(np.mean(self.error**2)))

    @property
    def r2(self) -> float:
        """Share of the target's variance on the test split that is explained; NaN for a constant target."""
        variance = float(np.var(self.target))
        return 1 - self.rmse**2 / variance if variance > 0 else float("nan")


def confusion(record: Record) -> Confusion | None:
    """Return the confusion matrix; None for other tasks and without test predictions."""
    columns = answer_columns(record) if task_of(record) == "classification" else None
    if columns is None:
        return None
    target, prediction = (column.astype(np.int64) for column in columns)
    names = class_names(record)
    number = max(len(names), int(target.max()) + 1, int(prediction.max()) + 1)
    counts = np.bincount(target * number + prediction, minlength=number * number).reshape(number, number)
    return Confusion(counts, (*names, *map(str, range(len(names), number))))


def residuals(record: Record) -> Residuals | None:
    """Return the numeric predictions; None for other tasks and without test predictions."""
    columns = answer_columns(record) if task_of(record) == "regression" else None
    return None if columns is None else Residuals(*columns)


def class_names(record: Record) -> tuple[str, ...]:
    """Return the class labels as text, by index; empty where none are recorded."""
    classes = table(record.problem, "data").get("classes")
    return tuple(str(name) for name in classes) if isinstance(classes, list | tuple) else ()


def metric_interval(record: Record) -> tuple[float, float] | None:
    """Return the 95 % interval of the test metric over the choice of test examples.

    Accuracy: Wilson, which holds for any number of examples. `rmse` and `mae`: percentile bootstrap. None for
    other metrics, without predictions, with weights of the examples, and where errors are too few or all
    equal, so that nothing varies.
    """
    if "weight" in record.test.columns:  # the formulas are for rows that count the same
        return None
    name = text(table(record.result, "test_metric").get("name"))
    matrix, numeric = confusion(record), residuals(record)
    if matrix is not None and name == "accuracy":
        return wilson(int(np.trace(matrix.counts)), int(matrix.counts.sum()))
    if numeric is not None and name in ("rmse", "mae") and rows_too_few(record) is None:
        loss = np.abs(numeric.error) if name == "mae" else numeric.error**2
        if np.ptp(loss) == 0:
            return None
        return bootstrap(loss[:, None], lambda means: means[:, 0] if name == "mae" else np.sqrt(means[:, 0]))
    return None


def rows_too_few(record: Record) -> int | None:
    """Return the number of numeric test predictions if they are too few for an interval, else None."""
    numeric = residuals(record)
    return len(numeric.error) if numeric is not None and len(numeric.error) < FEWEST_RESAMPLED else None


def answer_columns(record: Record) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the finite (target, prediction) rows of test.parquet as floats; None where there are none.

    Classes are indices, whether the file has their names or, as in older folders, their indices.
    """
    frame = record.test
    if not frame.height or not {"target", "prediction"} <= set(frame.columns):
        return None
    target, prediction = (_flat(_as_indices(record, frame[name])) for name in ("target", "prediction"))
    if target is None or prediction is None or len(target) != len(prediction):
        return None
    keep = np.isfinite(target) & np.isfinite(prediction)
    if task_of(record) == "classification":
        keep &= (target >= 0) & (prediction >= 0)
    return (target[keep], prediction[keep]) if keep.any() else None


def _as_indices(record: Record, column: pl.Series) -> pl.Series:
    """Return class names as indices; other columns, and names that are not among the classes, as they are."""
    names = class_names(record)
    if column.dtype != pl.String or task_of(record) != "classification":
        return column
    return column.replace_strict(names, range(len(names)), default=None, return_dtype=pl.Int32)


def targets_of(record: Record) -> pl.Series | None:
    """Return the targets of test.parquet, classes as indices; None where there are none."""
    frame = record.test
    return _as_indices(record, frame["target"]) if "target" in frame.columns else None


def _flat(column: pl.Series) -> Any:
    """Return one float per value; several target values of an example follow each other."""
    if column.dtype.is_nested():
        column = column.explode()
    if not column.dtype.is_numeric() and column.dtype != pl.Boolean:
        return None
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
