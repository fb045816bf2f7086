"""`Scene`: what stays the same while the playground trains: axes, examples, the grid of a picture."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from thalweg.insight.play.lanes import LaneSet
from thalweg.insight.play.sources import (
    CLASSES,
    CURVE,
    DRAWN,
    MOST_SHOWN,
    SURFACE,
    Points,
    Source,
    in_units,
    shown_points,
)
from thalweg.problem.data.data import REGRESSION, Data
from thalweg.problem.losses.outputs import probabilities
from thalweg.problem.problem import Problem

# Points along a side of a picture, along a curve, and along a side of a surface, which is drawn once.
SIDE, CURVE_POINTS, SURFACE_SIDE = 50, 160, 240
# Room around the examples, as a share of their extent.
MARGIN = 0.12
# The window of points drawn with the mouse, which does not move while they are drawn.
BOARD = (-1.1, 1.1, -1.1, 1.1)
# The most weights of an array that are drawn.
MOST_WEIGHTS = 128 * 128


@dataclass(frozen=True)
class Scene:
    """How a source is drawn.

    Args:
        kind: As of the source.
        window: Lowest and highest value across and up, in the unit of the data.
        names: Of the two axes.
        points: The examples; None for a surface.
        heights: Of a surface on its grid, `row column`, lowest row first; empty elsewhere.
        rows: What networks are given: the grid, then training and validation examples; and targets.
        counts: How many rows are the grid, training and validation examples.
    """

    kind: str
    window: tuple[float, float, float, float]
    names: tuple[str, str]
    points: Points | None
    heights: Float[np.ndarray, "row column"]
    rows: tuple[np.ndarray, np.ndarray]
    counts: tuple[int, int, int]

    @classmethod
    def of(cls, source: Source, data: Data | None) -> Self:
        """Return the scene of a source; without data it is a surface."""
        empty = np.zeros((0, 0))
        if data is None:
            shape = source.surface
            low0, high0, low1, high1 = shape.window
            across, up = np.linspace(low0, high0, SURFACE_SIDE), np.linspace(low1, high1, SURFACE_SIDE)
            heights = np.asarray(shape.height(*np.meshgrid(across, up)), np.float64)  # type: ignore[arg-type]
            return cls(SURFACE, shape.window, ("w0", "w1"), None, heights, (empty, empty), (0, 0, 0))
        points = shown_points(data, source.kind)
        window = BOARD if source.name == DRAWN else _window(points.at)
        grid = _grid(data, source.kind, window)
        pairs = [_examples(split) for split in (data.train, data.validation) if split is not None]
        targets = [np.repeat(pairs[0][1][:1], len(grid), axis=0), *(pair[1] for pair in pairs)]
        rows = np.concatenate([grid, *(pair[0] for pair in pairs)]), np.concatenate(targets)
        held = len(pairs[1][0]) if len(pairs) > 1 else 0
        counts = (len(grid), len(pairs[0][0]), held)
        return cls(source.kind, window, points.names, points, empty, rows, counts)

    def measure(self, lanes: LaneSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return for each lane what is drawn, the training loss, and the validation loss.

        What is drawn are the outputs on the grid; of a surface the point, whose height is its loss.
        """
        if self.kind == SURFACE:
            at = np.stack([np.asarray(lanes.params(lane).w) for lane in range(lanes.count)])
            heights = surface_heights(lanes.problem, at)
            return at, heights, np.full(len(at), np.nan)
        outputs, losses = lanes.look(*self.rows)
        grid, train, held = self.counts
        means = losses[:, grid : grid + train].mean(axis=1)
        kept = losses[:, grid + train :].mean(axis=1) if held else np.full(len(losses), np.nan)
        return outputs[:, :grid], means, kept

    def picture(self, problem: Problem, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """Return what a browser draws of the outputs on the grid.

        Returns:
            For classes `winner` (the class that leads at each point) and `certainty` (its probability, from
            that of chance, 0, to 1, 255), uint8; for numbers `value`, float32, in the unit of the target;
            of a surface `value`, its point.
        """
        if self.kind == SURFACE:
            return {"value": outputs.astype(np.float32)}
        if self.kind == CLASSES:
            shares = probabilities(outputs.astype(np.float64), problem.outputs)
            assert shares is not None
            known = np.isfinite(shares).all(axis=-1)
            chance = 1 / shares.shape[-1]
            lead = np.where(known, (shares.max(axis=-1) - chance) / (1 - chance), 0.0)
            winner = np.where(known, shares.argmax(axis=-1), 0)
            return {"winner": winner.astype(np.uint8), "certainty": np.rint(255 * lead).astype(np.uint8)}
        answers = problem.data.preparation.answers(outputs, REGRESSION, problem.outputs)["prediction"]
        return {"value": np.asarray(answers, np.float32).reshape(-1)}


def surface_heights(problem: Problem, at: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, " point"]:
    """Return the height of a surface at some points."""
    height = problem.objective.function  # type: ignore[union-attr]
    return _heights(height.surface, at)


def _heights(name: str, at: np.ndarray) -> np.ndarray:
    from_name = Source(name, SURFACE).surface.height
    return np.asarray(from_name(at[:, 0].astype(np.float64), at[:, 1].astype(np.float64)))  # type: ignore[arg-type]


def _window(at: np.ndarray) -> tuple[float, float, float, float]:
    low, high = at.min(axis=0), at.max(axis=0)
    room = MARGIN * np.where(high > low, high - low, 1.0)
    (low0, low1), (high0, high1) = low - room, high + room
    return float(low0), float(high0), float(low1), float(high1)


def _grid(data: Data, kind: str, window: tuple[float, float, float, float]) -> Float[np.ndarray, "point x"]:
    """Return the points of the picture, as the model receives them."""
    mean, scale, _ = in_units(data)
    low0, high0, low1, high1 = window
    if kind == CURVE:
        points = np.linspace(low0, high0, CURVE_POINTS)[:, None]
    else:
        axes = np.linspace(low0, high0, SIDE), np.linspace(low1, high1, SIDE)
        points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    return ((points - mean) / scale).astype(np.float32)


def _examples(split: Any) -> tuple[np.ndarray, np.ndarray]:
    rows = split.fewer(MOST_SHOWN)
    inputs, targets = rows.batch(np.arange(rows.count(), dtype=np.int32))
    return np.asarray(inputs, np.float32), np.asarray(targets)


def drawn_weights(params: Any) -> list[tuple[str, Int[np.ndarray, "row column"], float]]:
    """Return the matrices of a network from its first layer on.

    Returns:
        For each its name, its entries as shares of the largest one (int8, 127 for 1), and the largest one.
    """
    drawn = []
    for number, layer in enumerate(getattr(params, "layers", ())):
        matrix = np.asarray(layer.weight, np.float64)
        if matrix.size > MOST_WEIGHTS or not np.isfinite(matrix).all():
            continue
        largest = float(np.abs(matrix).max()) or 1.0
        drawn.append((f"layer {number + 1}", np.rint(127 * matrix / largest).astype(np.int8), largest))
    return drawn
