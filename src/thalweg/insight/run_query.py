"""Choosing among runs: filters such as `optimizer.lr<0.01`, and the order by a figure or a setting."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from thalweg.core.caller import argument, option
from thalweg.core.errors import BadInput, did_you_mean
from thalweg.insight.run_list import RunSummary, sort_value
from thalweg.insight.wording import as_number

METRIC = "metric"
_FIELDS = ("name", "state", "why", "data", "task", "model", "lanes", "epochs", "steps", METRIC)
_FIELDS += ("validation_loss", "test_loss", "seconds", "started")
_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
}


@dataclass(frozen=True)
class Filter:
    """A condition on runs.

    Args:
        key: A field of the list (`state`, `metric`, ...), or a setting: `optimizer.lr`, or its last word.
        operator: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        value: To compare with; for `=` and `!=` a text may hold `*`.
    """

    key: str
    operator: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """Read `model=mlp:*`, `lr<0.01`, `state!=finished`.

        Raises:
            BadInput: It is no such condition.
        """
        match = re.fullmatch(r"\s*([\w.]+)\s*(<=|>=|!=|==?|<|>)\s*(.*?)\s*", text)
        if match is None:
            rule, hint = (
                "must be KEY=VALUE, or with <, <=, >, >= or !=",
                f"for example {option('filter', 'lr<0.01')}",
            )
            raise BadInput(argument("filter"), rule, got=text, hint=hint)
        key, operator, value = match.groups()
        if operator in _NUMBERS and as_number(value) is None:
            rule, hint = (
                f"{operator} compares numbers",
                f"for example {option('filter', f'{key}{operator}0.01')}",
            )
            raise BadInput(argument("filter"), rule, got=text, hint=hint)
        return cls(key, "=" if operator == "==" else operator, value)

    def holds(self, run: RunSummary) -> bool:
        """Return whether a run meets it; one without such a value meets only `!=`."""
        value, number = value_of(run, self.key), as_number(self.value)
        if self.operator in _NUMBERS:
            own = as_number(value)
            return own is not None and number is not None and _NUMBERS[self.operator](own, number)
        own = None if isinstance(value, bool) else as_number(value)
        equal = own == number if own is not None and number is not None else _alike(value, self.value)
        return equal == (self.operator == "=")


def filtered(runs: Sequence[RunSummary], conditions: Sequence[str]) -> list[RunSummary]:
    """Return the runs that meet all conditions.

    Raises:
        BadInput: A condition cannot be read, or names what no run has.
    """
    filters = [Filter.parse(text) for text in conditions]
    for condition in filters:
        _check_key(runs, condition.key, argument("filter"))
    return [run for run in runs if all(condition.holds(run) for condition in filters)]


def ordered(runs: Sequence[RunSummary], key: str, reverse: bool = False) -> list[RunSummary]:
    """Return the runs by a figure or a setting in ascending order; by `metric` the best first.

    Runs without such a value come last.

    Raises:
        BadInput: No run has such a value.
    """
    _check_key(runs, key, argument("sort"))

    def place(run: RunSummary) -> tuple[bool, float, str]:
        value = value_of(run, key)
        number = sort_value(run.metric) if key == METRIC else as_number(value)
        return number is None, 0.0 if number is None else number, str(value)

    known = [run for run in runs if value_of(run, key) is not None]
    unknown = [run for run in runs if value_of(run, key) is None]
    return sorted(known, key=place, reverse=reverse) + unknown


def value_of(run: RunSummary, key: str) -> Any:
    """Return a field of a run, or a setting of its recipe by its path or the end of it; None for none."""
    if key == METRIC:
        return None if run.metric is None else run.metric.value
    if key in _FIELDS:
        return getattr(run, key)
    paths = [path for path in run.settings if path == key or path.endswith(f".{key}")]
    return run.settings[min(paths, key=len)] if paths else None


def _check_key(runs: Sequence[RunSummary], key: str, option: str) -> None:
    if key in _FIELDS or not runs or any(value_of(run, key) is not None for run in runs):
        return
    known = dict.fromkeys((*_FIELDS, *(path for run in runs for path in run.settings)))
    raise BadInput(option, "must name a column or a setting", got=key, hint=did_you_mean(key, known))


def _alike(value: Any, pattern: str) -> bool:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return value is not None and fnmatchcase(text.lower(), pattern.lower())
