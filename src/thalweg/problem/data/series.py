"""A table in time order to `Data`: windows of rows as inputs, the values that follow them as targets.

The rows are cut into training, validation and test in time order, and a window lies in one part with all its
rows and all its targets: no row, past or future, is shared by two parts. At each border that leaves out
`window + horizon - 1` windows that would reach across. Rules of columns and the unit of the target are taken
from the training rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data
from thalweg.problem.data.inputs.array import standard_figures
from thalweg.problem.data.inputs.column_types import CATEGORY, DATE, Typed, read_column
from thalweg.problem.data.inputs.fitting import fit_rule
from thalweg.problem.data.inputs.series import SeriesColumns
from thalweg.problem.data.inputs.series_frames import series_frame
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.labels import Target, encode, encode_known
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import RANDOM, TIME, LoadOptions
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import SeriesWindows
from thalweg.problem.data.splitting import split_rows
from thalweg.problem.data.tables.notes import missing_values, possible_marks, rule_notes
from thalweg.problem.data.tables.read import read_table
from thalweg.problem.data.tables.roles import useless
from thalweg.problem.data.tables.target import find_column


@dataclass(frozen=True)
class _Table:
    """A series under way.

    Args:
        frame: As it came.
        typed: The columns that are learnt from, in time order.
        target: Name of the target column.
        encoded: Its values where they are present.
        present: Where they are, `row`.
        notes: What was pointed out.
    """

    frame: pl.DataFrame
    typed: dict[str, Typed]
    target: str
    encoded: Target
    present: np.ndarray
    notes: tuple[Note, ...]


def from_series(source: Any, name: str, options: LoadOptions) -> Data:
    """Cut a series into parts and windows.

    Args:
        source: A frame, an array of numbers (`time` or `time feature`), or a pair (inputs, target). Rows are
            in time order, one step apart.
        name: Name of the set.
        options: `window`, `horizon`, `target` and the rest. Numbers are predicted as values unless
            `task=classification`; text as classes. `drop` with the target's name keeps its past out of the
            inputs.

    Raises:
        DataError: A part is shorter than one window and its horizon, rows are not in time order, or a column
            cannot be used.
    """
    if options.split not in (RANDOM, TIME):  # the default means time here: nothing else is sound
        raise DataError("split", "a time series is split by time", got=options.split, hint="leave out split")
    table = _read(source, options)
    own = None if options.test is None or isinstance(options.test, float) else _test_frame(options)
    rows = split_rows(
        table.frame.height,
        replace(options, split=TIME),
        test_share=0.0 if own is not None else None,
    )
    columns, notes = _fit(table, rows.train, options)
    preparation, values = _targets(table, rows.train, Preparation(columns, target=table.target))
    inputs = columns.table.inputs(table.frame)
    places = {"train": rows.train, "validation": rows.validation, "test": rows.test}
    cut = {part: (inputs[at], values[at], table.present[at]) for part, at in places.items() if at.size}
    if own is not None:
        cut["test"] = _own_test(own, table, columns, preparation)
    parts = {part: _windows(part, *given, columns) for part, given in cut.items()}
    return Data(
        name=name,
        task=table.encoded.task,
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
        preparation=preparation,
        notes=(*table.notes, *notes, _border_note(parts, columns)),
    )


def _read(source: Any, options: LoadOptions) -> _Table:
    frame, told = series_frame(source)
    wanted = options.target if options.target is not None else told
    target = find_column(frame.columns, wanted if frame.width > 1 else wanted or frame.columns[0])
    dropped = {find_column(frame.columns, column, who="drop") for column in options.drop}
    typed = {c: read_column(frame[c], options.missing) for c in frame.columns}
    encoded, present = _encoded(typed[target], target, options)
    _check_order(typed)
    inputs = {column: found for column, found in typed.items() if column not in dropped}
    found = useless({column: kind for column, kind in inputs.items() if column != target}, options.keep)
    gone = {column for note in found for column in note.columns}
    inputs = {column: kind for column, kind in inputs.items() if column not in gone}
    if not inputs:
        raise DataError(
            "series",
            "must have a column to learn from",
            got=", ".join(frame.columns),
            hint="leave the target out of drop, or give more columns",
        )
    notes = (*found, *missing_values(inputs), *possible_marks(inputs))
    return _Table(frame, inputs, target, encoded, present, notes)


def _encoded(typed: Typed, name: str, options: LoadOptions) -> tuple[Target, np.ndarray]:
    """Encode the target's present values; tell where they are."""
    if typed.kind == DATE:
        raise DataError("target", "must be numbers or classes", got="dates", where=name, hint="give another")
    task = options.task or (CLASSIFICATION if typed.kind == CATEGORY else REGRESSION)
    if task == CLASSIFICATION and options.horizon > 1:
        raise DataError(
            "series",
            "classes are predicted one step ahead",
            got=f"horizon={options.horizon}",
            where=name,
            hint="use horizon=1, or task=regression",
        )
    present = typed.values.is_not_null().to_numpy()
    return encode(_raw(typed), task, name), present


