"""How one column of a table becomes input numbers: a rule for each type, fitted on training rows only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.inputs import from_plain, to_plain
from thalweg.problem.data.inputs.array import LARGEST, mean_and_scale
from thalweg.problem.data.inputs.column_types import (
    DATE,
    MISSING_MARK,
    NUMBER,
    TEXT,
    Typed,
    plain_text,
)
from thalweg.problem.data.inputs.new_cells import (
    known_categories,
    number_array,
    read_dates,
    text_cells,
)
from thalweg.problem.data.inputs.numbers import PLAIN, NumberFormat

# An exponential distribution has skewness 2: above it a few rows carry most of a column's variance, and the
# logarithm is taken if it at least halves the skewness.
SKEWED = 2.0
# In standard deviations: a typing error must not swamp all other inputs.
FURTHEST = 8.0

# A category in fewer rows than this cannot be distinguished from chance: ten rows, or 2 % of a small table.
RARE_ROWS = 10
RARE_SHARE = 0.02
MIN_ROWS = 2
MAX_CATEGORIES = 100  # one input each; more would make the first layer mostly categories
OTHER = "other"

WORD = re.compile(r"[^\W\d_]{2,}")
# A word needs more rows than a category: a cell has many, and first names are shared by a few per cent of
# people without meaning anything (on titanic 2 % cost half a point of accuracy against 4 %). A word in nearly
# every row says as little as one in nearly none.
RAREST_SHARE, COMMONEST_SHARE = 0.04, 0.95
MAX_WORDS = 50  # one input each; the most frequent are taken


class _Rule:
    """A rule as plain values, for JSON."""

    kind: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the fields as plain values."""
        return {"kind": self.kind} | {key: to_plain(value) for key, value in asdict(self).items()}  # type: ignore[arg-type]


