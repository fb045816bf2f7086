"""A table in time order to `Data`: windows of rows as inputs, the values that follow them as targets.

The rows are cut into training, validation and test in time order, and all rows and targets of a window are
in one split: no row is shared by two splits. At each border this leaves out the `window + horizon - 1`
windows that would cross it. The rules of the columns and the scale of the target come from the training
rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data
from thalweg.problem.data.files.numpy_files import read_array
from thalweg.problem.data.files.tables import TABLE_SUFFIXES, find_column, read_table
from thalweg.problem.data.inputs.array import mean_and_scale
from thalweg.problem.data.inputs.column_types import CATEGORY, DATE, Typed, read_column
from thalweg.problem.data.inputs.frames import series_frame
from thalweg.problem.data.inputs.table import SeriesColumns
from thalweg.problem.data.labels import Target, encode, encode_known, present_values, reject_dates
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import RANDOM, TIME, LoadOptions, Reader, Source
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import SeriesWindows
from thalweg.problem.data.splitting import split_rows
from thalweg.problem.data.tables.columns import fit_columns, useful_columns
from thalweg.problem.data.tables.holdout import read_test_file


def _accepts(source: Source, options: LoadOptions) -> bool:
    in_memory = not isinstance(source.data, (str, Path))
    return options.window is not None and (in_memory or source.suffix in (*TABLE_SUFFIXES, ".npy"))


def _read(source: Source, options: LoadOptions) -> Data:
    data = source.data
    if isinstance(data, Path):
        data = read_array(data) if source.suffix == ".npy" else read_table(data, options.header)
    return from_series(data, source.name or "series", options)


READER = Reader(_accepts, _read, options=("window",))


@dataclass(frozen=True)
class _Table:
    """A series being read.

    Args:
        frame: Its rows.
        columns: The columns that the model uses.
        target: The target's values that are not missing, encoded.
        present: Rows that have a target, `row` of bool.
        notes: Notes so far.
    """

    frame: pl.DataFrame
    columns: dict[str, Typed]
    target: Target
    present: np.ndarray
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class _Rows:
    """The rows of one split: inputs, targets (0 where missing), and where targets are present."""

    inputs: np.ndarray
    targets: np.ndarray
    present: np.ndarray


def from_series(source: Any, name: str, options: LoadOptions) -> Data:
    """Cut a series into splits and windows.

    Args:
        source: A frame, an array of numbers (`time` or `time feature`), or a pair (inputs, target). Rows are
            in time order, one step apart.
        name: Name of the set.
        options: `window`, `horizon`, `target` and so on. Numbers are predicted as values unless
            `task=classification`; text as classes. `drop` with the target's name keeps its past out of the
            inputs.

    Raises:
        DataError: A split is shorter than one window and its horizon, rows are not in time order, or a column
            cannot be used.
    """
    if options.split not in (RANDOM, TIME):  # the default means time here: random would leak the future
        raise DataError("split", "a time series is split by time", got=options.split, hint="leave out split")
    table = _typed(source, options)
    test = options.separate_test
    if test is not None:
        is_file = isinstance(test, (str, Path))
        test = read_test_file(test, options.header) if is_file else series_frame(test)[0]
    by_time = replace(options, split=TIME)
    rows = split_rows(table.frame.height, by_time, separate_test=test is not None).by_name()
    assert options.window is not None
    target = table.target.name
    fitted, fit_notes = fit_columns(table.columns, rows["train"], table.frame.columns, target, options)
    columns = SeriesColumns(fitted, options.window, options.horizon)
    preparation, values = _targets(table, rows["train"], Preparation(columns, target=target))
    inputs = columns.table.inputs(table.frame)
    by_split = {split: _Rows(inputs[at], values[at], table.present[at]) for split, at in rows.items()}
    if test is not None:
        by_split["test"] = _test_rows(test, table.target, columns, preparation)
    splits = {split: _windows(split, of_split, columns) for split, of_split in by_split.items()}
    notes = (*table.notes, *fit_notes, _border_note(splits, columns))
    return Data.of_splits(name, table.target.task, splits, preparation, notes)


def _typed(source: Any, options: LoadOptions) -> _Table:
    """Read the types of the columns and the target, and leave out columns that are useless."""
    frame, own_target = series_frame(source)
    column = own_target if options.target is None else options.target
    if column is None and frame.width == 1:
        column = frame.columns[0]
    target = find_column(frame.columns, column)
    dropped = {find_column(frame.columns, column, who="drop") for column in options.drop}
    typed = {name: read_column(frame[name], options.missing) for name in frame.columns}
    encoded = _encoded(typed[target], target, options)
    _check_order(typed)
    inputs = {name: column for name, column in typed.items() if name not in dropped}
    columns, notes = useful_columns(inputs, options.keep, always=(target,))
    return _Table(frame, columns, encoded, typed[target].values.is_not_null().to_numpy(), notes)


def _encoded(typed: Typed, name: str, options: LoadOptions) -> Target:
    """Encode the values of the target that are present."""
    reject_dates(typed, name)
    task = options.task or (CLASSIFICATION if typed.kind == CATEGORY else REGRESSION)
    if task == CLASSIFICATION and options.horizon > 1:
        rule, hint = "classes are predicted one step ahead", "use horizon=1, or task=regression"
        raise DataError("series", rule, got=f"horizon={options.horizon}", where=name, hint=hint)
    return encode(present_values(typed), task, name)


def _check_order(typed: dict[str, Typed]) -> None:
    """Reject a table whose dates do not ascend; one of several date columns must."""
    dates = {name: column.values.drop_nulls() for name, column in typed.items() if column.kind == DATE}
    if dates and not any(values.is_sorted() for values in dates.values()):
        rule, hint = "rows must be in time order", "sort the table by its dates first"
        raise DataError("series", rule, got=f"{next(iter(dates))} does not ascend", hint=hint)


def _targets(table: _Table, train: np.ndarray, preparation: Preparation) -> tuple[Preparation, np.ndarray]:
    """Return the targets of all rows, standardised by the training rows; 0 where they are missing."""
    if table.target.task == CLASSIFICATION:
        codes = np.zeros(table.frame.height, np.int32)
        codes[table.present] = table.target.values
        return replace(preparation, classes=table.target.classes), codes
    values = np.zeros(table.frame.height)
    values[table.present] = table.target.values[:, 0]
    in_training = values[train][table.present[train]]
    if not in_training.size:
        rule, hint = "must have values in the training rows", "leave out the rows before the first value"
        raise DataError("target", rule, got="none", where=table.target.name, hint=hint)
    mean, scale = (float(column[0]) for column in mean_and_scale(in_training[:, None]))
    preparation = replace(preparation, target_mean=mean, target_scale=scale)
    return preparation, _standardised(values, table.present, preparation)


def _standardised(values: np.ndarray, present: np.ndarray, preparation: Preparation) -> np.ndarray:
    scaled = (values - preparation.target_mean) / preparation.target_scale
    return np.where(present, scaled, 0.0).astype(np.float32)


def _test_rows(
    frame: pl.DataFrame, target: Target, columns: SeriesColumns, preparation: Preparation
) -> _Rows:
    inputs = columns.table.inputs(frame)
    typed = read_column(frame[find_column(frame.columns, target.name)], columns.table.missing)
    present = typed.values.is_not_null().to_numpy()
    encoded = encode_known(present_values(typed), target, f"{target.name}, test split")
    values = np.zeros(frame.height, encoded.dtype)
    values[present] = encoded if encoded.ndim == 1 else encoded[:, 0]
    if target.task == REGRESSION:
        values = _standardised(values, present, preparation)
    return _Rows(inputs, values, present)


def _windows(split: str, rows: _Rows, columns: SeriesColumns) -> SeriesWindows:
    """Return all windows of one split except those with a missing target."""
    window, horizon, count = columns.window, columns.horizon, len(rows.inputs)
    starts = np.arange(max(0, count - window - horizon + 1), dtype=np.int32)
    if not starts.size:
        share = (
            "smaller shares for validation and test" if split == "train" else f"a larger share for {split}"
        )
        rule = f"the {split} split must have at least {window + horizon} rows, window and horizon"
        hint = f"use a smaller window, more rows, or {share}"
        raise DataError("series", rule, got=f"{count} rows", hint=hint)
    complete = np.lib.stride_tricks.sliding_window_view(rows.present[window:], horizon).all(axis=1)
    if not complete.any():
        rule = f"the {split} split must have a window whose targets are all present"
        hint = "use a smaller horizon, or fill the gaps"
        raise DataError("series", rule, got=f"{int((~rows.present).sum())} of {count} missing", hint=hint)
    return SeriesWindows(rows.inputs, rows.targets, starts[complete], window, horizon)


def _border_note(splits: dict[str, SeriesWindows], columns: SeriesColumns) -> Note:
    counts = ", ".join(f"{split.count()} windows for {name}" for name, split in splits.items())
    text = (
        f"{counts}, each of {columns.window} rows with a horizon of {columns.horizon}. The splits follow one "
        "another in time, and no window crosses from one into the next."
    )
    return Note("series", text)
