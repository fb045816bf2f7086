"""New cells for a trained model, read as those of training were."""

from __future__ import annotations

import functools
import math
import re
import warnings
from collections.abc import Collection, Sequence

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError, DataWarning
from thalweg.core.lazy import pl
from thalweg.problem.data.files.header import UNDECLARED
from thalweg.problem.data.inputs.array import LARGEST
from thalweg.problem.data.inputs.column_types import (
    BLANKS,
    MISSING,
    NUMBER,
    category_text,
    number,
    numeric_marks,
    plain_text,
    typed_values,
    without_zone,
)
from thalweg.problem.data.inputs.dates import ANY, DAY_FIRST, read_format
from thalweg.problem.data.inputs.number_formats import BAD_SHARE, LEAST_GOOD
from thalweg.problem.data.inputs.numbers import PLAIN, NumberFormat

# Rows up to which a column of text is read cell by cell.
_SHORT = 64
_marks = functools.cache(numeric_marks)
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0+")
_DIGITS = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")


def read_numbers(
    series: pl.Series, marks: tuple[str, ...] = (), written: NumberFormat = PLAIN, *, new: bool = True
) -> pl.Series:
    """Read new numbers as Float64, as in training; missing values are null.

    A few cells that are no numbers are missing values too, with a warning that counts them.

    Args:
        series: The cells.
        marks: Marks for a missing value, besides the known ones.
        written: How the numbers are written.
        new: Whether the cells are new, and to be checked; those of training have been.

    Raises:
        DataError: Many cells hold something else.
    """
    plain = plain_text(series, (*marks, *written.missing))
    if plain.dtype == pl.String:
        numbers = written.read(plain)
        if new:
            _check_readable(
                plain, numbers, "numbers", f"column {series.name!r} must hold numbers, as in training"
            )
        return number(numbers.fill_nan(None)).values
    if plain.dtype == pl.Null:
        return plain.cast(pl.Float64)
    typed = typed_values(plain)
    if typed.kind != NUMBER:
        rule = f"column {series.name!r} must hold numbers, as in training"
        hint = "convert it as it was in the training table"
        raise DataError("table", rule, got=str(series.dtype), hint=hint)
    # Text such as 1:30:00 is read as hours, columns of times and durations as seconds.
    in_hours = written.clock and plain.dtype in (pl.Time, pl.Duration)
    return typed.values / 3600 if in_hours else typed.values


def text_cells(series: pl.Series, marks: tuple[str, ...], kept: Collection[str] = ()) -> list[str | None]:
    """Return the cells of a column as text, as `plain_text` and `category_text` give them.

    A short column of text is read cell by cell, for one row at a tenth of the price; see `number_array`.
    """
    if series.dtype != pl.String or series.len() > _SHORT:
        return category_text(plain_text(series, marks, kept)).to_list()
    missing = {*MISSING} - {*kept} | {mark.strip() for mark in marks}
    trimmed = (None if cell is None else cell.strip(BLANKS) for cell in series.to_list())
    return [None if cell in missing else cell for cell in trimmed]


def known_categories(
    series: pl.Series, cells: list[str | None], categories: Sequence[str], *, rare: bool
) -> list[str | None]:
    """Return new categories as they were written in training: `TRUE` for a truth value, `1` for `1.0`.

    A table keeps what it holds in another form when it passes through another program. Warn where most cells
    hold no category of training.

    Args:
        series: The column.
        cells: Its cells as text.
        categories: Those of training.
        rare: Whether training had others, too rare to be among them.
    """
    known = set(categories)
    unknown = dict.fromkeys(cell for cell in cells if cell is not None and cell not in known)
    if not unknown:
        return cells
    typed = series.dtype.is_numeric()
    spelled = {cell: _in_training(cell, categories, typed) for cell in unknown}
    lost = [cell for cell in cells if cell in spelled and spelled[cell] is None]
    filled = sum(cell is not None for cell in cells)
    if lost and categories and not rare and 2 * len(lost) >= filled:
        text = f"column {series.name!r}: {len(lost)} of {filled} cells hold a category unknown to training"
        warnings.warn(
            f"{text}, the first is {lost[0]!r}; they are read as none of the known ones",
            DataWarning,
            stacklevel=2,
        )
    return [cell if cell is None else spelled.get(cell) or cell for cell in cells]