@dataclass(frozen=True)
class NumberRule(_Rule):
    """Numbers, standardised: (f(x) - mean) / scale, clipped to +-8; missing values enter as the mean.

    Args:
        column: Name of the column.
        mean, scale: Of f(x) over the training rows. A column of two values, such as a flag, has the lower one
            and their distance instead, so that they enter as 0 and 1 like a category.
        unit: 0: f(x) = x. Else f(x) = sign(x) log(1 + |x| / unit), with the median size as unit, for
            columns with a long tail.
        flag: Whether a second input flags missing values (only if some were missing in training).
        written: How the numbers are written in text files.
    """

    kind: ClassVar[str] = "number"
    column: str
    mean: float
    scale: float
    unit: float = 0.0
    flag: bool = False
    written: NumberFormat = PLAIN

    def __post_init__(self) -> None:
        if isinstance(self.written, dict):  # from JSON
            plain = {key: from_plain(value) for key, value in self.written.items()}
            object.__setattr__(self, "written", NumberFormat(**plain))

    @classmethod
    def fit(cls, values: pl.Series, written: NumberFormat = PLAIN) -> Self:
        """Fit on training rows (Float64, nulls for missing values)."""
        present, flag = values.drop_nulls().to_numpy(), values.null_count() > 0
        levels = np.unique(present)
        if levels.size == 0:  # missing in all training rows: whatever comes later says nothing
            return cls(values.name, 0.0, LARGEST, flag=flag, written=written)
        if levels.size == 2:
            return cls(
                values.name, float(levels[0]), float(levels[1] - levels[0]), flag=flag, written=written
            )
        unit = _log_unit(present)
        mean, scale = mean_and_scale(log_scaled(present, unit)[:, None])
        return cls(values.name, float(mean[0]), float(scale[0]), unit, flag, written)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return (self.column, f"{self.column} {MISSING_MARK}") if self.flag else (self.column,)

    def scaled(self, series: pl.Series, marks: tuple[str, ...], *, new: bool = True) -> np.ndarray:
        """Return standardised numbers, `row`, however far they are; NaN where missing."""
        values = number_array(series, marks, self.written, new=new)
        return (log_scaled(values, self.unit) - self.mean) / self.scale

    def apply(self, series: pl.Series, marks: tuple[str, ...], *, new: bool = True) -> np.ndarray:
        """Return float32 inputs, `row feature`."""
        values = self.scaled(series, marks, new=new)
        missing = np.isnan(values)
        scaled = np.where(missing, 0.0, np.clip(values, -FURTHEST, FURTHEST))
        columns = [scaled, missing] if self.flag else [scaled]
        return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class CategoryRule(_Rule):
    """Categories, one input each (0 or 1).

    Args:
        column: Name of the column.
        categories: Those with their own input, the most frequent first.
        other: Whether rare categories share an input, which then also stands for unknown ones. If no category
            was rare in training, an unknown one enters as zeros, since no weight was learnt for it.
        missing: Whether missing values have an input (only if some were missing in training).
    """

    kind: ClassVar[str] = "category"
    column: str
    categories: tuple[str, ...]
    other: bool = False
    missing: bool = False

    @classmethod
    def fit(cls, values: pl.Series) -> Self:
        """Fit on training rows (String, nulls for missing values)."""
        counts = values.drop_nulls().alias("category").value_counts(name="rows")
        return cls.of_counts(values.name, dict(counts.iter_rows()), values.len(), values.null_count() > 0)

    @classmethod
    def of_counts(cls, column: str, counts: Mapping[str, int], rows: int, missing: bool) -> Self:
        """Fit on the rows that each category has, among so many training rows."""
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        frequent = [name for name, count in ordered if count >= min_rows(rows)][:MAX_CATEGORIES]
        return cls(column, tuple(frequent), len(frequent) < len(ordered), missing)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs."""
        marks = [mark for mark, used in ((OTHER, self.other), (MISSING_MARK, self.missing)) if used]
        return tuple(f"{self.column}={category}" for category in (*self.categories, *marks))

    def apply(self, series: pl.Series, marks: tuple[str, ...], *, new: bool = True) -> np.ndarray:
        """Return float32 inputs, `row feature`."""
        cells = text_cells(series, marks, self.categories)
        if new:
            cells = known_categories(series, cells, self.categories, rare=self.other)
        number = {category: i for i, category in enumerate(self.categories)}
        other, missing = len(number), len(number) + 1
        columns = [missing if cell is None else number.get(cell, other) for cell in cells]
        one_hot = np.zeros((len(cells), len(number) + 2), np.float32)
        one_hot[np.arange(len(cells)), np.array(columns, dtype=int)] = 1.0
        used = [*range(other), *([other] if self.other else []), *([missing] if self.missing else [])]
        return one_hot[:, used]


@dataclass(frozen=True)
class DateRule(_Rule):
    """Dates: days since 1970, and the time of year, week and day as points on a circle; those that vary.

    Args:
        column: Name of the column.
        format: How the dates are written; empty for columns of date type.
        parts: Which of these quantities are used.
        mean, scale: Of each quantity over the training rows. A missing date enters as the mean.
        flag: Whether an input flags missing dates (only if some were missing in training).
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
        """Fit on training rows (Datetime, nulls for missing values)."""
        quantities = date_quantities(values.drop_nulls())
        parts = _varying_parts(quantities)
        fitted = [mean_and_scale(quantities[part][:, None]) for part in parts]
        mean, scale = (tuple(float(pair[i][0]) for pair in fitted) for i in (0, 1))
        return cls(values.name, form, tuple(parts), mean, scale, values.null_count() > 0)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs."""
        flag = (f"{self.column} {MISSING_MARK}",) if self.flag else ()
        return tuple(f"{self.column} {part}" for part in self.parts) + flag

    def apply(self, series: pl.Series, marks: tuple[str, ...], *, new: bool = True) -> np.ndarray:
        """Return float32 inputs, `row feature`."""
        dates = read_dates(series, self.format, marks, new=new)
        quantities = date_quantities(dates)
        scaled = [(quantities[p] - m) / s for p, m, s in zip(self.parts, self.mean, self.scale, strict=True)]
        missing = dates.is_null().to_numpy()
        columns = [np.where(missing, 0.0, x) for x in scaled] + ([missing] if self.flag else [])
        return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class WordRule(_Rule):
    """Free text (names, descriptions): an input for each word that many rows share, 1 if the cell has it.

    Args:
        column: Name of the column.
        words: Runs of two or more letters in lower case, the most frequent first.
    """

    kind: ClassVar[str] = "words"
    column: str
    words: tuple[str, ...]

    @classmethod
    def fit(cls, values: pl.Series) -> Self:
        """Fit on training rows (String, nulls for missing values); no words if too few rows share any."""
        counts = Counter(word for cell in values.drop_nulls() for word in _words(cell))
        least = max(RARE_ROWS, RAREST_SHARE * values.len())
        most = COMMONEST_SHARE * values.len()
        shared = [(-rows, word) for word, rows in counts.items() if least <= rows <= most]
        return cls(values.name, tuple(word for _, word in sorted(shared)[:MAX_WORDS]))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(f"{self.column}~{word}" for word in self.words)

    def apply(self, series: pl.Series, marks: tuple[str, ...], *, new: bool = True) -> np.ndarray:
        """Return float32 inputs, `row feature`."""
        text = plain_text(series, marks).cast(pl.String)
        number = {word: i for i, word in enumerate(self.words)}
        inputs = np.zeros((text.len(), len(self.words)), np.float32)
        for row, cell in enumerate(text):
            inputs[row, [number[word] for word in _words(cell or "") if word in number]] = 1.0
        return inputs


Rule = NumberRule | CategoryRule | DateRule | WordRule
RULES: dict[str, Any] = {rule.kind: rule for rule in (NumberRule, CategoryRule, DateRule, WordRule)}


def fit_rule(train: pl.Series, typed: Typed) -> Rule:
    """Fit the rule for a column's type on its training rows; text that never repeats is read by its words."""
    if typed.kind == NUMBER:
        return NumberRule.fit(train, typed.written)
    if typed.kind == DATE:
        return DateRule.fit(train, typed.format)
    categories = CategoryRule.fit(train)
    by_words = typed.kind == TEXT or not categories.categories
    words = WordRule.fit(train) if by_words and not (typed.fixed and typed.kind != TEXT) else None
    return words if words is not None and words.words else categories


