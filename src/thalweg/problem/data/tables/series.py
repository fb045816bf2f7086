"""A table in time order to `Data`: windows of rows as inputs, the values that follow them as targets.

The rows are cut into training, validation and test in time order, and all rows and targets of a window are
in one split: no row is shared by two splits. At each border this leaves out the `window + horizon - 1`
windows that would cross it. The rules of the columns and the scale of the target come from the training
rows alone.

Of several series in one table, a window lies in one. Where rows have times, the cuts are at the same times
for all series, so that no split knows the future of another; otherwise each series is cut at the same
shares of its rows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data
from thalweg.problem.data.files.numpy_files import read_array
from thalweg.problem.data.files.parts import Parts
from thalweg.problem.data.files.tables import TABLE_SUFFIXES, ReadTable, find_column
from thalweg.problem.data.files.tar_shards import Shards
from thalweg.problem.data.inputs.array import mean_and_scale
from thalweg.problem.data.inputs.column_types import (
    CATEGORY,
    Reading,
    Typed,
    plain_text,
    read_column,
    read_columns,
)
from thalweg.problem.data.inputs.frames import is_frame, is_pair, series_frame
from thalweg.problem.data.inputs.series import (
    Arranged,
    Change,
    SeriesColumns,
    last_known,
    left_out_notes,
    listed,
    window_starts,
)
from thalweg.problem.data.labels import Target, encode, encode_known
from thalweg.problem.data.note import Note, noted
from thalweg.problem.data.options import RANDOM, SERIES, TEXT_TABLES, TIME, LoadOptions, Reader, Source
from thalweg.problem.data.options import is_text_table as is_text
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import SeriesWindows
from thalweg.problem.data.splitting import split_rows
from thalweg.problem.data.tables.columns import fit_columns, table_format, type_notes, useful_columns
from thalweg.problem.data.tables.holdout import read_test_file
from thalweg.problem.data.tables.series_order import Order, find_order, without_position
from thalweg.problem.data.tables.series_steps import border_note, series_notes, steps_note, steps_of
from thalweg.problem.data.tables.table import read_file
from thalweg.problem.data.tables.target import present_values, reject_dates

# Windows that contain a gap are left out as long as this share of all windows remains. Where gaps are so
# frequent (holidays in prices, nights in office hours), they are part of how the series runs.
REMAINING = 0.5


def _accepts(source: Source, options: LoadOptions) -> bool:
    in_memory = not isinstance(source.data, (str, Path, Parts, Shards))
    suffixes = (*TABLE_SUFFIXES, ".npy", *([] if options.target is None else [".txt"]))
    return options.window is not None and (in_memory or source.suffix in suffixes)


def _read(source: Source, options: LoadOptions) -> Data:
    data = source.data
    if isinstance(data, (Path, Parts)):
        data = read_array(data) if source.suffix == ".npy" else read_file(data, options)  # type: ignore[arg-type]
    return from_series(data, source.name or "series", options)


def _kinds(source: Source, options: LoadOptions) -> tuple[str, ...]:
    return (SERIES, TEXT_TABLES) if is_text(source) else (SERIES,)


READER = Reader(_accepts, _read, _kinds)


@dataclass(frozen=True)
class _Table:
    """A table being read, its rows in order.

    Args:
        frame: Its rows.
        columns: The columns that the model uses.
        target: The target's values that are not missing, encoded.
        present: Rows that have a target, `row` of bool.
        order: Which series and times the rows have.
        notes: Notes so far.
    """

    frame: pl.DataFrame
    columns: dict[str, Typed]
    target: Target
    present: np.ndarray
    order: Order
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class _Rows:
    """The rows of one split, in order.

    Args:
        inputs: `row feature`, float32.
        targets: Values in their own unit, float64, NaN where missing; or class numbers, -1 where missing.
        codes: Number of each row's series.
        segments: Number of the stretch without a gap that it belongs to.
        numbers: Of each in the table as it was read, from 0.
    """

    inputs: np.ndarray
    targets: np.ndarray
    codes: np.ndarray
    segments: np.ndarray
    numbers: np.ndarray

    def at(self, rows: np.ndarray) -> _Rows:
        """Return some of the rows."""
        return _Rows(*(getattr(self, field.name)[rows] for field in fields(self)))

    def predicted(self, columns: SeriesColumns) -> np.ndarray:
        """Return the number of the first row that each window predicts."""
        return self.numbers[self.starts(columns) + columns.window]

    @property
    def present(self) -> np.ndarray:
        """Rows that have a target."""
        return self.targets >= 0 if self.targets.dtype.kind == "i" else ~np.isnan(self.targets)

    def starts(self, columns: SeriesColumns) -> np.ndarray:
        """Return the first rows of the windows that are followed by all their targets.

        Where these are changes from the last known value, a window must hold a known value.
        """
        starts = window_starts(self.segments, columns.window + columns.horizon)
        if not starts.size:
            return starts
        ahead = np.lib.stride_tricks.sliding_window_view(self.present, columns.horizon)
        complete = np.asarray(ahead.all(axis=1))
        starts = starts[complete[starts + columns.window]]
        if columns.change is None:
            return starts
        return starts[last_known(~self.present)[starts + columns.window - 1] >= starts]


def from_series(source: Any, name: str, options: LoadOptions) -> Data:
    """Cut one or several series into splits and windows.

    Args:
        source: A table that was read, a frame, an array of numbers (`time` or `time feature`), or a pair
            (inputs, target). Rows are sorted by their dates; without dates they are in time order, one step
            apart.
        name: Name of the set.
        options: `window`, `horizon`, `target`, `series` and so on. Numbers are predicted as values unless
            `task=classification`; text as classes. `drop` with the target's name keeps its past out of the
            inputs.

    Raises:
        DataError: A split is shorter than one window and its horizon, dates repeat within a series, or a
            column cannot be used.
    """
    if options.split not in (RANDOM, TIME):  # the default means time here: random would leak the future
        raise DataError("split", "a time series is split by time", got=options.split, hint="leave out split")
    read, own_target = _as_read(source)
    table = _typed(read, own_target, options)
    order, target = table.order, table.target.name
    rows = _split(order.arranged, options)
    fitted, fit_notes = fit_columns(
        table.columns, rows["train"], read.frame.columns, target, replace(options, header=read.header)
    )
    fitted, clock_notes = without_position(fitted, order.clock, options.keep)
    assert options.window is not None
    columns = SeriesColumns(fitted, options.window, options.horizon, order.series, order.clock)
    whole, gap_notes = _with_gaps(table, columns)
    by_split = {split: whole.at(at) for split, at in rows.items()}
    if order.arranged.several:
        names = tuple(order.arranged.names[code] for code in np.unique(by_split["train"].codes))
        columns = replace(columns, names=names)
    columns, preparation = _prepared(table, columns, by_split["train"])
    test_notes: tuple[Note, ...] = ()
    if options.separate_test is not None:
        (by_split["test"], test_notes), said = noted(lambda: _test_rows(options, table.target, columns))
        test_notes += said
    splits = {split: _windows(split, of_split, columns, preparation) for split, of_split in by_split.items()}
    notes = (*table.notes, *order.notes, *gap_notes, *fit_notes, *clock_notes, *test_notes)
    notes += (*series_notes(order, rows, splits, columns), border_note(splits, columns))
    own = {split: of_split.predicted(columns) for split, of_split in by_split.items()}
    return Data.of_splits(name, table.target.task, splits, preparation, notes, own)


def _as_read(source: Any) -> tuple[ReadTable, str | None]:
    """Return a series as a table that was read, and the name of its target if known."""
    if isinstance(source, ReadTable):
        return source, None
    frame, own_target = series_frame(source)
    named = is_frame(source[0] if is_pair(source) else source)
    return ReadTable(frame, header=named), own_target


def _typed(read: ReadTable, own_target: str | None, options: LoadOptions) -> _Table:
    """Read types and target, put the rows in order, and leave out columns that are useless."""
    frame = read.frame
    column = own_target if options.target is None else options.target
    if column is None and frame.width == 1:
        column = frame.columns[0]
    target = find_column(frame.columns, column)
    dropped = {find_column(frame.columns, column, who="drop") for column in options.drop}
    given = {find_column(frame.columns, name, who="types"): kind for name, kind in options.types}
    reading = Reading(options.missing, options.decimal, options.dates, text=read.text)
    typed = read_columns(frame, reading, {name: kind for name, kind in given.items() if name != target})
    order = find_order(frame, typed, target, options, named=read.header)
    guessed = type_notes(typed)
    rows = order.arranged.rows
    frame = frame[rows]
    typed = {name: replace(column, values=column.values.gather(rows)) for name, column in typed.items()}
    encoded = _encoded(typed[target], target, options)
    inputs = _inputs({name: c for name, c in typed.items() if name not in dropped}, frame, order, options)
    several = order.series if order.arranged.several else ()
    columns, notes = useful_columns(inputs, options.keep, always=(target, *several))
    present = typed[target].values.is_not_null().to_numpy()
    return _Table(frame, columns, encoded, present, order, (*read.notes, *guessed, *notes))


def _inputs(
    typed: dict[str, Typed], frame: pl.DataFrame, order: Order, options: LoadOptions
) -> dict[str, Typed]:
    """Return the columns as inputs: a series is a category, even if it is a number.

    Of several series, the columns that order the rows come first: the same table gives the same inputs
    however its columns and rows are arranged.
    """
    if not order.arranged.several:
        return typed
    for name in set(order.series) & set(typed):
        text = plain_text(frame[name], options.missing).cast(pl.String)
        typed = typed | {name: Typed(CATEGORY, text, fixed=True)}
    clock = () if order.clock is None else order.clock.columns
    first = [name for name in (*order.series, *clock) if name in typed]
    return {name: typed[name] for name in dict.fromkeys([*first, *typed])}


def _split(arranged: Arranged, options: LoadOptions) -> dict[str, np.ndarray]:
    """Return the rows of each split, ascending."""
    count, separate = arranged.rows.size, options.separate_test is not None
    by_rank = split_rows(count, replace(options, split=TIME), separate_test=separate).by_name()
    if not arranged.several:
        return by_rank
    if arranged.times is None:  # the share of its series that lies before each row
        lengths = np.bincount(arranged.codes)
        first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        ranks = (np.arange(count) - first[arranged.codes] + 0.5) / lengths[arranged.codes]
    else:
        ranks = np.unique(arranged.times.to_physical().to_numpy(), return_inverse=True)[1]
    in_time = np.sort(ranks)
    parts = {name: in_time[rows[0]] for name, rows in by_rank.items() if rows.size}
    # A split begins at its first time, with the rows that all series have at that time.
    part = np.searchsorted(np.array([*parts.values()][1:]), ranks, side="right")
    rows = {name: np.flatnonzero(part == i) for i, name in enumerate(parts)}
    if empty := next((name for name, found in rows.items() if not found.size), None):
        rule, got = f"the {empty} split must have a time of its own", f"{ranks.max() + 1} different times"
        raise DataError("split", rule, got=got, hint="give more rows, or other shares for the splits")
    return rows


def _with_gaps(table: _Table, columns: SeriesColumns) -> tuple[_Rows, list[Note]]:
    """Return all rows with their stretches without gaps, and what is said about gaps."""
    arranged, codes = table.order.arranged, table.order.arranged.codes
    inputs, targets = columns.table.inputs(table.frame, new=False), _targets(table)
    rows = _Rows(inputs, targets, codes, codes, arranged.rows)
    steps, clock = steps_of(arranged), columns.clock
    if steps is None or clock is None:
        return rows, []
    parted = replace(rows, segments=codes + np.cumsum(steps.breaks))
    before, after = rows.starts(columns).size, parted.starts(columns).size
    left_out = after >= REMAINING * before
    note = steps_note(steps, clock, arranged, (before - after, before), left_out)
    return parted if left_out else rows, [note]


def _targets(table: _Table) -> np.ndarray:
    """Return the targets of all rows: values, NaN where missing, or class numbers, -1 where missing."""
    classes = table.target.task == CLASSIFICATION
    values = np.full(table.frame.height, -1, np.int32) if classes else np.full(table.frame.height, np.nan)
    values[table.present] = table.target.values if classes else table.target.values[:, 0]
    return values


def _encoded(typed: Typed, name: str, options: LoadOptions) -> Target:
    """Encode the values of the target that are present."""
    reject_dates(typed, name)
    task = options.task or (CLASSIFICATION if typed.kind == CATEGORY else REGRESSION)
    if task == CLASSIFICATION and options.horizon > 1:
        rule, hint = (
            "classes are predicted one step ahead",
            f"use {option('horizon', 1)}, or {option('task', REGRESSION)}",
        )
        raise DataError("series", rule, got=f"horizon={options.horizon}", where=name, hint=hint)
    return encode(present_values(typed), task, name)


def _prepared(table: _Table, columns: SeriesColumns, train: _Rows) -> tuple[SeriesColumns, Preparation]:
    """Return columns and preparation with the scale of the target, from the training rows.

    Of several series with their own past as an input, what is predicted is the change from the last value.
    """
    target = table.target
    if target.task == CLASSIFICATION:
        return columns, Preparation(columns, target.classes, target.name)
    present = train.targets[train.present]
    if not present.size:
        rule, hint = "must have values in the training rows", "leave out the rows before the first value"
        raise DataError("target", rule, got="none", where=target.name, hint=hint)
    mean, scale = (float(column[0]) for column in mean_and_scale(present[:, None]))
    own_past = target.name in [rule.column for rule in columns.table.rules]
    if columns.names and own_past:
        columns = replace(columns, change=_change(train, columns, mean))
        scale = scale if columns.change is None else columns.change.scale
    return columns, Preparation(columns, target=target.name, target_mean=mean, target_scale=scale)


def _change(train: _Rows, columns: SeriesColumns, mean: float) -> Change | None:
    """Return how large changes from the last known value are; None if nothing changes."""
    starts, window = train.starts(columns), columns.window
    known = last_known(~train.present)[starts + window - 1]
    starts, known = starts[known >= starts], known[known >= starts]
    if not starts.size:
        return None
    last = train.targets[known][:, None]
    ahead = train.targets[starts[:, None] + window + np.arange(columns.horizon)] - last
    behind = train.targets[starts[:, None] + np.arange(window)] - last
    scale, past = (float(np.sqrt(np.nanmean(np.square(values)))) for values in (ahead, behind))
    return Change(mean, scale, past) if scale > 0 and past > 0 else None


def _test_rows(
    options: LoadOptions, target: Target, columns: SeriesColumns
) -> tuple[_Rows, tuple[Note, ...]]:
    """Return the rows of a separate test table, in the order of training, and notes on its series."""
    test, form = options.separate_test, table_format(options, columns.table.header)
    frame = read_test_file(test, form) if isinstance(test, (str, Path)) else series_frame(test)[0]
    arranged = columns.arranged(frame)
    frame = frame[arranged.rows]
    typed = read_column(frame[find_column(frame.columns, target.name)], Reading(columns.table.missing))
    present = typed.values.is_not_null().to_numpy()
    encoded = encode_known(present_values(typed), target, f"{target.name}, test split")
    classes = target.task == CLASSIFICATION
    values = np.full(frame.height, -1, np.int32) if classes else np.full(frame.height, np.nan)
    values[present] = encoded if classes else encoded[:, 0]
    notes = left_out_notes(arranged, columns.series, columns.clock)
    unknown = [name for name in arranged.names if name not in columns.names] if columns.names else []
    if unknown:
        notes.append(Note("series", f"only in the test split: {listed(unknown)}.", columns.series))
    codes, inputs = arranged.codes, columns.table.inputs(frame)
    return _Rows(inputs, values, codes, codes, arranged.rows), tuple(notes)


def _windows(split: str, rows: _Rows, columns: SeriesColumns, preparation: Preparation) -> SeriesWindows:
    """Return all windows of one split except those with a gap or a missing target."""
    starts = rows.starts(columns)
    if not starts.size:
        _reject_short(split, rows, columns)
        rule = f"the {split} split must have a window whose targets are all present"
        hint = "use a smaller horizon, or fill the gaps"
        got = f"{int((~rows.present).sum())} of {len(rows.inputs)} missing"
        raise DataError("series", rule, got=got, hint=hint)
    targets = rows.targets
    if targets.dtype.kind == "f":
        targets = (targets - preparation.target_mean) / preparation.target_scale
    return columns.windows(rows.inputs, targets, rows.codes, starts)


def _reject_short(split: str, rows: _Rows, columns: SeriesColumns) -> None:
    """Reject a split in which no stretch without a gap is as long as a window and its horizon."""
    length, longest = (
        columns.window + columns.horizon,
        int(np.unique(rows.segments, return_counts=True)[1].max()),
    )
    if longest >= length:
        return
    share = "smaller shares for validation and test" if split == "train" else f"a larger share for {split}"
    rule = f"the {split} split must have at least {length} rows, window and horizon"
    got = f"{longest} rows"
    if columns.series:
        rule, got = rule.replace("rows", "rows of one series"), f"at most {longest}"
    raise DataError("series", rule, got=got, hint=f"use a smaller window, more rows, or {share}")
