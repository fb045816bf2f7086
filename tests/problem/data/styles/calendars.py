"""Columns of quarters, weeks, seasons and dates as offices, shops and other languages write them."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from tests.problem.data.styles.column import Column
from tests.problem.data.styles.words import Language

ANY_WORDS = ("category", "text", "skip")
ANY_KIND = ("date", "number", *ANY_WORDS)
# One month's name a quarter is enough to tell a language: (January, April, July, October).
MONTHS = (
    ("{d} {m} {y}", ("stycznia", "kwietnia", "lipca", "października")),
    ("{d} {m} {y}", ("января", "апреля", "июля", "октября")),
    ("{d} {m} {y} г.", ("января", "апреля", "июля", "октября")),  # noqa: RUF001
    ("{d} {m} {y}", ("Ocak", "Nisan", "Temmuz", "Ekim")),
    ("{d}. {m} {y}", ("tammikuuta", "huhtikuuta", "heinäkuuta", "lokakuuta")),
    ("{d}. {m} {y}", ("ledna", "dubna", "července", "října")),
    ("{y}. {m} {d}.", ("január", "április", "július", "október")),
    ("{d} de {m} de {y}", ("enero", "abril", "julio", "octubre")),
    ("{d}.{m}.{y}", ("I", "IV", "VII", "X")),
    ("{y}년 {m}월 {d}일", ("1", "4", "7", "10")),
    ("{y}. {m}. {d}.", ("1", "4", "7", "10")),
)
QUARTERS = (
    *(
        "{q}Q{s}",
        "Q{q}/{s}",
        "Q{q} {y}",
        "{y}Q{q}",
        "{y}-Q{q}",
        "{y} Q{q}",
        "Q{q}-{y}",
        "{y}-T{q}",
        "T{q} {y}",
    ),
    *("{q}. Quartal {y}", "{q}Q {y}", "{y}/Q{q}", "Q{q}'{s}", "{q}. Q {y}"),
)
WEEKS = (
    *("KW {w}/{y}", "KW{w:02d} {y}", "{y}-W{w:02d}", "W{w:02d} {y}", "{y}W{w:02d}", "{y} KW {w}"),
    *("Week {w}, {y}", "{y}/W{w:02d}", "W{w:02d}/{y}", "{w:02d}. KW {y}"),
)


def makers(rng: random.Random, rows: int, language: Language) -> list[Callable[[], Column]]:
    """Return the makers of these columns; all need a header."""
    made = [
        lambda: quarters(rng, rows, language),
        lambda: weeks(rng, rows, language),
        lambda: parts_of_years(rng, rows, language),
        lambda: months(rng, rows, language),
        lambda: foreign(rng, rows, language),
        lambda: seasons(rng, rows, language),
        lambda: without_year(rng, rows, language),
        lambda: dotted_times(rng, rows),
        lambda: said_times(rng, rows, language),
        lambda: packed(rng, rows),
        lambda: packed_weeks(rng, rows),
    ]
    return [*made, lambda: year_first(rng, rows, language)] if rows >= 40 else made


def _date(name: str, values: list[datetime], cells: list[str], style: str) -> Column:
    return Column(name, "date", values, cells, f"date as offices write it: {style}", ("date",))


def quarters(rng: random.Random, rows: int, language: Language) -> Column:
    """Return quarters, each as its first day."""
    form, cells, values = rng.choice(QUARTERS), [], []
    for _ in range(rows):
        year, quarter = rng.randint(2001, 2022), rng.randint(1, 4)
        cells.append(form.format(q=quarter, y=year, s=f"{year % 100:02d}"))
        values.append(datetime(year, 3 * quarter - 2, 1))
    return _date(rng.choice((*language.date, "quarter", "Quartal")), values, cells, f"quarter {form}")


def weeks(rng: random.Random, rows: int, language: Language) -> Column:
    """Return ISO weeks, each as its Monday."""
    form, cells, values = rng.choice(WEEKS), [], []
    for _ in range(rows):
        year, week = rng.randint(2001, 2022), rng.randint(1, 52)
        cells.append(form.format(w=week, y=year))
        values.append(datetime.fromisocalendar(year, week, 1))
    return _date(rng.choice((*language.date, "week", "Woche")), values, cells, f"week {form}")


def parts_of_years(rng: random.Random, rows: int, language: Language) -> Column:
    """Return half years and months in the notation of statistics offices."""
    form = rng.choice(
        ["{y}M{m:02d}", "{y}-M{m:02d}", "{y}-M{m}", "H{h} {y}", "{y}H{h}", "{y}-S{h}", "{y}-H{h}"]
    )
    cells, values = [], []
    for _ in range(rows):
        year, month = rng.randint(2001, 2022), rng.randint(1, 12)
        half = 1 + (month > 6)
        cells.append(form.format(y=year, m=month, h=half))
        values.append(datetime(year, month if "{m" in form else 6 * half - 5, 1))
    return _date(rng.choice((*language.date, "TIME_PERIOD")), values, cells, f"part of the year {form}")


def months(rng: random.Random, rows: int, language: Language) -> Column:
    """Return months in numbers, with the year."""
    form = rng.choice(
        ["{m:02d}/{y}", "{m:02d}.{y}", "{m}/{y}", "{m:02d}-{y}", "{y}/{m:02d}", "{y}.{m:02d}", "{m}.{y}"]
    )
    values = [datetime(rng.randint(2001, 2022), rng.randint(1, 12), 1) for _ in range(rows)]
    cells = [form.format(y=value.year, m=value.month) for value in values]
    return _date(rng.choice((*language.date, "month", "Monat")), values, cells, f"month as {form}")


def foreign(rng: random.Random, rows: int, language: Language) -> Column:
    """Return dates with the names of months of another language, and of other habits."""
    form, names = rng.choice(MONTHS)
    cells, values = [], []
    for _ in range(rows):
        year, month, day = rng.randint(1995, 2022), rng.randint(0, 3), rng.randint(1, 28)
        cells.append(form.format(y=year, m=names[month], d=day))
        values.append(datetime(year, 3 * month + 1, day))
    return _date(rng.choice(language.date), values, cells, f"{form} with {names[0]}")


def seasons(rng: random.Random, rows: int, language: Language) -> Column:
    """Return seasons and fiscal years, which begin in one year and end in the next."""
    form = rng.choice(
        ["{y}-{n:02d}", "{y}/{n:02d}", "{y}/{z}", "{y}-{z}", "FY{y}", "{s:02d}/{n:02d}", "WS {y}/{n:02d}"]
    )
    low = rng.choice([2000, 2000, 1990, 2005])
    years = [rng.randint(low, min(low + 12, 2022)) for _ in range(rows)]
    cells = [form.format(y=y, n=(y + 1) % 100, z=y + 1, s=y % 100) for y in years]
    few = rows >= 12 and len(set(cells)) <= rows / 3
    name = rng.choice(("season", "Saison", "fiscal year", *language.category))
    return Column(name, "category", list(cells), cells, f"season {form}", ("category",) if few else ANY_WORDS)


def without_year(rng: random.Random, rows: int, language: Language) -> Column:
    """Return days without a year: whatever a reader makes of them, it has to say so."""
    form = rng.choice(
        [
            "{d:02d}.{m:02d}.",
            "{d:02d}.{m:02d}",
            "{d}.{m}.",
            "{d}-{n}",
            "{n} {d}",
            "{n} {d:02d}",
            "{n}-{y:02d}",
            "{d:02d}/{m:02d}",
        ]
    )
    days = [datetime(2001, 1, 1) + timedelta(days=rng.randrange(365)) for _ in range(rows)]
    cells = [form.format(d=day.day, m=day.month, n=day.strftime("%b"), y=9 + day.day % 14) for day in days]
    # Any reading is fine that leads to a word; `12-Mar` is a month of 2012, too.
    return Column(
        rng.choice(language.date),
        "date",
        list(cells),
        cells,
        f"day without a year {form}",
        ANY_KIND,
        ambiguous=True,
    )


def dotted_times(rng: random.Random, rows: int) -> Column:
    """Return times of day with a dot, or with nothing between hours and minutes."""
    form = rng.choice(["{h}.{m:02d}", "{h:02d}.{m:02d}", "{h:02d}{m:02d}", "{h}{m:02d}"])
    moments = [(rng.randint(6, 23), rng.randint(0, 59)) for _ in range(rows)]
    cells = [form.format(h=hour, m=minute) for hour, minute in moments]
    name = rng.choice(["time", "Uhrzeit", "Time", "start time", "arrival_time"])
    return Column(
        name, "number", list(cells), cells, f"time of day {form}", ANY_KIND, ambiguous=True, needs_name=True
    )


def said_times(rng: random.Random, rows: int, language: Language) -> Column:
    """Return times of day with a word, as hours."""
    form = rng.choice(
        [
            "{h:02d}:{m:02d}h",
            "{h}:{m:02d} Uhr",
            "{h}:{m:02d} h",
            "{k}{p}",
            "{k} {p}",
            "{k}:{m:02d}{p}",
            "{h}h{m:02d}",
        ]
    )
    cells, values = [], []
    for _ in range(rows):
        hour, minute = rng.randint(0, 23), rng.randint(0, 59)
        half = "pm" if hour >= 12 else "am"
        cells.append(form.format(h=hour, m=minute, k=hour % 12 or 12, p=half))
        values.append(hour + (minute / 60 if "{m" in form else 0))
    name = rng.choice(language.number)
    scales = (1.0, 60.0, 3600.0, 1 / 24)
    return Column(name, "number", values, cells, f"time of day {form}", ("number",), scales=scales)


def packed(rng: random.Random, rows: int) -> Column:
    """Return dates without marks between their parts, under a name that says that they are dates."""
    form = rng.choice(["%y%m%d", "%Y%j", "%d%m%Y", "%d%m%y", "%m%d%Y"])
    moments = [datetime(2005, 1, 1) + timedelta(days=rng.randrange(5000)) for _ in range(rows)]
    name = rng.choice(["date", "Date", "datum", "order_date"])
    cells = [moment.strftime(form) for moment in moments]
    return Column(
        name, "date", moments, cells, f"date packed {form}", ANY_KIND, ambiguous=True, needs_name=True
    )


def packed_weeks(rng: random.Random, rows: int) -> Column:
    """Return weeks as 202103."""
    weeks_ = [(rng.randint(2005, 2022), rng.randint(1, 52)) for _ in range(rows)]
    values = [datetime.fromisocalendar(year, week, 1) for year, week in weeks_]
    cells = [f"{year}{week:02d}" for year, week in weeks_]
    name = rng.choice(["week", "year_week", "KW", "YYYYWW", "Woche"])
    return Column(name, "date", values, cells, "week packed", ANY_KIND, ambiguous=True, needs_name=True)


def year_first(rng: random.Random, rows: int, language: Language) -> Column:
    """Return dates of two-digit years that come first, of a few years only."""
    mark, low = rng.choice("-/."), rng.choice([5, 13, 16])
    moments = [datetime(2000 + low, 1, 1) + timedelta(days=rng.randrange(1800)) for _ in range(rows)]
    cells = [moment.strftime(f"%y{mark}%m{mark}%d") for moment in moments]
    return Column(
        rng.choice(language.date),
        "date",
        moments,
        cells,
        f"date yy{mark}mm{mark}dd",
        ("date",),
        ambiguous=True,
    )
