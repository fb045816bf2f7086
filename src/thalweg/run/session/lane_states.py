"""Where lanes stand on the host while they run: states, the best weights, the clock, why each stopped."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from thalweg.core.stop_reason import StopReason
from thalweg.engine import dispatch, group
from thalweg.engine.compilation import TRACES
from thalweg.engine.evaluate import Means, Predict, evaluate
from thalweg.engine.state import DIVERGED, REASONS, RUNNING, STOPPED, State
from thalweg.problem.data.split import Split
from thalweg.run.folder.log import Log
from thalweg.run.progress import LaneStatus, Progress, Status
from thalweg.run.session.best import Best
from thalweg.run.session.stop_conditions import Conditions, Reason

# Evaluations are at ends of epochs, at least this many steps apart: on tiny data sets one at every epoch
# would cost more than the training.
STEPS_BETWEEN_EVALUATIONS = 50


# The training part's last evaluation only describes; a large part is looked at in so many examples. Windows
# of text start at every position and overlap: over all of them it took longer than the run (seen: 7 minutes).
MOST_ROWS, MOST_WINDOWS = 10_000, 2_000
# Why a lane beyond the recipes, which is only there to make the program's width even, does not run.
UNUSED = "unused"


@dataclass
class Timings:
    """Seconds by what they were spent on."""

    begun: float = field(default_factory=time.perf_counter)
    compile: float = 0.0
    train: float = 0.0
    evaluate: float = 0.0

    @property
    def total(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.begun

    def add(self, other: "Timings") -> None:
        """Add what another watch spent; lanes that ran side by side add up to more than the total."""
        if other is not self:
            self.compile += other.compile
            self.train += other.train
            self.evaluate += other.evaluate

    def seconds(self) -> dict[str, float]:
        """Return the seconds, for a run's records."""
        return {name: round(getattr(self, name), 4) for name in ("total", "compile", "train", "evaluate")}


