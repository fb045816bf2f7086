"""Columns of dates: formats, zones, epochs, and which order of day and month the cells allow."""

import random
import re
from datetime import UTC, datetime, timedelta, timezone

from tests.problem.data.styles import words
from tests.problem.data.styles.column import Column
from tests.problem.data.styles.words import Language

# The label, the strftime pattern, and the order where numbers alone do not tell it ("" where they do).
# `%-d` is written by us: no leading zeros.
_DATE_FORMATS = (
    *[("ISO", "%Y-%m-%d", "")] * 6,
    *[("ISO with time", "%Y-%m-%d %H:%M:%S", "")] * 2,
    ("ISO with time", "%Y-%m-%dT%H:%M:%S", ""),
    ("ISO with minutes", "%Y-%m-%d %H:%M", ""),
    ("ISO with fraction", "%Y-%m-%d %H:%M:%S.%f", ""),
    ("year first", "%Y/%m/%d", ""),
    ("year first", "%Y.%m.%d", ""),
    ("year first", "%Y/%-m/%-d", ""),
    ("d/m/Y", "%d/%m/%Y", "dmy"),
    ("d/m/Y", "%-d/%-m/%Y", "dmy"),
    ("d/m/Y with time", "%d/%m/%Y %H:%M", "dmy"),
    ("d/m/y", "%d/%m/%y", "dmy"),
    ("d/m/y", "%-d/%-m/%y", "dmy"),
    ("m/d/Y", "%m/%d/%Y", "mdy"),
    ("m/d/Y", "%-m/%-d/%Y", "mdy"),
    ("m/d/y", "%-m/%-d/%y", "mdy"),
    ("m/d/Y AM/PM", "%m/%d/%Y %I:%M %p", "mdy"),
    ("m/d/Y AM/PM", "%-m/%-d/%Y %-I:%M:%S %p", "mdy"),
    ("d-m-Y", "%d-%m-%Y", "dmy"),
    ("m-d-Y", "%m-%d-%Y", "mdy"),
    ("d.m.Y", "%d.%m.%Y", ""),
    ("d.m.Y", "%-d.%-m.%Y", ""),
    ("d.m.y", "%d.%m.%y", ""),
    ("d.m.Y with time", "%d.%m.%Y %H:%M", ""),
    ("month short", "%d-%b-%Y", ""),
    ("month short", "%d %b %Y", ""),
    ("month short", "%b %d, %Y", ""),
    ("month short, two-digit year", "%d-%b-%y", ""),
    ("month long", "%-d %B %Y", ""),
    ("month long", "%B %-d, %Y", ""),
    ("month AM/PM", "%b %-d, %Y %-I:%M %p", ""),
    ("month and year", "%b %Y", ""),
    ("month and year", "%B %Y", ""),
    ("year and month", "%Y-%m", ""),
    ("weekday", "%a, %d %b %Y", ""),
    ("weekday", "%A, %B %-d, %Y", ""),
    ("weekday", "%a %d/%m/%Y", "dmy"),
)
_ZONES = ("Z", "+00:00", "+02:00", "-0500", " UTC", "mixed")


def date(rng: random.Random, rows: int, language: Language, bare: bool = True) -> Column:
    """Return a column of dates. `bare`: integers whose name tells that they are dates are allowed."""
    moments = _moments(rng, rows)
    kind = rng.random()
    if kind < 0.06 and bare:
        return _epoch(rng, moments)
    if kind < 0.12 and bare:
        return _compact(rng, moments)
    if kind < 0.22:
        return _zoned(rng, moments, language)
    if language.months and kind > 0.95:
        return _local_names(rng, moments, language)
    if kind < 0.32:
        days = [f for f in dict.fromkeys(_DATE_FORMATS) if "y" not in f[1] and f[1].count("%") == 3]
        formats = rng.sample(days, 2)
        if {f[2] for f in formats} == {"dmy", "mdy"}:
            formats[0] = _DATE_FORMATS[0]
    else:
        formats = [rng.choice(_DATE_FORMATS)]
    return _formatted(rng, moments, formats, language)


def _formatted(rng: random.Random, moments: list[datetime], formats: list, language: Language) -> Column:
    patterns = [rng.choice(formats)[1] for _ in moments]
    cells = [_strftime(moment, pattern) for moment, pattern in zip(moments, patterns, strict=True)]
    values = [_kept(moment, pattern) for moment, pattern in zip(moments, patterns, strict=True)]
    label = " and ".join(sorted({f[0] for f in formats}))
    style = f"date {label}" if len(formats) == 1 else f"date mixed: {label}"
    # Day first with dots and month first with slashes: a person would want to be told.
    orders = {"dmy" if f[0].startswith("d.m") else f[2] for f in formats} >= {"dmy", "mdy"}
    return Column(
        rng.choice(language.date),
        "date",
        values,
        cells,
        style + (", two orders" if orders else ""),
        ("date",),
        ambiguous=orders,
        convention=next((f[2] for f in formats if f[2]), ""),
    )


