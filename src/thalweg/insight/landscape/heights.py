"""Heights: losses on the scale on which they are drawn, from 0 to 1, and how well a few points give them all.

A loss surface spans decades: on a linear scale most of a picture is one flat valley. So a wide range is drawn
on a logarithmic scale, and what lies above the top level is cut off there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.interpolate import RBFInterpolator

# Ratio of highest to lowest loss from which the scale is logarithmic, as for curves.
WIDE = 8.0
# The scale is logarithmic in the distance from the lowest loss, and this share of the range is its unit: a
# minimum of zero has a height too.
FLOOR = 1e-3
# Share of the points that lie below the top of the scale; the rest are cut off.
SHOWN = 0.98
# Adaptive mode: side of the first grid, points that are held out to measure the error, points of a round.
FIRST_SIDE, HELD_OUT, ROUND = 9, 24, 24
MOST_EVALUATIONS = 300
# The error at which no more points are evaluated, as a share of the range.
SETTLED = 0.01

Evaluate = Callable[[Float[np.ndarray, "point 2"]], Float[np.ndarray, " point"]]


@dataclass(frozen=True)
class Scale:
    """The scale on which losses are drawn.

    Args:
        low, high: Losses at heights 0 and 1.
        log: Whether heights are logarithmic.
    """

    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, losses: Float[np.ndarray, "*shape"]) -> "Scale":
        """Return the scale for some losses; those that are not finite lie above it."""
        known = losses[np.isfinite(losses)]
        if not len(known):
            return cls(0.0, 1.0, False)
        low, high = float(known.min()), float(np.quantile(known, SHOWN))
        if not high > low:
            high = low + (abs(low) * 0.1 or 1.0)
        middle = float(np.median(known))
        return cls(low, high, bool(high - low > WIDE * (middle - low)) or bool(low > 0 and high > WIDE * low))

    def height(self, losses: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return heights: 0 and 1 at the ends, beyond them below 0 and above 1; 2 where nothing is finite."""
        unit = FLOOR * (self.high - self.low)
        with np.errstate(invalid="ignore", over="ignore"):
            above = (np.asarray(losses, float) - self.low) / (self.high - self.low)
            if self.log:
                shifted = np.maximum(np.asarray(losses, float) - self.low, 0.0) + unit
                above = np.log(shifted / unit) / np.log((self.high - self.low + unit) / unit)
        return np.where(np.isfinite(above), above, 2.0)

    def loss(self, height: float) -> float:
        """Return the loss at a height."""
        if not self.log:
            return self.low + height * (self.high - self.low)
        unit = FLOOR * (self.high - self.low)
        return self.low + unit * (((self.high - self.low + unit) / unit) ** height - 1)


@dataclass(frozen=True)
class Interpolated:
    """A grid of which only some points were evaluated.

    Args:
        loss: `row column`, evaluated or interpolated.
        evaluated: Which were evaluated, `row column`.
        error: Root mean square error of the heights at points that were held out, as a share of the range.
        held_out: Number of these points.
    """

    loss: Float[np.ndarray, "row column"]
    evaluated: Bool[np.ndarray, "row column"]
    error: float
    held_out: int


def adaptive(
    evaluate: Evaluate,
    x: Float[np.ndarray, " column"],
    y: Float[np.ndarray, " row"],
    *,
    most: int = MOST_EVALUATIONS,
    seed: int = 0,
) -> Interpolated:
    """Fill a grid from few evaluations: a coarse grid, then rounds where two interpolations differ most.

    Heights between evaluated points are those of a thin-plate spline (Duchon 1977; SciPy's
    `RBFInterpolator`). Its error is measured at points that it is not fitted to, drawn at random at the
    start; they enter the spline in the end. So the error that is stated is an upper estimate.

    Args:
        evaluate: Returns the losses at coordinates.
        x, y: Coordinates of the grid.
        most: The most evaluations.
        seed: Of the held-out points.
    """
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    places = (grid - grid.min(axis=0)) / np.ptp(grid, axis=0)
    losses = np.full(len(grid), np.nan)
    known, held = _first_points(len(x), len(y), seed)
    both = np.concatenate([known, held])
    losses[both] = evaluate(grid[both])
    while True:
        scale = Scale.of(losses[both])
        heights = np.clip(scale.height(losses), 0.0, 1.0)
        drawn = _spline(places[known], heights[known], places)
        error = float(np.sqrt(np.mean((np.clip(drawn[held], 0.0, 1.0) - heights[held]) ** 2)))
        room = most - len(both)
        if error <= SETTLED or room < 1:
            break
        chosen = _next_points(places, heights, known, both, drawn, min(ROUND, room))
        losses[chosen] = evaluate(grid[chosen])
        known, both = np.concatenate([known, chosen]), np.concatenate([both, chosen])
    drawn = _spline(places[both], heights[both], places)
    filled = np.array([scale.loss(min(max(height, 0.0), 1.0)) for height in drawn])
    filled[both] = losses[both]
    evaluated = np.zeros(len(grid), bool)
    evaluated[both] = True
    shape = len(y), len(x)
    return Interpolated(filled.reshape(shape), evaluated.reshape(shape), error, len(held))


def _first_points(columns: int, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of a coarse grid, and of random points beside it."""
    across, down = (
        np.unique(np.linspace(0, n - 1, min(FIRST_SIDE, n)).round().astype(int)) for n in (columns, rows)
    )
    coarse = (down[:, None] * columns + across).ravel()
    rest = np.setdiff1d(np.arange(rows * columns), coarse)
    drawn = np.random.default_rng(seed).permutation(rest)[: min(HELD_OUT, len(rest))]
    return coarse, drawn


def _next_points(
    places: np.ndarray,
    heights: np.ndarray,
    known: np.ndarray,
    taken: np.ndarray,
    drawn: np.ndarray,
    number: int,
) -> np.ndarray:
    """Return the points at which the spline differs most from a rougher one, spread over the picture."""
    rough = _spline(places[known], heights[known], places, kernel="linear")
    doubt = np.abs(np.clip(drawn, -0.5, 1.5) - np.clip(rough, -0.5, 1.5)) + 1e-9
    nearest = np.full(len(places), np.inf)
    for point in taken:
        nearest = np.minimum(nearest, np.linalg.norm(places - places[point], axis=1))
    chosen: list[int] = []
    for _ in range(number):
        best = int(np.argmax(doubt * nearest))
        if not nearest[best] > 0:
            break
        chosen.append(best)
        nearest = np.minimum(nearest, np.linalg.norm(places - places[best], axis=1))
    return np.array(chosen, int)


def _spline(
    at: np.ndarray, heights: np.ndarray, places: np.ndarray, kernel: str = "thin_plate_spline"
) -> Float[np.ndarray, " point"]:
    return RBFInterpolator(at, heights, kernel=kernel)(places)
