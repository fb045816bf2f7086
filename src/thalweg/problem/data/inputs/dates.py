"""Dates as people write them: any order, month names, times, zones, quarters, several forms in a column.

Only the order of day and month is open in `3/4/2024`. It is decided by the whole column: by a number above
12, else by which reading makes the rows follow one another in even steps.

Python's and Polars' own parsers need one format for a column, and dateutil decides the order cell by cell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.date_cells import (
    DAY_FIRST,
    MONTH_FIRST,
    YEAR_FIRST,
    moment,
    parts_of,
)
from thalweg.problem.data.note import Note, guess

# Dates of any form in which the order of day and month is never open.
ANY = "any"
# Formats that can be read in one way only: the first that reads every cell is the quickest way.
FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%d %H:%M",
    "%Y-%m",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
)
# The first cells tell whether a column can hold dates; among them the share may be lower by chance.
TRIED, CHANCE = 500, 0.3

# Days since the end of 1899, as spreadsheets count them, from 1954 to 2064; and names of columns of dates.
_SERIAL = (20_000, 60_000)
_DATE_NAME = re.compile(
    r"(?i)(^|[^a-z])(date|datum|fecha|dato|data|дата|日付|day|tag)([^a-z]|$)|(?<!candi)(?<!man)(?<!up)date$|(?-i:[a-z](Date|Datum))"
)
_DAYS_TO_1970 = 25_569
# `202103`: year and month without a mark between them, in a column whose name says so.
MONTHS = "%Y%m"
# `202103` as the third week, and dates without marks, in columns whose names say so.
WEEKS = "%G%V"
_WEEK_NAME = re.compile(r"(?i)(^|[^a-z])(week|kw|woche|semaine|yyyyww|isoweek)([^a-z]|$)|yearweek")
_PACKED = {6: ("%y%m%d", "%d%m%y", "%m%d%y"), 7: ("%Y%j",), 8: ("%d%m%Y", "%m%d%Y")}
# Of dates such as `13-04-14`, the last number is a day where so many differ, and few of the first.
LEAST_DAYS = 15
_MONTH_NAME = re.compile(r"(?i)month|monat|mois|(^|[^a-z])mes([^a-z]|$)|period|yyyymm|date|datum")
_EPOCH_NAME = re.compile(r"(?i)time|date|stamp|epoch|unix|created|updated|modified|(^|_)(at|ts|dt)$")


# Numbers that may be dates, too: without marks between their parts, or a month and a year with a dot.
_ALSO_NUMBERS = (
    r"^\d{8}|^\d{10}|^[2-5]\d{4}(\.\d+)?$|^(19|20)\d{4}$"
    r"|^(0?[1-9]|1[0-2])\.(19|20)\d\d$|^(19|20)\d\d\.(0[1-9]|1[0-2])$"
)
_VERSION_NAME = re.compile(r"(?i)(^|[^a-z])(version|ver|release|revision|firmware)([^a-z]|$)")


@dataclass(frozen=True)
class Dates:
    """The dates of a column.

    Args:
        form: How they are written: a format of `strptime`; `dmy`, `mdy` or `ymd` for the order of day and
            month in any other form, or `/mdy .dmy` where it differs by separator; `any` where no order is
            open; `epoch` for seconds or milliseconds since 1970, `days` for days since 1900, as
            spreadsheets count. Empty for columns of date type.
        values: Datetime in UTC (or without a zone, as written); null where missing or unreadable.
        unreadable: The distinct cells that are not dates, with how many there are.
        reason: Why day and month were read in this order, where it was decided; empty where no cell is open.
        sure: Whether a cell proves the order.
    """

    form: str
    values: pl.Series
    unreadable: dict[str, int]
    reason: str = ""
    sure: bool = True


def find_dates(
    text: pl.Series, least: float, order: str | None = None, likely: str | None = None, forced: bool = False
) -> Dates | None:
    """Return the dates of a column, None if fewer than `least` of its cells are dates.

    Args:
        text: Trimmed cells, null where missing.
        least: How many cells must be dates.
        order: The order of day and month, where the user tells it.
        likely: That order in the rest of the file, if it has one.
        forced: Whether the user says that the column holds dates, so that seasons and versions are some.
    """
    present = text.drop_nulls()
    if present.len() == 0 or not present.head(1000).str.contains(r"\d").mean():
        return None
    if not forced and (_are_versions(present) or _are_seasons(present)):
        return None
    for form in FORMATS if present.str.contains(r"^\d{4}[-/]\d").all() else ():  # %Y takes any digits
        values = read_format(text, form)
        if values.null_count() == text.null_count():
            return Dates(form, values, {})
    months = present.str.contains(r"^(19|20)\d\d(0[1-9]|1[0-2])$")
    if _MONTH_NAME.search(text.name or "") and months.sum() >= least:
        values = read_format(text, MONTHS)
        return Dates(MONTHS, values, _unread(text, values))
    if _EPOCH_NAME.search(text.name or "") and (epoch := _epoch(text, least)) is not None:
        return Dates("epoch", epoch, _unread(text, epoch))
    if _DATE_NAME.search(text.name or "") and number_form(text) == "days":
        days = read_format(text, "days")
        if days.drop_nulls().len() >= least:
            return Dates("days", days, _unread(text, days))
    few = present.head(TRIED).to_list()
    if sum(parts_of(cell) is not None for cell in few) < (least / present.len() - CHANCE) * len(few):
        return None
    matches = {
        cell: parts
        for cell in present.unique(maintain_order=True).to_list()
        if (parts := parts_of(cell)) is not None
    }
    read = present.is_in(list(matches)).sum() if matches else 0
    if read < least:
        return None
    chosen, reason, sure = _order(text, matches, order, likely)
    values = _values(text, matches, chosen)
    if values.drop_nulls().len() < least:
        return None
    if chosen == ANY and all(_may_be_day(parts) for parts in matches.values()):
        reason, sure = "month and year, though the numbers may be days", False
    return Dates(chosen, values, _unread(text, values), reason, sure)


def _may_be_day(parts: re.Match[str]) -> bool:
    """Return whether a date such as `Mar 07` may be a day of March, or March 2007."""
    got = parts.groupdict()
    return (
        bool(got.get("name"))
        and not got.get("d")
        and re.fullmatch(r"0[1-9]|[12]\d|3[01]", got["y"]) is not None
    )


def may_be_dates(present: pl.Series) -> bool:
    """Return whether most cells of a column of numbers may be dates as well, by themselves or by its name."""
    name = present.name or ""
    named = _DATE_NAME.search(name) or _WEEK_NAME.search(name)
    pattern = _ALSO_NUMBERS + (r"|^\d{6,8}$" if named else "")
    return 2 * int(present.str.contains(pattern).sum()) > present.len()


def find_packed(text: pl.Series, least: float, order: str | None = None) -> Dates | None:
    """Return dates and weeks that are written without marks between their parts, as their column's name says.

    Args:
        text, least, order: As for `find_dates`.
    """
    present, name = text.drop_nulls(), text.name or ""
    digits = present.filter(present.str.contains(r"^\d{6,8}$"))
    if digits.len() < least or digits.len() == 0:
        return None
    forms = [WEEKS] if _WEEK_NAME.search(name) else []
    forms += _PACKED[int(digits.str.len_chars().max() or 0)] if _DATE_NAME.search(name) else []  # type: ignore[arg-type]
    if order is not None:
        forms.sort(key=lambda form: form[1:2].lower() != order[0])
    for form in forms:
        values = read_format(text, form)
        years = values.drop_nulls().dt.year()
        if years.len() >= least and ((years > 1930) & (years < 2070)).all():
            return Dates(form, values, _unread(text, values), "as the column's name says", False)
    return None


def _are_versions(cells: pl.Series) -> bool:
    """Return whether cells such as 2.4.19 are versions, as their column's name says."""
    named = _VERSION_NAME.search(cells.name or "")
    return named is not None and bool(cells.str.contains(r"^\d+\.\d+\.\d{1,2}$").any())


