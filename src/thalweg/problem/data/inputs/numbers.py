"""Numbers as people write them: decimal commas, thousands separators, currencies, per cent, units, footnotes.

A column is read in one `NumberFormat`, which is found from all its cells: `1,234` alone could be either of
two numbers, but one `0,5` or `1,234,567` in the column, or in another column of the file, decides.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from thalweg.core.lazy import pl
from thalweg.problem.data.files.units import MEASURES

CURRENCIES = "$€£¥₹₽₩₺₫฿₴₦₱¢"
# fmt: off
CODES = (
    "usd", "us$", "eur", "eur.", "gbp", "chf", "jpy", "cny", "rmb", "inr", "rub", "sek", "nok", "dkk",
    "pln", "czk", "huf", "aud", "cad", "nzd", "zar", "brl", "r$", "mxn", "try", "krw", "sgd", "hkd", "kr",
    "kr.", "zł", "rs", "rs.", "fr.", "sfr.", "a$", "c$", "kč", "ft", "руб", "руб.",
)
# fmt: on
PER_CENT = ("%", "percent", "per cent", "pct", "prozent", "‰")
# Signs before a number that change what it says: `<0.01` is a limit, `#5` a name, and spreadsheets keep
# `'0123` as text. A column with them is no column of numbers unless the user says so.
LIMITS = ("<", ">", "≤", "≥", "<=", ">=")
_BEFORE = {"", *LIMITS, "#", "'", *CURRENCIES, *CODES}
TIMES = {
    "": 1.0,
    "k": 1e3,
    "tsd": 1e3,
    "m": 1e6,
    "mio": 1e6,
    "mn": 1e6,
    "mln": 1e6,
    "million": 1e6,
    "millions": 1e6,
    "b": 1e9,
    "bn": 1e9,
    "mrd": 1e9,
    "billion": 1e9,
    "billions": 1e9,
    "thousand": 1e3,
    "tausend": 1e3,
    "lakh": 1e5,
    "lakhs": 1e5,
    "crore": 1e7,
    "crores": 1e7,
    "trillion": 1e12,
    "千": 1e3,
    "万": 1e4,
    "億": 1e8,
    "亿": 1e8,
}
# Units of which a capital M makes another one: a megawatt is no milliwatt.
_MEGA = re.compile(r"M(?:Wh?|V|VA|A|Hz|Pa|J|Ω|N|eV|g|l|mol)")
SPACES = " \u00a0\u2007\u2009\u202f"
THOUSANDS_MARKS = ",.'’`_" + SPACES
_MINUS = "-−–‒—﹣－"  # a hyphen that is not first in a class of characters would make a range
EXPONENT = "e"  # marks digits before an exponent: a mark in them is a decimal mark
_FOOTNOTE = re.compile(r"(?<=[\d%)\-−])\s*(?:[*†‡§¶#¹²³⁴⁵⁶⁷⁸⁹]+|\[\w{1,3}\]|\([a-z]\)|\^\w)+$")
# What stands in the place of the cents of a round price (`12,-`), and what says that a number is rough.
_NO_CENTS = re.compile(r"(?<=\d)[.,]\s?(?:[-−]{1,2}|[–—])(?=\s*[^\d\s]*$)")
_ABOUT = re.compile(r"^(?:ca\.|[Cc]irca|[Aa]pprox\.?|[Aa]bout|etwa|env\.|[~≈])\s*(?=[-+\d.,$€£])")
# `1.5 x 10^-3`, `2*10^4`; and how ledgers write a zero (`$ -`) and less than that (`$ (5.00)`).
_POWER = re.compile(
    r"(?<=[\d.,])\s*[x×*·]\s*10\s*(?:(?:\^|\*\*)\s*(?P<power>[-−+]?\d+)|(?P<above>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+))$"
)
_PLAIN_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺−", "0123456789-+-")
_LEDGER_ZERO = re.compile(rf"(?P<sign>[{CURRENCIES}])\s+[-–—]|[-–—]\s+(?P<sign2>[{CURRENCIES}])")
_LEDGER_LESS = re.compile(rf"(?P<sign>[{CURRENCIES}])\s*\((?P<rest>[^()]+)\)")
_NUMBER = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[{_MINUS}+]?)\s*(?P<before>(?:[^{_MINUS}\d\s().,+]+[.$]?)?)\s*"
    rf"(?P<sign2>[{_MINUS}+]?)\s*(?P<digits>(?:\d[\d{THOUSANDS_MARKS}]*|[.,]\d+)?)"
    r"(?P<exponent>[eE][+-]?\d+|[dD][+-]\d{1,3})?(?P<gap>\s*)(?P<trailing>[-−])?(?P<gap2>\s*)"
    r"(?P<after>[^\d\s()−-][^\d()]*?\d?)?\s*(?P<close>\))?(?P<trailing2>\s*[-−])?",
)


# What programs write where a number overflowed, or something was counted to no end.
_INFINITE = r"(?i)^[-+]?inf(?:inity)?$"


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written.

    Args:
        decimal: The decimal mark, `.` or `,`.
        thousands: The mark between groups of digits; empty for none.
        affixes: What stands before or after the digits and means nothing for the value, in lower case: a
            currency, a unit, a per cent sign.
        multiples: Whether `k`, `M`, `bn` and their like after a number multiply it.
        clock: Whether these are times or durations such as `1:30:05`, read as hours.
        minutes: Whether `9:03` is a time of minutes and seconds, as beside `9:03.5`.
        missing: Words that stand for a missing value in this column alone.
    """

    decimal: str = "."
    thousands: str = ""
    affixes: tuple[str, ...] = ()
    multiples: bool = False
    clock: bool = False
    minutes: bool = False
    missing: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether this is how programs write numbers."""
        return self == PLAIN

    @property
    def digits_are_plain(self) -> bool:
        """Whether digits, with a point among them, are read as programs read them."""
        return self.decimal == "." and not (self.affixes or self.multiples or self.clock)

    def read(self, text: pl.Series) -> pl.Series:
        """Return the numbers of a column of text as Float64; what cannot be read is null."""
        quick = text
        if self.decimal == ",":  # a dot in a cell is no decimal mark here
            quick = text.set(text.str.contains(".", literal=True), None).str.replace(",", ".", literal=True)
        if self.affixes or self.multiples or self.clock:
            return self._read_each(text, text)
        numbers = quick.cast(pl.Float64, strict=False)
        if numbers.is_infinite().any():  # words that say so, not 1e999
            numbers = numbers.set(text.str.contains(_INFINITE).fill_null(False), None)
        rest = text.filter(numbers.is_null() & text.is_not_null())
        return numbers if rest.len() == 0 else numbers.fill_null(self._read_each(text, rest))

    def _read_each(self, text: pl.Series, some: pl.Series) -> pl.Series:
        """Return the numbers of a column whose cells are among some, each distinct one read once."""
        distinct = some.drop_nulls().unique(maintain_order=True)
        if distinct.len() == 0:
            return text.cast(pl.Float64, strict=False)
        numbers = [self._number(cell) for cell in distinct.to_list()]
        values = pl.Series(text.name, numbers, dtype=pl.Float64)
        return text.replace_strict(distinct, values, default=None, return_dtype=pl.Float64)

    def _number(self, cell: str) -> float | None:
        if self.clock:
            return hours(cell, self.minutes)
        parts = split(cell)
        if parts is None:
            return None
        value = _value(parts.digits, self.decimal, self.thousands)
        if not parts.affixes and any(mark in PER_CENT for mark in self.affixes) and 0 < float(value or 0) < 1:
            return None  # 0.12 among 12 % and 15 %: a share, or a very small one
        parts = _with_minus(parts, self.affixes)
        if not (parts.affixes <= set(self.affixes) or self._times(parts) is not None):
            return None
        times = self._times(parts)
        if value is None or times is None:
            return None
        return float(f"{parts.sign}{value}{parts.exponent}") * times

    def _times(self, parts: Parts) -> float | None:
        """Return what the affix multiplies by, None for an affix that this format does not know."""
        unknown = parts.affixes - set(self.affixes)
        if not unknown:
            return 1.0
        word = next(iter(unknown)).rstrip(".") if len(unknown) == 1 else ""
        return TIMES.get(word) if self.multiples else None

    def describe(self) -> str:
        """Return in words what differs from the plain form."""
        parts = [f"with {', '.join(map(repr, self.missing))} for missing"] if self.missing else []
        if self.clock:
            return " and ".join(["of hours, from times", *parts])
        if self.decimal == ",":
            parts.append("with a decimal comma")
        if self.thousands:
            shown = "a space" if self.thousands in SPACES else repr(self.thousands)
            parts.append(f"with {shown} between groups of digits")
        if self.affixes:
            parts.append("without " + ", ".join(map(repr, self.affixes)))
        if self.multiples:
            parts.append("with k, M and their like as multiples")
        return " and ".join(parts) or "as they are"


PLAIN = NumberFormat()


@dataclass(frozen=True)
class Parts:
    """A number in parts.

    Args:
        sign: `-` or empty.
        digits: Digits with all marks between them.
        exponent: Such as `e-3`, or empty.
        affixes: What stands before and after, in lower case.
    """

    sign: str
    digits: str
    exponent: str
    affixes: frozenset[str]


def split(cell: str) -> Parts | None:
    """Return a cell's number in parts, or None if it is not one number."""
    plain = _ABOUT.sub("", _NO_CENTS.sub("", cell.strip()))
    if (zero := _LEDGER_ZERO.fullmatch(plain)) is not None:
        return Parts("", "0", "", frozenset({zero["sign"] or zero["sign2"]}))
    plain = _LEDGER_LESS.sub(r"(\g<sign>\g<rest>)", plain)
    plain = _POWER.sub(lambda found: "e" + (found["power"] or found["above"]).translate(_PLAIN_DIGITS), plain)
    match = _NUMBER.fullmatch(_FOOTNOTE.sub("", plain).strip())
    if match is None or not match["digits"] or bool(match["open"]) != bool(match["close"]):
        return None
    negative = [
        match["open"],
        match["trailing"],
        match["trailing2"],
        match["sign"] in _MINUS and match["sign"],
    ]
    negative += [match["sign2"] in _MINUS and match["sign2"]]
    if sum(map(bool, negative)) > 1:
        return None
    words = (match["before"], match["after"])
    if words[0].strip().lower() not in _BEFORE:  # letters before digits make a name: `v2`, `A12`
        return None
    hyphen = (
        match["trailing"] and words[1] and words[1].strip().lower() not in (*CURRENCIES, *CODES, *PER_CENT)
    )
    spaced = match["gap"] or match["digits"][-1:] in SPACES
    if hyphen and spaced and match["gap2"]:  # `4 - agree`
        return None
    if hyphen and not match["gap2"]:  # `5-door`; whether `5-kg` is negative, the column tells
        negative.remove(match["trailing"])
        words = (words[0], f"-{words[1]}")
    affixes = frozenset(_affix(word.strip()) for word in words if word and word.strip())
    digits = match["digits"].strip(SPACES)
    if not digits[-1].isdigit():  # `5.`: a decimal mark, or the dot of an ordinal
        digits = digits.rstrip(".,") if digits[-1] in ".," else digits
    exponent = (match["exponent"] or "").lower().replace("d", "e")  # Fortran's 1.5D+03
    return Parts("-" if any(negative) else "", digits, exponent, affixes)