def rules_from(plain: list[dict[str, Any]]) -> tuple[Rule, ...]:
    """Build rules from plain values; the inverse of their `to_dict`."""
    values = [{key: from_plain(value) for key, value in rule.items()} for rule in plain]
    return tuple(RULES[str(rule.pop("kind"))](**rule) for rule in values)


def min_rows(count: int) -> int:
    """Return in how many of `count` training rows a category must occur to get an input."""
    return max(MIN_ROWS, min(RARE_ROWS, round(count * RARE_SHARE)))


def log_scaled(values: np.ndarray, unit: float) -> np.ndarray:
    """Return f(x) of `NumberRule`."""
    return np.sign(values) * np.log1p(np.abs(values) / unit) if unit else values


def _log_unit(values: np.ndarray) -> float:
    """Return the unit of the logarithm for a column with a long tail, else 0."""
    sizes = np.abs(values[values != 0])
    if sizes.size == 0 or abs(_skewness(values)) <= SKEWED:
        return 0.0
    unit = float(np.median(sizes))
    helps = abs(_skewness(log_scaled(values, unit))) <= abs(_skewness(values)) / 2
    return unit if helps else 0.0


def _skewness(values: np.ndarray) -> float:
    """Return the third standardised moment, 0 for a constant."""
    deviation = values.std()
    return float(np.mean(((values - values.mean()) / deviation) ** 3)) if deviation > 0 else 0.0


def date_quantities(dates: pl.Series) -> dict[str, np.ndarray]:
    """Return the quantities of `DateRule` by name, each `row`."""
    seconds = (
        dates.dt.hour().cast(pl.Int32) * 3600 + dates.dt.minute().cast(pl.Int32) * 60 + dates.dt.second()
    )
    cycles = {
        "year": (dates.dt.ordinal_day() - 1) / 365.25,
        "week": (dates.dt.weekday() - 1) / 7,
        "day": seconds / 86_400,
    }
    quantities = {"days": dates.dt.epoch("us").cast(pl.Float64).to_numpy() / 86_400e6}
    for name, cycle in cycles.items():
        angle = 2 * np.pi * cycle.cast(pl.Float64).to_numpy()
        quantities |= {f"{name} sine": np.sin(angle), f"{name} cosine": np.cos(angle)}
    return quantities


def _varying_parts(quantities: dict[str, np.ndarray]) -> list[str]:
    """Return the quantities that vary; year only over several years, week only for frequent dates."""
    days = quantities["days"]
    if days.size == 0:
        return []
    distinct = np.unique(days)
    step = float(np.median(np.diff(distinct))) if distinct.size > 1 else 0.0
    no_year, no_week = np.ptp(days) <= 366, step > 3.5
    return [
        name
        for name, x in quantities.items()
        if np.ptp(x) > 1e-9 and not (no_year and "year" in name) and not (no_week and "week" in name)
    ]


def _words(cell: str) -> set[str]:
    return {word.lower() for word in WORD.findall(cell)}