@dataclass
class LaneStates:
    """A shard of lanes on its way. Arrays over lanes are as wide as the program; lanes that make the width
    even never run.

    Args:
        group: What is compiled, and its inputs.
        labels: The lanes' numbers among all that are trained together, and what tells them apart.
        states: Where the lanes stand.
        log, progress: Who is told.
        best: Best validation losses and their weights.
        watch: Seconds.
        step: Updates planned so far; lanes that stopped have made fewer.
        judged: Step of the last evaluation on the validation part, or where one would have been.
        rests: How often the lanes have waited for others at a rung.
        stopped: Why each lane stopped; None while it runs.
        validated: Every lane's latest validation loss and metric; NaN before the first.
        losses: Mean training loss of every lane's last chunk.
        seen: What progress shows.
        conditions: When lanes stop before the end.
    """

    group: group.LaneGroup
    labels: tuple[tuple[int, str], ...]
    states: State
    log: Log
    progress: Progress
    best: Best
    watch: Timings = field(default_factory=Timings)
    step: int = 0
    judged: int = 0
    rests: int = 0
    stopped: list[str | None] = field(default_factory=list)
    validated: tuple[np.ndarray, ...] = ()
    conditions: Conditions = field(init=False)
    losses: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _speed: float = 0.0
    seen: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lanes = len(self.group.recipes)
        self.stopped = [None] * lanes + [UNUSED] * (self.group.width - lanes)
        self.conditions = Conditions(self.group.recipes, self.group.program.metric, self.group.width)
        self.validated = (np.full(self.group.width, np.nan), np.full(self.group.width, np.nan))
        self.losses = np.full(self.group.width, np.nan)

    @property
    def over(self) -> bool:
        """Whether no lane runs any more."""
        return not self.alive.any()

    @property
    def alive(self) -> np.ndarray:
        """Lanes that run, `lane` of bool."""
        return np.array([reason is None for reason in self.stopped])

    @property
    def used(self) -> np.ndarray:
        """Lanes that are a run, `lane` of bool; the others make the width even."""
        return np.array([reason != UNUSED for reason in self.stopped])

    @property
    def next_stop(self) -> int:
        """The step of the next evaluation, or the end; the step itself where one is due now."""
        epoch_steps = self.group.feed.epoch_steps
        apart = epoch_steps * -(-STEPS_BETWEEN_EVALUATIONS // epoch_steps)
        return min(self.group.total, (self.judged // apart + 1) * apart)

    @property
    def steps(self) -> np.ndarray:
        """Updates that each lane has made; the failing update of a diverged lane was not made."""
        return np.asarray(self.states.step) - (np.asarray(self.states.code) == DIVERGED)

    def epochs(self, step: float) -> float:
        """Passes over the training part that `step` updates make."""
        return step / self.group.feed.epoch_steps

    def take(self, moved: dispatch.ChunkResult) -> None:
        """Take in one chunk."""
        self.states, self.step = moved.states, moved.start + moved.steps
        self.watch.compile += moved.compile_seconds
        self.watch.train += moved.seconds
        self.log.chunk(moved)
        done = np.asarray(moved.chunk.done)
        for lane, code in enumerate(np.asarray(moved.states.code)):
            self.stopped[lane] = self.stopped[lane] or REASONS.get(int(code))
        self._stop(self.conditions.trained(moved.seconds, done, np.asarray(moved.chunk.info.loss)))
        self._speed = float(done.sum()) * self.group.program.batch_size / max(moved.seconds, 1e-9)
        self._look(moved, done)
        self.progress.update(self.status())

    def _look(self, moved: dispatch.ChunkResult, done: np.ndarray) -> None:
        """Remember what progress shows: the median lane's loss, the first lane's learning rate."""
        for lane in np.flatnonzero(done):
            self.losses[lane] = moved.chunk.info.loss[lane, : done[lane]].mean()
        if done.any():
            first = int(np.flatnonzero(done)[0])
            self.seen["loss"] = float(np.median(self.losses[done > 0]))
            self.seen["learning_rate"] = float(moved.chunk.info.learning_rate[first, done[first] - 1])

    def evaluate(
        self,
        part: str,
        weights: PyTree,
        model_state: PyTree,
        which: np.ndarray,
        answer: Predict | None = None,
    ) -> Means:
        """Return the loss and metric of `which` lanes over a part (NaN for the others); over a large training
        part at evenly spaced examples. With `answer` also what it keeps of the outputs.
        """
        traced, begun = TRACES.mine("evaluate"), time.perf_counter()
        resident = self.group.splits[part]
        apart = -(-resident.count() // _most(resident)) if part == "train" else 1
        means = evaluate(
            self.group.program, self.group.inputs, resident, (weights, model_state), apart, which, answer
        )
        compiling = means.dispatch_seconds if TRACES.mine("evaluate") > traced else 0.0
        self.watch.compile += compiling
        self.watch.evaluate += time.perf_counter() - begun - compiling
        return means._replace(metric=self.group.program.metric.finish(means.metric))

    def note_evaluation(self, part: str, found: Means, steps: np.ndarray, which: np.ndarray) -> None:
        """Log an evaluation of `which` lanes with weights of these steps."""
        for lane in np.flatnonzero(which):
            self.log.evaluation(
                lane=int(lane),
                step=int(steps[lane]),
                epoch=self.epochs(int(steps[lane])),
                part=part,
                loss=float(found.loss[lane]),
                metric=float(found.metric[lane]),
                seconds=self.watch.total,
            )

    def validate(self) -> None:
        """Evaluate on the validation part, keep the best weights, and stop lanes whose patience is over."""
        alive, self.judged = self.alive, self.step
        if not alive.any():
            return
        if "validation" not in self.group.splits:
            self._stop(self.conditions.evaluated(None))
            return
        weights = group.weights(self.group, self.states)
        found = self.evaluate("validation", weights, self.states.model_state, alive)
        self.note_evaluation("validation", found, self.steps, alive)
        self.states = group.observe(self.group, self.states, found.loss)
        self.best.observe(found.loss, self.steps, (weights, self.states.model_state), alive)
        both = (found.loss, found.metric)
        self.validated = tuple(
            np.where(alive, new, old) for new, old in zip(both, self.validated, strict=True)
        )
        middle = np.flatnonzero(alive)[np.argsort(found.loss[alive])[alive.sum() // 2]]
        self.seen |= {
            "validation_loss": float(found.loss[middle]),
            "metric": float(found.metric[middle]),
            "metric_name": self.group.program.metric.name,
        }
        self.progress.update(self.status())
        self._stop(self.conditions.evaluated(both))
        self.stop(self.best.exhausted, StopReason.PATIENCE)

    def _stop(self, reasons: Iterable[Reason]) -> None:
        for reason, which in reasons:
            self.stop(which, reason)

    def stop(self, which: np.ndarray, reason: StopReason) -> None:
        """Freeze lanes where they stand; those that stopped before keep their reason."""
        which = which & self.alive
        if not which.any():
            return
        for lane in np.flatnonzero(which):
            self.stopped[lane] = reason
        codes = np.asarray(self.states.code)
        codes = jax.device_put(np.where(which & (codes == RUNNING), np.int32(STOPPED), codes))
        self.states = eqx.tree_at(lambda states: states.code, self.states, codes)

    def status(self) -> Status:
        """Return where the lanes stand, for progress."""
        running = int(self.alive.sum())
        left = (self.group.total - self.step) * self.group.program.batch_size * running
        return Status(
            step=self.step,
            epoch=self.epochs(self.step),
            examples_per_second=self._speed or None,
            seconds_left=left / self._speed if self._speed else None,
            lanes=self._lanes(),
            **self.seen,
        )

    def _lanes(self) -> tuple[LaneStatus, ...]:
        """Return where each lane stands."""
        steps, (losses, metrics) = self.steps, self.validated
        return tuple(
            LaneStatus(
                number,
                label,
                int(steps[lane]),
                float(self.losses[lane]),
                float(losses[lane]),
                float(metrics[lane]),
                self.stopped[lane] or "running",
            )
            for lane, (number, label) in enumerate(self.labels)
        )

    def weights(self) -> tuple[PyTree, PyTree]:
        """Return the weights to evaluate of all lanes as they stand now, and their model state."""
        return group.weights(self.group, self.states), self.states.model_state


def _most(part: Split) -> int:
    return MOST_WINDOWS if part.is_text else MOST_ROWS
