"""A run's logged columns as arrays to read and draw: curves over steps, and the norms of each parameter.

Curves are thinned without hiding anything: each bucket of neighbouring steps keeps its lowest, mean and
highest value, so a spike of one step among 200,000 stays visible.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from thalweg.run.folder.record import Record

# Roles that make up most of a network; the others (biases, scales) are left out of crowded figures.
BULK = ("matrix", "kernel", "embedding")


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
        """The points with a finite value."""
        keep = np.isfinite(self.value)
        return Curve(self.step[keep], self.value[keep])


@dataclass(frozen=True)
class Buckets:
    """A thinned curve; NaN in a bucket without a finite value.

    Args:
        step: Mean step of each bucket.
        low, mean, high: Of the finite values in it.
        width: Steps in a bucket; 1 where nothing was thinned.
    """

    step: Float[np.ndarray, " bucket"]
    low: Float[np.ndarray, " bucket"]
    mean: Float[np.ndarray, " bucket"]
    high: Float[np.ndarray, " bucket"]
    width: int


@dataclass(frozen=True)
class LayerHistory:
    """Norms of each parameter over time; NaN where none was recorded.

    Args:
        paths: The parameters, in the model's order.
        step: `time`.
        weight_norm, gradient_norm, update_norm: Euclidean norms, `parameter time`; the update norm is that of
            one update, right after the step.
    """

    paths: tuple[str, ...]
    step: Float[np.ndarray, " time"]
    weight_norm: Float[np.ndarray, "parameter time"]
    gradient_norm: Float[np.ndarray, "parameter time"]
    update_norm: Float[np.ndarray, "parameter time"]

    @property
    def update_ratio(self) -> Float[np.ndarray, "parameter time"]:
        """Norm of one update relative to that of the weights; NaN where all weights are zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.update_norm / self.weight_norm
        return np.where(np.isfinite(ratio), ratio, np.nan)

    @property
    def unmoved(self) -> list[str]:
        """Parameters with at least two recorded updates, all of them exactly zero."""
        zeros = (self.update_norm == 0.0).sum(axis=1)
        recorded = np.isfinite(self.update_norm).sum(axis=1)
        return [path for path, z, r in zip(self.paths, zeros, recorded, strict=True) if z == r >= 2]

    def only(self, paths: set[str]) -> "LayerHistory":
        """Return the history of some parameters."""
        rows = [row for row, path in enumerate(self.paths) if path in paths]
        norms = (norm[rows] for norm in (self.weight_norm, self.gradient_norm, self.update_norm))
        return LayerHistory(tuple(self.paths[row] for row in rows), self.step, *norms)


def one_lane(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the lowest lane; the record of one run has no other."""
    if "lane" not in frame.columns or not frame.height:
        return frame
    return frame.filter(pl.col("lane") == frame["lane"].min())


def per_step(record: Record, column: str) -> Curve:
    """Return one column of steps.parquet: `loss`, `learning_rate` or `gradient_norm`."""
    return _curve(one_lane(record.steps), column)


def evaluated(record: Record, split: str, column: str) -> Curve:
    """Return one column of evaluations.parquet (`loss`, `metric`) on one split; the last row of each step."""
    frame = one_lane(record.evaluations)
    if not {"part", "step"} <= set(frame.columns):
        return _curve(frame.clear(), column)
    rows = frame.filter(pl.col("part") == split).unique("step", keep="last", maintain_order=True)
    return _curve(rows, column)


def buckets(curve: Curve, most: int = 400) -> Buckets:
    """Thin a curve to at most `most` buckets of equally many steps.

    Args:
        most: 400 buckets are about two screen pixels each in the widest figure of a report.
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
    """Return centred running means over `window` points, shorter at the ends, of finite values only."""
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
    """Return how many steps to average: a fiftieth of the run, an odd number; 1 under 60 steps.

    A fiftieth keeps about 50 independent means, as many as a figure of this size can show.
    """
    return 1 if points < 60 else 2 * (points // 100) + 1


def layer_history(record: Record) -> LayerHistory | None:
    """Read layers.parquet; None where the run recorded nothing per layer."""
    frame = one_lane(record.layers)
    if not frame.height or not {"step", "path"} <= set(frame.columns):
        return None
    order = {layer.get("path"): number for number, layer in enumerate(layer_table(record))}
    paths = frame["path"].unique(maintain_order=True).to_list()
    paths.sort(key=lambda path: order.get(path, len(order)))
    steps = frame["step"].unique().sort().to_numpy()
    row_of = {path: row for row, path in enumerate(paths)}
    rows = np.array([row_of[path] for path in frame["path"]])
    columns = np.searchsorted(steps, frame["step"].to_numpy())

    def grid(name: str) -> Float[np.ndarray, "parameter time"]:
        values = np.full((len(paths), len(steps)), np.nan)
        if name in frame.columns:
            values[rows, columns] = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return values

    norms = map(grid, ("weight_norm", "gradient_norm", "update_norm"))
    return LayerHistory(tuple(paths), steps.astype(float), *norms)


def bulk(record: Record, history: LayerHistory, most: int = 30) -> LayerHistory:
    """Return all parameters if they are at most `most`, else only matrices, kernels and embeddings."""
    if len(history.paths) <= most:
        return history
    roles = {layer.get("path"): layer.get("role") for layer in layer_table(record)}
    chosen = {p for p in history.paths if roles.get(p, BULK[0]) in BULK and not p.endswith("bias")}
    return history.only(chosen) if chosen else history


def layer_table(record: Record) -> list[dict[str, Any]]:
    """Return the rows of problem.json's layer table: path, shape, role, count."""
    model = record.problem.get("model")
    layers = model.get("layers") if isinstance(model, dict) else None
    return [dict(layer) for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


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
    reduce: Callable[..., Any], blocks: Float[np.ndarray, "bucket within"]
) -> Float[np.ndarray, " bucket"]:
    """Reduce each bucket that holds a value, ignoring NaN; the others are NaN, without a warning."""
    result = np.full(len(blocks), np.nan)
    some = ~np.isnan(blocks).all(axis=1) if blocks.size else np.zeros(len(blocks), bool)
    if some.any():
        result[some] = reduce(blocks[some], axis=1)
    return result
