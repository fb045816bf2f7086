"""Columns of numbers, codes and answers as ledgers, instruments, offices and surveys write them."""

# ruff: noqa: RUF001 (signs that people write are meant)

import random
from collections.abc import Callable

from tests.problem.data.styles.column import Column
from tests.problem.data.styles.words import Language

ANY_WORDS = ("category", "text", "skip")
ANY_KIND = ("number", *ANY_WORDS)
ABOVE = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def makers(rng: random.Random, rows: int, decimal: str, language: Language) -> list[Callable[[], Column]]:
    """Return the makers of these columns; all need a header."""
    made = [
        lambda: ledger(rng, rows, language),
        lambda: powers(rng, rows, decimal, language),
        lambda: signed(rng, rows, decimal, language),
        lambda: in_parentheses(rng, rows, decimal, language),
        lambda: wells(rng, rows),
        lambda: prefixes(rng, rows, language),
        lambda: versions(rng, rows),
        lambda: large(rng, rows, decimal, language),
        lambda: capitals(rng, rows, language),
        lambda: formulas(rng, rows, decimal, language),
        lambda: counted(rng, rows, language),
        lambda: flagged(rng, rows, decimal, language),
        lambda: ticked(rng, rows, language),
        lambda: lapses(rng, rows, decimal, language),
        lambda: positions(rng, rows, language),
        lambda: bounds(rng, rows, language),
    ]
    return [*made, lambda: refusals(rng, rows)] if rows >= 40 else made


def _text(value: float, decimal: str, places: int = 2) -> str:
    return f"{value:.{places}f}".replace(".", decimal)


def _kinds(values: list[str]) -> tuple[str, ...]:
    return ("category",) if len(values) >= 12 and len(set(values)) <= len(values) / 3 else ANY_WORDS


def _open(name: str, cells: list[str], style: str, kinds: tuple[str, ...] = ANY_KIND) -> Column:
    """Return a column of which a reader has to say what it took."""
    return Column(name, "number", list(cells), cells, style, kinds, ambiguous=True)


