"""What a training run reports while it runs: the plan, regular status updates, the end.

A listener is one object with four methods that return nothing, or a function of a status, such as `print`;
there is no registry of callbacks. Listeners for a terminal, a log and a notebook are in `thalweg.view`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from thalweg.core.errors import BadInput, RecipeError

_METHODS = ("start", "update", "note", "finish")


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
        settings: The settings of each lane's recipe by path, such as `optimizer.lr`; may be empty.
    """

    name: str
    total_steps: int | None = None
    epoch_steps: int | None = None
    batch_size: int | None = None
    lanes: int = 1
    settings: Sequence[Mapping[str, Any]] = ()


class CallerStops:
    """What a caller wants stopped in a run that trains. Heeded before the next chunk.

    Args:
        lanes: How many lanes the run has.

    Attributes:
        everything: Whether the whole run was asked to stop; its folder can then be resumed.
        lanes: Lanes that were asked to stop while the others go on.
    """

    def __init__(self, lanes: int):
        self._count = lanes
        self.everything = False
        self.lanes: set[int] = set()

    def add(self, lane: int | None) -> None:
        """Ask for a lane to stop; None, or the only lane, stops the run.

        Raises:
            BadInput: There is no such lane.
        """
        known = isinstance(lane, int) and not isinstance(lane, bool) and 0 <= lane < self._count
        if lane is not None and not known:
            hint = f"a number from 0 to {self._count - 1}, or nothing for the whole run"
            raise BadInput("stop", "must be given a lane of the run", got=lane, hint=hint)
        if lane is None or self._count == 1:
            self.everything = True
        else:
            self.lanes.add(lane)


@dataclass(frozen=True)
class Status:
    """Status of a run, after a chunk or an evaluation: the event that `stream_train` yields.

    As text it is one line.

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
        total_steps: Updates in the whole run; None when unknown.
        evaluated: Whether it follows an evaluation; otherwise it follows a chunk of updates.
        note: A message of one line, for a listener that is a function; then there are no new figures.
        requests: Where `stop` asks; None outside of training.
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
    total_steps: int | None = None
    evaluated: bool = False
    note: str | None = None
    requests: CallerStops | None = field(default=None, repr=False, compare=False)

    @property
    def figures(self) -> dict[str, float]:
        """The known figures: `loss`, `learning_rate`, `validation_loss`, and the metric by its name."""
        if self.note is not None:
            return {}
        figures = {
            "loss": self.loss,
            "learning_rate": self.learning_rate,
            "validation_loss": self.validation_loss,
            self.metric_name or "metric": self.metric,
        }
        return {name: value for name, value in figures.items() if value is not None}

    def stop(self, lane: int | None = None) -> None:
        """Stop the run, or one lane of many, before its next chunk of updates.

        What was asked to stop is evaluated and kept as after any other end. Its stop reason is `caller`. The
        folder of a run that was stopped as a whole can be resumed, which takes the run to its planned end.

        Args:
            lane: Its number; None for the whole run.

        Raises:
            BadInput: There is no such lane, or no run is being trained.
        """
        if self.requests is None:
            rule, hint = "needs a run that is being trained", "call it inside the loop over stream_train"
            raise BadInput("stop", rule, got=f"a status at step {self.step}", hint=hint)
        self.requests.add(lane)

    def __str__(self) -> str:
        """Return one line: the note, or the step and the figures."""
        if self.note is not None:
            return self.note
        total = f"/{self.total_steps}" if self.total_steps else ""
        named = [f"{name.replace('_', ' ')} {value:.4g}" for name, value in self.figures.items()]
        return ", ".join([f"step {self.step}{total}", *named])


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


class FunctionListener:
    """A listener that calls a function with each status. Messages, start and end are statuses with a `note`.

    Args:
        function: Such as `print`.
    """

    def __init__(self, function: Callable[[Status], Any]):
        self._function, self._name, self._last = function, "run", Status(0)

    def start(self, plan: TrainingPlan) -> None:
        """Pass on the plan."""
        self._name, self._last = plan.name, Status(0, total_steps=plan.total_steps)
        lanes = f", {plan.lanes} lanes" if plan.lanes > 1 else ""
        length = "" if plan.total_steps is None else f": {plan.total_steps} steps"
        self.note(f"{plan.name}{length}{lanes}")

    def update(self, status: Status) -> None:
        """Pass on the status."""
        self._last = status
        self._function(status)

    def note(self, text: str) -> None:
        """Pass on a message."""
        self._function(replace(self._last, note=text))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Pass on how the run ended, and its test metric."""
        reasons, metric = result.get("stopped"), result.get("test_metric")
        stopped = (
            ", ".join(f"{n} {why}" for why, n in reasons.items()) if isinstance(reasons, dict) else reasons
        )
        words = [f"{self._name}: " + (f"stopped ({stopped})" if stopped else "aborted")]
        if isinstance(metric, Mapping) and metric.get("value") is not None:
            words.append(f"test {metric.get('name')} {metric['value']:.4g}")
        self._last = replace(self._last, requests=None)
        self.note(", ".join(words))


class Broadcast:
    """A listener that passes everything on to several others."""

    def __init__(self, listeners: Iterable[Progress]):
        self._listeners = tuple(listeners)

    def start(self, plan: TrainingPlan) -> None:
        """Pass on the plan."""
        for each in self._listeners:
            each.start(plan)

    def update(self, status: Status) -> None:
        """Pass on the status."""
        for each in self._listeners:
            each.update(status)

    def note(self, text: str) -> None:
        """Pass on a message."""
        for each in self._listeners:
            each.note(text)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Pass on the end."""
        for each in self._listeners:
            each.finish(result)


def listener(progress: Progress | Callable[[Status], Any] | bool | None) -> Progress:
    """Return a listener: the object itself, one that calls a function, or a silent one for None and False.

    Raises:
        RecipeError: It is none of these.
    """
    if progress is None or progress is False:
        return Silent()
    is_object = not isinstance(progress, type)
    if is_object and all(callable(getattr(progress, name, None)) for name in _METHODS):
        return progress  # type: ignore[return-value]
    if is_object and callable(progress):
        return FunctionListener(progress)
    rule, hint = "must be a function of a status, a listener, or False", "for example progress=print"
    raise RecipeError("progress", rule, got=progress, hint=hint)