def _are_seasons(cells: pl.Series) -> bool:
    """Return whether years and months such as 2009-10 are seasons, each of which ends a year later."""
    if cells.n_unique() < 3 or not cells.str.contains(r"^\d{4}[-/]\d\d$").all():
        return False
    years, months = cells.str.slice(2, 2).cast(pl.Int64), cells.str.slice(5, 2).cast(pl.Int64)
    return bool(((years + 1) % 100 == months).mean() > 0.9)  # type: ignore[operator]


def _unread(text: pl.Series, values: pl.Series) -> dict[str, int]:
    """Return the distinct cells that could not be read, with how many there are."""
    bad = text.filter(values.is_null() & text.is_not_null())
    return dict(Counter(bad.to_list()))


def read_format(text: pl.Series, form: str) -> pl.Series:
    """Read dates written in one form of `Dates.form`; what cannot be read becomes null."""
    if not form:
        return text.cast(pl.Datetime("us"))
    if form == "epoch":
        return _from_seconds(text.cast(pl.Float64, strict=False))
    if form == "days":
        seconds = 86_400 * (text.cast(pl.Float64, strict=False) - _DAYS_TO_1970)
        return (seconds * 1e6).round().cast(pl.Int64).cast(pl.Datetime("us"))
    if "%" not in form:
        cells = text.drop_nulls().unique(maintain_order=True).to_list()
        return _values(text, {cell: parts for cell in cells if (parts := parts_of(cell)) is not None}, form)
    day = {"%Y-%m": ("-01", "-%d"), MONTHS: ("01", "%d"), WEEKS: ("1", "%u")}
    if form in day:  # a date needs one
        text, form = text + day[form][0], form + day[form][1]
    return text.str.to_datetime(form, strict=False, time_unit="us")