def _in_training(cell: str, categories: Sequence[str], typed: bool) -> str | None:
    """Return the one category of training that a cell is in another spelling; None if there is none."""
    digits = cell.lstrip("0") if typed and cell.isdecimal() else None  # numbers have no zeros before them
    if cell.casefold() in ("true", "false"):
        alike = [each for each in categories if each.casefold() == cell.casefold()]
    elif (whole := _WHOLE.fullmatch(cell)) is not None:
        alike = [each for each in categories if each == whole[1]]
    else:
        alike = [
            each
            for each in categories
            if each == f"{cell}.0" or (each.isdecimal() and each.lstrip("0") == digits)
        ]
    return alike[0] if len(alike) == 1 else None


def number_array(
    series: pl.Series, marks: tuple[str, ...] = (), written: NumberFormat = PLAIN, *, new: bool = True
) -> np.ndarray:
    """Return new numbers as float64, `row`, NaN where missing; arguments and errors as for `read_numbers`.

    Columns of floats, and short ones of plain digits, are taken as they are: a server answers rows one by
    one, and reading a column takes a dozen operations of Polars, each longer than the rest of the row.
    """
    every = (*marks, *written.missing)
    values = None
    if series.dtype == pl.Float64 and not _marks(every):
        values = series.to_numpy()
    elif series.dtype == pl.String and series.len() <= _SHORT and written.digits_are_plain:
        cells = text_cells(series, every)
        if all(cell is None or _DIGITS.fullmatch(cell) for cell in cells):
            values = np.array([math.nan if cell is None else float(cell) for cell in cells])
    if values is None or (np.abs(values) > LARGEST).any():
        return read_numbers(series, marks, written, new=new).to_numpy()
    return values


def read_dates(series: pl.Series, form: str, marks: tuple[str, ...] = (), *, new: bool = True) -> pl.Series:
    """Read new dates as in training: of date type, or written in `form` (empty: in any known form).

    Args:
        series, marks, new: As for `read_numbers`.
        form: As in `dates.Dates.form`.

    Raises:
        DataError: Many cells hold something else.
    """
    plain = plain_text(series, marks)
    if plain.dtype.is_float() and plain.fill_nan(None).null_count() == plain.len():  # pandas: all are missing
        plain = plain.fill_nan(None).cast(pl.Null)
    if plain.dtype in (pl.Date, pl.Datetime, pl.Null):
        return without_zone(plain)
    rule = f"column {series.name!r} must hold dates"
    if form in ("epoch", "days") and plain.dtype.is_numeric():
        return read_format(plain.cast(pl.String), form)
    if plain.dtype != pl.String:
        hint = "write them as in training; empty cells are allowed"
        raise DataError("table", rule, got=str(plain.dtype), hint=hint)
    dates = read_format(plain, form or DAY_FIRST)
    if "%" in form and dates.null_count() > plain.null_count():  # another form than in training
        dates = dates.fill_null(read_format(plain, ANY))
        rule += f" written as {form}"
    if new:
        _check_readable(plain, dates, "dates", rule)
    return dates


def _check_readable(plain: pl.Series, read: pl.Series, kind: str, rule: str) -> None:
    """Refuse new cells that could not be read; warn if they are few among many, or marks of missing values.

    Raises:
        DataError: They are more than a few.
    """
    unreadable = read.is_null() & plain.is_not_null()
    if not unreadable.any():
        return
    marks = unreadable & plain.is_in(list(UNDECLARED))
    bad, good = int((unreadable & ~marks).sum()), int(read.is_not_null().sum())
    if bad > BAD_SHARE * (bad + good) or (bad and good < LEAST_GOOD) or good == 0:
        row = int((unreadable & ~marks if bad else unreadable).arg_max() or 0)
        where = f"row {row + 1}, {bad or int(unreadable.sum())} such cells"
        hint = f"if it marks a missing value, empty the cell, or train with {option('missing', plain[row])}"
        if any(character.isdigit() for character in plain[row]):
            hint = f"write {kind} as in the training table; empty cells are allowed"
        raise DataError("table", rule, got=plain[row], where=where, hint=hint)
    if bad:
        row = int((unreadable & ~marks).arg_max() or 0)
        text = f"column {plain.name!r} has cells that are not {kind}, read as missing: {bad}"
        warnings.warn(f"{text}, the first, {plain[row]!r}, in row {row + 1}", DataWarning, stacklevel=2)
