"""`Landscape`: the loss on a plane through the weights, with the paths of runs on it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from thalweg.core.shown import Shown
from thalweg.core.stop_reason import StopReason
from thalweg.insight.landscape.heights import Scale, adaptive
from thalweg.insight.landscape.plane import PARAMETERS, RANDOM, Plane
from thalweg.insight.landscape.points import RECOMPUTED, Points, Progress
from thalweg.insight.wording import count, figure, percent, plural
from thalweg.run.trajectory import Trajectory

# Points along a side of the grid.
SIDE = 51
# Share of a path's distance that may lie off the plane before the picture says so.
OFF_PLANE = 0.5


@dataclass(frozen=True)
class Trail:
    """A run's path, seen on the plane.

    Args:
        name: Of the run.
        step: Updates made at each of its points, ascending.
        at: Coordinates of the nearest points of the plane, `time 2`.
        loss: The loss at the weights themselves, `time`, which may lie off the plane.
        off_plane: Median distance from the plane, as a share of the distance from the origin.
        stopped: Why training stopped.
    """

    name: str
    step: Int[np.ndarray, " time"]
    at: Float[np.ndarray, "time 2"]
    loss: Float[np.ndarray, " time"]
    off_plane: float = 0.0
    stopped: str | None = None


@dataclass(frozen=True)
class Marked:
    """A point of the plane with a name: the weights of a run."""

    name: str
    at: tuple[float, float]
    loss: float


@dataclass(frozen=True, repr=False)
class Landscape(Shown):
    """The loss on a plane.

    Args:
        name: What it is the loss of.
        x, y: Coordinates of the columns and of the rows, ascending.
        loss: `row column`.
        metric: The metric at the same points, `row column`; None where it was not computed.
        metric_name: Its name.
        plane: What the axes are.
        trails, marks: What is drawn on it.
        split, examples: What the loss was computed on.
        batch_norm: `frozen` or `recomputed`; None where the model has no running statistics.
        evaluated: Which points were evaluated, `row column`; the others are interpolated. None for all.
        error: Root mean square error of interpolated heights, as a share of the range; None without any.
        notes: What the reader should know besides.
        seconds: Time to compute it.
    """

    name: str
    x: Float[np.ndarray, " column"]
    y: Float[np.ndarray, " row"]
    loss: Float[np.ndarray, "row column"]
    plane: Plane = field(repr=False)
    trails: tuple[Trail, ...] = ()
    marks: tuple[Marked, ...] = ()
    metric: Float[np.ndarray, "row column"] | None = None
    metric_name: str = ""
    split: str = "train"
    examples: int = 0
    batch_norm: str | None = None
    evaluated: Bool[np.ndarray, "row column"] | None = None
    error: float | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def __repr__(self) -> str:
        """Return the sentences."""
        return "\n".join((self.headline, *self.sentences))

    @property
    def scale(self) -> Scale:
        """The scale on which its losses are drawn."""
        return Scale.of(self.loss)

    @property
    def evaluations(self) -> int:
        """Number of points that were evaluated."""
        return self.loss.size if self.evaluated is None else int(self.evaluated.sum())

    @property
    def lowest(self) -> tuple[float, float, float]:
        """Coordinates and loss of the lowest point of the grid."""
        place = int(np.argmin(np.where(np.isfinite(self.loss), self.loss, np.inf)))
        row, column = np.unravel_index(place, self.loss.shape)
        return float(self.x[column]), float(self.y[row]), float(self.loss[row, column])

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        finite = self.loss[np.isfinite(self.loss)]
        if not len(finite):
            return f"{self.name}: no point of the plane has a finite loss"
        low, high = figure(finite.min()), figure(finite.max())
        if self.plane.kind == PARAMETERS:
            return f"{self.name}: from {low} to {high}"
        return f"{self.name}: loss {low} to {high} on a plane through the weights"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was computed and how, a sentence each."""
        if self.plane.kind == PARAMETERS:
            first = f"{count(len(self.x))} x {count(len(self.y))} exact values."
        else:
            first = (
                f"{count(len(self.x))} x {count(len(self.y))} points on "
                f"{plural(self.examples, f'{self.split} example')}{_policy(self.batch_norm)}."
            )
        said = [first, self.plane.sentence]
        if self.evaluated is not None and self.error is not None:
            said.append(
                f"Adaptive: {count(self.evaluations)} points were evaluated, the others are interpolated; "
                f"contours are {off(self.error)} of the range off (root mean square at held-out points)."
            )
        for trail in self.trails:
            said.append(_about(trail, self.plane))
        outside = int((~np.isfinite(self.loss)).sum())
        if outside:
            said.append(
                f"{plural(outside, 'point')} had no finite loss; they are drawn as the highest level."
            )
        return (*said, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: coordinates, losses, paths."""
        return {
            "name": self.name,
            "plane": self.plane.kind,
            "axes": list(self.plane.names),
            "x": self.x.tolist(),
            "y": self.y.tolist(),
            "loss": self.loss.tolist(),
            "split": self.split,
            "examples": self.examples,
            "batch_norm": self.batch_norm,
            "evaluations": self.evaluations,
            "error": self.error,
            "paths": [
                {
                    "name": trail.name,
                    "step": trail.step.tolist(),
                    "at": trail.at.tolist(),
                    "loss": trail.loss.tolist(),
                    "off_plane": trail.off_plane,
                    "stopped": trail.stopped,
                }
                for trail in self.trails
            ],
            "marks": [mark.__dict__ for mark in self.marks],
            "seconds": self.seconds,
        }


def off(error: float) -> str:
    """Write the error of interpolated heights, in per cent of the range."""
    return percent(error, 1) if error >= 1e-3 else "less than 0.1 %"


def _policy(batch_norm: str | None) -> str:
    if batch_norm is None:
        return ""
    how = "recomputed at each" if batch_norm == RECOMPUTED else "frozen"
    return f", running statistics {how}"


def _about(trail: Trail, plane: Plane) -> str:
    losses = f"loss {figure(trail.loss[0])} to {figure(trail.loss[-1])}"
    end = f"{trail.name}: {plural(int(trail.step[-1]), 'update')}, {losses}"
    if trail.stopped == StopReason.DIVERGED:
        end += ", then it diverged"
    if trail.off_plane <= OFF_PLANE:
        return f"{end}."
    why = ": random directions hardly see a path" if plane.kind == RANDOM else ""
    return f"{end}. {percent(trail.off_plane, 0)} of its way is outside of this plane{why}."


def over(
    points: Points,
    plane: Plane,
    *,
    side: int = SIDE,
    few: bool = False,
    progress: Progress | None = None,
    name: str | None = None,
    **about: Any,
) -> Landscape:
    """Compute the loss over a plane's window.

    Args:
        points: Evaluates the loss.
        plane: Where.
        side: Points along a side.
        few: Whether to evaluate at most 300 points and interpolate the rest.
        progress: Receives how many of how many points are done.
        name: What it is the loss of; None for the name of the run.
        about: Further fields of the landscape.
    """
    started = time.perf_counter()
    low_x, high_x, low_y, high_y = plane.window
    x, y = np.linspace(low_x, high_x, side), np.linspace(low_y, high_y, side)

    def evaluate(at: np.ndarray) -> np.ndarray:
        return points.combined(plane.origin, plane.directions, at).loss

    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    found: Mapping[str, Any]
    if few:
        filled = adaptive(evaluate, x, y)
        found = {"loss": filled.loss, "evaluated": filled.evaluated, "error": filled.error}
    else:
        measured = points.combined(plane.origin, plane.directions, grid, progress)
        shape = len(y), len(x)
        found = {
            "loss": measured.loss.reshape(shape),
            "metric": measured.metric.reshape(shape),
            "metric_name": points.group.program.metric.name,
        }
    return Landscape(
        x=x,
        y=y,
        plane=plane,
        split=points.split,
        examples=points.examples,
        batch_norm=points.batch_norm if points.has_statistics else None,
        seconds=time.perf_counter() - started,
        **found,
        name=points.subject.name if name is None else name,
        **about,
    )


def trail(
    points: Points, plane: Plane, name: str, trajectory: Trajectory, weights: Sequence[Any] | None = None
) -> Trail:
    """Return a path as it is seen on a plane, with the loss at its points."""
    kept = trajectory.weights if weights is None else tuple(weights)
    finite = [all(np.isfinite(leaf).all() for leaf in _leaves(each)) for each in kept]
    shown = [each for each, whole in zip(kept, finite, strict=True) if whole]
    away = plane.distances(shown)
    stopped = None if trajectory.run is None else str(trajectory.run.result["stopped"])
    return Trail(
        name,
        trajectory.step[np.array(finite)],
        plane.coordinates(shown),
        points.at(shown).loss,
        float(np.median(away)) if plane.kind != PARAMETERS else 0.0,
        stopped,
    )


def _leaves(tree: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
