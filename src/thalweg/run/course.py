"""Where lanes stand on the host while they run: states, the best weights, the clock, why each stopped."""

import time
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from thalweg.engine import drive, group
from thalweg.engine.evaluate import evaluate
from thalweg.engine.loop import TRACES
from thalweg.engine.state import DIVERGED, RUNNING, STOPPED, State
from thalweg.problem.data.part import Part, Windows
from thalweg.run.log import Log
from thalweg.run.progress import Progress, Status
from thalweg.run.stopping import Best

# Evaluations are at ends of epochs, at least this many steps apart: on tiny data sets one at every epoch
# would cost more than the training.
STEPS_BETWEEN_EVALUATIONS = 50


# The training part's last evaluation only describes; a large part is looked at in so many examples. Windows
# of text start at every position and overlap: over all of them it took longer than the run (seen: 7 minutes).
MOST_ROWS, MOST_WINDOWS = 60_000, 2_000


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
    """A group of lanes on its way.

    Args:
        group: What is compiled, and its inputs.
        states: Where the lanes stand.
        log, progress: Who is told.
        best: Best validation losses and their weights.
        watch: Seconds.
        step: Updates planned so far; lanes that stopped have made fewer.
        stopped: Why each lane stopped; None while it runs.
    """

    group: group.Group
    states: State
    log: Log
    progress: Progress
    best: Best
    watch: Watch = field(default_factory=Watch)
    step: int = 0
    stopped: list[str | None] = field(default_factory=list)
    _speed: float = 0.0
    _seen: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stopped = [None] * len(self.group.recipes)

    @property
    def over(self) -> bool:
        """Whether no lane runs any more."""
        return all(reason is not None for reason in self.stopped)

    @property
    def next_stop(self) -> int:
        """The step of the next evaluation, or the end."""
        epoch_steps = self.group.feed.epoch_steps
        apart = epoch_steps * -(-STEPS_BETWEEN_EVALUATIONS // epoch_steps)
        return min(self.group.total, (self.step // apart + 1) * apart)

    @property
    def steps(self) -> np.ndarray:
        """Updates that each lane has made; the failing update of a diverged lane was not made."""
        return np.asarray(self.states.step) - (np.asarray(self.states.code) == DIVERGED)

    def epochs(self, step: float) -> float:
        """Passes over the training part that `step` updates make."""
        return step / self.group.feed.epoch_steps

    def take(self, moved: drive.Progressed) -> None:
        """Take in one chunk."""
        self.states, self.step = moved.states, moved.start + moved.steps
        self.watch.compile += moved.compile_seconds
        self.watch.train += moved.seconds
        self.log.chunk(moved)
        for lane in np.flatnonzero(np.asarray(moved.states.code) == DIVERGED):
            self.stopped[lane] = self.stopped[lane] or "diverged"
        done = np.asarray(moved.chunk.done)
        self._speed = float(done.sum()) * self.group.program.batch_size / max(moved.seconds, 1e-9)
        self._look(moved, done)
        self.progress.update(self.status())

    def _look(self, moved: drive.Progressed, done: np.ndarray) -> None:
        """Remember what progress shows: the median lane's loss, the first lane's learning rate."""
        losses = [moved.chunk.info.loss[lane, :count].mean() for lane, count in enumerate(done) if count]
        if losses:
            first = int(np.flatnonzero(done)[0])
            self._seen["loss"] = float(np.median(losses))
            self._seen["learning_rate"] = float(moved.chunk.info.learning_rate[first, done[first] - 1])

    def evaluate(self, part: str, weights: PyTree, model_state: PyTree) -> tuple[np.ndarray, np.ndarray]:
        """Return every lane's loss and metric over a part; over a large training part at evenly spaced
        examples.
        """
        traced, begun = TRACES["evaluate"], time.perf_counter()
        resident = self.group.parts[part]
        apart = -(-resident.count() // _most(resident)) if part == "train" else 1
        means = evaluate(self.group.program, self.group.inputs, resident, (weights, model_state), apart)
        compiling = means.dispatch_seconds if TRACES["evaluate"] > traced else 0.0
        self.watch.compile += compiling
        self.watch.evaluate += time.perf_counter() - begun - compiling
        return means.loss, self.group.program.metric.finish(means.metric)

    def note_evaluation(self, part: str, found: tuple[np.ndarray, np.ndarray], steps: np.ndarray) -> None:
        """Log an evaluation of every lane with weights of these steps."""
        for lane, (loss, metric) in enumerate(zip(*found, strict=True)):
            self.log.evaluation(
                lane=lane,
                step=int(steps[lane]),
                epoch=self.epochs(int(steps[lane])),
                part=part,
                loss=float(loss),
                metric=float(metric),
                seconds=self.watch.total,
            )

    def validate(self) -> None:
        """Evaluate on the validation part, keep the best weights, and stop lanes whose patience is over."""
        if "validation" not in self.group.parts:
            return
        weights = group.weights(self.group, self.states)
        found = self.evaluate("validation", weights, self.states.model_state)
        self.note_evaluation("validation", found, self.steps)
        self.states = group.observe(self.group, self.states, found[0])
        alive = np.array([reason is None for reason in self.stopped])
        self.best.observe(found[0], self.steps, (weights, self.states.model_state), alive)
        middle = int(np.argsort(found[0])[len(found[0]) // 2])
        self._seen |= {
            "validation_loss": float(found[0][middle]),
            "metric": float(found[1][middle]),
            "metric_name": self.group.program.metric.name,
        }
        self.progress.update(self.status())
        self.stop(self.best.exhausted & alive, "patience")

    def stop(self, which: np.ndarray, reason: str) -> None:
        """Freeze lanes where they stand."""
        if not which.any():
            return
        for lane in np.flatnonzero(which):
            self.stopped[lane] = reason
        codes = jnp.where(jnp.asarray(which) & (self.states.code == RUNNING), STOPPED, self.states.code)
        self.states = eqx.tree_at(lambda states: states.code, self.states, codes)

    def status(self) -> Status:
        """Return where the lanes stand, for progress."""
        running = sum(reason is None for reason in self.stopped)
        left = (self.group.total - self.step) * self.group.program.batch_size * running
        return Status(
            step=self.step,
            epoch=self.epochs(self.step),
            examples_per_second=self._speed or None,
            seconds_left=left / self._speed if self._speed else None,
            **self._seen,
        )

    def weights(self) -> tuple[PyTree, PyTree]:
        """Return the weights to evaluate of all lanes as they stand now, and their model state."""
        return group.weights(self.group, self.states), self.states.model_state


def _most(part: Part) -> int:
    return MOST_WINDOWS if isinstance(part, Windows) else MOST_ROWS
