"""The lanes of one shard while they train, on the host: states, best weights, timings, stop reasons."""

import time
from collections.abc import Container, Iterable, Mapping
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
from thalweg.engine.feeds.gathered import to_evaluate
from thalweg.engine.mesh import on_each
from thalweg.engine.state import DIVERGED, REASONS, RUNNING, STOPPED, State
from thalweg.problem.data.fold_rows import FoldRows
from thalweg.problem.data.split import Split
from thalweg.run.folder.log import Log
from thalweg.run.progress import LaneStatus, Status
from thalweg.run.session.stop_conditions import Best, Conditions, Reason
from thalweg.run.spec import Lane

# Evaluations are at ends of epochs, at least this many steps apart: on tiny data sets, one at every epoch
# would cost more than the training.
STEPS_BETWEEN_EVALUATIONS = 50
# The last evaluation on the training split only describes the run, so a large split is sampled. Windows of
# text start at every position and overlap: all of them took longer than the run (measured: 7 minutes).
MOST_ROWS, MOST_WINDOWS = 10_000, 2_000
# Marks a lane beyond the recipes, which only fills the width of the program and never runs.
UNUSED = "unused"


@dataclass
class Timings:
    """Seconds spent, by activity.

    Args:
        start: On the clock; earlier by what a resumed run had spent before.
        compile, train, evaluate: Seconds, summed over the shards.
        earlier: Seconds spent before the run was resumed.
    """

    start: float = field(default_factory=time.perf_counter)
    compile: float = 0.0
    train: float = 0.0
    evaluate: float = 0.0
    earlier: float = 0.0

    @property
    def total(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.start

    def add(self, other: "Timings") -> None:
        """Add another shard's seconds; shards that ran at the same time add up to more than the total."""
        if other is not self:
            self.compile += other.compile
            self.train += other.train
            self.evaluate += other.evaluate
            before = max(0.0, other.earlier - self.earlier)
            self.start, self.earlier = self.start - before, self.earlier + before

    def seconds(self, threads: int = 1) -> dict[str, float]:
        """Return the seconds, for a run's records: activities that overlap add up to at most the total.

        Args:
            threads: In how many threads shards ran; each then counts for its share of the clock.
        """
        total = self.total
        spent = {name: getattr(self, name) / threads for name in ("compile", "train", "evaluate")}
        # A resumed sweep counts shards that ran one after another, but before it only the longest of them.
        excess = max(1.0, sum(spent.values()) / total) if total > 0 else 1.0
        return {"total": round(total, 4)} | {name: round(part / excess, 4) for name, part in spent.items()}

    def add_earlier(self, seconds: Mapping[str, float]) -> None:
        """Add the seconds (as `seconds` returns them) that a run had spent before it was interrupted."""
        self.start -= seconds["total"]
        self.earlier += seconds["total"]
        for name in ("compile", "train", "evaluate"):
            setattr(self, name, getattr(self, name) + seconds[name])


@dataclass
class LaneStates:
    """A shard of lanes while they train. Arrays over lanes are as wide as the program.

    Args:
        group: The compiled program and its inputs.
        lanes: The lanes; a program may be wider.
        states: State of every lane, stacked.
        log: Receives the results of chunks and evaluations.
        timings: Seconds spent.
        step: Updates dispatched so far; lanes that stopped have made fewer.
        last_evaluation: Step of the last evaluation on the validation split, or where one would have been.
        rungs: Number of rungs of a halving that the lanes have reached.
        stopped: Why each lane stopped; None while it runs.
        validated: Latest validation loss and metric of every lane; NaN before the first.
        losses: Mean training loss of every lane's last chunk.
        shown: What progress shows.
        best: Best validation losses and their weights.
        conditions: When lanes stop before the end.
    """

    group: group.LaneGroup
    lanes: tuple[Lane, ...]
    states: State
    log: Log
    timings: Timings = field(default_factory=Timings)
    step: int = 0
    last_evaluation: int = 0
    rungs: int = 0
    stopped: list[str | None] = field(init=False)
    validated: tuple[np.ndarray, ...] = field(init=False)
    losses: np.ndarray = field(init=False)
    shown: dict[str, Any] = field(default_factory=dict)
    best: Best = field(init=False)
    conditions: Conditions = field(init=False)
    _speed: float = 0.0

    def __post_init__(self) -> None:
        recipes, width = self.group.recipes, self.group.width
        self.stopped = [None] * len(recipes) + [UNUSED] * (width - len(recipes))
        self.validated = (np.full(width, np.nan), np.full(width, np.nan))
        self.losses = np.full(width, np.nan)
        self.best = Best([recipe.patience for recipe in recipes], width)
        self.conditions = Conditions(recipes, self.group.program.metric, width)

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays on the host that must survive a checkpoint, by name."""
        loss, metric = self.validated
        return {
            **{f"best.{name}": value for name, value in self.best.state_arrays().items()},
            "validated.loss": loss,
            "validated.metric": metric,
            "losses": self.losses,
            **{f"conditions.{name}": value for name, value in self.conditions.state_arrays().items()},
        }

    def load_state_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Load the arrays that `state_arrays` returned."""
        self.best.load_state_arrays(_under("best.", arrays))
        self.validated = (arrays["validated.loss"], arrays["validated.metric"])
        self.losses = arrays["losses"]
        self.conditions.load_state_arrays(_under("conditions.", arrays))

    @property
    def over(self) -> bool:
        """Whether every lane has stopped."""
        return not self.alive.any()

    @property
    def alive(self) -> np.ndarray:
        """Lanes that still run, `lane` of bool."""
        return np.array([reason is None for reason in self.stopped])

    @property
    def used(self) -> np.ndarray:
        """Lanes that have a recipe, `lane` of bool; the others fill the width of the program."""
        return np.array([reason != UNUSED for reason in self.stopped])

    def numbered(self, numbers: Container[int]) -> np.ndarray:
        """Return which lanes have one of these numbers, `lane` of bool."""
        which = np.zeros(self.group.width, bool)
        which[: len(self.lanes)] = [lane.number in numbers for lane in self.lanes]
        return which

    @property
    def next_stop(self) -> int:
        """Step of the next evaluation, or the end; the current step where one is due now."""
        epoch_steps = self.group.feed.epoch_steps
        interval = epoch_steps * -(-STEPS_BETWEEN_EVALUATIONS // epoch_steps)
        return min(self.group.total, (self.last_evaluation // interval + 1) * interval)

    @property
    def steps(self) -> np.ndarray:
        """Updates that each lane has made; a diverged lane did not make the failing one."""
        return np.asarray(self.states.step) - (np.asarray(self.states.code) == DIVERGED)

    def epochs(self, step: float) -> float:
        """Return the passes over the training split that `step` updates make."""
        return step / self.group.feed.epoch_steps

    def take(self, result: dispatch.ChunkResult) -> None:
        """Record the result of one chunk."""
        self.states, self.step = result.states, result.start + result.steps
        self.timings.compile += result.compile_seconds
        self.timings.train += result.seconds
        self.log.chunk(result)
        done = np.asarray(result.chunk.done)
        for lane, code in enumerate(np.asarray(result.states.code)):
            self.stopped[lane] = self.stopped[lane] or REASONS.get(int(code))
        self._stop_all(self.conditions.trained(result.seconds, done, np.asarray(result.chunk.info.loss)))
        self._speed = float(done.sum()) * self.group.program.batch_size / max(result.seconds, 1e-9)
        self._show(result, done)

    def _show(self, result: dispatch.ChunkResult, done: np.ndarray) -> None:
        """Update what progress shows: the median lane's loss, the first lane's learning rate."""
        for lane in np.flatnonzero(done):
            self.losses[lane] = result.chunk.info.loss[lane, : done[lane]].mean()
        if done.any():
            first = int(np.flatnonzero(done)[0])
            self.shown["loss"] = float(np.median(self.losses[done > 0]))
            self.shown["learning_rate"] = float(result.chunk.info.learning_rate[first, done[first] - 1])

    def weights(self) -> tuple[PyTree, PyTree]:
        """Return the weights to evaluate of all lanes as they are now, and their model state."""
        return group.weights(self.group, self.states), self.states.model_state

    def evaluate(
        self, split: str, weights: tuple[PyTree, PyTree], which: np.ndarray, predict: Predict | None = None
    ) -> Means:
        """Return the loss and metric of the lanes in `which` on a split (NaN for the others).

        A large training split is sampled at evenly spaced examples. With `predict`, its predictions are
        returned as well.
        """
        traced, start = TRACES.mine("evaluate"), time.perf_counter()
        data = self.group.splits[split]
        every = -(-data.count() // _most_examples(data)) if split == "train" else 1
        data, every = to_evaluate(self.group.feed, split, data, every)
        means = evaluate(self.group.program, self.group.inputs, data, weights, every, which, predict)
        compiling = means.dispatch_seconds if TRACES.mine("evaluate") > traced else 0.0
        self.timings.compile += compiling
        self.timings.evaluate += time.perf_counter() - start - compiling
        return means

    def examples(self, split: str, lane: int) -> int | None:
        """Return how many examples of a split a lane has; None for all, where the data have no folds."""
        data = self.group.splits[split]
        return int(data.counts[self.lanes[lane].fold]) if isinstance(data, FoldRows) else None

    def log_evaluation(self, split: str, means: Means, steps: np.ndarray, which: np.ndarray) -> None:
        """Log an evaluation of the lanes in `which`, with weights of these steps."""
        for lane in np.flatnonzero(which):
            self.log.evaluation(
                lane=int(lane),
                step=int(steps[lane]),
                epoch=self.epochs(int(steps[lane])),
                part=split,
                loss=float(means.loss[lane]),
                metric=float(means.metric[lane]),
                seconds=self.timings.total,
            )
            values = {name: float(each[lane]) for name, each in means.figures.items()}
            self.log.evaluated_figures(int(lane), int(steps[lane]), split, values)

    def validate(self) -> None:
        """Evaluate on the validation split, keep the best weights, and stop lanes whose conditions hold."""
        alive, self.last_evaluation = self.alive, self.step
        if not alive.any():
            return
        if "validation" not in self.group.splits:
            self._stop_all(self.conditions.evaluated(None))
            return
        weights = self.weights()
        means = self.evaluate("validation", weights, alive)
        self.log_evaluation("validation", means, self.steps, alive)
        self.states = group.observe(self.group, self.states, means.loss)
        self.best.observe(means.loss, self.steps, weights, alive, self._scores(means))
        latest = (means.loss, means.metric)
        self.validated = tuple(
            np.where(alive, new, old) for new, old in zip(latest, self.validated, strict=True)
        )
        median = np.flatnonzero(alive)[np.argsort(means.loss[alive])[alive.sum() // 2]]
        self.shown |= {
            "validation_loss": float(means.loss[median]),
            "metric": float(means.metric[median]),
            "metric_name": self.group.program.metric.name,
        }
        self._stop_all(self.conditions.evaluated(latest))
        self.stop(self.best.exhausted, StopReason.PATIENCE)

    def _scores(self, means: Means) -> np.ndarray | None:
        """Return what selects weights, less is better; None where that is the loss."""
        program = self.group.program
        if program.select == "loss" or program.metric.name == "loss":
            return None
        return -means.metric if program.metric.higher_is_better else means.metric

    def _stop_all(self, reasons: Iterable[Reason]) -> None:
        for reason, which in reasons:
            self.stop(which, reason)

    def stop(self, which: np.ndarray, reason: StopReason) -> None:
        """Freeze lanes where they are; those that stopped before keep their reason."""
        which = which & self.alive
        if not which.any():
            return
        for lane in np.flatnonzero(which):
            self.stopped[lane] = reason
        codes = np.asarray(self.states.code)
        codes = jax.device_put(np.where(which & (codes == RUNNING), np.int32(STOPPED), codes))
        codes = on_each(self.group.program.mesh, codes)
        self.states = eqx.tree_at(lambda states: states.code, self.states, codes)

    def status(self) -> Status:
        """Return the status of the lanes, for progress."""
        running = int(self.alive.sum())
        left = (self.group.total - self.step) * self.group.program.batch_size * running
        return Status(
            step=self.step,
            epoch=self.epochs(self.step),
            examples_per_second=self._speed or None,
            seconds_left=left / self._speed if self._speed else None,
            lanes=self._lane_statuses(),
            total_steps=self.group.total,
            **self.shown,
        )

    def _lane_statuses(self) -> tuple[LaneStatus, ...]:
        steps, (losses, metrics) = self.steps, self.validated
        return tuple(
            LaneStatus(
                lane.number,
                lane.label,
                int(steps[index]),
                float(self.losses[index]),
                float(losses[index]),
                float(metrics[index]),
                self.stopped[index] or "running",
            )
            for index, lane in enumerate(self.lanes)
        )


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays whose name begins with the prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _most_examples(split: Split) -> int:
    return MOST_WINDOWS if split.is_text else MOST_ROWS
