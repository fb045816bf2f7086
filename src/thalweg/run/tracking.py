"""Experiment trackers: what a run reports to them, and the promise that none of them stops a run.

The trackers themselves are in `thalweg.doors.trackers`; one of your own is an object with three methods.
"""

import contextlib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from thalweg.core.errors import RecipeError
from thalweg.run.progress import Broadcast, LaneStatus, Progress, Silent, Status, TrainingPlan

_METHODS = ("start", "log", "finish")


class Tracker(Protocol):
    """Receives the figures of a run while it trains, in the thread that trains. May raise."""

    def start(self, plan: TrainingPlan) -> None:
        """Receive the run's name, its number of lanes and their settings. Called once, before the rest."""
        ...

    def log(self, step: int, figures: Mapping[str, float], lane: int) -> None:
        """Receive new figures of a lane, by name, after so many of its updates.

        The steps of a lane never decrease. `loss` (mean over a chunk of updates) and `learning_rate` come
        after each chunk, `validation_loss` and the metric, by its own name, after each evaluation.
        """
        ...

    def finish(self, result: Mapping[str, Any]) -> None:
        """Receive the end; `result` is the object of result.json, empty if training failed."""
        ...


def tracked(progress: Progress, trackers: Sequence[Tracker]) -> Progress:
    """Return a listener that also reports to trackers.

    Raises:
        RecipeError: One of them is no tracker.
    """
    for tracker in trackers:
        if isinstance(tracker, type) or not all(callable(getattr(tracker, name, None)) for name in _METHODS):
            rule, hint = "must be trackers", 'for example trackers=[tw.trackers.TensorBoard("logs")]'
            raise RecipeError("trackers", rule, got=tracker, hint=hint)
    return Broadcast([progress, *map(Tracking, trackers)]) if len(trackers) else progress


class Tracking(Silent):
    """A listener that passes new figures of every lane to a tracker, until the tracker fails.

    Args:
        tracker: The tracker.
    """

    def __init__(self, tracker: Tracker):
        self._tracker, self._works = tracker, True
        self._logged: dict[int, LaneStatus] = {}

    def start(self, plan: TrainingPlan) -> None:
        """Pass on the plan."""
        self._logged = {}
        self._call(self._tracker.start, plan)

    def update(self, status: Status) -> None:
        """Pass on what is new of each lane."""
        rate = status.learning_rate if len(status.lanes) == 1 else None
        for lane in status.lanes:
            before = self._logged.get(lane.lane, LaneStatus(lane.lane, lane.label))
            if figures := _new_figures(lane, before, rate, status.metric_name or "metric"):
                self._logged[lane.lane] = lane
                self._call(
                    lambda lane=lane, figures=figures: self._tracker.log(lane.step, figures, lane.lane)
                )

    def finish(self, result: Mapping[str, Any]) -> None:
        """Pass on the end."""
        self._call(self._tracker.finish, result)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self._works:
            return
        try:
            function(*arguments)
        except Exception as error:
            self._works = False
            name = type(self._tracker).__name__
            with contextlib.suppress(Warning):  # where warnings are errors, this one must not end the run
                warnings.warn(
                    f"{name} failed and receives nothing more of this run: {type(error).__name__}: {error}",
                    stacklevel=2,
                )


def _new_figures(lane: LaneStatus, before: LaneStatus, rate: float | None, metric: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    if lane.step > before.step:
        figures["loss"] = lane.loss
        if rate is not None:
            figures["learning_rate"] = rate
    evaluation = {"validation_loss": lane.validation_loss, metric: lane.metric}
    if list(evaluation.values()) != [before.validation_loss, before.metric]:
        figures |= {name: value for name, value in evaluation.items() if not math.isnan(value)}
    return figures


def lane_names(plan: TrainingPlan) -> list[str]:
    """Return a name for each lane: that of the run, with `-lane-000` and so on for the lanes of a sweep."""
    if plan.lanes == 1:
        return [plan.name]
    return [f"{plan.name}-lane-{lane:03d}" for lane in range(plan.lanes)]


def settings_of(settings: Sequence[Mapping[str, Any]], lane: int) -> dict[str, Any]:
    """Return the settings of a lane that are set; empty where the plan has none."""
    known = settings[lane] if lane < len(settings) else {}
    return {name: value for name, value in known.items() if value is not None}


def end_figures(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the test figures of a single run's result; empty where there are none."""
    metric = result.get("test_metric")
    figures: dict[str, Any] = {"test_loss": result.get("test_loss")}
    if isinstance(metric, Mapping):
        figures[f"test_{metric.get('name')}"] = metric.get("value")
    return {name: float(value) for name, value in figures.items() if isinstance(value, (int, float))}
