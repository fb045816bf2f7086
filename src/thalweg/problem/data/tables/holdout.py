"""A separate test table, read in the same way as the training table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.files.tables import ReadTable, TableFormat, read_table
from thalweg.problem.data.inputs.column_types import Reading
from thalweg.problem.data.inputs.frames import as_frame, is_frame, is_pair, join_target
from thalweg.problem.data.inputs.table import check_columns
from thalweg.problem.data.labels import Target
from thalweg.problem.data.note import Note, noted, warn_of_lines
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.splitting import shared_rows
from thalweg.problem.data.tables.columns import table_format
from thalweg.problem.data.tables.target import join_targets, read_test_target

# A column that no table has.
_ROW = "\0row"


@dataclass(frozen=True)
class HeldOutTable:
    """A test table.

    Args:
        frame: Its rows that have a target.
        targets: Encoded as in training.
        rows: Their numbers in the table that was read, from 0.
        notes: Notes on it.
    """

    frame: pl.DataFrame
    targets: np.ndarray
    rows: np.ndarray
    notes: tuple[Note, ...]


def read_test_table(
    train: pl.DataFrame, used: list[str], target: Target, options: LoadOptions, read: ReadTable
) -> HeldOutTable:
    """Read the separate test table of `options`.

    Args:
        train: The training table.
        used: Its columns that the model uses.
        target: Its target, encoded.
        options: How the training table was read; `test` is a path, a frame, or a pair (frame, targets).
        read: The training table as it was read.

    Raises:
        DataError: The table cannot be read, lacks columns, or has labels that do not occur in training.
    """
    form = table_format(options, read.header)
    frame, said = noted(lambda: _frame(options.separate_test, target.name, form))
    check_columns(used, train.columns, frame.columns)
    frame, _ = join_targets(frame, target.name, Reading(options.missing, options.decimal, options.dates))
    frame, targets, notes = read_test_target(frame.with_row_index(_ROW), target, options.missing)
    rows, frame = frame[_ROW].to_numpy(), frame.drop(_ROW)
    notes += shared_rows(frame_hashes(train, used), frame_hashes(frame, used))
    return HeldOutTable(frame, targets, rows, notes + said)


def frame_hashes(frame: pl.DataFrame, columns: list[str]) -> np.ndarray:
    """Return a 64-bit hash of each row over some columns, for finding equal rows within one process."""
    durations = [name for name in columns if isinstance(frame[name].dtype, pl.Duration)]  # have no text
    plain = frame.select(columns).with_columns(pl.col(durations).cast(pl.Int64))
    return plain.select(pl.all().cast(pl.String)).hash_rows().to_numpy()


def read_test_file(path: Path | str, form: TableFormat) -> pl.DataFrame:
    """Read the table of a test file."""
    if not Path(path).is_file():
        rule = "test must be a share, or a file that exists"
        raise DataError("load", rule, got=path, hint=f"try {option('test', 0.2)}")
    table = read_table(Path(path), form)
    warn_of_lines(table.notes)
    return table.frame


def _frame(test: Any, target: str, form: TableFormat) -> pl.DataFrame:
    if isinstance(test, tuple) and is_pair(test) and is_frame(test[0]):
        frame, name = join_target(*test)
        return frame.rename({name: target})
    if is_frame(test):
        return as_frame(test)
    if isinstance(test, (str, Path)):
        return read_test_file(test, form)
    rule = "test must be a share, a path or a frame"
    raise DataError("load", rule, got=type(test).__name__, hint=f"for example {option('test', 0.2)}")
