"""The columns of raw data behind a model's inputs: which inputs are of which column, and what they stand for.

A category has an input for each of its values, a date several, a number with missing values two. What is done
to a column is done to all of them together.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from jaxtyping import Float

from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.rules import CategoryRule, DateRule, NumberRule, WordRule
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.preparation import Preparation

NUMBER, CATEGORY, DATE, WORDS = "number", "category", "date", "words"
# Grid points of a quantity, between these shares of its values: beyond them rows are few.
GRID, INSIDE = 15, (0.05, 0.95)
MOST_CATEGORIES = 8
NO_CATEGORY = "(none of training)"


@dataclass(frozen=True)
class Column:
    """A column of the raw data.

    Args:
        name: Its name; `input 3` for arrays, whose columns have none.
        kind: `number`, `category`, `date` or `words`.
        at: Places of its inputs among the model's.
        rule: What made inputs of it; None for arrays.
        mean, scale: Of arrays: what its input was standardised by.
    """

    name: str
    kind: str
    at: tuple[int, ...]
    rule: Any = None
    mean: float = 0.0
    scale: float = 1.0

    def numbers(self, inputs: Float[np.ndarray, "row input"]) -> Float[np.ndarray, " row"]:
        """Return its values, of dates the days since 1970; NaN where missing. For numbers and dates."""
        own = inputs[:, list(self.at)].astype(np.float64)
        if self.kind == DATE:
            place = self.rule.parts.index("days")
            values = own[:, place] * self.rule.scale[place] + self.rule.mean[place]
        elif self.rule is None:
            values = own[:, 0] * self.scale + self.mean
        else:
            values = own[:, 0] * self.rule.scale + self.rule.mean
            if self.rule.unit:
                values = np.sign(values) * self.rule.unit * np.expm1(np.abs(values))
        flagged = self.rule is not None and self.rule.flag
        return np.where(own[:, -1] > 0.5, np.nan, values) if flagged else values

    def codes(self, inputs: Float[np.ndarray, "row input"]) -> np.ndarray:
        """Return which of `labels` each row is of a column of categories."""
        own = inputs[:, list(self.at)]
        return np.where(own.max(axis=1) > 0.5, own.argmax(axis=1), own.shape[1])

    @property
    def labels(self) -> tuple[str, ...]:
        """The categories by code; the last is that of values without an input of their own."""
        prefix = len(self.name) + 1  # a name may hold an equals sign
        return (*(feature[prefix:] for feature in self.rule.features), NO_CATEGORY)

    def grid(self, inputs: Float[np.ndarray, "row input"]) -> list[tuple[Any, int]]:
        """Return values of the column that occur, each with a row that has it; nothing for words.

        Of numbers and dates quantiles, of categories the most frequent.
        """
        if self.kind == CATEGORY:
            codes = self.codes(inputs)
            counts = np.bincount(codes, minlength=len(self.labels))
            often = [code for code in np.argsort(-counts, kind="stable")[:MOST_CATEGORIES] if counts[code]]
            return [(self.labels[code], int(np.flatnonzero(codes == code)[0])) for code in often]
        if self.kind == WORDS or (self.kind == DATE and "days" not in self.rule.parts):
            return []
        values = self.numbers(inputs)
        present = values[~np.isnan(values)]
        if not len(present):
            return []
        wanted = np.unique(np.quantile(present, np.linspace(*INSIDE, GRID), method="nearest"))
        rows = [int(np.flatnonzero(values == value)[0]) for value in wanted]
        return [(self.shown(value), row) for value, row in zip(wanted, rows, strict=True)]

    def cell(self, inputs: Float[np.ndarray, "row input"]) -> float | str | None:
        """Return the value of the first row as people read it; None for what inputs do not tell."""
        if self.kind == CATEGORY:
            return self.labels[int(self.codes(inputs[:1])[0])]
        if self.kind == WORDS or (self.kind == DATE and "days" not in self.rule.parts):
            return None
        value = float(self.numbers(inputs[:1])[0])
        return None if np.isnan(value) else self.shown(value)

    def shown(self, value: float) -> float | str:
        """Return a value as people read it: of a date the day, of a number without digits of rounding."""
        if self.kind == DATE:
            minutes = round(float(value) * 24 * 60)  # float32 inputs are right to seconds
            return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)).date().isoformat()
        return float(f"{value:.6g}")


_KINDS = {NumberRule: NUMBER, CategoryRule: CATEGORY, DateRule: DATE, WordRule: WORDS}


def columns_of(preparation: Preparation) -> list[Column]:
    """Return the columns of a table or of plain arrays; none for data whose inputs are not columns."""
    columns = preparation.columns
    if isinstance(columns, TableColumns):
        found, place = [], 0
        for rule in columns.rules:
            width = len(rule.features)
            found.append(Column(rule.column, _KINDS[type(rule)], tuple(range(place, place + width)), rule))
            place += width
        return found
    if isinstance(columns, ArrayInputs) and len(columns.shape) == 1 and preparation.input_scale is None:
        facts = zip(columns.mean, columns.scale, strict=True)
        return [Column(f"input {i}", NUMBER, (i,), None, *each) for i, each in enumerate(facts)]
    return []
