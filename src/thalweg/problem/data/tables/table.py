"""A frame to `Data`: target read, useless columns left out, rows split, rules fitted on the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.caller import argument
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.checked_arrays import assemble
from thalweg.problem.data.data import MOST_CELLS, Data
from thalweg.problem.data.files.parts import Parts, read_parts
from thalweg.problem.data.files.tables import TABLE_SUFFIXES, ReadTable, find_column, read_table
from thalweg.problem.data.folds import join_folds
from thalweg.problem.data.inputs.column_types import SKIP, Reading, Typed, read_columns
from thalweg.problem.data.inputs.frames import as_table, flattened, is_frame, is_pair, join_target
from thalweg.problem.data.inputs.new_cells import read_numbers
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.labels import Target
from thalweg.problem.data.note import Note, noted
from thalweg.problem.data.options import TABLES, TEXT_TABLES, LoadOptions, Reader, Source, is_text_table
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.splitting import split_examples
from thalweg.problem.data.tables.codes import codes_as_categories
from thalweg.problem.data.tables.columns import fit_columns, table_format, type_notes, useful_columns
from thalweg.problem.data.tables.holdout import HeldOutTable, frame_hashes, read_test_table
from thalweg.problem.data.tables.leaks import check_target, leaks
from thalweg.problem.data.tables.target import join_targets, read_target
from thalweg.problem.data.weights import checked_weights, mean_one, of_rows, weights_by_split


def _accepts(source: Source, options: LoadOptions) -> bool:
    pair = is_pair(source.data) and is_frame(source.data[0])
    is_table = source.suffix in TABLE_SUFFIXES or (source.suffix == ".txt" and is_asked_for(options))
    return is_table or is_frame(source.data) or pair


def is_asked_for(options: LoadOptions) -> bool:
    """Return whether options ask to read a .txt file as a table: they name a target, and nothing of texts."""
    return options.target is not None and not options.lines and options.context is None


def _read(source: Source, options: LoadOptions) -> Data:
    data, name = source.data, source.name or "table"
    if isinstance(data, (Path, Parts)):
        return from_table(read_file(data, options), name, options)
    if is_frame(data):
        return from_frame(data, name, options)
    frame, target = join_target(*data)
    return from_frame(frame, name, options, target=target)


def read_file(source: Path | Parts, options: LoadOptions) -> ReadTable:
    """Return the table in a file or in several; nested columns are divided, except a target of several.

    Raises:
        DataError: It cannot be read.
    """
    form = table_format(options)
    read = read_parts(source, form) if isinstance(source, Parts) else read_table(source, form)
    if read.text or not any(dtype.is_nested() for dtype in read.frame.dtypes):
        return read
    several = options.target if isinstance(options.target, str) else None
    frame, notes = flattened(read.frame, several)
    return replace(read, frame=frame, notes=(*read.notes, *notes))


def _kinds(source: Source, options: LoadOptions) -> tuple[str, ...]:
    return (TABLES, TEXT_TABLES) if is_text_table(source) else (TABLES,)


READER = Reader(_accepts, _read, _kinds)


@dataclass(frozen=True)
class _Table:
    """A table being read: its rows that have a target, their numbers and that of all, the columns that the
    model uses, its target, and notes.
    """

    frame: pl.DataFrame
    rows: np.ndarray
    count: int
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
    read = as_table(source, target)
    if read.frame.height == 0 or read.frame.width == 0:
        got = f"{read.frame.height} rows, {read.frame.width} columns"
        raise DataError("table", "must hold rows", got=got, hint="add rows")
    return from_table(read, name, options, target)


def from_table(read: ReadTable, name: str, options: LoadOptions, target: str | None = None) -> Data:
    """Turn a table that was read into data; the arguments are those of `from_frame`."""
    wanted = target if options.target is None else options.target
    frame, column = join_targets(read.frame, wanted, reading_of(read, options))
    read = replace(read, frame=frame)
    table = _typed(read, column, options)
    check_target(table.target, options)
    used = list(table.columns)
    separate = options.separate_test is not None
    test = read_test_table(table.frame, used, table.target, options, read) if separate else None
    hashes = frame_hashes(table.frame, [find_column(frame.columns, options.group)] if options.group else used)
    splits, split_notes = split_examples(hashes, table.target, options, separate_test=separate)
    how = replace(options, header=read.header)

    def fitted(rows: dict[str, np.ndarray]) -> Data:
        columns, fit_notes = fit_columns(table.columns, rows["train"], frame.columns, column, how)
        notes = table.notes + fit_notes + split_notes
        weights = _weights(table, rows, None if test is None else test.frame, options)
        return _assembled(name, table, columns, rows, test, notes, weights)

    folds = [fitted(rows) for rows in splits]
    return folds[0] if options.folds is None else join_folds(folds)


def _assembled(
    name: str,
    table: _Table,
    columns: TableColumns,
    rows: dict[str, np.ndarray],
    test: HeldOutTable | None,
    notes: tuple[Note, ...],
    weights: dict[str, np.ndarray],
) -> Data:
    """Return the data of one division of the rows; the columns were fitted to its training rows."""
    inputs = {split: columns.inputs(table.frame[indices], new=False) for split, indices in rows.items()}
    targets = {split: table.target.values[indices] for split, indices in rows.items()}
    if test is not None:
        inputs["test"], said = noted(lambda: columns.inputs(test.frame))
        targets["test"] = test.targets
        notes += test.notes + said
    notes += leaks(table.columns, table.target)
    own = rows.get("test")
    preparation = Preparation(columns, classes=table.target.classes, target=table.target.name)
    rows = {split: table.rows[indices] for split, indices in rows.items()}
    rows |= {} if test is None else {"test": test.rows}
    data = assemble(name, table.target.task, inputs, targets, preparation, notes, rows, weights)
    if len(targets.get("test", ())) > MOST_CELLS:
        return data
    cells = None if own is None else table.frame[own]
    return replace(data, cells=cells if test is None else test.frame)


def _weights(
    table: _Table, rows: Mapping[str, np.ndarray], test: pl.DataFrame | None, options: LoadOptions
) -> dict[str, np.ndarray]:
    """Return what the rows of each split count; nothing where all count the same.

    Raises:
        DataError: There is no such column, or it holds no weights.
    """
    if options.weights is None:
        return {}
    if not isinstance(options.weights, str):
        by_split = weights_by_split(of_rows(options.weights, table.count, table.rows), rows)
        return by_split | ({} if test is None else {"test": np.ones(test.height, np.float32)})
    by_split = weights_by_split(_column_weights(table.frame, options), rows)
    return by_split | ({} if test is None else {"test": mean_one(_column_weights(test, options), "test")})


def _column_weights(frame: pl.DataFrame, options: LoadOptions) -> np.ndarray:
    name = find_column(frame.columns, options.weights, who="weights")
    numbers = read_numbers(frame[name], options.missing)
    if numbers.null_count():
        rule, hint = "must not be missing", "fill them in, or leave those rows out"
        raise DataError(
            argument("weights"), rule, got=f"{numbers.null_count()} missing", where=name, hint=hint
        )
    return checked_weights(numbers.to_numpy(), frame.height, name)


def table_types(read: ReadTable, options: LoadOptions, target: str | None = None) -> dict[str, Typed]:
    """Return the columns of a table that options leave in, with their types; the target is among them."""
    columns = read.frame.columns
    out = {find_column(columns, column, who="drop") for column in options.drop}
    out |= {find_column(columns, column, who="types") for column, kind in options.types if kind == SKIP}
    if isinstance(options.weights, str):
        out |= {find_column(columns, options.weights, who="weights")}
    if options.group:
        out |= {find_column(columns, options.group, who="group")} - set(options.keep)
    given = {find_column(columns, column, who="types"): kind for column, kind in options.types}
    several = {name for name in columns if isinstance(read.frame[name].dtype, pl.Struct)}
    wanted = [name for name in columns if (name not in out or name == target) and name not in several]
    return read_columns(read.frame.select(wanted), reading_of(read, options), given)


def reading_of(read: ReadTable, options: LoadOptions) -> Reading:
    """Return how the cells of a table are read."""
    return Reading(options.missing, options.decimal, options.dates, text=read.text)


def _typed(read: ReadTable, name: str, options: LoadOptions) -> _Table:
    """Read the target and the types of the other columns, and leave out those that are useless."""
    typed = table_types(read, options, name)
    of_target = {name: typed.pop(name)} if name in typed else {}
    used, target, target_notes = read_target(read.frame[name], of_target.get(name), options)
    typed = {column: values.where(used) for column, values in typed.items()}
    typed, code_notes = codes_as_categories(typed, target)
    useful, useful_notes = useful_columns(typed, options.keep)
    notes = (*read.notes, *target_notes, *type_notes(of_target | useful), *code_notes, *useful_notes)
    rows = np.flatnonzero(used.to_numpy())
    return _Table(read.frame.filter(used), rows, read.frame.height, useful, target, notes)
