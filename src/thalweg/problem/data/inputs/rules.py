"""How one column becomes input numbers: one rule for each kind, fitted on training rows only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.array import standard_figures
from thalweg.problem.data.inputs.column_types import MISSING_MARK, numbers_from, plain_text

# An exponential distribution has skewness 2: from there on a few rows carry most of a column's variance, and
# a logarithm is taken where it at least halves the skewness.
SKEWED = 2.0
# A category seen in fewer rows than this cannot be told from chance: ten rows, or 2 % of a small table.
RARE_ROWS = 10
RARE_SHARE = 0.02
FEWEST = 2
MOST_CATEGORIES = 100  # one input each; more would make the first layer mostly categories

# In standard deviations: a slip of the keyboard must not swamp all other inputs.
FURTHEST = 8.0

OTHER = "other"


@dataclass(frozen=True)
class NumberRule:
    """Numbers, standardised: (f(x) - mean) / scale, cut off at +-8; the mean for missing values.

    Args:
        column: Name of the column.
        mean, scale: Of f(x) over the training rows; for two values, as of a flag, the lower one and their
            distance, so that they enter as 0 and 1 like a category.
        unit: 0: f(x) = x. Else f(x) = sign(x) log(1 + |x| / unit), with the median size as unit, for
            columns with a long tail.
        flag: Whether a second input says that the value is missing (only if some were, in training).
    """

    kind: ClassVar[str] = "number"
    column: str
    mean: float
    scale: float
    unit: float = 0.0
    flag: bool = False

    @classmethod
    def fit(cls, values: pl.Series) -> Self:
        """Take the figures from training rows (Float64, nulls for missing values)."""
        present, flag = values.drop_nulls().to_numpy(), values.null_count() > 0
        levels = np.unique(present)
        if levels.size == 2:
            return cls(values.name, float(levels[0]), float(levels[1] - levels[0]), flag=flag)
        unit = _unit(present)
        mean, scale = standard_figures(_log(present, unit)[:, None])
        return cls(values.name, float(mean[0]), float(scale[0]), unit, flag)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs that it makes."""
        return (self.column, f"{self.column} {MISSING_MARK}") if self.flag else (self.column,)

    def apply(self, series: pl.Series, marks: tuple[str, ...]) -> np.ndarray:
        """Return float32 inputs, `row feature`."""
        values = numbers_from(series, marks)
        array = values.to_numpy()
        absent = np.isnan(array)
        scaled = (_log(array, self.unit) - self.mean) / self.scale
        scaled = np.where(absent, 0.0, np.clip(scaled, -FURTHEST, FURTHEST))
        columns = [scaled, absent] if self.flag else [scaled]
        return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class CategoryRule:
    """Categories, one input each (0 or 1).

    Args:
        column: Name of the column.
        categories: With an input of their own, the most frequent first.
        other: Whether rare ones share an input, which then also serves unknown ones. Without rare ones in
            training an unknown category enters as zeros, since no weight could have been learnt for it.
        missing: Whether missing values have an input (only if some were, in training).
    """

    kind: ClassVar[str] = "category"
    column: str
    categories: tuple[str, ...]
    other: bool = False
    missing: bool = False

    @classmethod
    def fit(cls, values: pl.Series) -> Self:
        """Take the categories from training rows (String, nulls for missing values)."""
        counts = (
            values.drop_nulls()
            .value_counts(name="rows")
            .sort(["rows", values.name], descending=[True, False])
        )
        kept = (
            counts.filter(pl.col("rows") >= least_rows(values.len()))
            .head(MOST_CATEGORIES)[values.name]
            .to_list()
        )
        return cls(values.name, tuple(kept), len(kept) < counts.height, values.null_count() > 0)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs that it makes."""
        marks = [mark for mark, there in ((OTHER, self.other), (MISSING_MARK, self.missing)) if there]
        return tuple(f"{self.column}={category}" for category in (*self.categories, *marks))

    def apply(self, series: pl.Series, marks: tuple[str, ...]) -> np.ndarray:
        """Return float32 inputs, `row feature`."""
        text = plain_text(series, marks)
        text = text if text.dtype == pl.String else text.cast(pl.String)
        number = {category: i for i, category in enumerate(self.categories)}
        width = len(self.categories)
        places = np.array(
            [number.get(t, width) if t is not None else width + 1 for t in text.to_list()], dtype=int
        )
        wide = np.zeros((text.len(), width + 2), np.float32)
        wide[np.arange(text.len()), places] = 1.0
        kept = [*range(width), *([width] if self.other else []), *([width + 1] if self.missing else [])]
        return wide[:, kept]


def least_rows(count: int) -> int:
    """Return in how many of `count` training rows a category or a word must be seen to get an input."""
    return max(FEWEST, min(RARE_ROWS, round(count * RARE_SHARE)))


def _log(values: np.ndarray, unit: float) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values) / unit) if unit else values


def _unit(values: np.ndarray) -> float:
    """Return the unit of the logarithm for a column with a long tail, else 0."""
    sizes = np.abs(values[values != 0])
    if sizes.size == 0 or abs(_skewness(values)) <= SKEWED:
        return 0.0
    unit = float(np.median(sizes))
    helps = abs(_skewness(_log(values, unit))) <= abs(_skewness(values)) / 2
    return unit if helps else 0.0


def _skewness(values: np.ndarray) -> float:
    """Return the third standardised moment, 0 for a constant."""
    deviation = values.std()
    return float(np.mean(((values - values.mean()) / deviation) ** 3)) if deviation > 0 else 0.0