def _moments(rng: random.Random, rows: int) -> list[datetime]:
    start = datetime(rng.randint(1976, 2018), rng.randint(1, 12), rng.randint(1, 28))
    kind = rng.choice(["daily", "monthly", "random", "random", "within a month"])
    if kind == "daily":
        return [start + timedelta(days=i, hours=9, minutes=7) for i in range(rows)]
    if kind == "monthly" and rows < 80:
        first = start.year * 12 + start.month - 1
        return [datetime((first + i) // 12, (first + i) % 12 + 1, 1) for i in range(rows)]
    days = 28 if kind == "within a month" else 365 * rng.choice([1, 5])
    return [start + timedelta(seconds=rng.randrange(days * 86400)) for _ in range(rows)]


def _strftime(moment: datetime, pattern: str) -> str:
    short = {"%-d": moment.day, "%-m": moment.month, "%-I": moment.hour % 12 or 12}
    for key, number_ in short.items():
        pattern = pattern.replace(key, str(number_))
    text = moment.strftime(pattern)
    return text[:-3] if pattern.endswith("%f") else text


def _kept(moment: datetime, pattern: str) -> datetime:
    """Return the moment without what the pattern does not write."""
    moment = moment.replace(microsecond=0)
    if "%M" not in pattern:
        moment = moment.replace(hour=0, minute=0, second=0)
    elif "%S" not in pattern:
        moment = moment.replace(second=0)
    return moment if re.search("%-?d", pattern) else moment.replace(day=1)


def _zoned(rng: random.Random, moments: list[datetime], language: Language) -> Column:
    zone, pattern = rng.choice(_ZONES), rng.choice(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"])
    pattern = "%a, %d %b %Y %H:%M:%S " if rng.random() < 0.2 and zone in ("-0500", "mixed") else pattern
    cells, values, local = [], [], []
    for moment in moments:
        moment = moment.replace(microsecond=0)
        mark = rng.choice(["+0100", "+0200", "-0330"]) if zone == "mixed" else zone
        offset = re.fullmatch(r"([+-])(\d\d):?(\d\d)", mark)
        shift = timedelta()
        if offset:
            shift = timedelta(hours=int(offset[2]), minutes=int(offset[3])) * (1 if offset[1] == "+" else -1)
        cells.append(_strftime(moment, pattern) + mark)
        aware = moment.replace(tzinfo=timezone(shift))
        values.append(aware.astimezone(UTC).replace(tzinfo=None))
        local.append(moment)
    one = None if zone == "mixed" else local
    return Column(
        rng.choice(language.date),
        "date",
        values,
        cells,
        f"date with zone {zone.strip()}",
        ("date",),
        local=one,
    )


def _local_names(rng: random.Random, moments: list[datetime], language: Language) -> Column:
    values = [moment.replace(hour=0, minute=0, second=0) for moment in moments]
    cells = [
        language.long_date.format(day=value.day, month=language.months[value.month - 1], year=value.year)
        for value in values
    ]
    style = f"date as in {language.long_date!r}, month such as {language.months[0]}"
    return Column(rng.choice(language.date), "date", values, cells, style, ("date",))


def _epoch(rng: random.Random, moments: list[datetime]) -> Column:
    unit, label = rng.choice([(1, "epoch seconds"), (1, "epoch seconds"), (1000, "epoch milliseconds")])
    values = [moment.replace(microsecond=0, tzinfo=UTC) for moment in moments]
    # Seconds before 2001 have nine digits and look like any integer; people's time stamps are younger.
    values = [value.replace(year=2002 + value.year % 20, day=min(value.day, 28)) for value in values]
    cells = [str(int(value.timestamp()) * unit) for value in values]
    naive = [value.replace(tzinfo=None) for value in values]
    return Column(
        rng.choice(words.EPOCH_NAMES), "date", naive, cells, f"date {label}", ("date",), needs_name=True
    )


def _compact(rng: random.Random, moments: list[datetime]) -> Column:
    pattern = rng.choice(["%Y%m%d", "%Y%m%d", "%Y%m%dT%H%M%S"])
    cells = [_strftime(moment, pattern) for moment in moments]
    values = [_kept(moment, pattern) for moment in moments]
    return Column(
        rng.choice(words.COMPACT_NAMES), "date", values, cells, "date compact", ("date",), needs_name=True
    )


def date_orders(cells: list[str]) -> set[str]:
    """Return the orders, of `dmy` and `mdy`, that read all the cells with day and month as numbers."""
    orders = {"dmy", "mdy"}
    for cell in cells:
        pair = re.search(r"(?<!\d)(\d{1,2})[/-](\d{1,2})[/-](\d{4}|\d{2})(?!\d)", cell)
        if pair is None:
            continue
        first, second = int(pair[1]), int(pair[2])
        orders -= {"mdy"} if first > 12 else set()
        orders -= {"dmy"} if second > 12 else set()
    return orders