def _affix(word: str) -> str:
    return word if _MEGA.fullmatch(word) else word.lower()


def _value(digits: str, decimal: str, thousands: str) -> str | None:
    """Return digits as Python writes them; None if their marks do not fit."""
    whole, mark, fraction = digits.partition(decimal) if decimal in digits else (digits, "", "")
    separators = [char for char in whole if not char.isdigit()]
    if separators:
        allowed = SPACES if thousands in SPACES and thousands else thousands
        if not thousands or any(char not in allowed for char in separators):
            return None
        groups = re.split(rf"[{re.escape(allowed)}]", whole)
        indian = all(len(group) == 2 for group in groups[1:-1])
        if (
            not 1 <= len(groups[0]) <= 3
            or len(groups[-1]) != 3
            or not (indian or all(len(group) == 3 for group in groups[1:]))
        ):
            return None
        whole = "".join(groups)
    if fraction and not fraction.isdigit():
        return None
    return f"{whole or '0'}.{fraction}" if mark else whole


def _with_minus(parts: Parts, affixes: Collection[str]) -> Parts:
    """Return the parts of `5-kg` as those of -5 kg, in a column that has `5 kg` too."""
    hyphen = next((word for word in parts.affixes if word[0] == "-"), "")
    if hyphen[1:] not in MEASURES or hyphen[1:] not in affixes:
        return parts
    return replace(parts, sign="-", affixes=parts.affixes - {hyphen} | {hyphen[1:]})