def notes_on(name: str, found: Dates) -> list[Note]:
    """Return what is said of how the dates of a column were read."""
    notes = []
    if "%" in found.form and not found.sure:
        text = f"{name} was read as dates written as {found.form}, {found.reason}."
        notes.append(guess("dates", text, (name,), types={name: "number"}))
    elif found.form == ANY and found.reason:
        text = f"{name}: dates were read as {found.reason}."
        notes.append(guess("dates", text, (name,), types={name: "category"}))
    elif found.reason and not found.sure:
        first = {DAY_FIRST: "the day first", MONTH_FIRST: "the month first", YEAR_FIRST: "the year first"}
        first = first.get(found.form) or f"day and month in the orders {found.form}"
        other = MONTH_FIRST if found.form == DAY_FIRST else DAY_FIRST
        text = f"{name}: dates were read with {first}, {found.reason}."
        notes.append(guess("dates", text, (name,), dates=other))
    if found.form in ("epoch", "days", MONTHS):
        since = {"epoch": "time since 1970", "days": "days since 1900 that spreadsheets count"}
        text = f"{name} was read as dates, from the {since.get(found.form, 'year and the month')}."
        notes.append(guess("dates", text, (name,), types={name: "number"}))
    return notes


def number_form(cells: pl.Series) -> str:
    """Return the form in which numbers are dates: `days` of spreadsheets where all lie in their range."""
    numbers = cells.cast(pl.Float64, strict=False).drop_nulls()
    return "days" if numbers.len() and numbers.is_between(*_SERIAL).all() else "epoch"


def _values(text: pl.Series, matches: dict[str, re.Match[str]], order: str) -> pl.Series:
    dates = {cell: moment(parts, order) for cell, parts in matches.items()}
    cells = pl.Series(list(dates), dtype=pl.String)
    values = pl.Series(list(dates.values()), dtype=pl.Int64).cast(pl.Datetime("us"))
    if not dates:
        return pl.Series(text.name, [None] * text.len(), dtype=pl.Datetime("us"))
    return text.replace_strict(cells, values, default=None, return_dtype=pl.Datetime("us"))


def _order(
    text: pl.Series, matches: dict[str, re.Match[str]], given: str | None, likely: str | None
) -> tuple[str, str, bool]:
    """Return (the form, why day and month are in this order, whether a cell or the user proves it).

    Each separator may have an order of its own: `31.12.2020` and `12/31/2020` in one column.
    """
    by_mark: dict[str, dict[str, re.Match[str]]] = {}
    for cell, match in matches.items():
        if match.groupdict().get("a"):
            by_mark.setdefault(match["sep"], {})[cell] = match
    if not by_mark:
        return ANY, "", True
    orders = {mark: _order_of_cells(text, matches, some, given, likely) for mark, some in by_mark.items()}
    if len({order for order, _, _ in orders.values()}) == 1:
        order, reason, _ = min(orders.values(), key=lambda decided: decided[2])
        return order, reason, all(sure for _, _, sure in orders.values())
    form = " ".join(f"{mark}{order}" for mark, (order, _, _) in orders.items())
    return form, next(reason for _, reason, _ in orders.values()), False


