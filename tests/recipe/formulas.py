"""Evaluates the formulas that the catalogue prints, as they stand there: text in, numbers out.

Factors stand side by side (`b1 m`), `^` is a power, `|x|` the norm of a layer, `f(x)` a call where the name
touches the bracket. A formula is statements between semicolons: `name = value`, or `name(x) = value` for a
function; a value may have cases, `A for t < w, B after`. Two spaces and a bracket set a variant apart:
`...  (Nesterov: w = ...)` replaces the statement for `w`.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

TOKEN = re.compile(r"\s*(\d+\.?\d*(?:e[+-]?\d+)?|[A-Za-z_]\w*|<=|>=|[-+*/^()|,<>])")
# A comma outside of brackets: between two cases.
_CASES = re.compile(r",\s(?=(?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*$)")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "columns": lambda x: x.mean(axis=0, keepdims=True),
    "cos": np.cos,
    "count": np.count_nonzero,
    "floor": np.floor,
    "log": np.log,
    "max": np.maximum,
    "mean": np.mean,
    "min": np.minimum,
    "rms": lambda x: np.sqrt(np.mean(x**2)),
    "rows": lambda x: x.mean(axis=1, keepdims=True),
    "sign": np.sign,
    "sqrt": np.sqrt,
    "sum": np.sum,
}


class Formula:
    """A printed formula.

    Args:
        text: As printed.
        variant: Name of the variant in brackets that is meant; None for the formula without brackets.
        shared: What `m, v as in Adam` stands for.
    """

    def __init__(self, text: str, variant: str | None = None, shared: str = "") -> None:
        base, *variants = text.split("  (")
        statements = [part.strip() for part in base.replace("m, v as in Adam", shared).split(";")]
        for each in variants:
            name, _, changes = each.removesuffix(")").partition(": ")
            if name == variant:
                statements = _changed(statements, [part.strip() for part in changes.split(";")])
        self.statements = [tuple(part.strip() for part in each.split(" = ", 1)) for each in statements]

    def run(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values after all statements, in order; functions are defined first."""
        values = dict(values)
        for left, right in self.statements:
            if match := re.fullmatch(r"(\w+)\((\w+)\)", left):
                values[match[1]] = _function(match[2], right, values)
        with np.errstate(invalid="ignore", divide="ignore"):  # of a term that the case at hand does not use
            for left, right in self.statements:
                if "(" not in left:
                    values[left] = evaluate(right, values)
        return values


def evaluate(text: str, values: dict[str, Any]) -> Any:
    """Return the value of the right side of a statement, with its cases."""
    has_cases = re.search(r" for | after$| otherwise$", text)
    for case in _CASES.split(text) if has_cases else [text]:
        value, _, condition = re.sub(" (after|otherwise)$", "", case).partition(" for ")
        if not condition or _Reader(condition, values).value():
            return _Reader(value, values).value()
    raise ValueError(f"no case of {text!r} holds")


def _function(name: str, text: str, values: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda x: evaluate(text, values | {name: x})


def _changed(statements: list[str], changes: list[str]) -> list[str]:
    """Return statements with those of equal left side replaced; new ones come before the first replaced."""
    by_name = {each.split(" = ")[0]: each for each in changes}
    names = [each.split(" = ")[0] for each in statements]
    first = min(names.index(name) for name in by_name if name in names)
    new = [each for name, each in by_name.items() if name not in names]
    replaced = [by_name.get(name, each) for name, each in zip(names, statements, strict=True)]
    return [*replaced[:first], *new, *replaced[first:]]


class _Reader:
    """Reads an expression from left to right; products and quotients, written or not, bind alike."""

    def __init__(self, text: str, values: dict[str, Any]) -> None:
        self.text, self.values, self.at, self.open = text, values, 0, []

    def value(self) -> Any:
        result = self._comparison()
        if self._next():
            raise ValueError(f"{self.text!r}: {self.text[self.at :]!r} is not understood")
        return result

    def _next(self) -> str:
        match = TOKEN.match(self.text, self.at)
        rest = self.text[self.at :].strip()
        if match is None and rest:
            raise ValueError(f"{self.text!r}: {rest!r} is not understood")
        return match[1] if match else ""

    def _take(self) -> str:
        match = TOKEN.match(self.text, self.at)
        assert match is not None, self.text
        self.at = match.end()
        return match[1]

    def _comparison(self) -> Any:
        left = self._sum()
        signs = {"<=": np.less_equal, ">=": np.greater_equal, "<": np.less, ">": np.greater}
        return signs[self._take()](left, self._sum()) if self._next() in signs else left

    def _sum(self) -> Any:
        result = self._product()
        while self._next() in ("+", "-"):
            result = result + self._product() if self._take() == "+" else result - self._product()
        return result

    def _product(self) -> Any:
        result = self._power()
        while True:
            sign = self._next()
            if sign in ("*", "/"):
                self._take()
                result = result * self._power() if sign == "*" else result / self._power()
            elif sign == "(" or re.match(r"\w", sign) or (sign == "|" and self.open[-1:] != ["|"]):
                result = result * self._power()
            else:
                return result

    def _power(self) -> Any:
        if self._next() == "-":
            self._take()
            return -self._power()
        base = self._single()
        if self._next() != "^":
            return base
        self._take()
        return base ** self._power()

    def _single(self) -> Any:
        token = self._take()
        if token in "(|":
            self.open.append(token)
            inner = self._comparison()
            assert self._take() == {"(": ")", "|": "|"}[self.open.pop()], self.text
            return np.sqrt(np.sum(inner**2)) if token == "|" else inner
        if token[0].isdigit():
            return float(token)
        known = {"pi": np.pi, **self.values}
        called = self.text[self.at : self.at + 1] == "("
        if called and (token in FUNCTIONS or callable(known.get(token))):
            return self._call(FUNCTIONS[token] if token in FUNCTIONS else known[token])
        return known[token]

    def _call(self, function: Callable[..., Any]) -> Any:
        self.open.append(self._take())
        arguments = [self._comparison()]
        while self._next() == ",":
            self._take()
            arguments.append(self._comparison())
        assert self._take() == ")", self.text
        self.open.pop()
        return function(*arguments)
