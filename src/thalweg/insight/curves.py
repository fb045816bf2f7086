"""A run's columns as curves: one lane, sorted, thinned honestly to what an eye or a screen can hold.

Thinning keeps, for each bucket of neighbouring steps, the lowest, mean and highest value: a spike of one step
among 200,000 stays visible.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from thalweg.run.folder.record import Record


@dataclass(frozen=True)
class Curve:
    """Values over steps.

    Args:
        step: Ascending, `point`.
        value: `point`; NaN where nothing finite was recorded.
    """

    step: Float[np.ndarray, " point"]
    value: Float[np.ndarray, " point"]

    def __len__(self) -> int:
        return len(self.step)

    @property
    def finite(self) -> "Curve":
        """Only the points with a finite value."""
        keep = np.isfinite(self.value)
        return Curve(self.step[keep], self.value[keep])


@dataclass(frozen=True)
class Buckets:
    """A thinned curve: `bucket`-long arrays; NaN in a bucket without one finite value.

    Args:
        step: Mean step of each bucket.
        low, mean, high: Of the finite values in it.
        width: Steps in a bucket; 1 when nothing was thinned.
    """

    step: Float[np.ndarray, " bucket"]
    low: Float[np.ndarray, " bucket"]
    mean: Float[np.ndarray, " bucket"]
    high: Float[np.ndarray, " bucket"]
    width: int


def one_lane(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the lowest lane; a record of one run has no other."""
    if "lane" not in frame.columns or not frame.height:
        return frame
    return frame.filter(pl.col("lane") == frame["lane"].min())


def per_step(record: Record, column: str) -> Curve:
    """Return one column of steps.parquet: `loss`, `learning_rate` or `gradient_norm`."""
    return _curve(one_lane(record.steps), column)


def evaluated(record: Record, part: str, column: str) -> Curve:
    """Return one column of evaluations.parquet (`loss`, `metric`) for one part; the last at each step."""
    frame = one_lane(record.evaluations)
    if not {"part", "step"} <= set(frame.columns):
        return _curve(frame.clear(), column)
    return _curve(
        frame.filter(pl.col("part") == part).unique("step", keep="last", maintain_order=True), column
    )


def buckets(curve: Curve, most: int = 400) -> Buckets:
    """Thin a curve to at most `most` buckets of equally many steps each.

    Args:
        most: 400 buckets: about two screen pixels each in the widest figure of a report.
    """
    width = max(1, -(-len(curve) // most))
    steps, values = _blocks(curve.step, width), _blocks(curve.value, width)
    values = np.where(np.isfinite(values), values, np.nan)
    return Buckets(
        step=_over(np.nanmean, steps),
        low=_over(np.nanmin, values),
        mean=_over(np.nanmean, values),
        high=_over(np.nanmax, values),
        width=width,
    )


def smooth(curve: Curve, window: int) -> Curve:
    """Return centred running means over `window` points; shorter at the ends, blind to what is not finite."""
    if window <= 1 or len(curve) < 3:
        return curve
    finite = np.isfinite(curve.value)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, curve.value, 0.0), dtype=np.float64)])
    counts = np.concatenate([[0], np.cumsum(finite)])
    at = np.arange(len(curve))
    half = window // 2
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(curve))
    number = counts[high] - counts[low]
    means = (sums[high] - sums[low]) / np.maximum(number, 1)
    return Curve(curve.step, np.where(finite & (number > 0), means, np.nan))


def smoothing_window(points: int) -> int:
    """Return how many steps a smoothed curve averages: a fiftieth of the run, odd; 1 under 60 steps.

    A fiftieth keeps about 50 independent means, which is what a figure of this size can show.
    """
    return 1 if points < 60 else 2 * (points // 100) + 1


def _curve(frame: pl.DataFrame, column: str) -> Curve:
    if not frame.height or column not in frame.columns or "step" not in frame.columns:
        return Curve(np.zeros(0), np.zeros(0))
    frame = frame.sort("step")
    return Curve(
        frame["step"].cast(pl.Float64).to_numpy(), frame[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
    )


def _blocks(values: Float[np.ndarray, " point"], width: int) -> Float[np.ndarray, "bucket within"]:
    number = -(-len(values) // width)
    padded = np.full(number * width, np.nan)
    padded[: len(values)] = values
    return padded.reshape(number, width)


def _over(
    reduce: np.ufunc | object, blocks: Float[np.ndarray, "bucket within"]
) -> Float[np.ndarray, " bucket"]:
    """Apply a NaN-blind reduction where a bucket holds anything; elsewhere NaN (and no warning)."""
    found = np.full(len(blocks), np.nan)
    some = ~np.isnan(blocks).all(axis=1) if blocks.size else np.zeros(len(blocks), bool)
    if some.any():
        found[some] = reduce(blocks[some], axis=1)  # type: ignore[operator]
    return found
