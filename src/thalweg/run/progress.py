"""What a training run reports while it runs: the plan, regular status updates, the end.

A listener is one object with four methods that return nothing; there is no registry of callbacks. Listeners
for people (a terminal, a log) are in `thalweg.view.progress`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class LaneStatus:
    """Status of one of many lanes.

    Args:
        lane: Its number among the recipes.
        label: The settings that vary, for people.
        step: Updates made.
        loss: Training loss, mean over its last chunk; NaN before the first.
        validation_loss, metric: Of its latest evaluation; NaN before the first.
        state: `running`, `waiting`, or why it stopped.
    """

    lane: int
    label: str
    step: int = 0
    loss: float = math.nan
    validation_loss: float = math.nan
    metric: float = math.nan
    state: str = "waiting"


@dataclass(frozen=True)
class TrainingPlan:
    """What is about to be trained.

    Args:
        name: The run's name, for people.
        total_steps: Updates in the whole run; None when open-ended.
        epoch_steps: Updates in one pass over the training split; None or 0 when there are no epochs.
        batch_size: Examples in an update; None when unknown.
        lanes: How many runs are trained together.
    """

    name: str
    total_steps: int | None = None
    epoch_steps: int | None = None
    batch_size: int | None = None
    lanes: int = 1


@dataclass(frozen=True)
class Status:
    """Status of a run, after a chunk or an evaluation.

    Args:
        step: Updates done.
        epoch: Passes over the training split, with the fraction; None when there are no epochs.
        loss: Training loss, mean since the previous status. NaN or inf once the run has diverged.
        learning_rate: Of the last update.
        validation_loss: The latest one; None before the first evaluation and without a validation split.
        metric_name: For example `accuracy`; None without an evaluation.
        metric: Its latest value on the validation split.
        examples_per_second: Recent speed, without compilation.
        seconds_left: Until the planned end, at that speed; None when unknown.
        lanes: Status of each lane. With more than one, the other figures are those of the median lane.
    """

    step: int
    epoch: float | None = None
    loss: float | None = None
    learning_rate: float | None = None
    validation_loss: float | None = None
    metric_name: str | None = None
    metric: float | None = None
    examples_per_second: float | None = None
    seconds_left: float | None = None
    lanes: tuple[LaneStatus, ...] = ()


class Progress(Protocol):
    """A listener to a run. Called from the training thread; must be quick and must not raise."""

    def start(self, plan: TrainingPlan) -> None:
        """Receive what is about to be trained. Called once, before anything is compiled."""
        ...

    def update(self, status: Status) -> None:
        """Receive the status. Called once for each chunk and evaluation."""
        ...

    def note(self, text: str) -> None:
        """Receive a message of one line: a file written, a fallback taken."""
        ...

    def finish(self, result: Mapping[str, Any]) -> None:
        """Receive the end; `result` is the object of result.json, empty if training failed."""
        ...


class Silent:
    """A listener that ignores everything: the default in a library, and `--quiet`."""

    def start(self, plan: TrainingPlan) -> None:
        """Ignore the plan."""

    def update(self, status: Status) -> None:
        """Ignore the status."""

    def note(self, text: str) -> None:
        """Ignore the message."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Ignore the end."""
