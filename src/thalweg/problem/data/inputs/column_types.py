"""The type of a column: numbers, categories, dates or text, by its data type or by the text of its cells.

A frame's own data types are honoured. The cells of a text file are read by what they all are: a few that are
not (typing errors, undeclared marks of missing values) are missing values of a column of numbers or dates,
and are counted. Polars' own inference is not used: it decides by the first rows, and knows neither our marks
of missing values nor how people write numbers and dates.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.inputs import dates as written_dates
from thalweg.problem.data.inputs import number_formats
from thalweg.problem.data.inputs.array import LARGEST
from thalweg.problem.data.inputs.dates import DAY_FIRST, MONTH_FIRST, Dates
from thalweg.problem.data.inputs.doubts import (
    bad_cells,
    capitals_note,
    divided,
    doubts_on_numbers,
    doubts_on_words,
    known,
    words_for_missing,
)
from thalweg.problem.data.inputs.numbers import PLAIN, NumberFormat, split
from thalweg.problem.data.inputs.place_codes import NA, is_place, place_note
from thalweg.problem.data.note import Note, guess

NUMBER, CATEGORY, DATE, TEXT, SKIP = "number", "category", "date", "text", "skip"

BLANKS = " \t\r\n\u00a0\u2007\u202f\ufeff"  # around a cell
# What spreadsheets, databases and R write for a missing value; compared with the trimmed cell.
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "<NA>", "null", "NULL", "None", "NaT")

MISSING_MARK = "missing"  # name of the input that flags missing values

# Cells of several words are free text unless few of them differ, as the names of categories do.
WORDS_OF_TEXT, WORDS_OF_SENTENCE, DISTINCT_OF_TEXT = 4.0, 7.0, 0.3
# From this share of numbers on, a column of other text is worth a remark.
MANY_NUMBERS = 0.5


@dataclass(frozen=True)
class Typed:
    """A column with its type.

    Args:
        kind: `number`, `category`, `date` or `text`.
        values: Float64 for numbers, String for categories and text, Datetime for dates; missing values are
            null.
        format: How dates are written, as in `dates.Dates.form`; empty for columns of date type.
        whole: Whether all numbers are whole.
        written: How numbers are written.
        fixed: Whether the type was given, by the user or by the frame's own data type.
        given: Whether the user gave it.
        notes: What was guessed about it.
        marked: Undeclared marks of missing values that were read as such, with how many there are.
    """

    kind: str
    values: pl.Series
    format: str = ""
    whole: bool = False
    written: NumberFormat = PLAIN
    fixed: bool = False
    given: bool = False
    notes: tuple[Note, ...] = ()
    marked: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_text(self) -> bool:
        """Whether its values are text."""
        return self.kind in (CATEGORY, TEXT)

    def where(self, rows: pl.Series) -> Typed:
        """Return the column with some of its rows, `row` of bool."""
        return replace(self, values=self.values.filter(rows))


@dataclass(frozen=True)
class Reading:
    """How the cells of a table are read: what the user says, and what the table as a whole tells.

    Args:
        marks: Marks for a missing value, besides the known ones.
        decimal: The decimal mark of numbers; None: found for each column.
        dates: The order of day and month; None: found for each column.
        likely_decimal, likely_dates: Those of other columns, where a column does not tell.
        text: Whether all cells are text whatever they hold, as in text files. In a frame with data types,
            whole numbers in a column of text are codes.
    """

    marks: tuple[str, ...] = ()
    decimal: str | None = None
    dates: str | None = None
    likely_decimal: str | None = None
    likely_dates: str | None = None
    text: bool = True


def read_columns(
    frame: pl.DataFrame, reading: Reading, types: Mapping[str, str] | None = None
) -> dict[str, Typed]:
    """Determine the types of the columns of a table, and read their values.

    One column may tell how another is written: the decimal mark, and the order of day and month, are first
    looked for in all of them.

    Args:
        frame: The table.
        reading: How its cells are read.
        types: Given types by column; a column of type `skip` is left out.

    Raises:
        DataError: A column holds structures or infinite numbers, or does not have its given type.
    """
    types = types or {}
    names = [name for name in frame.columns if types.get(name) != SKIP]
    texts = {name: plain_text(frame[name], reading.marks) for name in names}
    if reading.text and reading.decimal is None:
        cells = [text for text in texts.values() if text.dtype == pl.String]
        reading = replace(reading, likely_decimal=number_formats.decimal_evidence(cells))
    typed = {name: read_column(frame[name], reading, types.get(name)) for name in names}
    forms = [t.written for t in typed.values() if t.kind == NUMBER]
    if reading.likely_decimal not in (None, *number_formats.proven_marks(forms)):
        reading = replace(reading, likely_decimal=None)
        typed |= {name: read_column(frame[name], reading, types.get(name)) for name in names}
    open_ones = [name for name, t in typed.items() if any(note.kind == "dates" for note in t.notes)]
    proven = {t.format for name, t in typed.items() if name not in open_ones} & {DAY_FIRST, MONTH_FIRST}
    if len(proven) == 1 and open_ones:
        told = replace(reading, likely_dates=proven.pop())
        typed |= {name: read_column(frame[name], told, types.get(name)) for name in open_ones}
    return typed


def read_column(series: pl.Series, reading: Reading | None = None, given: str | None = None) -> Typed:
    """Determine the type of a column, and read its values.

    Args:
        series: The column, with a data type or as text.
        reading: How its cells are read.
        given: Its type, where the user gives it.

    Raises:
        DataError: The column holds structures, objects or infinite numbers, or does not have its given type.
    """
    reading = reading or Reading()
    plain = plain_text(series, reading.marks)
    if plain.dtype == pl.String and given in (None, CATEGORY):
        with_na = plain_text(series, reading.marks, (NA,))
        if is_place(with_na, reading.marks):
            notes = (place_note(series.name),)
            return Typed(CATEGORY, with_na, fixed=True, given=given is not None, notes=notes)
    if given is not None:
        return replace(_given(plain, given, reading), fixed=True, given=True)
    if plain.dtype != pl.String:
        return typed_values(plain)
    if plain.drop_nulls().len() == 0:
        return Typed(CATEGORY, plain)
    if series.dtype != pl.String:  # booleans and categories
        return Typed(CATEGORY, plain, fixed=True)
    typed = _found(plain, reading)
    return typed if reading.text else _own_text(plain, typed)


def plain_text(series: pl.Series, marks: tuple[str, ...] = (), kept: Collection[str] = ()) -> pl.Series:
    """Trim text, replace marks of missing values by nulls, and cast categories and booleans to text.

    Args:
        series: The column.
        marks: Marks for a missing value, besides the known ones.
        kept: Known ones that are values here.
    """
    dtype = series.dtype
    if dtype == pl.Boolean or isinstance(dtype, (pl.Categorical, pl.Enum)):
        series = series.cast(pl.String)
    if dtype.is_numeric() and marks and (numbers := numeric_marks(marks)):
        return series.set(series.cast(pl.Float64).is_in(pl.Series(numbers).implode()), None)
    if series.dtype != pl.String:
        return series
    trimmed = series.str.strip_chars(BLANKS)
    known = pl.Series([*(mark for mark in MISSING if mark not in kept), *(mark.strip() for mark in marks)])
    return trimmed.set(trimmed.is_in(known.implode()), None)


def numeric_marks(marks: tuple[str, ...]) -> list[float]:
    """Return the marks that are numbers, such as 999, which stand for missing values in typed columns too."""
    numbers = pl.Series([mark.strip() for mark in marks]).cast(pl.Float64, strict=False)
    return numbers.drop_nulls().to_list()


def _found(plain: pl.Series, reading: Reading) -> Typed:
    """Determine the type of a column of text by its cells."""
    present = plain.drop_nulls()
    numeric = number_formats.find_format(plain, reading.decimal, reading.likely_decimal)
    code = None if numeric is None else number_formats.code_note(plain)
    if numeric is None or written_dates.may_be_dates(present):
        least = number_formats.least_numbers(dict(present.alias("").value_counts(name="rows").iter_rows()))
        found = None if numeric is None else written_dates.find_packed(plain, least, reading.dates)
        if found is None and code is None:
            found = written_dates.find_dates(plain, least, reading.dates, reading.likely_dates)
        if found is not None:
            return _dates(plain, found, numeric is not None)
    if code is not None:
        return Typed(CATEGORY, plain, notes=(code,))
    if numeric is not None:
        return _numbers(plain, numeric)
    return _words(plain)


def _numbers(plain: pl.Series, found: number_formats.Found) -> Typed:
    name, form = str(plain.name), found.format
    notes = []
    if found.doubtful:
        other = "," if form.decimal == "." else "."
        example = next(cell for cell in plain.drop_nulls() if "," in cell or "." in cell)
        shown = form.read(pl.Series([example]))[0]
        text = f"{name}: {example!r} was read as {shown:g}; nothing in the column tells its decimal mark."
        notes.append(guess("numbers", text, (name,), decimal=other))
        if form.missing:
            notes.append(words_for_missing(name, form.missing))
    elif form != PLAIN:
        text = f"{name} was read as numbers {form.describe()}."
        marks = form.decimal == "," or form.thousands in (".", ",")
        other = {"decimal": "," if form.decimal == "." else "."} if marks else {"types": {name: CATEGORY}}
        notes.append(guess("numbers", text, (name,), **other))
    notes += doubts_on_numbers(plain)
    marked, bad = divided(found.unreadable)
    if bad:
        notes.append(bad_cells(name, "number", bad))
    typed = number(found.values.fill_nan(None))
    return Typed(NUMBER, typed.values, whole=typed.whole, written=form, notes=tuple(notes), marked=marked)


def _dates(plain: pl.Series, found: Dates, also_numbers: bool = False) -> Typed:
    name = str(plain.name)
    notes = written_dates.notes_on(name, found)
    if also_numbers and not notes:
        text = f"{name}: {plain.drop_nulls()[0]!r} and its like were read as dates, not as numbers."
        notes.append(guess("dates", text, (name,), types={name: NUMBER}))
    marked, bad = divided(found.unreadable)
    notes += [bad_cells(name, "date", bad)] if bad else []
    return Typed(DATE, found.values, found.form, notes=tuple(notes), marked=marked)


def _words(plain: pl.Series) -> Typed:
    """Return a column of text as categories or as free text."""
    present, name = plain.drop_nulls(), str(plain.name)
    words = float(present.head(1000).str.count_matches(r"\S+").mean() or 0)  # type: ignore[arg-type]
    least = DISTINCT_OF_TEXT if words < WORDS_OF_SENTENCE else DISTINCT_OF_TEXT / 2
    free = words >= WORDS_OF_TEXT and present.n_unique() > least * present.len()
    kind, notes = "text" if free else "categories", []
    numbers = [split(cell) is not None for cell in present.head(1000)]
    if numbers and all(numbers) and (limits := number_formats.limits_note(present)) is not None:
        notes.append(limits)
    elif np.mean(numbers) >= MANY_NUMBERS and not all(numbers):
        other = next(cell for cell, number in zip(present, numbers, strict=False) if not number)
        text = f"{name} holds numbers and other text such as {other!r}; it was read as {kind}."
        notes.append(guess("mixed", text, (name,), types={name: NUMBER}))
    elif np.mean(numbers) == 1:
        text = f"{name} holds numbers written in ways that do not fit together; it was read as {kind}."
        notes.append(guess("mixed", text, (name,), types={name: NUMBER}))
    elif (dates := written_dates.find_dates(plain, MANY_NUMBERS * known(present))) is not None:
        other = next(iter(dates.unreadable), "")
        text = f"{name} holds dates and other text such as {other!r}; it was read as {kind}."
        notes.append(guess("mixed", text, (name,), types={name: DATE}))
    else:
        notes += doubts_on_words(present.head(1000), name)
    if (capitals := capitals_note(present)) is not None:
        notes.append(capitals)
    return Typed(TEXT if free else CATEGORY, plain, notes=tuple(notes))


def _own_text(plain: pl.Series, found: Typed) -> Typed:
    """Return a text column of a frame: whole numbers in it are codes, since they were not kept as numbers."""
    name = str(plain.name)
    if found.kind not in (NUMBER, DATE):
        return found
    if found.kind == NUMBER and found.whole:
        text = f"{name} holds whole numbers as text; it was read as categories."
        note = guess("code", text, (name,), types={name: NUMBER})
        return Typed(CATEGORY, plain, fixed=True, notes=(note,))
    text = f"{name} holds {found.kind}s as text, and was read as {found.kind}s."
    note = guess("numbers", text, (name,), types={name: CATEGORY})
    return found if found.notes else replace(found, notes=(note,))


def _given(plain: pl.Series, kind: str, reading: Reading) -> Typed:
    """Read a column as the type that the user gives; cells that do not fit are missing, and counted."""
    name = str(plain.name)
    if kind in (CATEGORY, TEXT):
        return Typed(kind, category_text(plain), fixed=True)
    if plain.dtype != pl.String:
        typed = typed_values(plain)
        if kind == DATE and typed.kind == NUMBER:
            form = written_dates.number_form(plain)
            return Typed(DATE, written_dates.read_format(plain.cast(pl.String), form), form, fixed=True)
        if kind == NUMBER and typed.kind == DATE:
            seconds = typed.values.dt.epoch("us").cast(pl.Float64) / 1e6
            return Typed(NUMBER, seconds, fixed=True)
        if typed.kind != kind:
            raise _not_of_type(name, kind, str(plain.dtype))
        return typed
    read = _forced_numbers(plain, reading) if kind == NUMBER else _forced_dates(plain, reading)
    present = plain.drop_nulls().len()
    if read.values.drop_nulls().len() == 0 and present:
        raise _not_of_type(name, kind, str(plain.drop_nulls()[0]))
    return read


def _not_of_type(name: str, kind: str, got: str) -> DataError:
    rule = f"column {name!r} must hold {kind}s, as types says"
    hint = f"leave it out with {option('drop', name)}, or give another type"
    return DataError("table", rule, got=got, hint=hint)


def _forced_numbers(plain: pl.Series, reading: Reading) -> Typed:
    found = number_formats.find_format(plain, reading.decimal, reading.likely_decimal, forced=True)
    assert found is not None
    typed = _numbers(plain, found)
    notes = tuple(note for note in typed.notes if note.kind == "bad cells")
    return replace(typed, notes=notes)


def _forced_dates(plain: pl.Series, reading: Reading) -> Typed:
    found = written_dates.find_dates(plain, 1.0, reading.dates, reading.likely_dates, forced=True)
    if found is None:
        form = written_dates.number_form(plain)
        return Typed(DATE, written_dates.read_format(plain, form), form, fixed=True)
    typed = _dates(plain, found)
    return Typed(DATE, typed.values, typed.format, fixed=True, notes=typed.notes, marked=typed.marked)


def category_text(plain: pl.Series) -> pl.Series:
    """Return categories as text; whole numbers have no decimal point, so that 3.0 and 3 are the same."""
    if not plain.dtype.is_float():
        return plain.cast(pl.String)
    values = plain.fill_nan(None)
    whole = values.is_null() | ((values == values.round()) & (values.abs() < 2**53))
    return (values.cast(pl.Int64) if whole.all() else values).cast(pl.String)


def typed_values(series: pl.Series) -> Typed:
    """Return a column with a data type other than text.

    Raises:
        DataError: It holds structures, objects or infinite numbers.
    """
    dtype = series.dtype
    if dtype.is_integer() and number_formats.is_long_code(series.cast(pl.String)):
        note = number_formats.long_code_note(series.name)
        return Typed(CATEGORY, series.cast(pl.String), fixed=True, notes=(note,))
    if dtype.is_numeric():
        typed = number(series.cast(pl.Float64).fill_nan(None))
        return Typed(NUMBER, typed.values, whole=typed.whole, fixed=not dtype.is_integer())
    if dtype in (pl.Date, pl.Datetime):
        return Typed(DATE, without_zone(series), fixed=True)
    if dtype in (pl.Duration, pl.Time):
        whole = series.cast(pl.Int64)
        per_second = 1e9 if dtype == pl.Time else {"ns": 1e9, "us": 1e6, "ms": 1e3}[str(dtype.time_unit)]  # type: ignore[attr-defined]
        return Typed(NUMBER, whole / per_second, fixed=True)
    if dtype == pl.Null:
        return Typed(CATEGORY, series.cast(pl.String))
    rule = f"column {series.name!r} must hold numbers, text, booleans or dates"
    hint = f"leave it out with {option('drop', series.name)}"
    raise DataError("table", rule, got=str(dtype), hint=hint)


def without_zone(series: pl.Series) -> pl.Series:
    """Return dates as Datetime in microseconds, those with a zone in UTC."""
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return series.cast(pl.Datetime("us"))


def number(values: pl.Series) -> Typed:
    """Return a column of Float64 as numbers.

    Raises:
        DataError: A number is infinite, or does not fit float32.
    """
    array = values.drop_nulls().to_numpy()
    large = np.abs(array) > LARGEST
    if large.any():
        row = int((values.abs() > LARGEST).fill_null(False).arg_max() or 0)
        raise DataError(
            "table",
            f"column {values.name!r} must hold finite numbers that fit float32",
            got=f"{int(large.sum())} inf or larger than 3.4e38",
            where=f"the first, {values[row]}, in row {row + 1}",
            hint=f"use {option('missing', str(values[row]))} to read it as a missing value",
        )
    return Typed(NUMBER, values, whole=bool(np.array_equal(array, np.round(array))))
