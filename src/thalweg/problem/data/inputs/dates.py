"""Dates as people write them: any order, month names, times, zones, quarters, several forms in a column.

Only the order of day and month is open in `3/4/2024`. It is decided by the whole column: by a number above
12, else by which reading makes the rows follow one another in even steps.

Python's and Polars' own parsers need one format for a column, and dateutil decides the order cell by cell.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.note import Note, guess

DAY_FIRST, MONTH_FIRST = "dmy", "mdy"
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
# A year of two digits up to this one is in this century, as in POSIX.
CENTURY = 68
# The first cells tell whether a column can hold dates; among them the share may be lower by chance.
TRIED, CHANCE = 500, 0.3

_MONTHS: dict[str, int] = {}
for _number, _names in enumerate(
    (
        "january jan januar jänner jän janvier janv enero ene gennaio gen janeiro januari jan.",
        "february feb februar februari février fevrier févr fevr fév febrero febbraio fevereiro fev",
        "march mar märz mrz mär maart mrt mars marzo março marco",
        "april apr avril avr abril abr aprile",
        "may mai maj mei mayo may. maggio mag maio",
        "june jun juni juin junio giugno giu junho",
        "july jul juli juillet juil julio luglio lug julho",
        "august aug août aout agosto ago augustus augusti",
        "september sep sept septembre septiembre settembre set setembro",
        "october oct oktober okt octobre octubre ottobre ott outubro out",
        "november nov novembre noviembre novembro",
        "december dec dezember dez décembre déc decembre diciembre dic dicembre dezembro desember des",
    ),
    start=1,
):
    _MONTHS |= dict.fromkeys(_names.split(), _number)

_SEP = r"[-/. _]"
_NAME = r"(?P<name>[a-zà-ÿ]{3,12})\.?"
_TIME = (
    r"(?:[t ,:]*\s*(?P<H>[01]?\d|2[0-4])(?:[:h.](?P<M>[0-5]\d))(?::(?P<S>[0-5]\d)(?:[.,](?P<f>\d{1,9}))?)?"
    r"\s*(?P<ap>[ap]\.?\s?m\.?)?\s*(?P<z>z|utc|gmt|(?:utc|gmt)?[+-]\d{2}:?\d{2}|[+-]\d{2}|\[?[a-z]{3,4}\]?)?)?"
)
_HOUR = r"(?:[t ,]+(?P<H>[01]?\d|2[0-4])\s*(?P<ap>[ap]\.?m\.?))?"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<y>\d{{4}})(?P<sep>{_SEP})(?P<m>\d{{1,2}})(?P=sep)(?P<d>\d{{1,2}}){_TIME}",
        r"(?P<y>\d{4})(?P<sep>[-/])(?P<m>\d{1,2})(?P=sep)(?P<d>\d{1,2})[t ](?P<H>[01]?\d|2[0-3])(?P<z>z)?",
        r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})",
        r"(?P<y>(?:19|20)\d{2})(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])"
        r"(?:[t_ ]?(?P<H>[01]\d|2[0-3])(?P<M>[0-5]\d)(?P<S>[0-5]\d)?(?P<z>z)?)?",
        rf"(?P<a>\d{{1,2}})\s?(?P<sep>{_SEP})\s?(?P<b>\d{{1,2}})\s?(?P=sep)\s?(?P<y>\d{{4}}|\d{{2}}),?{_TIME}",
        rf"(?P<a>\d{{1,2}})(?P<sep>[-/.])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}|\d{{2}}),?{_HOUR}",
        rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?[-/ .]*(?:of |de )?{_NAME}[-/ .,]*(?:de )?"
        rf"(?P<y>\d{{4}}|'?\d{{2}}),?{_TIME}",
        rf"{_NAME}[-/ .]*(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\.?(?:\s*,\s*|[-/ ]+)(?P<y>\d{{4}}),?{_TIME}",
        rf"{_NAME}\s+(?P<d>\d{{1,2}})\s+(?P<H>[01]?\d|2[0-3]):(?P<M>[0-5]\d)(?::(?P<S>[0-5]\d))?"
        r"\s+(?:(?P<z>[a-z]{3,4}|[+-]\d{4})\s+)?(?P<y>\d{4})",
        rf"{_NAME}[-/ .,]*(?P<y>\d{{4}}|'?\d{{2}})",
        rf"(?P<y>\d{{4}})[-/ .]*{_NAME}(?:[-/ .]*(?P<d>\d{{1,2}}))?{_TIME}",
        rf"(?P<y>\d{{4}})\s?年\s?(?P<m>\d{{1,2}})\s?月(?:\s?(?P<d>\d{{1,2}})\s?日)?{_TIME}",
        r"(?P<y>\d{4})[-/ ]?q(?P<q>[1-4])",
        r"q(?P<q>[1-4])[-/ ]?(?P<y>\d{4})",
        r"(?P<y>\d{4})-?w(?P<w>[0-5]\d)(?:-?(?P<wd>[1-7]))?",
    )
)
_WEEKDAY = re.compile(
    r"(?:mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun|mo|di|mi|do|fr|sa|so)[a-z]*\.?,?\s+", re.IGNORECASE
)
# Days since the end of 1899, as spreadsheets count them, from 1954 to 2064; and names of columns of dates.
_SERIAL = (20_000, 60_000)
_DATE_NAME = re.compile(
    r"(?i)(^|[^a-z])(date|datum|fecha|dato|data|дата|日付|day|tag)([^a-z]|$)|(?<!candi)(?<!man)(?<!up)date$|(?-i:[a-z](Date|Datum))"
)
_DAYS_TO_1970 = 25_569
# `202103`: year and month without a mark between them, in a column whose name says so.
MONTHS = "%Y%m"
_MONTH_NAME = re.compile(r"(?i)month|monat|mois|(^|[^a-z])mes([^a-z]|$)|period|yyyymm|date|datum")
_EPOCH_NAME = re.compile(r"(?i)time|date|stamp|epoch|unix|created|updated|modified|(^|_)(at|ts|dt)$")


@dataclass(frozen=True)
class Dates:
    """The dates of a column.

    Args:
        form: How they are written: a format of `strptime`; `dmy` or `mdy` for the order of day and month in
            any other form, or `/mdy .dmy` where it differs by separator; `any` where no order is open;
            `epoch` for seconds or milliseconds since 1970, `days` for days since 1900, as spreadsheets count.
            Empty for columns of date type.
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
    text: pl.Series, least: float, order: str | None = None, likely: str | None = None
) -> Dates | None:
    """Return the dates of a column, None if fewer than `least` of its cells are dates.

    Args:
        text: Trimmed cells, null where missing.
        least: How many cells must be dates.
        order: The order of day and month, where the user tells it.
        likely: That order in the rest of the file, if it has one.
    """
    present = text.drop_nulls()
    if present.len() == 0 or not present.head(1000).str.contains(r"\d").mean():
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
    if sum(_match(cell) is not None for cell in few) < (least / present.len() - CHANCE) * len(few):
        return None
    matches = {
        cell: match
        for cell in present.unique(maintain_order=True).to_list()
        if (match := _match(cell)) is not None
    }
    read = present.is_in(list(matches)).sum() if matches else 0
    if read < least:
        return None
    chosen, reason, sure = _order(text, matches, order, likely)
    values = _values(text, matches, chosen)
    if values.drop_nulls().len() < least:
        return None
    return Dates(chosen, values, _unread(text, values), reason, sure)


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
        return _values(text, {cell: match for cell in cells if (match := _match(cell)) is not None}, form)
    if form in ("%Y-%m", MONTHS):  # a date needs a day
        text, form = text + ("-01" if form == "%Y-%m" else "01"), form + ("-%d" if form == "%Y-%m" else "%d")
    return text.str.to_datetime(form, strict=False, time_unit="us")


