"""The type of a column: numbers, categories or dates, by its data type or by the text of its cells.

Polars' own inference is not used: it knows neither our marks of missing values nor most of these date
formats, and decides by the first rows, where every cell must agree here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.array import LARGEST

NUMBER, CATEGORY, DATE = "number", "category", "date"

# What spreadsheets, databases and R write for a missing value. Compared with the trimmed cell,
# case-sensitive.
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "<NA>", "null", "NULL", "None")

MISSING_MARK = "missing"  # name of the input that flags missing values

# Tried in turn; the first that reads every cell is taken. `%d/%m` before `%m/%d`: most of the world writes
# so.
DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%d %H:%M",
    "%Y-%m",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
)


@dataclass(frozen=True)
class Typed:
    """A column with its type.

    Args:
        kind: `number`, `category` or `date`.
        values: Float64 for numbers, String for categories, Datetime for dates; missing values are null.
        format: How dates are written; empty for columns of date type.
        whole: Whether all numbers are whole.
    """

    kind: str
    values: pl.Series
    format: str = ""
    whole: bool = False


def read_column(series: pl.Series, marks: tuple[str, ...] = ()) -> Typed:
    """Determine the type of a column, and read its values.

    Args:
        series: The column, typed or as text.
        marks: Marks for a missing value, besides the known ones.

    Raises:
        DataError: The column holds lists, structures, objects or infinite numbers.
    """
    plain = plain_text(series, marks)
    if plain.dtype != pl.String:
        return _typed(plain)
    present = plain.drop_nulls()
    if present.len() == 0:
        return Typed(CATEGORY, plain)
    numbers = plain.cast(pl.Float64, strict=False)
    if numbers.null_count() == plain.null_count():
        return _number(numbers.fill_nan(None))
    if present.head(1).str.contains(r"^(\d{4}[-/]\d|\d{1,2}[/.]\d{1,2}[/.]\d{4})").item():
        dates, form = _first_format(plain)
        if dates is not None:
            return Typed(DATE, dates, form)
    return Typed(CATEGORY, plain)


def plain_text(series: pl.Series, marks: tuple[str, ...] = ()) -> pl.Series:
    """Trim text, replace marks of missing values by nulls, and cast categories and booleans to text."""
    dtype = series.dtype
    if dtype == pl.Boolean or isinstance(dtype, (pl.Categorical, pl.Enum)):
        series = series.cast(pl.String)
    if series.dtype != pl.String:
        return series
    trimmed = series.str.strip_chars()
    known = pl.Series([*MISSING, *(mark.strip() for mark in marks)])
    return trimmed.set(trimmed.is_in(known.implode()), None)


def dates_from(text: pl.Series, form: str) -> pl.Series:
    """Read dates written in one format; what cannot be read becomes null."""
    if not form:
        return text.cast(pl.Datetime("us"))
    if form == "%Y-%m":  # a date needs a day
        text, form = text + "-01", "%Y-%m-%d"
    return text.str.to_datetime(form, strict=False, time_unit="us")


def read_numbers(series: pl.Series, marks: tuple[str, ...] = ()) -> pl.Series:
    """Read numbers as Float64; missing values are null.

    Raises:
        DataError: A cell holds something else.
    """
    plain = plain_text(series, marks)
    if plain.dtype == pl.String:
        numbers = plain.cast(pl.Float64, strict=False)
        unreadable = numbers.is_null() & plain.is_not_null()
        if unreadable.any():
            row = int(unreadable.arg_max() or 0)
            rule = f"column {series.name!r} must hold numbers, as in training"
            where = f"row {row + 1}, {int(unreadable.sum())} such cells"
            hint = f"if it marks a missing value, use missing={plain[row]!r}"
            raise DataError("table", rule, got=plain[row], where=where, hint=hint)
        return _number(numbers.fill_nan(None)).values
    if plain.dtype == pl.Null:
        return plain.cast(pl.Float64)
    typed = _typed(plain)
    if typed.kind != NUMBER:
        rule = f"column {series.name!r} must hold numbers, as in training"
        hint = "convert it as it was in the training table"
        raise DataError("table", rule, got=str(series.dtype), hint=hint)
    return typed.values


def read_dates(series: pl.Series, form: str, marks: tuple[str, ...] = ()) -> pl.Series:
    """Read dates as in training: of date type, or written in `form` (empty: in any known format).

    Raises:
        DataError: A cell holds something else.
    """
    plain = plain_text(series, marks)
    if plain.dtype in (pl.Date, pl.Datetime, pl.Null):
        return plain.cast(pl.Datetime("us"))
    dates, count = None, plain.null_count()
    if plain.dtype == pl.String and form:
        dates = dates_from(plain, form)
    elif plain.dtype == pl.String:
        dates = _first_format(plain)[0]
    if dates is None or dates.null_count() > count:
        unreadable = plain if dates is None else plain.filter(dates.is_null() & plain.is_not_null())
        rule = f"column {series.name!r} must hold dates" + (f" written as {form}" if form else "")
        got = str(unreadable.drop_nulls()[0]) if unreadable.drop_nulls().len() else str(plain.dtype)
        raise DataError("table", rule, got=got, hint="write them as in training; empty cells are allowed")
    return dates


def _first_format(text: pl.Series) -> tuple[pl.Series | None, str]:
    """Return (dates, format) for the first known format that reads every cell, or (None, "")."""
    for form in DATE_FORMATS:
        dates = dates_from(text, form)
        if dates.null_count() == text.null_count():
            return dates, form
    return None, ""


def _typed(series: pl.Series) -> Typed:
    dtype = series.dtype
    if dtype.is_numeric():
        return _number(series.cast(pl.Float64).fill_nan(None))
    if dtype in (pl.Date, pl.Datetime):
        return Typed(DATE, series.cast(pl.Datetime("us")))
    if dtype in (pl.Duration, pl.Time):
        whole = series.cast(pl.Int64)
        per_second = 1e9 if dtype == pl.Time else {"ns": 1e9, "us": 1e6, "ms": 1e3}[str(dtype.time_unit)]  # type: ignore[attr-defined]
        return Typed(NUMBER, whole / per_second)
    if dtype == pl.Null:
        return Typed(CATEGORY, series.cast(pl.String))
    rule = f"column {series.name!r} must hold numbers, text, booleans or dates"
    raise DataError("table", rule, got=str(dtype), hint=f"leave it out with drop={series.name!r}")


def _number(values: pl.Series) -> Typed:
    array = values.drop_nulls().to_numpy()
    large = np.abs(array) > LARGEST
    if large.any():
        row = int((values.abs() > LARGEST).fill_null(False).arg_max() or 0)
        raise DataError(
            "table",
            f"column {values.name!r} must hold finite numbers that fit float32",
            got=f"{int(large.sum())} inf or larger than 3.4e38",
            where=f"the first, {values[row]}, in row {row + 1}",
            hint=f"use missing='{values[row]}' to read it as a missing value",
        )
    return Typed(NUMBER, values, whole=bool(np.array_equal(array, np.round(array))))
