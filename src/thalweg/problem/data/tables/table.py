"""A frame to `Data`: target read, useless columns left out, rows split, rules fitted on the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.arrays import assemble
from thalweg.problem.data.data import Data
from thalweg.problem.data.files.tables import TABLE_SUFFIXES, find_column, read_table
from thalweg.problem.data.inputs.column_types import Typed, read_column
from thalweg.problem.data.inputs.frames import as_frame, is_frame, is_pair, join_target
from thalweg.problem.data.labels import Target, read_target
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import LoadOptions, Reader, Source
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.splitting import split_examples
from thalweg.problem.data.tables.columns import fit_columns, leaks, useful_columns
from thalweg.problem.data.tables.holdout import frame_hashes, read_test_table


def _accepts(source: Source, options: LoadOptions) -> bool:
    pair = is_pair(source.data) and is_frame(source.data[0])
    return source.suffix in TABLE_SUFFIXES or is_frame(source.data) or pair


def _read(source: Source, options: LoadOptions) -> Data:
    data, name = source.data, source.name or "table"
    if isinstance(data, Path):
        return from_frame(read_table(data, options.header), name, options)
    if is_frame(data):
        return from_frame(data, name, options)
    frame, target = join_target(*data)
    return from_frame(frame, name, options, target=target)


READER = Reader(_accepts, _read)


@dataclass(frozen=True)
class _Table:
    """A table being read: its rows, the columns that the model uses, its target, and notes."""

    frame: pl.DataFrame
    columns: dict[str, Typed]
    target: Target
    notes: tuple[Note, ...]


def from_frame(source: Any, name: str, options: LoadOptions, target: str | None = None) -> Data:
    """Turn a frame into data.

    Args:
        source: A Polars or pandas frame; all cells may be text, as in CSV files.
        name: Name of the set.
        options: How to read it.
        target: The set's own target column, if `options` names none.

    Raises:
        DataError: The table cannot be used.
    """
    frame = as_frame(source)
    if frame.height == 0 or frame.width == 0:
        got = f"{frame.height} rows, {frame.width} columns"
        raise DataError("table", "must hold rows", got=got, hint="add rows")
    column = find_column(frame.columns, target if options.target is None else options.target)
    table = _typed(frame, column, options)
    used = list(table.columns)
    separate = options.separate_test is not None
    test = read_test_table(table.frame, used, table.target, options) if separate else None
    hashes = frame_hashes(table.frame, [find_column(frame.columns, options.group)] if options.group else used)
    rows, split_notes = split_examples(hashes, table.target, options, separate_test=separate)
    columns, fit_notes = fit_columns(table.columns, rows["train"], frame.columns, column, options)
    inputs = {split: columns.inputs(table.frame[indices]) for split, indices in rows.items()}
    targets = {split: table.target.values[indices] for split, indices in rows.items()}
    notes = table.notes + fit_notes + split_notes
    if test is not None:
        inputs["test"], targets["test"] = columns.inputs(test.frame), test.targets
        notes += test.notes
    notes += leaks(table.columns, table.target)
    preparation = Preparation(columns, classes=table.target.classes, target=table.target.name)
    return assemble(name, table.target.task, inputs, targets, preparation, notes)


def _typed(frame: pl.DataFrame, name: str, options: LoadOptions) -> _Table:
    """Read the target and the types of the other columns, and leave out those that are useless."""
    out = {find_column(frame.columns, column, who="drop") for column in options.drop} | {name}
    if options.group:
        out |= {find_column(frame.columns, options.group, who="group")} - set(options.keep)
    frame, target, target_notes = read_target(frame, name, options.task, options.missing)
    typed = {
        column: read_column(frame[column], options.missing) for column in frame.columns if column not in out
    }
    columns, notes = useful_columns(typed, options.keep)
    return _Table(frame, columns, target, target_notes + notes)
