"""Folds: several divisions of one data set, each with its own preparation, which lanes train on together.

Every fold is a complete `Data`: its test split is what was held out of it, and its preparation (means,
scales, categories, medians) was fitted to its own training rows alone. Their arrays lie one after another,
and a lane reads the rows of its fold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.data import Data
from thalweg.problem.data.fold_rows import FoldRows
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.split import Rows, Split


@dataclass(frozen=True)
class FoldedData(Data):
    """Data with folds. The splits hold the rows of all folds; see `FoldRows`.

    Args:
        folds: Each fold as data of its own; `test` is the part that was held out.
    """

    folds: tuple[Data, ...] = ()


def join_folds(folds: Sequence[Data]) -> FoldedData:
    """Return folds as one data set, whose lanes read a fold each.

    Args:
        folds: Data with equal tasks, classes and shapes of examples; only rows of arrays.

    Raises:
        DataError: There are fewer than two, or they do not fit together.
    """
    if len(folds) < 2:
        raise DataError("folds", "there must be at least 2", got=len(folds), hint="try 5")
    folds = _of_one_width(folds)
    first = folds[0]
    for number, fold in enumerate(folds):
        _check_alike(first, fold, number)
    splits = {name: _joined([fold.splits[name] for fold in folds]) for name in first.splits}
    whole = FoldedData.of_splits(first.name, first.task, splits, first.preparation, first.notes)
    return replace(whole, folds=tuple(folds), source=first.source)


def _of_one_width(folds: Sequence[Data]) -> Sequence[Data]:
    """Return tables with inputs of one width, filled up with zeros: the training rows of some folds may lack
    rare categories.
    """
    widths = [fold.input_shape[-1] if len(fold.input_shape) == 1 else 0 for fold in folds]
    if len(set(widths)) == 1 or not all(isinstance(fold.preparation.columns, TableColumns) for fold in folds):
        return folds
    return [_padded(fold, max(widths) - width) for fold, width in zip(folds, widths, strict=True)]


def _padded(fold: Data, padding: int) -> Data:
    columns = replace(fold.preparation.columns, padding=padding)  # type: ignore[type-var]
    splits = {
        name: Rows(np.pad(split.inputs, ((0, 0), (0, padding))), split.targets)  # type: ignore[attr-defined]
        for name, split in fold.splits.items()
    }
    return replace(fold, preparation=replace(fold.preparation, columns=columns), **splits)


def _check_alike(first: Data, fold: Data, number: int) -> None:
    facts: Mapping[str, Any] = {
        "tasks": lambda data: data.task,
        "classes": lambda data: data.preparation.classes,
        "splits": lambda data: sorted(data.splits),
        "shapes of examples": lambda data: data.input_shape,
        "numbers of outputs": lambda data: data.outputs,
    }
    for name, fact in facts.items():
        if fact(fold) != fact(first):
            got = f"{fact(first)} in fold 0, {fact(fold)} in fold {number}"
            hint = "use fewer folds, or train on each fold by itself"
            raise DataError("folds", f"must have equal {name}", got=got, hint=hint)
    wrong = next((split for split in fold.splits.values() if type(split) is not Rows), None)
    if wrong is not None:
        rule, hint = (
            "only rows of arrays can be divided into folds",
            "hold out a part of the sequence",
        )
        raise DataError("folds", rule, got=type(wrong).__name__, hint=hint)


def _joined(splits: Sequence[Split]) -> FoldRows:
    """Return the rows of all folds, one after another."""
    counts = np.array([split.count() for split in splits], np.int32)
    starts = np.cumsum(counts, dtype=np.int32) - counts
    rows = [(split.inputs, split.targets) for split in splits]  # type: ignore[attr-defined]
    inputs, targets = jax.tree.map(lambda *leaves: np.concatenate(leaves), *rows)
    return FoldRows(inputs, targets, starts, counts, int(counts.max()))