def with_minus(words: Collection[str]) -> set[str]:
    """Return the affixes of a column without those such as `-kg` that are a minus before a unit."""
    return {word for word in words if word[0] != "-" or word[1:] not in MEASURES or word[1:] not in words}


_CLOCK = re.compile(
    r"(?:(?P<days>[-−]?\d+) days?,? ?\+?)?(?P<sign>[-−+]?)(?P<h>\d{1,4})"
    r"(?::|h|\.(?=[0-5]\d\s*uhr))(?P<m>[0-5]\d)"
    r"(?::(?P<s>[0-5]\d)(?:[.,](?P<f>\d+))?)?(?:\s*(?P<half>[ap])\.?m\.?|\s*uhr|\s*h)?",
    re.IGNORECASE,
)
# `9 pm`.
_HALF = re.compile(r"(?P<h>1[0-2]|0?[1-9])\s*(?P<half>[ap])\.?m\.?", re.IGNORECASE)
# `9:03.5`: minutes, seconds and their fraction.
_MINUTES = re.compile(r"(?P<sign>[-−+]?)(?P<m>\d{1,3}):(?P<s>[0-5]\d(?:[.,]\d+)?)")
# `1h 30m`, `5 min 20 s`, `PT1H30M`.
_WORDS = re.compile(
    r"(?:(?P<d>\d+)\s*d(?:ays?)?)?[\s,]*(?:(?P<h>\d+)\s*(?:h|hrs?|hours?|std)\.?)?[\s,]*"
    r"(?:(?P<m>\d+)\s*(?:m|mins?|minutes?)\.?)?[\s,]*(?:(?P<s>\d+(?:[.,]\d+)?)\s*(?:s|secs?|seconds?)\.?)?"
    r"|P(?:(?P<d2>\d+)D)?T(?:(?P<h2>\d+)H)?(?:(?P<m2>\d+)M)?(?:(?P<s2>\d+(?:\.\d+)?)S)?",
    re.IGNORECASE,
)
_IN_HOURS = {"d": 24.0, "h": 1.0, "m": 1 / 60, "s": 1 / 3600}


