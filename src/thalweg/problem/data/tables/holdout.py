"""A test part that comes as a table of its own: read the way the training table was read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.duplicates import shared_note
from thalweg.problem.data.inputs.frames import as_frame, is_frame, joined
from thalweg.problem.data.inputs.table import check_columns
from thalweg.problem.data.labels import Target
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.tables.read import read_table
from thalweg.problem.data.tables.target import find_column, present_rows, read_known


@dataclass(frozen=True)
class OwnTest:
    """A test table.

    Args:
        frame: Its rows, as they came, those without a target left out.
        targets: Encoded as in training.
        notes: What was pointed out.
    """

    frame: pl.DataFrame
    targets: np.ndarray
    notes: tuple[Note, ...]


def read_test(
    given: Any, train: pl.DataFrame, used: list[str], target: Target, options: LoadOptions
) -> OwnTest:
    """Read a test table.

    Args:
        given: A path, a frame, or a pair (frame, targets).
        train: The training table, as it came.
        used: Its columns that are learnt from.
        target: Its target, encoded.
        options: How the training table was read.

    Raises:
        DataError: It cannot be read, lacks columns, or holds labels that training lacks.
    """
    frame = _frame(given, target.name, options.header)
    check_columns(used, train.columns, frame.columns)
    find_column(frame.columns, target.name)
    frame, absent = present_rows(frame, target.name, options.missing)
    who = f"{target.name}, test part"
    targets, labels = read_known(frame[target.name], target, options.missing, who)
    known = set(row_hashes(train, used).tolist())
    shared = sum(key in known for key in row_hashes(frame, used).tolist())
    return OwnTest(frame, targets, absent + labels + shared_note(shared, frame.height))


def row_hashes(frame: pl.DataFrame, columns: list[str]) -> np.ndarray:
    """Return a 64-bit hash of each row over some columns, for finding equal rows within one process."""
    return frame.select(pl.col(columns).cast(pl.String)).hash_rows().to_numpy()


def _frame(given: Any, target: str, header: bool) -> pl.DataFrame:
    if isinstance(given, tuple) and len(given) == 2 and is_frame(given[0]):
        frame, name = joined(given)
        return frame.rename({name: target})
    if is_frame(given):
        return as_frame(given)
    rule = "test must be a share, a path or a frame"
    if not isinstance(given, (str, Path)):
        raise DataError("load", rule, got=type(given).__name__, hint="for example test=0.2")
    if not Path(given).is_file():
        raise DataError("load", "test must be a share, or a file that exists", got=given, hint="try test=0.2")
    return read_table(Path(given), header)