def notes_on(name: str, found: Dates) -> list[Note]:
    """Return what is said of how the dates of a column were read."""
    notes = []
    if found.reason and not found.sure:
        first = {DAY_FIRST: "the day first", MONTH_FIRST: "the month first"}.get(found.form)
        first = first or f"day and month in the orders {found.form}"
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


def _match(cell: str) -> re.Match[str] | None:
    plain = cell.strip()
    if plain.endswith("]"):  # [10/Oct/2000:13:55:36 -0700] of web servers, [Europe/Berlin] of Java
        plain = plain[1:-1] if plain[0] == "[" else re.sub(r"\[[A-Za-z]+(?:/\w+)*\]$", "", plain)
    plain = (_WEEKDAY.sub("", plain, count=1) if plain[:1].isalpha() else plain).lower()
    for pattern in _PATTERNS:
        match = pattern.fullmatch(plain)
        if match is not None and ("name" not in match.groupdict() or match["name"] in _MONTHS):
            return match
    return None


def _values(text: pl.Series, matches: dict[str, re.Match[str]], order: str) -> pl.Series:
    dates = {cell: _date(match, order) for cell, match in matches.items()}
    cells = pl.Series(list(dates), dtype=pl.String)
    values = pl.Series(list(dates.values()), dtype=pl.Int64).cast(pl.Datetime("us"))
    if not dates:
        return pl.Series(text.name, [None] * text.len(), dtype=pl.Datetime("us"))
    return text.replace_strict(cells, values, default=None, return_dtype=pl.Datetime("us"))


