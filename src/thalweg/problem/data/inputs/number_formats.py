"""How the numbers of a column are written, found from all its cells.

`1,234` alone could be either of two numbers, but one `0,5` or `1,234,567` in the column, or in another column
of the file, decides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from thalweg.core.lazy import pl
from thalweg.problem.data.files.header import UNDECLARED
from thalweg.problem.data.inputs.numbers import (
    CODES,
    CURRENCIES,
    EXPONENT,
    LIMITS,
    PER_CENT,
    PLAIN,
    THOUSANDS_MARKS,
    TIMES,
    NumberFormat,
    Parts,
    has_fraction,
    hours,
    is_clock,
    split,
    with_minus,
)
from thalweg.problem.data.note import Note, guess

# Of the cells of a column of numbers this share may be something else, if there are enough numbers.
# Different cells from which a format is found; all are then read in it.
MOST_CELLS = 20_000
BAD_SHARE, LEAST_GOOD = 0.05, 10
# Different cells, at least, of a column in which words may mean that a value is missing.
LEAST_WORD = 10
# What offices of statistics write behind a figure: estimated, provisional, revised, a break, confidential.
_FLAGS = frozenset("abcdefnprsuz")
# What a plural adds to a unit.
_PLURALS = ("s", "es", "e", "en", "n", "er")
_UNIT = re.compile(r"[^\W\d_°µ%‰/²³.·*^-][^\s\d\"]{0,11}\d?|°[cf]?|[µ%‰][^\s\d]{0,6}")


@dataclass(frozen=True)
class Found:
    """The format that was found for a column.

    Args:
        format: The format.
        values: Float64; null where missing or unreadable.
        unreadable: The distinct cells that are not numbers in this format, with how many there are.
        doubtful: Whether all marks in the digits could be decimal marks or thousands separators alike, so
            that the other reading is possible.
    """

    format: NumberFormat
    values: pl.Series
    unreadable: dict[str, int]
    doubtful: bool = False


def decimal_evidence(texts: Iterable[pl.Series]) -> str | None:
    """Return the decimal mark that columns of text agree on, None if none of their cells tells.

    A mark that stands once in a number, not before exactly three digits, or after a single zero, is decimal.
    """
    votes = Counter[str]()
    for text in texts:
        cells = text.drop_nulls().head(2000).unique(maintain_order=True)
        parts = [split(cell) for cell in cells.to_list()]
        numbers = [part for part in parts if part is not None and part.affixes <= _known_affixes()]
        if len(numbers) < max(1, 0.7 * cells.len()):
            continue
        marks = Counter(
            mark for part in numbers if (mark := _decimal_of(part.digits + EXPONENT * bool(part.exponent)))
        )
        if marks:
            votes[marks.most_common(1)[0][0]] += 1
    return next(iter(votes)) if len(votes) == 1 else None


def proven_marks(forms: Iterable[NumberFormat]) -> set[str]:
    """Return the decimal marks that formats of columns prove; both if none does.

    With commas in one column and dots in another, neither tells how a third one is written.
    """
    other = {
        "," if form.decimal == "," else "." for form in forms if form.decimal == "," or form.thousands == ","
    }
    return other or {".", ","}


def find_format(
    text: pl.Series, decimal: str | None = None, likely: str | None = None, *, forced: bool = False
) -> Found | None:
    """Return the format in which the cells of a column are numbers, None if most are not.

    Args:
        text: Trimmed cells, null where missing.
        decimal: The decimal mark, where the user tells it.
        likely: That of the rest of the file, if it has one.
        forced: Whether the column holds numbers whatever its other cells are; then there is always a format.
    """
    lone = None if forced else _lone_word(text)
    if lone is not None and (found := find_format(text.set(text == lone, None), decimal, likely)) is not None:
        return replace(found, format=replace(found.format, missing=(lone,)))
    present = text.drop_nulls()
    if present.len() == 0:
        return Found(PLAIN, PLAIN.read(text), {}) if forced else None
    plain = present.cast(pl.Float64, strict=False)
    if plain.null_count() == 0 and not plain.is_infinite().any() and (decimal or likely) != ",":
        doubtful = decimal is None and _may_be_grouped(present)
        return Found(PLAIN, PLAIN.read(text), {}, doubtful)
    counts = dict(zip(*present.alias("").value_counts(name="rows").get_columns(), strict=True))
    some = dict(islice(counts.items(), MOST_CELLS))
    if (clock := _clock(text, some)) is not None:
        return clock
    parts = {cell: parsed for cell in some if (parsed := split(cell)) is not None}
    if sum(some[cell] for cell in parts) < least_numbers(some) and not forced:
        return None
    affixes, multiples = _affixes(parts, some)
    if affixes is None and forced:
        affixes = tuple(sorted({word for part in parts.values() for word in part.affixes}))
    if affixes is None:
        return None
    digits = Counter[str]()
    for cell, part in parts.items():
        digits[part.digits + (EXPONENT if part.exponent else "")] += counts[cell]
    mark, thousands, doubtful = _marks(digits, decimal or likely)
    if decimal is None and (mark, thousands) == (".", ""):
        doubtful = doubtful or _may_be_grouped(pl.Series(list(digits), dtype=pl.String))
    form = NumberFormat(mark, thousands, affixes, multiples)
    values = form.read(text)
    bad = text.filter(values.is_null() & text.is_not_null())
    unreadable = dict(Counter(bad.to_list()))
    if present.len() - bad.len() < least_numbers(counts) and not forced:
        return None
    return Found(form, values, unreadable, doubtful)


def _lone_word(text: pl.Series) -> str | None:
    """Return the only words among many numbers, if they stand in several rows: they mean a missing value.

    Among a few whole numbers, as of the levels of a car park, they may be a name.
    """
    counts = text.drop_nulls().alias("").value_counts(name="rows")
    if counts.height < LEAST_WORD or counts.height > MOST_CELLS:
        return None
    cells = {cell: rows for cell, rows in counts.iter_rows() if cell not in UNDECLARED}
    words = [cell for cell in cells if not any(map(str.isdigit, cell)) and split(cell) is None]
    if len(words) != 1 or not BAD_SHARE < cells[words[0]] / sum(cells.values()) < 0.5:
        return None
    fractions = sum(1 for cell in cells if re.search(r"\d[.,]\d", cell))
    return words[0] if fractions > len(cells) / 2 or len(cells) > 2 * LEAST_WORD else None


def _may_be_grouped(cells: pl.Series) -> bool:
    """Return whether all dots stand before three digits, as in 1.234: they may separate thousands."""
    fits = cells.str.contains(r"^[-+]?[1-9]\d{0,2}(?:\.\d{3})?$").all()
    return bool(fits) and bool(cells.str.contains(r"\.").any())


def least_numbers(counts: Mapping[str, int]) -> float:
    """Return how many cells of a column must be numbers: all but undeclared marks and a few bad ones."""
    marks = sum(counts.get(mark, 0) for mark in UNDECLARED)
    rest = sum(counts.values()) - marks
    allowed = max(1.0, BAD_SHARE * rest) if rest > LEAST_GOOD else 0.0
    return max(1.0, rest - allowed)


def _known_affixes() -> set[str]:
    return {*CURRENCIES, *CODES, *PER_CENT, *TIMES}


def _affixes(parts: dict[str, Parts], counts: dict[str, int]) -> tuple[tuple[str, ...] | None, bool]:
    """Return the affixes that a column may drop, and whether some multiply; None if they tell cells apart.

    A currency, a per cent sign or one unit that all share says nothing about a single value. Two units, or a
    unit on some numbers only, would: 1 kg is not 1 g.
    """
    rows = Counter[frozenset[str]]()
    for cell, part in parts.items():
        rows[part.affixes] += counts[cell]
    total = rows.total()
    if (flags := _flags(parts, rows)) is not None:
        return flags, False
    common = [affix for affix, count in rows.items() if count > BAD_SHARE * total or total < LEAST_GOOD]
    words = sorted(with_minus({word for affixes in common for word in affixes}))
    currencies = [word for word in words if word in CURRENCIES or word in CODES]
    rest = [word for word in words if word not in currencies]
    multiples = [word for word in rest if word.rstrip(".") in TIMES]
    units = [word for word in rest if word not in multiples]
    if len({_canonical(word) for word in currencies}) > 1:
        return None, False
    bare = frozenset() in common or any(affixes <= set(currencies) for affixes in common)
    if (plural := _plural(units, rows)) is not None:
        return (*currencies, *plural), False
    if len(units) > 1 or (units and (multiples or (bare and units[0] in PER_CENT))):
        return None, False
    if units and not _UNIT.fullmatch(units[0].removeprefix("-")):
        return None, False
    if units and bare and units[0] not in CURRENCIES and len(parts) < LEAST_GOOD:
        return None, False
    if multiples in (["m"], ["b"]) and not bare:  # every number is in metres, or in millions: no matter
        return (*currencies, *multiples), False
    return (*currencies, *units), bool(multiples)


def _flags(parts: dict[str, Parts], rows: Counter[frozenset[str]]) -> tuple[str, ...] | None:
    """Return the letters behind some of many figures that are footnotes, as offices of statistics write them.

    `302a` among whole numbers may be a house: there a space has to stand before the letter.
    """
    found = {word for affixes in rows for word in affixes}
    kept = rows[frozenset()] < rows.total() / 2 or not found or any(len(affixes) > 1 for affixes in rows)
    if kept or not found <= _FLAGS:
        return None
    spaced = all(cell[-2:-1] == " " for cell, part in parts.items() if part.affixes)
    fractions = any("." in part.digits or "," in part.digits for part in parts.values())
    if len(found) == 1 and not found <= {"e", "p", "r", "z"} and not (spaced and fractions):
        return None
    return tuple(sorted(found)) if spaced or fractions else None


def _plural(units: list[str], rows: Counter[frozenset[str]]) -> tuple[str, ...] | None:
    """Return the singular and the plural of the one unit of a column (`1 day`, `2 days`), None for others."""
    shortest = min(units, key=len, default="")
    if len(shortest) < 3 or rows[frozenset()]:
        return None
    alike = {
        shortest,
        *(shortest + end for end in _PLURALS),
        *(shortest.removesuffix(end) for end in _PLURALS),
    }
    found = {word for affixes in rows for word in affixes if word in alike}
    return tuple(sorted(found)) if len(found) == 2 and set(units) <= found else None


def _canonical(currency: str) -> str:
    same = {"usd": "$", "us$": "$", "eur": "€", "eur.": "€", "gbp": "£", "rs": "₹", "rs.": "₹", "inr": "₹"}
    return same.get(currency, currency.rstrip("."))


def _decimal_of(digits: str) -> str | None:
    """Return the decimal mark that a number proves, None if its marks may be thousands separators."""
    dots, commas = digits.count("."), digits.count(",")
    if digits.endswith(EXPONENT) and dots + commas == 1:
        return "." if dots else ","
    if dots and commas:
        last = max(digits.rfind("."), digits.rfind(","))
        return digits[last] if digits.count(digits[last]) == 1 else None
    if dots + commas != 1:
        return None
    mark = "." if dots else ","
    before, after = digits.split(mark)
    grouped = len(after) == 3 and 1 <= len(before.lstrip("0") or "0") <= 3 and not before.startswith("0")
    spaced = any(space in before for space in set(THOUSANDS_MARKS) - set(".,"))
    return mark if not grouped or spaced or not before else None


def _thousands_of(digits: str) -> str | None:
    """Return the thousands separator that a number proves: it stands twice, or before a decimal mark."""
    if digits.endswith(EXPONENT):
        return None
    for mark in THOUSANDS_MARKS:
        count = digits.count(mark)
        rest = digits.replace(mark, "")
        if count > 1 or (count == 1 and (mark not in ".," or not rest.isdigit())):
            if mark == _decimal_of(digits):
                continue
            return mark
    return None


def _marks(digits: Counter[str], decimal: str | None) -> tuple[str, str, bool]:
    """Return (decimal mark, thousands separator, whether the other reading is possible) of a column."""
    decimals, groups = Counter[str](), Counter[str]()
    for cell, rows in digits.items():
        if mark := _decimal_of(cell):
            decimals[mark] += rows
        if mark := _thousands_of(cell):
            groups[mark] += rows
    plain = [cell for cell in digits if not cell.endswith(EXPONENT)]
    open_marks = {mark for cell in plain for mark in ".," if cell.count(mark) == 1}
    if not decimals and not groups and not open_marks:
        return ".", "", False
    thousands = groups.most_common(1)[0][0] if groups else ""
    if decimals:
        mark = decimals.most_common(1)[0][0]
    elif thousands and thousands in ".,":
        mark = "," if thousands == "." else "."
    elif decimal is not None:
        mark = decimal
    else:
        return *_undecided(digits, open_marks, thousands), bool(open_marks)
    other = "," if mark == "." else "."
    if not thousands and other in open_marks:
        thousands = other
    return mark, "" if thousands == mark else thousands, False


def _undecided(digits: Counter[str], open_marks: set[str], thousands: str) -> tuple[str, str]:
    """Return marks where each stands once, before three digits, and nothing decides.

    A dot is a decimal mark, as in nearly all files. A comma separates thousands, unless larger numbers
    without one are there too.
    """
    if open_marks != {","}:
        return ".", thousands or ("," if "," in open_marks else "")
    ungrouped = any(cell.isdigit() and len(cell) > 3 for cell in digits)
    return (",", thousands) if ungrouped else (".", ",")


def _clock(text: pl.Series, counts: dict[str, int]) -> Found | None:
    """Return times of day or durations as hours, if nearly all cells are some."""
    read = sum(rows for cell, rows in counts.items() if hours(cell) is not None)
    if read < least_numbers(counts) or not any(map(is_clock, counts)):
        return None
    form = NumberFormat(clock=True, minutes=any(map(has_fraction, counts)))
    values = form.read(text)
    bad = {cell: rows for cell, rows in counts.items() if hours(cell) is None}
    return Found(form, values, bad)


def is_long_code(text: pl.Series) -> bool:
    """Return whether most cells are whole numbers of about equal length that no float holds exactly."""
    long = text.filter(text.str.contains(r"^-?\d{16,}$"))
    if long.len() <= text.drop_nulls().len() / 2:
        return False
    sizes = long.str.len_chars()
    alike = int(sizes.max() or 0) - int(sizes.min() or 0) <= 2  # type: ignore[arg-type]
    return alike and any(int(float(cell)) != int(cell) for cell in long.head(MOST_CELLS))


def long_code_note(name: str) -> Note:
    """Return what is said of a column of such numbers."""
    text = (
        f"{name} holds whole numbers with more digits than a float, as codes have; it was read as categories."
    )
    return guess("code", text, (name,), types={name: "number"})


def code_note(text: pl.Series) -> Note | None:
    """Return what is said of whole numbers that are written as codes are; None if they are not."""
    if is_code(text):
        zeros = "leading zeros, as codes have" if text.str.contains("^0").any() else "numbers to dial"
        said = f"{text.name} has {zeros}; it was read as categories."
        return guess("code", said, (text.name,), types={text.name: "number"})
    return long_code_note(text.name) if is_long_code(text) else None


def is_code(text: pl.Series) -> bool:
    """Return whether whole numbers of text are written as codes are: `00501`, or `+491701234567` to dial."""
    cells = text.drop_nulls()
    cells = cells.filter(~cells.is_in(list(UNDECLARED)))
    dialled = cells.len() > 0 and bool(cells.str.contains(r"^\+\d{9,}$").all())
    return dialled or (bool(cells.str.contains(r"^0\d+$").any()) and bool(cells.str.contains(r"^\d+$").all()))


def limits_note(cells: pl.Series) -> Note | None:
    """Return what is said of a column with limits such as `<0.01`; None if there are none."""
    found = cells.filter(cells.str.contains(rf"^[{''.join(LIMITS[:4])}]"))
    if not found.len():
        return None
    text = f"{cells.name} holds limits such as {found[0]!r}; it was read as categories. "
    text += "Among numbers, a limit counts as its number."
    return guess("mixed", text, (cells.name,), types={cells.name: "number"})
