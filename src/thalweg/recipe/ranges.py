"""Ranges of values, in Python and as text: `1e-4..1e-1:16log`, `0..0.5:6lin`, `32..1024:2x`, `0..2`."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from thalweg.core.arguments import check_fields, checked, shown
from thalweg.core.documents import parse_toml
from thalweg.core.errors import RecipeError

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::(.*))?")
_SPACING = re.compile(r"(\d*)(log|lin)")
_FACTOR = re.compile(rf"({_NUMBER})x")
_FORMS = "write 1e-4..1e-1:16log, 0..0.5:6lin, 32..1024:2x (doubling), 0..2 for whole numbers, or a,b,c"
_SWAP = "exchange the ends, or give the one value"
MOST_PLAIN = 64  # values of LOW..HIGH; more are rarely meant, and need a count
MOST_VALUES = 100_000  # of any range; more is a typing error, and would fill the memory before it is reported


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Args:
        low, high: The ends, both included.
        log: Whether equal ratios are equally likely and equally far apart; otherwise equal differences.

    Raises:
        RecipeError: The ends are equal or swapped, or a logarithmic range reaches zero.
    """

    low: float
    high: float
    log: bool = True

    def __post_init__(self) -> None:
        check_fields(RecipeError, "range", self)
        if not (_is_finite(self.low) and _is_finite(self.high) and self.low < self.high):
            raise RecipeError("range", "the low end must be below the high end", got=self.text, hint=_SWAP)
        if self.log and self.low <= 0:
            hint = f"write {self.text}:lin, or start above 0"
            raise RecipeError("range", "a logarithmic range must be above 0", got=self.text, hint=hint)

    @property
    def text(self) -> str:
        """The ends as text: `0.0001..0.1`."""
        return f"{self.low:g}..{self.high:g}"

    def at(self, shares: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return the values at shares of the range, 0 at `low` and 1 at `high`."""
        try:
            shares = np.asarray(shares, float)
        except (TypeError, ValueError):
            rule, hint = "shares must be numbers", "for example np.linspace(0, 1, 5)"
            raise RecipeError("range", rule, got=shown(shares), hint=hint) from None
        if not self.log:
            return self.low + shares * (self.high - self.low)
        return np.exp(np.log(self.low) + shares * (np.log(self.high) - np.log(self.low)))

    @checked(RecipeError)
    def spaced(self, count: int) -> list[float]:
        """Return `count` values from end to end, rounded to few digits: values are used as they are shown."""
        if count == 1:
            raise RecipeError("range", "one value is not a range", got=self.text, hint="write the value")
        if not 1 < count <= MOST_VALUES:
            rule = f"must have 2 to {MOST_VALUES:,} values"
            raise RecipeError("range", rule, got=count, hint="try 16")
        exact = self.at(np.linspace(0.0, 1.0, count))
        exact[0], exact[-1] = self.low, self.high
        return [self.low, *_rounded(exact)[1:-1], self.high]


def read_values(text: str, whole: bool, who: str) -> list[Any]:
    """Return the values that a line of text stands for.

    The forms are `LOW..HIGH:16log` and `LOW..HIGH:16lin` (16 values), `LOW..HIGH:2x` (LOW, twice that, ...,
    HIGH), whole numbers `LOW..HIGH`, and `a,b,c`, each read as TOML (a number, true, a quoted string) or else
    as a bare word. Both ends are included.

    Args:
        text: The line.
        whole: Whether the values are whole numbers; those of `log`, `lin` and `x` are then rounded.
        who: The option or setting that the text was given for; errors name it.

    Raises:
        RecipeError: The text has none of these forms, or no value.

    Example:
        >>> read_values("1e-3..1e-1:3log", False, "lr"), read_values("32..100:2x", True, "batch_size")
        ([0.001, 0.01, 0.1], [32, 64, 100])
    """
    try:
        match = _RANGE.fullmatch(text.strip())
        if match is None:
            return _listed(text.strip())
        low, high, spacing = match.groups()
        if spacing is None:
            return _whole_numbers(low, high)
        values = _spaced(text, low, high, spacing.strip())
        return list(dict.fromkeys(map(round, values))) if whole else values
    except RecipeError as error:
        raise RecipeError(who, error.rule, got=error.got or text, hint=error.hint) from error


def domain(space: Any) -> Range | list[Any]:
    """Return what to draw values from: a `Range`, or a list of choices.

    Args:
        space: A `Range`; a pair `(low, high)`, which is a logarithmic one; text as for `read_values`, where
            `LOW..HIGH:log` and `LOW..HIGH:lin` need no count; or any other iterable of choices.

    Raises:
        RecipeError: It is none of these, or empty.
    """
    if isinstance(space, Range):
        return space
    if isinstance(space, str):
        match = _RANGE.fullmatch(space.strip())
        spacing = _SPACING.fullmatch(match.group(3) or "") if match else None
        if match and spacing:
            return Range(float(match.group(1)), float(match.group(2)), spacing.group(2) == "log")
        return read_values(space, False, "range")
    if isinstance(space, tuple) and len(space) == 2 and all(map(_is_number, space)):
        return Range(*space)
    choices = as_list(space)
    if choices is None:
        rule = "must be a pair, a Range, a list of choices or text"
        raise RecipeError("range", rule, got=space, hint="for example (1e-5, 1e-1)")
    if not choices:
        raise RecipeError("range", "must have at least one value", hint=_FORMS)
    return choices


def as_list(values: Any) -> list[Any] | None:
    """Return the items of an iterable; None for anything else, such as an array without axes."""
    try:
        return list(values)
    except TypeError:
        return None


def _spaced(text: str, low: str, high: str, spacing: str) -> list[Any]:
    if factor := _FACTOR.fullmatch(spacing):
        return _multiples(*map(_number, (low, high, factor.group(1))))
    count = _SPACING.fullmatch(spacing)
    if not count or not count.group(1):
        rule = "after the colon must come a count with log or lin, or a factor with x"
        raise RecipeError("range", rule, got=text, hint=_FORMS)
    if not 1 <= int(count.group(1)) <= MOST_VALUES:
        raise RecipeError("range", f"must have 1 to {MOST_VALUES:,} values", got=text, hint=_FORMS)
    return Range(float(low), float(high), count.group(2) == "log").spaced(int(count.group(1)))


def _multiples(low: float, high: float, factor: float) -> list[Any]:
    """Return low, factor low, factor^2 low, ... and the high end."""
    ends = Range(low, high)
    if factor <= 1 or math.log(high / low) > MOST_VALUES * math.log(factor):
        raise RecipeError("range", "the factor must be above 1", got=f"{factor:g}x", hint=f"{ends.text}:2x")
    # A power that is only a rounding error below the high end is the high end.
    powers = range(1 + int(math.log(high / low) / math.log(factor)))
    values = [low * factor**n for n in powers if low * factor**n < high * (1 - 1e-9)] + [high]
    return values if isinstance(low * factor * high, int) else _rounded(np.array(values, float))


def _whole_numbers(low: str, high: str) -> list[int]:
    ends = f"{low}..{high}"
    forms = [f"{ends}:16lin"] + [f"{ends}:2x", f"{ends}:16log"] * (float(low) > 0)
    hint = f"write {', '.join(forms[:-1]) + ' or ' if forms[1:] else ''}{forms[-1]}"
    first, last = _number(low), _number(high)
    if not (isinstance(first, int) and isinstance(last, int)):
        raise RecipeError("range", "must say how many values it has", got=ends, hint=hint)
    if last < first:
        raise RecipeError("range", "the low end must be below the high end", got=ends, hint=_SWAP)
    count = last - first + 1
    if count > MOST_PLAIN:
        rule = f"must say how many values it has; every whole number would be {count:,} values"
        raise RecipeError("range", rule, got=ends, hint=hint)
    return list(range(first, last + 1))


def _listed(text: str) -> list[Any]:
    if ".." in text:
        raise RecipeError("range", "must have numbers at both ends", got=text, hint=_FORMS)
    if not text:
        raise RecipeError("range", "must have at least one value", hint=_FORMS)
    try:
        return parse_toml(f"value = [{text}]")["value"]
    except ValueError:
        words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise RecipeError("range", "must have a value between two commas", got=text, hint=_FORMS)
    return [_word(word) for word in words]


def _word(text: str) -> Any:
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        return float(text) if re.fullmatch(_NUMBER, text) else text  # `.5` is a number to people


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _rounded(exact: Float[np.ndarray, " n"]) -> list[float]:
    """Round to four significant digits, or to more where neighbours are near.

    No value moves by more than a hundredth of the distance to its neighbour.
    """
    gaps = np.abs(np.diff(exact))
    nearest = np.minimum(np.append(gaps, np.inf), np.append(np.inf, gaps))
    values = exact
    for digits in range(4, 17):
        values = np.array([float(f"{value:.{digits}g}") for value in exact])
        if (np.abs(values - exact) <= 0.01 * nearest).all():
            break
    return [float(value) for value in values]


def _is_finite(number: float) -> bool:
    """Return whether a number is finite as a float, which an integer may be too large for."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False