def ledger(rng: random.Random, rows: int, language: Language) -> Column:
    """Return amounts as spreadsheets write them for accountants: a dash stands for zero."""
    sign, gap = rng.choice("$€£"), rng.choice([" ", ""])
    values = [rng.choice([-1, 1, 1]) * rng.randint(100, 999_999) / 100 for _ in range(rows)]
    cells = [f"{sign}{gap}({-v:,.2f})" if v < 0 else f"{sign}{gap}{v:,.2f}" for v in values]
    zeros = rng.sample(range(1, rows), max(1, rows // 9)) if rng.random() < 0.6 else []
    for i in zeros:
        values[i], cells[i] = 0.0, f"{sign} -"
    return Column(
        rng.choice(language.number),
        *("number", values, cells, "amount of a ledger", ("number",)),
        free=set(zeros),
        word_on=f"{sign} -" if zeros else "",
    )


def powers(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return numbers with a power of ten written out."""
    form = rng.choice(["{}x10^{}", "{} x 10^{}", "{}×10{}", "{} × 10{}", "{}*10^{}", "{}·10^{}"])
    cells, values = [], []
    for _ in range(rows):
        text, power = f"{rng.uniform(1, 9.9):.2f}", rng.randint(-6, 6)
        shown = str(power) if "^" in form else str(power).translate(ABOVE)
        cells.append(form.format(text.replace(".", decimal), shown))
        values.append(float(f"{text}e{power}"))
    return Column(rng.choice(language.number), "number", values, cells, f"power as {form}", ("number",))


def signed(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return numbers with a sign around them whose meaning is open."""
    form = rng.choice(["▲{}", "▼{}", "[{}]", "± {}", "±{}", "{} ▲", "△{}", "{{{}}}", "→ {}", "∅ {}"])
    cells = [form.format(_text(rng.random() * 9, decimal)) for _ in range(rows)]
    return _open(rng.choice(language.number), cells, f"number in signs {form}")


def in_parentheses(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return errors below coefficients: all in parentheses, and none negative."""
    cells = [f"({_text(rng.random() * 3, decimal)})" for _ in range(rows)]
    return _open(rng.choice(("se", "t-stat", *language.number)), cells, "all in parentheses")


def wells(rng: random.Random, rows: int) -> Column:
    """Return places on plates of instruments, which programs take for powers of ten."""
    rows_ = rng.choice(["E", "DE", "CDEF"])
    cells = [f"{rng.randint(1, 9)}{rng.choice(rows_)}{rng.randint(1, 12)}" for _ in range(rows)]
    if rows_ == "E":
        return _open(rng.choice(["well", "position", "plate"]), cells, "code as 5E12")
    return Column("well", "category", list(cells), cells, "code as 5D12", ANY_WORDS)


def prefixes(rng: random.Random, rows: int, language: Language) -> Column:
    """Return amounts in two units that differ by a capital letter alone."""
    small, large_ = rng.choice([("mW", "MW"), ("mPa", "MPa"), ("mV", "MV"), ("mHz", "MHz"), ("mJ", "MJ")])
    cells = [f"{rng.randint(1, 400)} {small if rng.random() < 0.6 else large_}" for _ in range(rows)]
    both = {cell.split()[1] for cell in cells} == {small, large_}
    kinds = ANY_WORDS if both else ANY_KIND
    return _open(rng.choice(language.number), cells, "units that differ by a capital", kinds)


def versions(rng: random.Random, rows: int) -> Column:
    """Return versions, some of which would be dates, too."""
    cells = [f"{rng.randint(1, 4)}.{rng.randint(1, 12)}.{rng.randint(10, 22)}" for _ in range(rows)]
    name = rng.choice(["version", "app_version", "Release", "firmware"])
    return Column(name, "category", list(cells), cells, "versions", ANY_WORDS)


def large(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return large numbers with their scale in words, two scales in a column."""
    small, many = rng.choice(
        [
            ((" thousand", 1e3), (" million", 1e6)),
            ((" lakh", 1e5), (" crore", 1e7)),
            (("万", 1e4), ("億", 1e8)),
            ((" Mio.", 1e6), (" Mrd.", 1e9)),
            ((" Tsd.", 1e3), (" Mio.", 1e6)),
            ((" million", 1e6), (" billion", 1e9)),
        ]
    )
    cells, values = [], []
    for _ in range(rows):
        word, scale = small if rng.random() < 0.6 else many
        text = f"{rng.uniform(1, 99):.1f}"
        cells.append(text.replace(".", decimal) + word)
        values.append(float(text) * scale)
    one = len({cell[-3:] for cell in cells}) == 1
    scales = (1.0, 1 / small[1], 1 / many[1]) if one else (1.0,)
    return Column(
        rng.choice(language.number), "number", values, cells, f"scales{small[0]}", ("number",), scales=scales
    )


def capitals(rng: random.Random, rows: int, language: Language) -> Column:
    """Return answers typed by hand, with and without capitals: a reader has to point it out."""
    pair = rng.choice([("yes", "no"), ("male", "female"), ("red", "blue"), ("Berlin", "Paris")])
    values = [rng.choice((str.lower, str.upper, str.title))(rng.choice(pair)) for _ in range(rows)]
    alike = len(set(map(str.lower, values))) < len(set(values))
    return Column(
        rng.choice(language.category),
        *("category", values, list(values), "answers with and without capitals", _kinds(values)),
        word_on="capitals" if alike else "",
    )


def formulas(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return cells that are written as formulas, so that a spreadsheet keeps their text."""
    if rng.random() < 0.5:
        inside = [f"{rng.randint(1, 9999):05d}" for _ in range(rows)]
        kinds = ANY_WORDS
        return Column("item", "code", inside, [f'="{text}"' for text in inside], "code as a formula", kinds)
    values = [round(rng.gauss(20, 9), 2) for _ in range(rows)]
    cells = [f'="{_text(value, decimal)}"' for value in values]
    return Column(rng.choice(language.number), "number", values, cells, "number as a formula", ("number",))


def counted(rng: random.Random, rows: int, language: Language) -> Column:
    """Return counts of things, with a plural."""
    one, many = rng.choice(
        [("day", "days"), ("person", "persons"), ("Tag", "Tage"), ("room", "rooms"), ("year", "years")]
    )
    numbers = [rng.randint(1, 30) for _ in range(rows)]
    cells = [f"{n} {one if n == 1 else many}" for n in numbers]
    name = rng.choice(language.number)
    return Column(name, "number", [float(n) for n in numbers], cells, f"counts of {many}", ("number",))


def flagged(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return figures of a statistics office with flags behind some, and a colon where there is none."""
    flags, gap = rng.choice([("e", "p", "b"), ("r", "p"), ("e",), ("a", "b")]), rng.choice([" ", " ", ""])
    values: list[float | None] = [round(rng.uniform(1, 99), 1) for _ in range(rows)]
    cells = [
        _text(v or 0, decimal, 1) + (gap + rng.choice(flags) if rng.random() < 0.2 else "") for v in values
    ]
    for i in rng.sample(range(1, rows), rows // 12):
        values[i], cells[i] = None, ":"
    word = ":" if ":" in cells else ""
    return Column(
        rng.choice(language.number), "number", values, cells, "figures with flags", ("number",), word_on=word
    )


def ticked(rng: random.Random, rows: int, language: Language) -> Column:
    """Return yes and no of forms and of further languages."""
    pair = rng.choice(
        [
            ("✓", "✗"),
            ("☑", "☐"),
            ("tak", "nie"),
            ("ano", "ne"),
            ("kyllä", "ei"),
            ("evet", "hayır"),
            ("sim", "não"),
            ("да", "нет"),
            ("✔", "-"),
            ("X", "O"),
            ("aye", "nay"),
            ("1 (yes)", "0 (no)"),
            ("+", "-"),
            ("v", "f"),
        ]
    )
    values = rng.choices(pair, k=rows)
    kinds = (*_kinds(values), "category", "text")
    free = {i for i, value in enumerate(values) if value == "-"}
    style = f"yes and no as {pair[0]}"
    return Column(rng.choice(language.category), "category", list(values), values, style, kinds, free=free)


def lapses(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return readings of instruments, with a word where there is none; three places leave the mark open."""
    mark = rng.choice(
        ["Undetermined", "inf", "OVRFLW", "#N/V", "NoCt", "*****", "OL", "-inf", "Infinity", "1.#QNAN"]
    )
    values: list[float | None] = [round(rng.uniform(1, 40), 3) for _ in range(rows)]
    cells = [_text(value or 0, decimal, 3) for value in values]
    for i in rng.sample(range(1, rows), max(1, rows // 6)):
        values[i], cells[i] = None, mark
    return Column(
        rng.choice(("Ct", *language.number)),
        *("number", values, cells, f"readings with {mark}", ("number",)),
        word_on=mark,
        ambiguous=True,
    )


def positions(rng: random.Random, rows: int, language: Language) -> Column:
    """Return places on the globe in degrees and minutes."""
    form = rng.choice(
        ["{d}°{m:02d}′{n}", "{d}° {m:02d}' {n}", "{n}{d}°{m:02d}'", "{d}.{m:02d}°{n}", "{d}.{m:02d}{n}"]
    )
    cells = [
        form.format(d=rng.randint(10, 60), m=rng.randint(0, 59), n=rng.choice("NS")) for _ in range(rows)
    ]
    return _open(rng.choice(["lat", "Latitude", "position"]), cells, f"place as {form}")


def bounds(rng: random.Random, rows: int, language: Language) -> Column:
    """Return bounds in words among numbers, or alone."""
    form, alone = (
        rng.choice(["up to {}", "over {}", "ab {}", "min. {}", "{} or more", "{}+", "max {}"]),
        rng.random() < 0.4,
    )
    cells = [
        form.format(n) if alone or rng.random() < 0.3 else str(n)
        for n in (rng.randint(1, 99) for _ in range(rows))
    ]
    cells[0] = form.format(rng.randint(1, 99))
    return _open(rng.choice(language.number), cells, f"bound as {form}")


def refusals(rng: random.Random, rows: int) -> Column:
    """Return answers on a scale with codes for no answer."""
    top, marks = rng.choice(
        [(10, ("97", "98", "99")), (10, ("-1", "-8", "-9")), (5, ("8", "9")), (7, ("77", "88", "99"))]
    )
    cells = [str(rng.randint(1, top)) if rng.random() < 0.8 else rng.choice(marks) for _ in range(rows)]
    cells[1], cells[2], cells[3], cells[4] = marks[0], marks[-1], marks[0], marks[-1]
    name = rng.choice(["q1", "Q7_2", "trust", "satisfaction"])
    return _open(name, cells, f"answers with {' '.join(marks)}")
