"""Columns as spreadsheets, surveys, laboratories, shops and loggers export them."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.problem.data.styles.column import Column
from tests.problem.data.styles.words import Language

ANY_WORDS = ("category", "text", "skip")
# Hours may be read in another unit: the judge takes minutes, seconds and days as well.
HOURS = (1.0, 60.0, 3600.0, 1 / 24)
# Names that programs use for columns of their own.
PLAIN_NAMES = (
    "count",
    "rows",
    "value",
    "values",
    "index_1",
    "len",
    "column",
    "literal",
    "category",
    "target_1",
)


def makers(rng: random.Random, rows: int, decimal: str, language: Language) -> list[Callable[[], Column]]:
    """Return the makers of these columns; all need a header."""
    return [
        lambda: bands(rng, rows, language),
        lambda: limits(rng, rows, decimal, language),
        lambda: shares(rng, rows, decimal, language),
        lambda: truths(rng, rows, language),
        lambda: clocks(rng, rows, language),
        lambda: spans(rng, rows, language),
        lambda: dialled(rng, rows),
        lambda: postcodes(rng, rows),
        lambda: round_prices(rng, rows, decimal, language),
        lambda: rough(rng, rows, decimal, language),
        lambda: answers(rng, rows, language),
        lambda: spreads(rng, rows, decimal, language),
        lambda: logged(rng, rows, language),
        lambda: year_months(rng, rows),
        lambda: no_dates(rng, rows, language),
        lambda: unmeasured(rng, rows, decimal, language),
        lambda: plainly_named(rng, rows, language),
    ]


def _text(value: float, decimal: str, places: int = 2) -> str:
    return f"{value:.{places}f}".replace(".", decimal)


def _kinds(values: list, rows: int) -> tuple[str, ...]:
    few = rows >= 12 and len(set(values)) <= rows / 3
    return ("category",) if few else ANY_WORDS


def _words(rng: random.Random, names: tuple[str, ...], values: list[str], style: str) -> Column:
    return Column(rng.choice(names), "category", list(values), values, style, _kinds(values, len(values)))


def bands(rng: random.Random, rows: int, language: Language) -> Column:
    """Return ranges: of ages or amounts, a few that repeat or one in each row."""
    few = rng.choice(
        [
            ("0-9", "10-19", "20-29", "30+"),
            ("<18", "18-30", "31-50", ">50"),
            ("1 - 5", "6 - 10", "11 - 15"),
            ("0\u20139 €", "10\u201319 €", "≥20 €"),
            ("10-20 kg", "20-30 kg"),
        ]
    )
    values = rng.choices(few, k=rows)
    if rng.random() < 0.3:
        values = [f"{low}-{low + 10}" for low in (rng.randint(0, 500) for _ in range(rows))]
    return _words(rng, language.category, values, "range")


def limits(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return concentrations, many below what can be measured: a reader has to say what it took."""
    limit = rng.choice([0.01, 0.05, 0.1])
    values = [max(limit, rng.lognormvariate(-2, 2)) for _ in range(rows)]
    values[: rows // 5 + 1] = [limit] * (rows // 5 + 1)
    rng.shuffle(values)
    mark = rng.choice(["<", "< "])
    cells = [mark + _text(v, decimal) if v == limit else _text(v, decimal) for v in values]
    name = rng.choice(language.number)
    return Column(name, "number", values, cells, "number below a limit", ("number",), ambiguous=True)


def shares(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return shares that are written as per cent and as fractions in one column."""
    values = [rng.randint(1, 99) / 100 for _ in range(rows)]
    cells = [f"{round(100 * v)}%" if rng.random() < 0.5 else _text(v, decimal) for v in values]
    both = 0 < sum("%" in cell for cell in cells) < rows
    name = rng.choice(language.number)
    if not both:
        return rough(rng, rows, decimal, language)
    return Column(name, "number", values, cells, "per cent and fractions", ("number",), ambiguous=True)


def truths(rng: random.Random, rows: int, language: Language) -> Column:
    """Return yes and no in other words than the usual ones."""
    pair = rng.choice(
        [
            ("WAHR", "FALSCH"),
            ("VRAI", "FAUX"),
            ("VERDADERO", "FALSO"),
            ("sí", "no"),
            ("J", "N"),
            ("on", "off"),
            ("t", "f"),
            ("Ja", "Nein"),
            ("enabled", "disabled"),
            ("pass", "fail"),
        ]
    )
    return _words(rng, language.category, rng.choices(pair, k=rows), "yes and no in other words")


def clocks(rng: random.Random, rows: int, language: Language) -> Column:
    """Return times of day, as numbers of hours."""
    moments = [rng.randrange(86_400) for _ in range(rows)]
    kind = rng.choice(["24", "24", "seconds", "half"])
    cells, values = [], []
    for second in moments:
        hour, minute, rest = second // 3600, second // 60 % 60, second % 60
        if kind == "half":
            cells.append(f"{hour % 12 or 12}:{minute:02d} {'PM' if hour >= 12 else 'AM'}")
        else:
            cells.append(f"{hour:02d}:{minute:02d}" + (f":{rest:02d}" if kind == "seconds" else ""))
        values.append(hour + minute / 60 + (rest / 3600 if kind == "seconds" else 0))
    name = rng.choice(language.number)
    return Column(name, "number", values, cells, f"time of day {kind}", ("number",), scales=HOURS)


def spans(rng: random.Random, rows: int, language: Language) -> Column:
    """Return durations, as numbers of hours."""
    kind = rng.choice(["words", "letters", "ISO", "race", "pandas"])
    cells, values = [], []
    for _ in range(rows):
        hour, minute, rest = rng.randint(1, 9), rng.randint(0, 59), rng.randint(0, 59)
        if kind == "race":
            cells.append(f"{minute}:{rest:02d}.{hour}")
            values.append(minute / 60 + (rest + hour / 10) / 3600)
            continue
        if kind == "pandas":
            days = rng.randint(-2, 3)
            sign = "+" if days < 0 else ""
            cells.append(f"{days} days {sign}{hour:02d}:{minute:02d}:{rest:02d}")
            values.append(24 * days + hour + minute / 60 + rest / 3600)
            continue
        form = {"words": "{} h {} min", "letters": "{}h {}m", "ISO": "PT{}H{}M"}[kind]
        cells.append(form.format(hour, minute))
        values.append(hour + minute / 60)
    name = rng.choice(language.number)
    return Column(name, "number", values, cells, f"duration {kind}", ("number",), scales=HOURS)


def dialled(rng: random.Random, rows: int) -> Column:
    """Return telephone numbers, which are no numbers."""
    form = rng.choice(["+49{}{}", "{}-{}-1234", "+1 ({}) {}-1234", "0{}/{}55"])
    cells = [form.format(rng.randint(200, 999), rng.randint(200, 999)) for _ in range(rows)]
    cells = [c.replace("+49", "+4915") + "77" if c.startswith("+49") else c for c in cells]
    name = rng.choice(["phone", "tel", "Contact", "mobile"])
    return Column(name, "code", list(cells), cells, "telephone numbers", ANY_WORDS)


def postcodes(rng: random.Random, rows: int) -> Column:
    """Return postcodes that hold more than digits."""
    some = rng.choice(
        [
            [f"{rng.randint(10_000, 99_999)}-{rng.randint(1000, 9999)}" for _ in range(8)],
            [
                f"{rng.choice('ABCEGHJK')}{n}{rng.choice('ABC')} {n}{rng.choice('XYZ')}{n}"
                for n in range(1, 8)
            ],
            [f"{rng.choice(['SW', 'N', 'EC'])}{n} {n}AA" for n in range(1, 9)],
            [f"D-{rng.randint(10_000, 99_999)}" for _ in range(8)],
        ]
    )
    values = rng.choices(some, k=rows)
    kinds = _kinds(values, rows)
    return Column(rng.choice(["postcode", "ZIP", "PLZ"]), "code", list(values), values, "postcodes", kinds)


def round_prices(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return prices, of which round ones have a dash in place of the cents."""
    dash, after = rng.choice(["-", "--", "\u2013"]), rng.choice(["", " €", " CHF"])
    values, cells = [], []
    for _ in range(rows):
        value = rng.randint(1, 300) + rng.choice([0, 0, 0.5, 0.95])
        cells.append((_text(value, decimal) if value % 1 else f"{int(value)}{decimal}{dash}") + after)
        values.append(value)
    return Column(rng.choice(language.number), "number", values, cells, "price without cents", ("number",))


def rough(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return numbers that are said to be rough."""
    mark = rng.choice(["ca. ", "~", "approx. ", "about "])
    values = [float(rng.randint(5, 900)) for _ in range(rows)]
    cells = [f"{mark if rng.random() < 0.7 else ''}{int(v)}" for v in values]
    return Column(rng.choice(language.number), "number", values, cells, "rough number", ("number",))


def answers(rng: random.Random, rows: int, language: Language) -> Column:
    """Return answers on a scale, with their number, or names with a number and a hyphen."""
    levels = rng.choice(
        [
            ("1 - never", "2 - rarely", "3 - often", "4 - always"),
            ("1 (not at all)", "2", "3", "4", "5 (very much)"),
            ("1=low", "2=middle", "3=high"),
            ("4/5", "5/5", "3/5"),
            ("Level 1", "Level 2", "Level 3"),
        ]
    )
    values = rng.choices(levels, k=rows)
    return _words(rng, language.category, values, f"answers such as {levels[0]!r}")


def spreads(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return means with their spread, coordinates, ratios: several numbers in a cell."""
    form = rng.choice(["{} ± {}", "{} ({})", "{}:{}", "{} x {}", "({}; {})", "{}° N {}° E"])
    whole = form == "{}:{}"
    values = []
    for _ in range(rows):
        first, second = rng.randint(70, 99) if whole else rng.random() * 90, rng.random() * 9
        values.append(
            form.format(
                first if whole else _text(first, decimal), int(second) if whole else _text(second, decimal)
            )
        )
    return Column(
        rng.choice(language.category), "category", list(values), values, f"two numbers as {form}", ANY_WORDS
    )


def logged(rng: random.Random, rows: int, language: Language) -> Column:
    """Return moments as servers and programs log them."""
    start = datetime(rng.randint(2001, 2022), 3, 1, tzinfo=UTC)
    kind = rng.choice(["server", "server bare", "Java", "C", "milliseconds", "weekday"])
    form = {
        "server": "[%d/%b/%Y:%H:%M:%S +0000]",
        "server bare": "%d/%b/%Y:%H:%M:%S +0000",
        "Java": "%Y-%m-%dT%H:%M:%SZ[UTC]",
        "C": "%a %b %d %H:%M:%S %Y",
        "milliseconds": "%Y-%m-%d %H:%M:%S,000",
        "weekday": "{}, %d.%m.%Y",
    }[kind]
    moments = [start + timedelta(seconds=rng.randrange(300 * 86_400)) for _ in range(rows)]
    days = ("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So")
    cells = [moment.strftime(form).format(days[moment.weekday()]) for moment in moments]
    values = [moment.replace(tzinfo=None) for moment in moments]
    if kind == "weekday":
        values = [value.replace(hour=0, minute=0, second=0) for value in values]
    return Column(rng.choice(language.date), "date", values, cells, f"date logged: {kind}", ("date",))


def year_months(rng: random.Random, rows: int) -> Column:
    """Return months as 202103 under a name that says so."""
    months = [rng.randint(2000 * 12, 2022 * 12) for _ in range(rows)]
    values = [datetime(month // 12, month % 12 + 1, 1) for month in months]
    cells = [value.strftime("%Y%m") for value in values]
    name = rng.choice(["month", "Period", "YYYYMM", "Monat"])
    return Column(name, "date", values, cells, "date 202103", ("date",), needs_name=True)


def no_dates(rng: random.Random, rows: int, language: Language) -> Column:
    """Return dates of a database that writes zeros for none."""
    start = datetime(rng.randint(2001, 2022), 1, 1)
    values: list[datetime | None] = [start + timedelta(days=rng.randrange(900)) for _ in range(rows)]
    cells = [value.strftime("%Y-%m-%d") for value in values if value is not None]
    for i in rng.sample(range(1, rows), max(1, rows // 8)):
        values[i], cells[i] = None, "0000-00-00"
    name, word = rng.choice(language.date), "0000-00-00"
    return Column(name, "date", values, cells, "date with zeros for none", ("date",), word_on=word)


def unmeasured(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return numbers among which words stand for what was not measured, in a fifth of the rows."""
    mark = rng.choice(
        [
            *("n/a (not measured)", "keine Angabe", "#WERT!", "#VALUE!", "<null>", "[NULL]", "not measured"),
            *("k.A.", "(blank)", "sensor off", "no answer", "nicht erhoben"),
        ]
    )
    values: list[float | None] = [round(rng.gauss(20, 5), 2) for _ in range(rows)]
    cells = [_text(value, decimal) for value in values if value is not None]
    for i in rng.sample(range(1, rows), max(1, rows // 5)):
        values[i], cells[i] = None, mark
    name = rng.choice(language.number)
    style = "number with words for missing"
    return Column(name, "number", values, cells, style, ("number",), word_on=mark)


def plainly_named(rng: random.Random, rows: int, language: Language) -> Column:
    """Return categories under a name that programs give to columns of their own."""
    values = rng.choices(rng.choice(language.families), k=rows)
    kinds = _kinds(values, rows)
    return Column(rng.choice(PLAIN_NAMES), "category", values, list(values), "a program's own name", kinds)
