"""Exact statistics of columns that are read chunk by chunk, and the rules of the columns with them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.column_types import category_text, plain_text
from thalweg.problem.data.inputs.new_cells import read_dates, read_numbers
from thalweg.problem.data.inputs.rules import (
    CategoryRule,
    DateRule,
    NumberRule,
    Rule,
    date_quantities,
    log_scaled,
)

# Different values of a column that are counted; a column of more keeps the categories of the sample.
MOST_DISTINCT = 100_000


@dataclass
class Moments:
    """Mean and variance of values that come in parts, in float64.

    Reference: Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances, 1979.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Add values, none of which is missing."""
        if not values.size:
            return
        mean = float(values.mean())
        difference, total = mean - self.mean, self.count + values.size
        self.squares += float(((values - mean) ** 2).sum())
        self.squares += difference**2 * self.count * values.size / total
        self.mean += difference * values.size / total
        self.count = total

    @property
    def scale(self) -> float:
        """The standard deviation; 1 for a constant, as `mean_and_scale` has it."""
        deviation = (self.squares / self.count) ** 0.5 if self.count else 0.0
        return 1.0 if deviation <= 1e-12 * max(1.0, abs(self.mean)) else deviation


@dataclass
class Counts:
    """How often each value occurs; `distinct` is unknown once there are more than `MOST_DISTINCT`."""

    rows: dict[str, int] = field(default_factory=dict)
    complete: bool = True

    def add(self, values: pl.Series) -> None:
        """Add the values that are not missing."""
        if not self.complete:
            return
        for value, rows in values.drop_nulls().value_counts().iter_rows():
            self.rows[value] = self.rows.get(value, 0) + rows
        if len(self.rows) > MOST_DISTINCT:
            self.rows, self.complete = {}, False


class ColumnStatistics:
    """What one column holds in the training rows, as far as its rule needs it.

    Args:
        rule: The rule that was fitted to a sample.
        marks: Marks for a missing value.
    """

    def __init__(self, rule: Rule, marks: tuple[str, ...]):
        self.rule, self.marks = rule, marks
        self.rows = self.missing = self.unreadable = self.elsewhere = 0
        self.moments: list[Moments] = []
        self.counts = Counts()

    def add(self, column: pl.Series) -> None:
        """Add the rows of a chunk."""
        rule = self.rule
        self.rows += column.len()
        if isinstance(rule, NumberRule):
            self._add_numbers(rule, column)
        elif isinstance(rule, DateRule):
            dates = read_dates(column, rule.format, self.marks, new=False)
            self._add_missing(column, dates)
            quantities = date_quantities(dates.drop_nulls())
            self._add_moments([quantities[part] for part in rule.parts])
        elif isinstance(rule, CategoryRule):
            text = category_text(plain_text(column, self.marks, rule.categories))
            self.missing += text.null_count()
            self.counts.add(text)

    def _add_numbers(self, rule: NumberRule, column: pl.Series) -> None:
        numbers = read_numbers(column, self.marks, rule.written, new=False)
        self._add_missing(column, numbers)
        present = numbers.drop_nulls().to_numpy()
        self._add_moments([log_scaled(present, rule.unit)])
        levels = (rule.mean, rule.mean + rule.scale)
        self.elsewhere += int((~np.isin(present, levels)).sum())

    def _add_missing(self, column: pl.Series, read: pl.Series) -> None:
        self.missing += read.null_count()
        self.unreadable += read.null_count() - plain_text(column, self.marks).null_count()

    def _add_moments(self, columns: list[np.ndarray]) -> None:
        self.moments = self.moments or [Moments() for _ in columns]
        for moments, values in zip(self.moments, columns, strict=True):
            moments.add(values)

    def exact(self, two_levels: bool) -> Rule:
        """Return the rule with the statistics of all training rows.

        Args:
            two_levels: Whether the sample had two numbers only, whose rule has no mean.
        """
        rule, flag = self.rule, self.missing > 0
        if isinstance(rule, NumberRule):
            if two_levels and not self.elsewhere:
                return replace(rule, flag=flag)
            return replace(rule, mean=self.moments[0].mean, scale=self.moments[0].scale, flag=flag)
        if isinstance(rule, DateRule):
            mean, scale = (tuple(getattr(m, name) for m in self.moments) for name in ("mean", "scale"))
            return replace(rule, mean=mean, scale=scale, flag=flag)
        if isinstance(rule, CategoryRule):
            if not self.counts.complete:
                return replace(rule, other=True, missing=flag)
            return CategoryRule.of_counts(rule.column, self.counts.rows, self.rows, flag)
        return rule
