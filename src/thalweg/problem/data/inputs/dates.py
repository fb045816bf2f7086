"""How a column of dates becomes input numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.array import standard_figures
from thalweg.problem.data.inputs.column_types import MISSING_MARK, dates_read


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
        kept = _date_parts(figures)
        found = [standard_figures(figures[name][:, None]) for name in kept]
        mean, scale = (tuple(float(pair[i][0]) for pair in found) for i in (0, 1))
        return cls(values.name, form, tuple(kept), mean, scale, values.null_count() > 0)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs that it makes."""
        flag = (f"{self.column} {MISSING_MARK}",) if self.flag else ()
        return tuple(f"{self.column} {part}" for part in self.parts) + flag

    def apply(self, series: pl.Series, marks: tuple[str, ...]) -> np.ndarray:
        """Return float32 inputs, `row feature`."""
        dates = dates_read(series, self.format, marks)
        figures = _date_figures(dates)
        scaled = [(figures[p] - m) / s for p, m, s in zip(self.parts, self.mean, self.scale, strict=True)]
        absent = dates.is_null().to_numpy()
        columns = [np.where(absent, 0.0, x) for x in scaled] + ([absent] if self.flag else [])
        return np.stack(columns, axis=1).astype(np.float32)


def _date_figures(dates: pl.Series) -> dict[str, np.ndarray]:
    days = dates.dt.epoch("us").cast(pl.Float64).to_numpy() / 86_400e6
    seconds = (
        dates.dt.hour().cast(pl.Int32) * 3600 + dates.dt.minute().cast(pl.Int32) * 60 + dates.dt.second()
    )
    places = {
        "year": (dates.dt.ordinal_day() - 1) / 365.25,
        "week": (dates.dt.weekday() - 1) / 7,
        "day": seconds / 86_400,
    }
    figures = {"days": days}
    for name, place in places.items():
        angle = 2 * np.pi * place.cast(pl.Float64).to_numpy()
        figures |= {f"{name} sine": np.sin(angle), f"{name} cosine": np.cos(angle)}
    return figures


def _date_parts(figures: dict[str, np.ndarray]) -> list[str]:
    """Parts that can mean something: those that vary; the year over several; weeks for frequent dates."""
    days = figures["days"]
    if days.size == 0:
        return []
    distinct = np.unique(days)
    step = float(np.median(np.diff(distinct))) if distinct.size > 1 else 0.0
    no_year, no_week = np.ptp(days) <= 366, step > 3.5
    return [
        name
        for name, x in figures.items()
        if np.ptp(x) > 1e-9 and not (no_year and "year" in name) and not (no_week and "week" in name)
    ]
