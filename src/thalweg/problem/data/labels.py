"""What a target is: classes or values, decided by rule, and its encoding.

The rule, for a target column of n rows without missing values:

- text, booleans, categories: classification;
- whole numbers, at most 20 distinct, on average at least 5 rows each: classification;
- whole numbers in an array (not a table) that are exactly 0..k-1, on average at least 2 rows each:
  classification;
- all other numbers: regression.

`task=` overrides it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION

# Ratings, digits and grades have rarely more than 20 steps; counts and amounts mostly more.
MOST_WHOLE_CLASSES = 20
ROWS_A_CLASS = 5
ROWS_A_CODE = 2


@dataclass(frozen=True)
class Target:
    """An encoded target.

    Args:
        task: `classification` or `regression`.
        values: int32 class numbers, `example`; or float64 values, `example target`.
        classes: Labels by class number; None for regression.
        name: Name of what is predicted.
    """

    task: str
    values: np.ndarray
    classes: tuple[Any, ...] | None = None
    name: str = "target"


def decide(raw: np.ndarray, task: str | None, *, table: bool = False) -> str:
    """Return the task of a target column by the rule above."""
    if task is not None:
        return task
    if raw.dtype.kind not in "iuf":
        return CLASSIFICATION
    if raw.ndim > 1 and raw.shape[1] > 1:
        return REGRESSION
    if raw.dtype.kind == "f" and not np.array_equal(raw, np.round(raw)):
        return REGRESSION
    found = np.unique(raw)
    few = found.size <= MOST_WHOLE_CLASSES and raw.size >= ROWS_A_CLASS * found.size
    codes = not table and raw.dtype.kind in "iu" and np.array_equal(found, np.arange(found.size))
    coded = codes and raw.size >= ROWS_A_CODE * found.size
    return CLASSIFICATION if few or coded else REGRESSION


def encode(raw: np.ndarray, task: str, name: str, *, classes: Sequence[Any] | None = None) -> Target:
    """Encode the training targets.

    Args:
        raw: Labels or values, `example` or `example target`, nothing missing.
        task: As decided.
        name: Name of the target, for messages.
        classes: Labels by class number where the set fixes them and `raw` holds the numbers.

    Raises:
        DataError: One class only, a constant target, text where values are asked for, fractions as labels,
            or class numbers outside the fixed ones.
    """
    if task == REGRESSION:
        return Target(task, _values(raw, name), None, name)
    labels = _labels(raw, name)
    if classes is not None:
        return Target(task, _checked_codes(labels, len(classes), name), tuple(classes), name)
    found, codes = np.unique(labels, return_inverse=True)
    if found.size < 2:
        got = f"{found.tolist()[0]!r} in every row" if found.size else "no rows"
        rule, hint = "must have at least two classes", "choose another target column"
        raise DataError("target", rule, got=got, where=name, hint=hint)
    return Target(task, codes.astype(np.int32), tuple(found.tolist()), name)


def encode_known(raw: np.ndarray, target: Target, name: str) -> np.ndarray:
    """Encode the targets of another part with the classes of the training part.

    Raises:
        DataError: A label that the training part lacks.
    """
    if target.classes is None:
        return _values(raw, name, allow_constant=True)
    labels = _labels(raw, name)
    if labels.dtype.kind in "iuf" and not isinstance(target.classes[0], (int, float)):
        return _checked_codes(labels, len(target.classes), name)
    number = {label: code for code, label in enumerate(target.classes)}
    strange = [label for label in np.unique(labels).tolist() if label not in number]
    if strange:
        raise DataError(
            "target",
            "every label must occur in the training part",
            got=strange[:5],
            where=name,
            hint="known are " + ", ".join(map(str, target.classes[:20])),
        )
    return np.array([number[label] for label in labels.tolist()], dtype=np.int32)


def check_lone(target: Target) -> None:
    """Refuse a class with a single row: the parts could not share it."""
    counts = np.bincount(target.values, minlength=len(target.classes or ()))
    if target.classes is not None and (counts == 1).any():
        lone = target.classes[int((counts == 1).argmax())]
        raise DataError(
            "target",
            "every class must have at least 2 rows, so that the parts can share them",
            got=f"1 row of {lone!r}",
            where=target.name,
            hint="leave the row out, merge the class into another, or use split=time",
        )


def _labels(raw: np.ndarray, name: str) -> np.ndarray:
    labels = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if labels.ndim != 1:
        raise DataError(
            "target",
            "class labels must be one for each row",
            got=f"shape {labels.shape}",
            where=name,
            hint="give class numbers, not one-hot rows",
        )
    if labels.dtype.kind == "f":
        broken = labels[labels != np.round(labels)]
        if broken.size:
            raise DataError(
                "target",
                "class labels must be whole numbers or text",
                got=float(broken[0]),
                where=name,
                hint="use task=regression for values",
            )
        return labels.astype(np.int64)
    return labels if labels.dtype.kind in "iub" else labels.astype(str)


def _checked_codes(labels: np.ndarray, count: int, name: str) -> np.ndarray:
    outside = labels[(labels < 0) | (labels >= count)]
    if outside.size:
        raise DataError(
            "target",
            f"class numbers must lie in 0..{count - 1}",
            got=int(outside[0]),
            where=f"{name}: {outside.size} of {labels.size} rows",
            hint="check that the label file belongs to these examples",
        )
    return labels.astype(np.int32)


def _values(raw: np.ndarray, name: str, *, allow_constant: bool = False) -> np.ndarray:
    if raw.dtype.kind not in "iufb":
        raise DataError(
            "target",
            "must be numbers for regression",
            got=str(raw.reshape(-1)[0]) if raw.size else None,
            where=name,
            hint="leave task out, or use task=classification",
        )
    values = raw.astype(np.float64)
    values = values[:, None] if values.ndim == 1 else values
    constant = [i for i in range(values.shape[1]) if values.shape[0] and np.ptp(values[:, i]) == 0]
    if constant and not allow_constant:
        raise DataError(
            "target",
            "must vary",
            got=f"{float(values[0, constant[0]])} in every row",
            where=name,
            hint="choose another target column",
        )
    return values
