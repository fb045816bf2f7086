"""Axes: from values to shares of a plot's width or height, with round tick marks."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thalweg.insight.wording import figure

FARTHEST = 690.0  # largest logarithm: exp(690) is about 1e299, near the largest float


@dataclass(frozen=True)
class Axis:
    """A range of values.

    Args:
        low, high: Ends, low < high; positive when logarithmic.
        log: Whether equal ratios are equally long.
    """

    low: float
    high: float
    log: bool = False

    def position(self, values: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """Return positions, 0 at `low` and 1 at `high`; NaN for values without a position."""
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = np.log(values) if self.log else np.asarray(values, float)
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        share = (scaled - low) / (high - low)
        return np.where(np.isfinite(share), share, np.nan)

    def ticks(self, most: int = 6) -> list[float]:
        """Return at most `most` round values within the range, ascending."""
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)


def axis_over(values: Float[np.ndarray, " n"], *, log: bool = False, margin: float = 0.04) -> Axis:
    """Return an axis that shows all finite values (all positive ones, when logarithmic) with a margin.

    Args:
        margin: Room at either end, as a share of the range.
    """
    with np.errstate(invalid="ignore"):
        shown = values[np.isfinite(values) & ((values > 0) if log else True)]
    if not len(shown):
        return Axis(0.1, 1.0, log) if log else Axis(0.0, 1.0)
    low, high = float(shown.min()), float(shown.max())
    if log:
        reach = margin * (math.log(high) - math.log(low)) or math.log(1.5)
        ends = math.log(low) - reach, math.log(high) + reach
        return Axis(math.exp(max(ends[0], -FARTHEST)), math.exp(min(ends[1], FARTHEST)), log)
    if high == low:
        reach = abs(high) * 0.1 or 1.0
        return Axis(low - reach, high + reach)
    return Axis(low - margin * (high - low), high + margin * (high - low))


def tick_text(value: float) -> str:
    """Write the value of a tick briefly: `0.05`, `20k`, `1e-05`."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if limit <= abs(value) < 1e12:
            return f"{value / (1e3 if unit == 'k' else limit):g}{unit}"
    text = f"{value:.10g}"
    return figure(value, 3) if "e" in text else text


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 2.5, 5, 10, 20, 25, 50):
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]
    return [low, high]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Prefer 1-2-5 steps, then decades, then every few decades; linear ticks within one step."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1, 3), (1,)):
        ticks = [f * 10.0**d for d in decades for f in factors if low <= f * 10.0**d <= high]
        if len(ticks) <= most:
            break
    else:
        every = -(-len(ticks) // most)
        ticks = ticks[::every]
    return ticks if len(ticks) >= 2 else _linear_ticks(low, high, most)
