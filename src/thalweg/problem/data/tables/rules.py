"""How one column becomes input numbers: one rule for each kind, fitted on training rows only."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from thalweg.problem.data.inputs.array import standard_figures
from thalweg.problem.data.tables.types import dates_from, numbers_from, plain_text

# An exponential distribution has skewness 2: from there on a few rows carry most of a column's variance, and
# a logarithm is taken where it at least halves the skewness.
SKEWED = 2.0
# A category seen in fewer rows than this cannot be told from chance: ten rows, or 1 % of a small table.
RARE_ROWS = 10
RARE_SHARE = 0.01
FEWEST = 2
MOST_CATEGORIES = 100  # one input each; more would make the first layer mostly categories

OTHER, MISSING = "other", "missing"


@dataclass(frozen=True)
class NumberRule:
    """Numbers, standardised: (f(x) - mean) / scale. A missing value enters as the training mean.

    Args:
        column: Name of the column.
        mean, scale: Of f(x) over the training rows.
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
        present = values.drop_nulls().to_numpy()
        unit = _unit(present)
        mean, scale = standard_figures(_log(present, unit)[:, None])
        return cls(values.name, float(mean[0]), float(scale[0]), unit, values.null_count() > 0)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs that it makes."""
        return (self.column, f"{self.column} {MISSING}") if self.flag else (self.column,)

    def apply(self, series: pl.Series, marks: tuple[str, ...]) -> np.ndarray:
        """Return float32 inputs, `row feature`."""
        values = numbers_from(series, marks)
        array = values.to_numpy()
        absent = np.isnan(array)
        scaled = np.where(absent, 0.0, (_log(array, self.unit) - self.mean) / self.scale)
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
        least = max(FEWEST, min(RARE_ROWS, round(values.len() * RARE_SHARE)))
        kept = counts.filter(pl.col("rows") >= least).head(MOST_CATEGORIES)[values.name].to_list()
        return cls(values.name, tuple(kept), len(kept) < counts.height, values.null_count() > 0)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs that it makes."""
        marks = [mark for mark, there in ((OTHER, self.other), (MISSING, self.missing)) if there]
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


@dataclass(frozen=True)
class DateRule:
    """Dates: days since 1970, and the places in year, week and day as points on a circle; those that vary.

    Args:
        column: Name of the column.
        format: How the dates are written; empty for columns that come as dates.
        parts: Which of the figures are used.
        mean, scale: Of each part over the training rows. A missing date enters as the mean.
        flag: Whether an input says that the date is missing (only if some were, in training).
    """

    kind: ClassVar[str] = "date"
    column: str
    format: str
    parts: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    flag: bool = False

    @classmethod
    def fit(cls, values: pl.Series, form: str) -> Self:
        """Take the figures from training rows (Datetime, nulls for missing values)."""
        figures = _date_figures(values.drop_nulls())
        kept = [name for name, x in figures.items() if x.size and np.ptp(x) > 1e-9]
        found = [standard_figures(figures[name][:, None]) for name in kept]
        mean, scale = (tuple(float(pair[i][0]) for pair in found) for i in (0, 1))
        return cls(values.name, form, tuple(kept), mean, scale, values.null_count() > 0)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs that it makes."""
        flag = (f"{self.column} {MISSING}",) if self.flag else ()
        return tuple(f"{self.column} {part}" for part in self.parts) + flag

    def apply(self, series: pl.Series, marks: tuple[str, ...]) -> np.ndarray:
        """Return float32 inputs, `row feature`."""
        dates = dates_from(plain_text(series, marks), self.format if series.dtype == pl.String else "")
        figures = _date_figures(dates)
        scaled = [(figures[p] - m) / s for p, m, s in zip(self.parts, self.mean, self.scale, strict=True)]
        absent = dates.is_null().to_numpy()
        columns = [np.where(absent, 0.0, x) for x in scaled] + ([absent] if self.flag else [])
        return np.stack(columns, axis=1).astype(np.float32)


Rule = NumberRule | CategoryRule | DateRule
RULES: dict[str, Any] = {rule.kind: rule for rule in (NumberRule, CategoryRule, DateRule)}


def rule_to_dict(rule: Rule) -> dict[str, Any]:
    """Return plain values, for JSON."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(rule).items()}
    return {"kind": rule.kind} | plain


def rule_from_dict(given: dict[str, Any]) -> Rule:
    """Build a rule from plain values; the inverse of `rule_to_dict`."""
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return RULES[values.pop("kind")](**values)


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


def _date_figures(dates: pl.Series) -> dict[str, np.ndarray]:
    def circle(share: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        angle = 2 * np.pi * share.cast(pl.Float64).to_numpy()
        return np.sin(angle), np.cos(angle)

    days = dates.dt.epoch("us").cast(pl.Float64).to_numpy() / 86_400e6
    seconds = (
        dates.dt.hour().cast(pl.Int32) * 3600 + dates.dt.minute().cast(pl.Int32) * 60
    ) + dates.dt.second()
    circles = {
        "year": circle((dates.dt.ordinal_day() - 1) / 365.25),
        "week": circle((dates.dt.weekday() - 1) / 7),
        "day": circle(seconds / 86_400),
    }
    waves = {
        f"{name} {wave}": x
        for name, pair in circles.items()
        for wave, x in zip(("sine", "cosine"), pair, strict=True)
    }
    return {"days": days} | waves
