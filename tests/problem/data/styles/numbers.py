"""Columns of numbers: decimal marks, thousands, currencies, units and signs, as people write them.

The values are those of the written text: a price of 12.3456 written with two places means 12.35.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.problem.data.styles.column import Column
from tests.problem.data.styles.words import Language

NBSP, NARROW_NBSP, APOSTROPHE, MINUS, DAGGER = "\u00a0", "\u202f", "\u2019", "\u2212", "\u2020"


@dataclass(frozen=True)
class NumberStyle:
    """How a column writes its numbers; `write` returns the text and the value that the text stands for."""

    decimal: str = "."
    thousands: str = ""
    indian: bool = False
    places: int = 2
    negative: str = "-"
    before: str = ""
    after: str = ""
    plus: bool = False
    scientific: bool = False
    kilo: bool = False
    bare: bool = False
    shortest: bool = False
    footnotes: tuple[str, ...] = ()
    label: str = "plain"

    def write(self, value: float, rng: random.Random) -> tuple[str, float]:
        text, size = self._magnitude(abs(value))
        negative = value < 0 and size != 0
        if not negative:
            text = self.before + text + self.after
            text = "+" + text if self.plus and size else text
        elif self.negative == "()":
            text = f"({self.before}{text}{self.after})"
        elif self.negative == "trailing":
            text = f"{self.before}{text}-{self.after}"
        else:
            text = f"{self.negative}{self.before}{text}{self.after}"
        if self.footnotes and rng.random() < 0.15:
            text += rng.choice(self.footnotes)
        return text, -size if negative else size

    def _magnitude(self, size: float) -> tuple[str, float]:
        if self.scientific:
            text = f"{size:.{self.places}e}"
            text = text if self.places % 2 else text.upper()
            return text.replace(".", self.decimal), float(text)
        if self.kilo and size >= 1000:
            letter, unit = ("M", 1e6) if size >= 1e6 else ("k", 1e3)
            text = f"{size / unit:.1f}"
            return text.replace(".", self.decimal) + letter, round(float(text) * unit, 1)
        text = f"{size:.{self.places}f}"
        if self.shortest and self.places:
            text = text.rstrip("0").rstrip(".")
        number = float(text)
        whole, _, rest = text.partition(".")
        if self.bare and whole == "0" and rest:
            whole = ""
        return self._grouped(whole) + (self.decimal + rest if rest else ""), number

    def _grouped(self, whole: str) -> str:
        if not self.thousands or len(whole) <= 3:
            return whole
        head, groups, step = whole[:-3], [whole[-3:]], 2 if self.indian else 3
        while head:
            groups.insert(0, head[-step:])
            head = head[:-step]
        return self.thousands.join(groups)


# What is glued to a number: the label, what stands before and what after it.
_CURRENCIES = (
    ("currency before", "$", ""),
    ("currency before", "€", ""),
    ("currency before", "£", ""),
    ("currency before", "€ ", ""),
    ("currency code", "USD ", ""),
    ("currency code", "CHF ", ""),
    ("currency after", "", " €"),
    ("currency after", "", "€"),
    ("currency after", "", " EUR"),
    ("currency after", "", NBSP + "€"),
    ("currency after", "", " ₽"),
    ("currency before", "¥", ""),
    ("currency before", "₹", ""),
)
_UNITS = (
    "kg",
    " kg",
    "cm",
    " cm",
    " km/h",
    "km/h",
    "°C",
    " °C",
    " mm",
    "ml",
    " m²",
    " min",
    " mg/dl",
    " people",
    "h",
)
_DECORATIONS = ("",) * 11 + (
    "currency",
    "currency",
    "%",
    " %",
    "unit",
    "unit",
    "k/M",
    "footnote",
    "plus",
    "sci",
    "bare",
)


def number(
    rng: random.Random, rows: int, decimal: str, language: Language, meaning: str = "number"
) -> Column:
    """Return a column of numbers in a random style with this decimal mark."""
    style, draw = _number_style(rng, decimal)
    values, cells = [], []
    for _ in range(rows):
        cell, value = style.write(draw(), rng)
        cells.append(cell)
        values.append(value)
    names = language.target if meaning == "target" else language.number
    return Column(
        rng.choice(names),
        meaning,
        values,
        cells,
        f"number {style.label}",
        ("number",),
        scales=(1.0, 0.01) if style.after.strip() == "%" else (1.0,),
        write=style.write,
        convention=decimal,
    )


def _number_style(rng: random.Random, decimal: str) -> tuple[NumberStyle, Callable[[], float]]:
    magnitude = rng.choice(["small", "small", "price", "large", "large int", "int", "share"])
    places = rng.choice([1, 2, 2, 3, 4])
    style = NumberStyle(decimal, places=places, label=f"plain {decimal}")
    decoration = rng.choice(_DECORATIONS)
    if decoration.strip() == "%" and magnitude not in ("small", "share"):
        decoration = ""
    if magnitude == "small":
        spread = rng.choice([1, 10, 100])
        style = replace(
            style, negative=rng.choice(["-"] * 5 + ["()", "trailing", MINUS]), shortest=rng.random() < 0.2
        )
        draw = lambda: rng.gauss(0, spread)  # noqa: E731
    elif magnitude == "share":
        draw = lambda: rng.random() * (100 if decoration.strip() == "%" else 1)  # noqa: E731
    elif magnitude == "price":
        style, draw = replace(style, places=2), lambda: rng.lognormvariate(3.5, 1)
    elif magnitude == "int":
        style, draw = replace(style, places=0), lambda: rng.randint(0, 5000)
    else:
        width = rng.choice([1, 2])
        draw = lambda: rng.lognormvariate(9, width)  # noqa: E731
        style = replace(style, places=0 if magnitude == "large int" else 2)
    if magnitude.startswith("large") and decoration != "k/M":
        style = _grouping(rng, style)
    if decoration == "k/M":
        style, draw = replace(style, places=0), lambda: rng.lognormvariate(9, 3)
    style = _decorated(rng, style, decoration)
    if style.negative != "-":
        style = replace(style, label=f"{style.label}, negative {style.negative}")
    return style, draw


def mixed_units(rng: random.Random, rows: int, decimal: str, language: Language) -> Column:
    """Return amounts in two units: only a reader's word tells what became of the units."""
    (small, large), cells, values = rng.choice([("g", "kg"), ("cm", "m"), ("KB", "MB"), ("s", "min")]), [], []
    for _ in range(rows):
        size = rng.randint(5, 900)
        cells.append(
            f"{size} {small}" if rng.random() < 0.6 else f"{size / 100:.1f} {large}".replace(".", decimal)
        )
        values.append(float(size))
    both = {cell.split()[1] for cell in cells} == {small, large}
    if not both:
        values = [float(cell.split()[0].replace(",", ".")) for cell in cells]
    style = "number mixed units" if both else f"plain {decimal}, unit"
    name = rng.choice(language.number)
    return Column(name, "number", values, cells, style, ("number",), ambiguous=both, convention=decimal)


