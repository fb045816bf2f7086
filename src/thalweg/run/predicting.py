"""Predictions for tables that need not fit in memory: read, predicted and handed on part by part."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import DataError, DataWarning
from thalweg.core.lazy import pl
from thalweg.problem.data.chunked.chunks import ChunkedTable, sample
from thalweg.problem.data.files.tables import find_column
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.run.restore import Trained

# Rows whose range is compared with that of training, and from how many chunks they come.
CHECKED_ROWS, CHECKED_CHUNKS = 4096, 8


@dataclass(frozen=True)
class Part:
    """Predictions for some rows that follow one another.

    Args:
        rows: Their numbers, from 0, and the columns that are kept.
        answers: `prediction` and what belongs to it, as `Trained.answers` gives them.
        notes: Notes on these rows.
    """

    rows: pl.DataFrame
    answers: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()


def predict_parts(trained: Trained, table: ChunkedTable, keep: Sequence[str] = ()) -> Iterator[Part]:
    """Yield predictions for a table, chunk by chunk; all together they are those of the whole table.

    Cells are checked chunk by chunk, so that one with many unreadable cells is refused also where these are
    few among all. Whether numbers are in the units of training is judged by rows from the whole table.

    Args:
        trained: The model, of tables.
        table: The rows, from `predict_inputs.read_parts`.
        keep: Columns that are returned unchanged.

    Raises:
        DataError: Columns are missing, or hold something else than in training. What was yielded before is
            right.
    """
    columns: Any = trained.preparation.columns
    spread = columns.named(sample(table, CHECKED_ROWS, CHECKED_CHUNKS))
    with warnings.catch_warnings():  # which each chunk will say of its own rows
        warnings.simplefilter("ignore", DataWarning)
        columns.inputs(spread)
    found = [find_column(spread.columns, name, who="keep") for name in dict.fromkeys(keep)]
    taken = sorted({"row", "prediction"} & set(found))
    if taken:
        rule, hint = "must not have the name of a column of the predictions", "rename it in the table"
        raise DataError("keep", rule, got=taken[0], hint=hint)
    for number, first in enumerate(table.starts[:-1]):
        frame = columns.named(table.rows(number))
        yield _part(trained, columns, frame, int(first), found)


def _part(trained: Trained, columns: TableColumns, frame: pl.DataFrame, first: int, keep: list[str]) -> Part:
    rows = f"of rows {first + 1} to {first + frame.height}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        try:
            inputs = columns.inputs(frame, whole=False)
        except DataError as error:
            where = rows if error.where is None else f"{error.where} {rows}"
            raise DataError(
                error.who, error.rule, got=error.got, where=where, hint=error.hint, cause=error.cause
            ) from error
    numbers = pl.Series("row", np.arange(first, first + frame.height))
    notes = tuple(f"{warning.message} {rows}" for warning in caught)
    kept = pl.DataFrame([numbers, *(frame[name] for name in keep)])
    return Part(kept, trained.answers_of(trained.outputs(inputs)), notes)
