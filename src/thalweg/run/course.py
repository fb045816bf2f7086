"""Where a run stands on the host while it goes on: states, the best weights, the clock, why it stopped."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import PyTree

from thalweg.core.tree import lane
from thalweg.engine import drive, group
from thalweg.engine.evaluate import evaluate
from thalweg.engine.loop import TRACES
from thalweg.engine.state import RUNNING, State
from thalweg.run.log import Log
from thalweg.run.progress import Progress, Status
from thalweg.run.stopping import Best

# Evaluations are at ends of epochs, at least this many steps apart: on tiny data sets one at every epoch would
# cost more than the training.
STEPS_BETWEEN_EVALUATIONS = 50


@dataclass
class Watch:
    """Seconds by what they were spent on."""

    begun: float = field(default_factory=time.perf_counter)
    compile: float = 0.0
    train: float = 0.0
    evaluate: float = 0.0

    @property
    def total(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.begun


@dataclass
class Course:
    """One run on its way.

    Args:
        group: What is compiled, and its inputs.
        states: Where the lane stands (with its lane axis of one).
        log, progress: Who is told.
        best: Best validation loss and its weights.
        watch: Seconds.
        step: Updates made.
        stopped: Why it stopped; None while it runs.
    """

    group: group.Group
    states: State
    log: Log
    progress: Progress
    best: Best
    watch: Watch = field(default_factory=Watch)
    step: int = 0
    stopped: str | None = None
    _speed: float = 0.0
    _seen: dict[str, Any] = field(default_factory=dict)

    @property
    def epoch(self) -> float:
        """Passes over the training part so far."""
        return self.step / self.group.feed.epoch_steps

    @property
    def next_stop(self) -> int:
        """The step of the next evaluation, or the end."""
        epoch_steps = self.group.feed.epoch_steps
        apart = epoch_steps * -(-STEPS_BETWEEN_EVALUATIONS // epoch_steps)
        return min(self.group.total, (self.step // apart + 1) * apart)

    def take(self, moved: drive.Progressed) -> None:
        """Take in one chunk."""
        done = int(moved.chunk.done[0])
        self.states, self.step = moved.states, moved.start + done
        self.watch.compile += moved.compile_seconds
        self.watch.train += moved.seconds
        self.log.chunk(moved)
        if int(moved.states.code[0]) != RUNNING:
            # The failing step's update was not made, so the weights are those before it.
            self.stopped, self.step = "diverged", self.step - 1
        self._speed = done * self.group.program.batch_size / max(moved.seconds, 1e-9)
        self._seen["loss"] = float(np.mean(moved.chunk.info.loss[0, :done])) if done else None
        self._seen["learning_rate"] = float(moved.chunk.info.learning_rate[0, done - 1]) if done else None
        self.progress.update(self.status())

    def evaluate(self, part: str, weights: PyTree, model_state: PyTree) -> tuple[float, float]:
        """Return loss and metric over a part, and log them."""
        traced, begun = TRACES["evaluate"], time.perf_counter()
        sums = evaluate(self.group.program, self.group.inputs, self.group.parts[part], weights, model_state)
        metric = self.group.program.metric.finish(float(sums.metric[0]))
        spent = time.perf_counter() - begun
        if TRACES["evaluate"] > traced:
            self.watch.compile += spent
        else:
            self.watch.evaluate += spent
        self.log.evaluation(lane=0, step=self.step, epoch=self.epoch, part=part, loss=float(sums.loss[0]),
                            metric=metric, seconds=self.watch.total)  # fmt: skip
        return float(sums.loss[0]), metric

    def validate(self) -> None:
        """Evaluate on the validation part, keep the best weights, and stop when patience is over."""
        if "validation" not in self.group.parts:
            return
        weights = group.weights(self.group, self.states)
        loss, metric = self.evaluate("validation", weights, self.states.model_state)
        self.best.observe(loss, self.step, (weights, self.states.model_state))
        self._seen |= {
            "validation_loss": loss,
            "metric": metric,
            "metric_name": self.group.program.metric.name,
        }
        self.progress.update(self.status())
        if self.best.exhausted:
            self.stopped = "patience"

    def status(self) -> Status:
        """Return where the run stands, for progress."""
        left = (self.group.total - self.step) * self.group.program.batch_size
        return Status(step=self.step, epoch=self.epoch, examples_per_second=self._speed or None,
                      seconds_left=left / self._speed if self._speed else None, **self._seen)  # fmt: skip

    def weights(self, which: str) -> tuple[PyTree, PyTree]:
        """Return parameters and model state, `best` or `final`, without the lane axis."""
        if which == "best":
            return lane(self.best.kept, 0)
        return lane((group.weights(self.group, self.states), self.states.model_state), 0)
