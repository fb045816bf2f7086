"""`TableColumns`: rows of a table to standardised inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from thalweg.core.errors import DataError, nearest
from thalweg.core.lazy import pl
from thalweg.problem.data.files.content import plain_suffix
from thalweg.problem.data.files.parts import Parts, read_parts
from thalweg.problem.data.files.tables import TABLE_SUFFIXES, TableFormat, read_table
from thalweg.problem.data.inputs import Columns
from thalweg.problem.data.inputs.array import check_range
from thalweg.problem.data.inputs.frames import as_frame, flattened
from thalweg.problem.data.inputs.rules import NumberRule, Rule, rules_from
from thalweg.problem.data.note import warn_of_lines


@dataclass(frozen=True)
class TableColumns(Columns):
    """Turns rows of a table into standardised inputs.

    Args:
        rules: One for each column that is used, in the order of the table.
        names: All columns of the training table, in order, the target among them.
        target: Name of the target column.
        header: Whether the training file had a header; new files are read the same way.
        missing: Marks for a missing value, besides the known ones.
        separator, encoding: Of the training file, where the user gave them; new files are read the same way.
        padding: Inputs after the last column that are always 0, so that folds in which columns have different
            numbers of categories have inputs of one shape.
    """

    kind: ClassVar[str] = "table"
    takes_frames: ClassVar[bool] = True
    nested: ClassVar[dict[str, Callable[[Any], Any]]] = {"rules": rules_from}
    rules: tuple[Rule, ...]
    names: tuple[str, ...]
    target: str = ""
    header: bool = True
    missing: tuple[str, ...] = ()
    padding: int = 0
    separator: str | None = None
    encoding: str | None = None

    @property
    def form(self) -> TableFormat:
        """How new files are read."""
        return TableFormat(self.header, self.separator, self.encoding)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(feature for rule in self.rules for feature in rule.features)

    def inputs(self, raw: Any, *, new: bool = True, whole: bool = True) -> np.ndarray:
        """Return float32 inputs, `row feature`, from a frame.

        Args:
            raw: The frame.
            new: Whether its cells are new, and to be checked; those of the training table have been.
            whole: Whether these are all rows, so that their range can be compared with that of training.

        Raises:
            DataError: Columns are missing, or hold something else than in training.
        """
        frame = flattened(as_frame(raw))[0]
        check_columns([rule.column for rule in self.rules], self.names, frame.columns)
        if new and whole:
            self._check_range(frame)
        blocks = [rule.apply(frame[rule.column], self.missing, new=new) for rule in self.rules]
        return np.concatenate([*blocks, np.zeros((frame.height, self.padding), np.float32)], axis=1)

    def _check_range(self, frame: pl.DataFrame) -> None:
        """Reject a table in other units than that of training: nearly all its numbers far outside.

        Raises:
            DataError: It is one.
        """
        numbers = [rule for rule in self.rules if isinstance(rule, NumberRule)]
        if numbers and frame.height:
            scaled = [rule.scaled(frame[rule.column], self.missing, new=False) for rule in numbers]
            mean, scale = (np.array([getattr(rule, name) for rule in numbers]) for name in ("mean", "scale"))
            rows = np.nan_to_num(np.stack(scaled, axis=1), nan=0.0) * scale + mean
            check_range("numbers of the table", rows, mean - scale, mean + scale)

    def read(self, source: Path | Parts | Any, target: str) -> pl.DataFrame:
        """Return the table of a file, or a frame, with the names that the columns had in training."""
        if isinstance(source, Parts):
            table = read_parts(source, self.form)
        elif not isinstance(source, Path):
            return as_frame(source)
        elif source.is_dir() or plain_suffix(source) not in TABLE_SUFFIXES:
            rule, hint = "the model was trained on a table and takes one", "give a CSV or Parquet file"
            raise DataError("predict", rule, got=str(source), hint=hint)
        else:
            table = read_table(source, self.form)
        warn_of_lines(table.notes)
        return self.named(table.frame)

    def named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the table of a file with the names that its columns had in training."""
        if not self.header and frame.width == len(self.names) - 1:  # a file without names and without target
            frame.columns = [name for name in self.names if name != self.target]
        return frame


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
    got = f"no {'column' if len(lacking) == 1 else 'columns'} {pairs}"
    hint = "rename the columns as in training" if extra else "add the columns; empty cells are allowed"
    raise DataError("table", rule, got=got, where=f"columns {', '.join(columns[:20])}", hint=hint)