def _grouping(rng: random.Random, style: NumberStyle) -> NumberStyle:
    other = "," if style.decimal == "." else "."
    mark = rng.choice(["", other, other, other, " ", NBSP, NARROW_NBSP, "'", APOSTROPHE])
    indian = mark == "," and rng.random() < 0.2
    label = f"thousands by {mark!r}" if mark else style.label
    return replace(style, thousands=mark, indian=indian, label=label + (" Indian" if indian else ""))


def _decorated(rng: random.Random, style: NumberStyle, decoration: str) -> NumberStyle:
    if decoration == "currency":
        label, before, after = rng.choice(_CURRENCIES)
        style = replace(style, before=before, after=after, label=f"{style.label}, {label}")
    elif decoration.strip() == "%":
        style = replace(style, after=decoration, label=f"{style.label}, per cent")
    elif decoration == "unit":
        style = replace(style, after=rng.choice(_UNITS), label=f"{style.label}, unit")
    elif decoration == "footnote":
        marks = rng.choice([("*",), ("*", "**"), ("[1]", "[2]"), (DAGGER,), (" (p)",), ("[a]",)])
        style = replace(style, footnotes=marks, label=f"{style.label}, footnotes")
    elif decoration == "plus":
        style = replace(style, plus=True, label=f"{style.label}, leading +")
    elif decoration == "sci":
        style = replace(
            style, scientific=True, thousands="", places=rng.choice([1, 2, 3, 5]), label="scientific"
        )
    elif decoration == "bare":
        style = replace(style, bare=True, label=f"{style.label}, no leading zero")
    elif decoration == "k/M":
        style = replace(style, kilo=True, thousands="", label="k/M")
    return style


def decimal_marks(cells: list[str]) -> set[str]:
    """Return the decimal marks with which all these cells are numbers; both if none has a dot or comma.

    Under a mark, the other one separates thousands: groups of three digits (or two, in India) after a head of
    one to three without a leading zero.
    """
    possible = {".", ","}
    for cell in cells:
        if "." not in cell and "," not in cell:
            continue
        core = re.search(rf"[\d.,][\d.,\s'{APOSTROPHE}]*(e[+-]?\d+)?", cell, re.IGNORECASE)
        if core is None or not re.search("[.,]", core.group()):
            continue
        if core.group(1) or re.match("[kM](?![a-zA-Z])", cell[core.end() :]):
            # A mantissa has one mark and no thousands.
            possible &= {"."} if "." in core.group() else {","}
            continue
        digits = re.sub(rf"[\s'{APOSTROPHE}]", "", core.group())
        possible = {mark for mark in possible if _is_number(digits, mark)}
    return possible


def _is_number(digits: str, mark: str) -> bool:
    other = "," if mark == "." else "."
    whole, _, rest = digits.partition(mark)
    if mark in rest or other in rest:
        return False
    if other not in whole:
        return True
    return re.fullmatch(rf"[1-9]\d{{0,2}}(\{other}\d{{2,3}})*\{other}\d{{3}}", whole) is not None
