"""What a column holds: numbers, categories or dates; read off its type, or off the text of its cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.array import LARGEST

NUMBER, CATEGORY, DATE = "number", "category", "date"

# What spreadsheets, databases and R write for a missing value. Compared after trimming, as written.
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "<NA>", "null", "NULL", "None")

MISSING_MARK = "missing"  # how the input that says so is called

# Tried in turn; the first that reads every cell wins. `%d/%m` stands before `%m/%d`: most of the world.
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
    """A column read.

    Args:
        kind: `number`, `category` or `date`.
        values: Float64 for numbers, String for categories, Datetime for dates; missing values are null.
        format: How dates were written; empty for columns that came as dates.
        whole: Numbers that came as, or read as, whole numbers.
    """

    kind: str
    values: pl.Series
    format: str = ""
    whole: bool = False


def read_column(series: pl.Series, marks: tuple[str, ...] = ()) -> Typed:
    """Find out what a column holds.

    Args:
        series: The column, typed or as text.
        marks: Marks for a missing value, besides the known ones.

    Raises:
        DataError: The column holds lists, structures or objects, or infinite numbers.
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
        for form in DATE_FORMATS:
            dates = dates_from(plain, form)
            if dates.null_count() == plain.null_count():
                return Typed(DATE, dates, form)
    return Typed(CATEGORY, plain)


def plain_text(series: pl.Series, marks: tuple[str, ...] = ()) -> pl.Series:
    """Trim text, turn marks of missing values into nulls, and categories and booleans into text."""
    dtype = series.dtype
    if dtype == pl.Boolean or isinstance(dtype, (pl.Categorical, pl.Enum)):
        series = series.cast(pl.String)
    if series.dtype != pl.String:
        return series
    trimmed = series.str.strip_chars()
    known = pl.Series([*MISSING, *(mark.strip() for mark in marks)])
    return trimmed.set(trimmed.is_in(known.implode()), None)


def dates_from(text: pl.Series, form: str) -> pl.Series:
    """Read dates written in one form; what cannot be read becomes null."""
    if not form:
        return text.cast(pl.Datetime("us"))
    if form == "%Y-%m":  # a date needs a day
        text, form = text + "-01", "%Y-%m-%d"
    return text.str.to_datetime(form, strict=False, time_unit="us")


def numbers_from(series: pl.Series, marks: tuple[str, ...] = ()) -> pl.Series:
    """Read numbers as Float64; missing values are null.

    Raises:
        DataError: A cell holds something else.
    """
    plain = plain_text(series, marks)
    if plain.dtype == pl.String:
        found = plain.cast(pl.Float64, strict=False)
        strange = found.is_null() & plain.is_not_null()
        if strange.any():
            row = int(strange.arg_max() or 0)
            raise DataError(
                "table",
                f"column {series.name!r} must hold numbers, as in training",
                got=plain[row],
                where=f"row {row + 1}, {int(strange.sum())} such cells",
                hint=f"if it marks a missing value, use missing={plain[row]!r}",
            )
        return _number(found.fill_nan(None)).values
    if plain.dtype == pl.Null:
        return plain.cast(pl.Float64)
    typed = _typed(plain)
    if typed.kind != NUMBER:
        raise DataError(
            "table",
            f"column {series.name!r} must hold numbers, as in training",
            got=str(series.dtype),
            hint="convert it as it was in the training table",
        )
    return typed.values


def dates_read(series: pl.Series, form: str, marks: tuple[str, ...] = ()) -> pl.Series:
    """Read dates as in training: typed, or written in `form` (empty: in any known form).

    Raises:
        DataError: A cell holds something else.
    """
    plain = plain_text(series, marks)
    if plain.dtype in (pl.Date, pl.Datetime, pl.Null):
        return plain.cast(pl.Datetime("us"))
    found, count = None, plain.null_count()
    if plain.dtype == pl.String and form:
        found = dates_from(plain, form)
    elif plain.dtype == pl.String:
        tried = (dates_from(plain, known) for known in DATE_FORMATS)
        found = next((dates for dates in tried if dates.null_count() == count), None)
    if found is None or found.null_count() > count:
        strange = plain if found is None else plain.filter(found.is_null() & plain.is_not_null())
        raise DataError(
            "table",
            f"column {series.name!r} must hold dates" + (f" written as {form}" if form else ""),
            got=str(strange.drop_nulls()[0]) if strange.null_count() < strange.len() else str(plain.dtype),
            hint="write them as in training; empty cells are allowed",
        )
    return found


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
    raise DataError(
        "table",
        f"column {series.name!r} must hold numbers, text, booleans or dates",
        got=str(dtype),
        hint=f"leave it out with drop={series.name!r}",
    )


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
            hint=f"use missing='{values[row]}' to take it for a missing value",
        )
    return Typed(NUMBER, values, whole=bool(np.array_equal(array, np.round(array))))