def _raw(typed: Typed) -> np.ndarray:
    values = typed.values.drop_nulls()
    if typed.kind == CATEGORY:
        return np.array(values.to_list(), dtype=str)
    return values.to_numpy()


def _check_order(typed: dict[str, Typed]) -> None:
    """Refuse a table whose dates do not ascend; of several date columns one must."""
    dates = {name: found.values.drop_nulls() for name, found in typed.items() if found.kind == DATE}
    if dates and not any(values.is_sorted() for values in dates.values()):
        raise DataError(
            "series",
            "rows must be in time order",
            got=f"{next(iter(dates))} does not ascend",
            hint="sort the table by its dates first",
        )


def _fit(table: _Table, train: np.ndarray, options: LoadOptions) -> tuple[SeriesColumns, tuple[Note, ...]]:
    rules = [fit_rule(found.values.gather(train), found) for found in table.typed.values()]
    kept = tuple(rule for rule in rules if rule.features)
    if not kept:
        raise DataError(
            "series",
            "must have a column whose values vary or repeat in the training rows",
            got=", ".join(table.typed),
            hint="give columns with numbers",
        )
    columns = TableColumns(kept, tuple(table.frame.columns), table.target, options.header, options.missing)
    assert options.window is not None
    return SeriesColumns(columns, options.window, options.horizon), rule_notes(rules, kept)


def _targets(table: _Table, train: np.ndarray, preparation: Preparation) -> tuple[Preparation, np.ndarray]:
    """Return the targets of all rows, standardised by the training rows; 0 where they are missing."""
    if table.encoded.task == CLASSIFICATION:
        codes = np.zeros(table.frame.height, np.int32)
        codes[table.present] = table.encoded.values
        return replace(preparation, classes=table.encoded.classes), codes
    values = np.zeros(table.frame.height)
    values[table.present] = table.encoded.values[:, 0]
    seen = values[train][table.present[train]]
    if not seen.size:
        raise DataError(
            "target",
            "must have values in the training rows",
            got="none",
            where=table.target,
            hint="leave out the rows before the first value",
        )
    mean, scale = (float(figure[0]) for figure in standard_figures(seen[:, None]))
    preparation = replace(preparation, target_mean=mean, target_scale=scale)
    return preparation, _standardised(values, table.present, preparation)


def _standardised(values: np.ndarray, present: np.ndarray, preparation: Preparation) -> np.ndarray:
    scaled = (values - preparation.target_mean) / preparation.target_scale
    return np.where(present, scaled, 0.0).astype(np.float32)


def _test_frame(options: LoadOptions) -> pl.DataFrame:
    given = options.test
    if isinstance(given, (str, Path)) and not Path(given).is_file():
        raise DataError("load", "test must be a share, or a file that exists", got=given, hint="try test=0.2")
    return (
        read_table(Path(given), options.header) if isinstance(given, (str, Path)) else series_frame(given)[0]
    )


def _own_test(
    frame: pl.DataFrame, table: _Table, columns: SeriesColumns, preparation: Preparation
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inputs = columns.table.inputs(frame)
    typed = read_column(frame[find_column(frame.columns, table.target)], columns.table.missing)
    present = typed.values.is_not_null().to_numpy()
    found = encode_known(_raw(typed), table.encoded, f"{table.target}, test part")
    values = np.zeros(frame.height, found.dtype)
    values[present] = found if found.ndim == 1 else found[:, 0]
    regression = table.encoded.task == REGRESSION
    return inputs, _standardised(values, present, preparation) if regression else values, present


def _windows(
    part: str, inputs: np.ndarray, values: np.ndarray, present: np.ndarray, columns: SeriesColumns
) -> SeriesWindows:
    """Return the windows of one part: all of them but those with a missing target."""
    window, horizon = columns.window, columns.horizon
    starts = np.arange(max(0, len(inputs) - window - horizon + 1), dtype=np.int32)
    if not starts.size:
        raise DataError(
            "series",
            f"the {part} part must have {window + horizon} rows, window and horizon",
            got=f"{len(inputs)} rows",
            hint=f"take a smaller window, more rows, or {_smaller(part)}",
        )
    whole = np.lib.stride_tricks.sliding_window_view(present[window:], horizon).all(axis=1)
    if not whole.any():
        raise DataError(
            "series",
            f"the {part} part must have a window whose targets are all present",
            got=f"{int((~present).sum())} of {len(present)} missing",
            hint="take a smaller horizon, or fill the gaps",
        )
    return SeriesWindows(inputs, values, starts[whole], window, horizon)


def _smaller(part: str) -> str:
    return f"a larger share for {part}" if part != "train" else "smaller shares for validation and test"


def _border_note(parts: dict[str, SeriesWindows], columns: SeriesColumns) -> Note:
    counts = ", ".join(f"{part.count()} windows for {name}" for name, part in parts.items())
    text = (
        f"{counts}: {columns.window} rows in, {columns.horizon} ahead. Parts follow one another in time, and "
        "no window reaches from one into another."
    )
    return Note("series", text)
