"""The target of a table that is read chunk by chunk: its classes and statistics, and the targets of rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.chunked.statistics import Counts, Moments
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION
from thalweg.problem.data.inputs.column_types import plain_text
from thalweg.problem.data.inputs.new_cells import read_numbers
from thalweg.problem.data.inputs.numbers import NumberFormat
from thalweg.problem.data.labels import Target

# More classes than this are none.
MOST_CLASSES = 10_000


@dataclass
class ChunkedTarget:
    """How the cells of a target column become targets.

    Args:
        found: The target of the sample.
        marks: Marks for a missing value.
        written: How numbers are written.

    Attributes:
        classes: All labels by class number, in the order that `encode` gives them; None for values.
        missing: Rows without a target.
    """

    found: Target
    marks: tuple[str, ...]
    written: NumberFormat
    counts: Counts = field(default_factory=Counts)
    moments: Moments = field(default_factory=Moments)
    missing: int = 0

    @property
    def is_class(self) -> bool:
        """Whether the target is a class."""
        return self.found.task == CLASSIFICATION

    @property
    def is_text(self) -> bool:
        """Whether the labels are text."""
        return self.found.classes is not None and isinstance(self.found.classes[0], str)

    def cells(self, column: pl.Series) -> pl.Series:
        """Return the labels as text, or the values as Float64; null where missing.

        Raises:
            DataError: A value is infinite, or no number.
        """
        if self.is_text:
            return plain_text(column, self.marks).cast(pl.String)
        values = read_numbers(column, self.marks, self.written, new=True).fill_nan(None)
        if not self.is_class:
            return values
        whole = values.drop_nulls()
        if self._whole and not (whole == whole.round()).all():
            rule = "must be whole numbers, as in the rows from which its classes were found"
            got = next(value for value in whole if value != round(value))
            hint = "give the task: regression, if these are values"
            raise DataError("target", rule, got=got, where=self.found.name, hint=hint)
        return (values.cast(pl.Int64) if self._whole else values).cast(pl.String)

    @property
    def _whole(self) -> bool:
        return all(isinstance(label, int) for label in self.found.classes or ())

    def add(self, column: pl.Series, train: np.ndarray) -> np.ndarray:
        """Add the rows of a chunk; return which have no target.

        Args:
            column: The cells of all its rows.
            train: Which of them are for training.
        """
        cells = self.cells(column)
        missing = cells.is_null()
        self.missing += int(missing.sum())
        if self.is_class:
            self.counts.add(cells)
            if len(self.counts.rows) > MOST_CLASSES or not self.counts.complete:
                got, hint = f"more than {MOST_CLASSES:,} labels", "choose another target, or give the task"
                raise DataError(
                    "target", "must have classes that repeat", got=got, where=column.name, hint=hint
                )
        else:
            self.moments.add(cells.filter(pl.Series(train)).drop_nulls().to_numpy())
        return missing.to_numpy()

    @property
    def classes(self) -> tuple[object, ...] | None:
        """All labels by class number, in the order of `labels.encode`."""
        if not self.is_class:
            return None
        labels = list(self.counts.rows)
        if self.is_text:
            return tuple(np.unique(np.array(labels, dtype=str)).tolist())
        kind = int if self._whole else float
        return tuple(sorted(kind(label) for label in labels))

    def targets(self, column: pl.Series) -> np.ndarray:
        """Return the targets of rows that have one: int32 classes `row`, or float32 standardised `row 1`."""
        cells = self.cells(column)
        if not self.is_class:
            mean, scale = self.moments.mean, self.moments.scale
            return ((cells.to_numpy() - mean) / scale).astype(np.float32)[:, None]
        classes = self.classes or ()
        names = [label if isinstance(label, str) else _text_of(label) for label in classes]
        codes = cells.replace_strict(names, list(range(len(names))), return_dtype=pl.Int32)
        return codes.to_numpy()


def _text_of(label: object) -> str:
    return str(pl.Series([label]).cast(pl.String)[0])


def check_task(target: Target) -> None:
    """Refuse a target that cannot be read chunk by chunk.

    Raises:
        DataError: It consists of several columns.
    """
    if target.task not in (CLASSIFICATION, REGRESSION):
        hint = "choose one column"
        raise DataError("target", "a table that is streamed has one target", got=target.task, hint=hint)