def is_clock(cell: str) -> bool:
    """Return whether a cell is a time or a duration of several parts; `5 h` alone is a number with a unit."""
    several = len(re.findall(r"\d+", cell)) > 1 or _HALF.fullmatch(cell.strip()) is not None
    return several and hours(cell) is not None


def has_fraction(cell: str) -> bool:
    """Return whether a cell is a time of minutes and seconds with a fraction, such as `9:03.5`."""
    return hours(cell) is not None and _CLOCK.fullmatch(cell.strip()) is None and ":" in cell


def hours(cell: str, minutes: bool = False) -> float | None:
    """Return a time of day or a duration in hours, None if the cell is neither.

    Args:
        cell: Such as `1:30`, `0:45:30`, `8h15`, `1 h 30 min`, `9:03.5` (minutes and seconds).
        minutes: Whether `9:03` is a time of minutes and seconds, too.
    """
    cell = cell.strip()
    if (half := _HALF.fullmatch(cell)) is not None:
        return float(int(half["h"]) % 12 + (12 if half["half"].lower() == "p" else 0))
    match = _CLOCK.fullmatch(cell)
    brief = _MINUTES.fullmatch(cell) if minutes or match is None else None
    if brief is not None and (minutes or not brief["s"].isdigit()):
        size = int(brief["m"]) / 60 + float(brief["s"].replace(",", ".")) / 3600
        return -size if brief["sign"] in ("-", "−") else size
    if match is not None:
        hour, minute = int(match["h"]), int(match["m"])
        second = float(f"{match['s'] or 0}.{match['f'] or 0}")
        if match["half"]:
            hour = hour % 12 + (12 if match["half"].lower() == "p" else 0)
        time = hour + minute / 60 + second / 3600
        days = int((match["days"] or "0").replace("−", "-"))
        return 24 * days + (-time if match["sign"] in ("-", "−") else time)
    match = _WORDS.fullmatch(cell)
    found = {key[0]: part for key, part in match.groupdict().items() if part} if match else {}
    return (
        sum(_IN_HOURS[key] * float(part.replace(",", ".")) for key, part in found.items()) if found else None
    )
