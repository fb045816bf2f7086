"""`TableColumns` and `SeriesColumns`: rows of a table, single or in windows, to standardised inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from thalweg.core.errors import DataError, nearest
from thalweg.core.lazy import pl
from thalweg.problem.data.files.content import plain_suffix
from thalweg.problem.data.files.numpy_files import read_array
from thalweg.problem.data.files.tables import TABLE_SUFFIXES, read_table
from thalweg.problem.data.inputs import Columns
from thalweg.problem.data.inputs.frames import as_frame, series_frame
from thalweg.problem.data.inputs.rules import Rule, rules_from


@dataclass(frozen=True)
class TableColumns(Columns):
    """Turns rows of a table into standardised inputs.

    Args:
        rules: One for each column that is used, in the order of the table.
        names: All columns of the training table, in order, the target among them.
        target: Name of the target column.
        header: Whether the training file had a header; new files are read the same way.
        missing: Marks for a missing value, besides the known ones.
    """

    kind: ClassVar[str] = "table"
    takes_frames: ClassVar[bool] = True
    nested: ClassVar[dict[str, Callable[[Any], Any]]] = {"rules": rules_from}
    rules: tuple[Rule, ...]
    names: tuple[str, ...]
    target: str = ""
    header: bool = True
    missing: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(feature for rule in self.rules for feature in rule.features)

    def inputs(self, raw: Any) -> np.ndarray:
        """Return float32 inputs, `row feature`, from a frame.

        Raises:
            DataError: Columns are missing, or hold something else than in training.
        """
        frame = as_frame(raw)
        check_columns([rule.column for rule in self.rules], self.names, frame.columns)
        blocks = [rule.apply(frame[rule.column], self.missing) for rule in self.rules]
        return np.concatenate([np.zeros((frame.height, 0), np.float32), *blocks], axis=1)

    def read(self, source: Path | Any, target: str) -> pl.DataFrame:
        """Return the table of a file, or a frame, with the names that the columns had in training."""
        if not isinstance(source, Path):
            return as_frame(source)
        if source.is_dir() or plain_suffix(source) not in TABLE_SUFFIXES:
            rule, hint = "the model was trained on a table and takes one", "give a CSV or Parquet file"
            raise DataError("predict", rule, got=str(source), hint=hint)
        frame = read_table(source, self.header)
        if not self.header and frame.width == len(self.names) - 1:  # a file without names and without target
            frame.columns = [name for name in self.names if name != self.target]
        return frame


@dataclass(frozen=True)
class SeriesColumns(Columns):
    """Turns a table in time order into windows.

    Args:
        table: The rules of the columns; the target's own past is one of them, unless it was dropped.
        window: Rows in a window.
        horizon: Values that follow a window and are predicted.
    """

    kind: ClassVar[str] = "series"
    takes_frames: ClassVar[bool] = True
    nested: ClassVar[dict[str, Callable[[Any], Any]]] = {"table": TableColumns.from_dict}
    table: TableColumns
    window: int
    horizon: int

    def inputs(self, raw: Any) -> np.ndarray:
        """Return every window of a frame or an array, `window time feature`, float32.

        The last window ends at the last row: what it predicts lies beyond the table.

        Raises:
            DataError: There are fewer rows than a window has, or columns are missing.
        """
        frame = series_frame(raw)[0]
        if frame.height < self.window:
            rule = f"must have at least the {self.window} rows of a window"
            hint = "add the rows that precede these"
            raise DataError("series", rule, got=f"{frame.height} rows", hint=hint)
        rows = self.table.inputs(frame)
        return np.moveaxis(np.lib.stride_tricks.sliding_window_view(rows, self.window, axis=0), 2, 1)

    def read(self, source: Path | Any, target: str) -> pl.DataFrame:
        """Return the rows of a table's file or an npy file, of a frame or of an array."""
        if not isinstance(source, Path):
            return series_frame(source)[0]
        if source.is_file() and plain_suffix(source) == ".npy":
            return series_frame(read_array(source))[0]
        return self.table.read(source, target)


def check_columns(needed: Sequence[str], training: Sequence[str], columns: Sequence[str]) -> None:
    """Reject a table that lacks a column, and name the most similar column that it has.

    Args:
        needed: Columns that the model uses.
        training: All columns of the training table.
        columns: Columns of this table.
    """
    lacking = [name for name in needed if name not in columns]
    if not lacking:
        return
    extra = [name for name in columns if name not in training]
    similar = {name: nearest(name, extra) for name in lacking}
    pairs = ", ".join(f"{name} (is it {near!r}?)" if near else name for name, near in similar.items())
    rule = "must have the columns of the training table"
    got = f"no column {pairs}"
    hint = "rename the columns as in training" if extra else "add the columns; empty cells are allowed"
    raise DataError("table", rule, got=got, where=f"columns {', '.join(columns[:20])}", hint=hint)