def _date(match: re.Match[str], order: str) -> int | None:
    """Return microseconds since 1970, None if there is no such day."""
    got = match.groupdict()
    year = _year(got["y"])
    if got.get("w"):
        return _week(year, int(got["w"]), int(got.get("wd") or 1))
    if got.get("a"):
        first = _order_of(order, got["sep"])
        if first is None:
            return None
        day, month = (got["a"], got["b"]) if first == DAY_FIRST else (got["b"], got["a"])
    else:
        day, month = got.get("d") or 1, got.get("m") or _MONTHS.get(got.get("name") or "") or 1
        month = 3 * int(got["q"]) - 2 if got.get("q") else month
    hour, minute = int(got.get("H") or 0), int(got.get("M") or 0)
    if got.get("ap"):
        hour = hour % 12 + (12 if got["ap"][0] == "p" else 0)
    try:
        days = np.datetime64(f"{year:04d}-{int(month):02d}-{int(day):02d}", "us").astype(np.int64)
    except ValueError:
        return None
    seconds = 3600 * hour + 60 * minute + int(got.get("S") or 0) - _offset(got.get("z") or "")
    return int(days) + 1_000_000 * seconds + int((got.get("f") or "0").ljust(6, "0")[:6])


def _year(text: str) -> int:
    digits = text.lstrip("'")
    if len(digits) == 2:
        return int(digits) + (2000 if int(digits) <= CENTURY else 1900)
    return int(digits)


def _week(year: int, week: int, weekday: int) -> int | None:
    """Return the microseconds of a day of an ISO week: week 1 has 4 January in it, weeks begin on Monday."""
    january = np.datetime64(f"{year:04d}-01-04", "D")
    monday = january - (january.astype(int) + 3) % 7
    day = monday + 7 * (week - 1) + weekday - 1
    return int(day.astype("datetime64[us]").astype(np.int64)) if 1 <= week <= 53 else None


def _offset(zone: str) -> int:
    """Return the seconds that a zone is ahead of UTC; names other than UTC's are read as no zone."""
    match = re.search(r"([+-])(\d{2}):?(\d{2})?$", zone)
    if match is None:
        return 0
    return (1 if match[1] == "+" else -1) * (3600 * int(match[2]) + 60 * int(match[3] or 0))


def _order_of(form: str, separator: str) -> str | None:
    """Return the order of day and month that a form has for a separator; None if it has none."""
    if form in (DAY_FIRST, MONTH_FIRST):
        return form
    return next((part[1:] for part in form.split() if part[0] == separator), None)


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
