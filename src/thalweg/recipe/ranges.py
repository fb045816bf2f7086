"""Ranges of values, in Python and in one line of text: `1e-4..1e-1:16log`, `0..0.5:6lin`, `0..2`, `a,b,c`."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from thalweg.core.errors import RecipeError

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::(.*))?")
_SPACING = re.compile(r"(\d*)(log|lin)")
_FORMS = "write 1e-4..1e-1:16log, 0..0.5:6lin, 0..2 for whole numbers, or a,b,c"
MOST_VALUES = 100_000  # of one range; more is a slip of the pen, and would fill the memory before it is said


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Args:
        low, high: The ends; both belong to it.
        log: Whether equal ratios are equally likely, and equally far apart; else equal differences.

    Raises:
        RecipeError: The ends are equal or swapped, or a logarithmic range reaches zero.
    """

    low: float
    high: float
    log: bool = True

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise RecipeError("range", "the low end must be below the high end", got=self.text)
        if self.log and self.low <= 0:
            raise RecipeError(
                "range",
                "a logarithmic range must be above 0",
                got=self.text,
                hint=f"take {self.text}:lin, or begin above 0",
            )

    @property
    def text(self) -> str:
        """The ends as text: `0.0001..0.1`."""
        return f"{self.low:g}..{self.high:g}"

    def at(self, shares: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return the values at shares of the range, 0 at `low` and 1 at `high`."""
        if not self.log:
            return self.low + shares * (self.high - self.low)
        return np.exp(np.log(self.low) + shares * (np.log(self.high) - np.log(self.low)))

    def spaced(self, count: int) -> list[float]:
        """Return `count` values from end to end, rounded to few digits, so that what is shown is what was
        used.
        """
        if count == 1:
            raise RecipeError("range", "one value is no range", got=self.text, hint="give the value itself")
        exact = self.at(np.linspace(0.0, 1.0, count))
        exact[0], exact[-1] = self.low, self.high
        return [self.low, *_rounded(exact)[1:-1], self.high]


def values(text: str) -> list[Any]:
    """Return the values that a line of text stands for.

    The forms are `LOW..HIGH:NUMBERlog`, `LOW..HIGH:NUMBERlin`, whole numbers `LOW..HIGH` with both ends, and
    `a,b,c`, each read as TOML (a number, true, a quoted string) or else as a bare word.

    Raises:
        RecipeError: The text is none of these, or stands for no value.

    Example:
        >>> values("1e-3..1e-1:3log"), values("0..2"), values("sgd,adamw")
        ([0.001, 0.01, 0.1], [0, 1, 2], ['sgd', 'adamw'])
    """
    given = text.strip()
    match = _RANGE.fullmatch(given)
    if match:
        return _spaced(given, *match.groups())
    if ".." in given:
        raise RecipeError("range", "must be LOW..HIGH:NUMBERlog with numbers at both ends", got=text)
    if not given:
        raise RecipeError("range", "must have at least one value", hint=_FORMS)
    return _listed(given)


def domain(given: Any) -> Range | list[Any]:
    """Return what to draw values from: a `Range`, or a list to choose from.

    Args:
        given: A `Range`; a pair `(low, high)`, which is a logarithmic one; text as for `values`, where
            `LOW..HIGH:log` needs no number; or any other iterable, whose items are the choices.

    Raises:
        RecipeError: It is none of these, or empty.
    """
    if isinstance(given, Range):
        return given
    if isinstance(given, str):
        match = _RANGE.fullmatch(given.strip())
        spacing = _SPACING.fullmatch(match.group(3) or "") if match else None
        if match and spacing:
            return Range(float(match.group(1)), float(match.group(2)), spacing.group(2) == "log")
        return values(given)
    if isinstance(given, tuple) and len(given) == 2 and all(map(_is_number, given)):
        return Range(*given)
    if not isinstance(given, Iterable):
        raise RecipeError("range", "must be a pair, a Range, a list of choices or text", got=given)
    choices = list(given)
    if not choices:
        raise RecipeError("range", "must have at least one value", hint=_FORMS)
    return choices


def _spaced(text: str, low: str, high: str, tail: str | None) -> list[Any]:
    if tail is None:
        return _whole(text, low, high)
    spacing = _SPACING.fullmatch(tail.strip())
    if not spacing or not spacing.group(1):
        raise RecipeError(
            "range", "after the colon must stand a number and log or lin", got=text, hint=_FORMS
        )
    count = int(spacing.group(1))
    if not 1 <= count <= MOST_VALUES:
        raise RecipeError("range", f"must have 1 to {MOST_VALUES:,} values", got=text)
    return Range(float(low), float(high), spacing.group(2) == "log").spaced(count)


def _whole(text: str, low: str, high: str) -> list[int]:
    try:
        first, last = int(low), int(high)
    except ValueError:
        raise RecipeError(
            "range", "of numbers that are not whole must say how many", got=text, hint=f"try {text}:8log"
        ) from None
    if not first <= last < first + MOST_VALUES:
        rule = "the low end must be below the high end" if last < first else f"at most {MOST_VALUES:,} values"
        raise RecipeError("range", rule, got=text)
    return list(range(first, last + 1))


def _listed(text: str) -> list[Any]:
    try:
        return tomllib.loads(f"value = [{text}]")["value"]
    except tomllib.TOMLDecodeError:
        words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise RecipeError("range", "has an empty place between its commas", got=text, hint=_FORMS)
    return [_word(word) for word in words]


def _word(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return float(text) if re.fullmatch(_NUMBER, text) else text  # `.5` is a number to people


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _rounded(exact: Float[np.ndarray, " n"]) -> list[float]:
    """Round to four significant digits, or to as many as move no value by more than a hundredth of the
    distance to its neighbour.
    """
    gaps = np.abs(np.diff(exact))
    apart = np.minimum(np.append(gaps, np.inf), np.append(np.inf, gaps))
    found = exact
    for digits in range(4, 17):
        found = np.array([float(f"{value:.{digits}g}") for value in exact])
        if (np.abs(found - exact) <= 0.01 * apart).all():
            break
    return [float(value) for value in found]
