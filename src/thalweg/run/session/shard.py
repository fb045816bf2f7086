"""A shard's way from its first parameters to its runs at rest, in short pieces of work."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from thalweg.core.lazy import import_polars
from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import paths
from thalweg.engine import dispatch
from thalweg.engine.compilation import TRACES
from thalweg.engine.group import LaneGroup, init_group
from thalweg.engine.plan import Shard
from thalweg.engine.state import State
from thalweg.problem.data.split import Split
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.describe import Descriptions
from thalweg.run.folder.folder import RunFolder
from thalweg.run.folder.log import Log
from thalweg.run.progress import Progress
from thalweg.run.run import Run
from thalweg.run.session.best import Best
from thalweg.run.session.checkpointer import Checkpointer
from thalweg.run.session.finalize import finalize
from thalweg.run.session.halving_log import Decisions
from thalweg.run.session.interrupt import Interrupt
from thalweg.run.session.lane_states import LaneStates, Timings
from thalweg.run.session.scheduler import REST
from thalweg.run.session.snapshot import put_back

# Seconds of a chunk beside which what the end of a run needs can be imported unnoticed.
LONG = 0.1


@dataclass
class ShardTrainer:
    """What a shard needs on its way, and the runs that it ends with.

    Args:
        problem: What is learned.
        splits: Its data, on the device.
        recipes, labels, homes: Of the shard's lanes.
        shard: Which lanes they are, and how wide the program is.
        logs: Folder of the log while it grows; None for memory only.
        told: What was written before the first step.
        start: Changes first parameters, for fine-tuning.
        progress, interrupt: Who listens, and who may ask to stop.
        rungs: Fractions of the way at which to rest, ascending.
        decisions: What was decided at rests.
        keeper: Keeps the state, and finds where to go on; None where nothing is kept.
        schedule_total: Updates that schedules are planned over; None for the length of the run.
        runs: One for each lane, once it is over.
        course: Where the lanes stand; None before the first step and after the last.
    """

    problem: Problem
    splits: dict[str, Split]
    recipes: Sequence[Recipe]
    labels: Sequence[tuple[int, str]]
    homes: Sequence[RunFolder]
    shard: Shard
    logs: Path | None
    told: Descriptions
    start: Callable[[PyTree], PyTree] | None
    progress: Progress
    interrupt: Interrupt
    rungs: Sequence[float] = ()
    decisions: Decisions = field(default_factory=lambda: Decisions(None))
    keeper: Checkpointer | None = None
    schedule_total: int | None = None
    watch: Timings = field(default_factory=Timings)
    runs: list[Run] = field(default_factory=list)
    course: LaneStates | None = None

    def __iter__(self) -> Iterator[float]:
        """Go the way; yield how far it is, or `REST` at a rung."""
        traced, begun = TRACES.mine("start"), time.perf_counter()
        group, states = init_group(
            self.problem,
            list(self.recipes),
            self.start,
            splits=self.splits,
            width=self.shard.width,
            layout=self.shard.layout,
        )
        if TRACES.mine("start") > traced:
            self.watch.compile += time.perf_counter() - begun
        if self.schedule_total is not None:
            inputs = eqx.tree_at(lambda found: found.total, group.inputs, jnp.float32(self.schedule_total))
            group = replace(group, inputs=inputs)
        course = self._course(group, states)
        yield from self._descend(course)
        interrupted = StopReason.INTERRUPTED in course.stopped
        if self.keeper is not None and self.keeper.at_end and not interrupted:
            self.keeper.save(course)
        self.runs = finalize(self.problem, course, self.told, self.homes)
        if self.keeper is not None:
            self.keeper.close()
        # What a run has to go on from stays until it has come to its end.
        course.log.close(keep=interrupted or (self.keeper is not None and not self.keeper.at_end))
        self.course = None

    def close(self) -> None:
        """Finish what is being saved, also when the way was broken off."""
        if self.keeper is not None:
            self.keeper.close()
        if self.course is not None:
            self.course.log.close(keep=True)

    def _course(self, group: LaneGroup, states: State) -> LaneStates:
        """Return the lanes where they stand: at the start, or where a checkpoint was taken."""
        patience = [recipe.patience for recipe in group.recipes]
        best = Best(patience + [None] * (group.width - len(patience)))
        if self.logs is not None:
            self.logs.mkdir(parents=True, exist_ok=True)
        found = self.keeper.found() if self.keeper is not None else None
        rows = None if found is None else found.rows
        log = Log(self.logs, paths(states.params), group.width, before=rows, warn=self.progress.note)
        course = LaneStates(group, tuple(self.labels), states, log, self.progress, best, self.watch)
        self.course = course
        if found is not None:
            put_back(course, found.checkpoint)
            self.progress.update(course.status())
        return course

    def _descend(self, course: LaneStates) -> Iterator[float]:
        """Train until every lane has stopped: chunks up to the next evaluation, evaluate, decide, go on.

        A rung is the first evaluation from its fraction of the way on: an evaluation more would be one that
        the lane alone has not.
        """
        pace, keeper = dispatch.ChunkLength(course.group.program.capacity), self.keeper
        total, lasted = course.group.total, 0.0
        while not course.over:
            stop = course.next_stop
            while course.step < stop:
                if self._interrupted(course):
                    return
                end = stop if keeper is None else int(min(stop, keeper.next_stop(course.step)))
                beside = import_polars if lasted >= LONG else None
                moved = dispatch.next_chunk(course.group, course.states, course.step, end, pace, beside)
                course.take(moved)
                lasted = moved.seconds
                if course.over:
                    return
                if keeper is not None and course.step < stop:
                    keeper.look(course)
                yield course.step / total
            if self._interrupted(course):
                return
            ahead = [rung for rung in self.rungs if rung * total > course.judged]
            course.validate()
            if course.step >= total:
                counted_in_epochs = course.group.recipes[0].steps is None
                course.stop(course.alive, StopReason.EPOCHS if counted_in_epochs else StopReason.STEPS)
            elif ahead and course.step >= ahead[0] * total:
                yield from self._rest(course)
            if keeper is not None and not course.over:
                keeper.look(course)

    def _interrupted(self, course: LaneStates) -> bool:
        """Stop the lanes if somebody asked for it, with their state saved first."""
        if not self.interrupt.asked:
            return False
        if self.keeper is not None:
            self.keeper.save(course)
            self.keeper.settle()
        course.stop(course.alive, StopReason.INTERRUPTED)
        return True

    def _rest(self, course: LaneStates) -> Iterator[float]:
        """Wait for the others and the decision who goes on; it may have been made before a kill."""
        number, course.rests = course.rests, course.rests + 1
        if self.decisions.known(number):
            self.decisions.carry_out(number, course)
        else:
            yield REST