def _order_of_cells(
    text: pl.Series,
    dates: dict[str, re.Match[str]],
    matches: dict[str, re.Match[str]],
    given: str | None,
    likely: str | None,
) -> tuple[str, str, bool]:
    """Return (the order of day and month, why, whether that is proven) of cells with the same separator.

    Args:
        text: The column.
        dates: All its dates.
        matches: Those with this separator.
        given, likely: As for `find_dates`.
    """
    if given is None and _are_years_first(text, dates, matches.values()):
        return YEAR_FIRST, "as the last numbers differ like days", False
    day_first = [cell for cell, match in matches.items() if int(match["a"]) > 12]
    month_first = [cell for cell, match in matches.items() if int(match["b"]) > 12]
    if day_first or month_first:
        order = DAY_FIRST if len(day_first) >= len(month_first) else MONTH_FIRST
        shown = (day_first if order == DAY_FIRST else month_first)[0]
        return order, f"as {shown} shows", not (day_first and month_first)
    if given is not None:
        return given, "as asked", True
    if all(match["sep"] == "." for match in matches.values()):
        return DAY_FIRST, "as is usual with dots", True
    if all(match["a"].lstrip("0") == match["b"].lstrip("0") for match in matches.values()):
        return DAY_FIRST, "", True  # both readings are the same
    if any(match.groupdict().get("ap") for match in matches.values()):
        return MONTH_FIRST, "as times with AM and PM suggest", False
    rough = {order: _roughness(text, dates, order) for order in (DAY_FIRST, MONTH_FIRST)}
    if max(rough.values()) > 2 * min(rough.values()):
        order = min(rough, key=rough.__getitem__)
        step = _step(_values(text, dates, order))
        return order, f"since the rows then follow each other {step}", False
    if likely is not None:
        return likely, "as in the other columns", False
    return DAY_FIRST, "as most of the world writes", False


def _are_years_first(
    text: pl.Series, dates: dict[str, re.Match[str]], matches: Collection[re.Match[str]]
) -> bool:
    """Return whether the last number of dates such as 13-04-14 is the day: many differ, few of the first."""
    if any(
        len(match["y"]) != 2 or not 1 <= int(match["y"]) <= 31 or int(match["b"]) > 12 for match in matches
    ):
        return False
    first, last = {int(match["a"]) for match in matches}, {match["y"] for match in matches}
    if len(last) < LEAST_DAYS or 2 * len(first) > len(last) or len(first) == 1 or min(first) >= 28:
        return False
    rough = {order: _roughness(text, dates, order) for order in (DAY_FIRST, YEAR_FIRST)}
    return rough[DAY_FIRST] > rough[YEAR_FIRST] / 2


def _roughness(text: pl.Series, matches: dict[str, re.Match[str]], order: str) -> float:
    """Return how uneven the steps from row to row are: the deviation of their sizes over their mean."""
    times = _values(text, matches, order).drop_nulls().to_physical().to_numpy().astype(float)
    steps = np.diff(times)
    steps = steps[steps != 0]
    if steps.size < 3:
        return 1.0
    backward = min(np.mean(steps < 0), np.mean(steps > 0))
    sizes = np.abs(steps)
    return float(sizes.std() / sizes.mean() + 2 * backward + 0.05)


def _step(dates: pl.Series) -> str:
    days = np.abs(np.diff(dates.drop_nulls().to_physical().to_numpy() / 86_400e6))
    typical = float(np.median(days)) if days.size else 0.0
    for name, low, high in (("day", 0.9, 1.1), ("week", 6.9, 7.1), ("month", 27, 32), ("year", 364, 367)):
        if low <= typical <= high:
            return f"by {name}"
    return "in even steps"


def _epoch(text: pl.Series, least: float) -> pl.Series | None:
    """Return dates from seconds, milliseconds or microseconds since 1970, if all lie in 1973 to 2099."""
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.drop_nulls().len() < least:
        return None
    dates = _from_seconds(numbers)
    present = dates.drop_nulls()
    years = present.dt.year()
    fits = present.len() == numbers.drop_nulls().len() and bool(((years >= 1973) & (years < 2100)).all())
    return dates if fits and bool((numbers.drop_nulls() > 1e8).all()) else None


def _from_seconds(numbers: pl.Series) -> pl.Series:
    largest = float(numbers.abs().max() or 0.0)  # type: ignore[arg-type]
    per_second = 1 if largest < 1e11 else 1e3 if largest < 1e14 else 1e6 if largest < 1e17 else 1e9
    return (numbers / per_second * 1e6).round().cast(pl.Int64).cast(pl.Datetime("us"))
