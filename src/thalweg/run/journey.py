"""A shard's way from its first parameters to its runs at rest, in short pieces of work."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import PyTree

from thalweg.core.tree import paths
from thalweg.engine import drive
from thalweg.engine.group import prepare
from thalweg.engine.lanes import Shard
from thalweg.problem.data.part import Part
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.conclude import conclude
from thalweg.run.course import Course, Watch
from thalweg.run.describe import Descriptions
from thalweg.run.folder import Home
from thalweg.run.interrupt import Interrupt
from thalweg.run.log import Log
from thalweg.run.progress import Progress
from thalweg.run.run import Run
from thalweg.run.stopping import Best
from thalweg.run.together import REST


@dataclass
class Journey:
    """What a shard needs on its way, and the runs that it ends with.

    Args:
        problem: What is learned.
        parts: Its data, on the device.
        recipes, labels, homes: Of the shard's lanes.
        shard: Which lanes they are, and how wide the program is.
        logs: Folder of the log while it grows; None for memory only.
        told: What was written before the first step.
        start: Changes first parameters, for fine-tuning.
        progress, interrupt: Who listens, and who may ask to stop.
        rungs: Fractions of the way at which to rest, ascending.
        runs: One for each lane, once it is over.
        course: Where the lanes stand; None before the first step and after the last.
    """

    problem: Problem
    parts: dict[str, Part]
    recipes: Sequence[Recipe]
    labels: Sequence[tuple[int, str]]
    homes: Sequence[Home]
    shard: Shard
    logs: Path | None
    told: Descriptions
    start: Callable[[PyTree], PyTree] | None
    progress: Progress
    interrupt: Interrupt
    rungs: Sequence[float] = ()
    watch: Watch = field(default_factory=Watch)
    runs: list[Run] = field(default_factory=list)
    course: Course | None = None

    def __iter__(self) -> Iterator[float]:
        """Go the way; yield how far it is, or `REST` at a rung."""
        group, states = prepare(
            self.problem,
            list(self.recipes),
            self.start,
            parts=self.parts,
            width=self.shard.width,
            layout=self.shard.layout,
        )
        patience = [recipe.patience for recipe in group.recipes]
        best = Best(patience + [None] * (group.width - len(patience)))
        if self.logs is not None:
            self.logs.mkdir(parents=True, exist_ok=True)
        log = Log(self.logs, paths(states.params), group.width, warn=self.progress.note)
        course = Course(group, tuple(self.labels), states, log, self.progress, best, self.watch)
        self.course = course
        yield from _descend(course, self.interrupt, self.rungs)
        self.runs = conclude(self.problem, course, self.told, self.homes)
        self.course = None


def _descend(course: Course, interrupt: Interrupt, rungs: Sequence[float]) -> Iterator[float]:
    """Train until every lane has stopped: chunks up to the next evaluation, evaluate, decide, go on.

    A rung is the first evaluation from its fraction of the way on: an evaluation more would be one that the
    lane alone has not.
    """
    pace = drive.Pace(course.group.program.capacity)
    total, ahead = course.group.total, list(rungs)
    while not course.over:
        stop = course.next_stop
        while course.step < stop:
            course.take(drive.chunk(course.group, course.states, course.step, stop, pace))
            if interrupt.asked:
                course.stop(course.alive, "interrupted")
            if course.over:
                return
            yield course.step / total
        course.validate()
        if course.step >= total:
            course.stop(course.alive, "epochs" if course.group.recipes[0].steps is None else "steps")
        elif ahead and course.step >= ahead[0] * total:
            ahead = [rung for rung in ahead if rung * total > course.step]
            yield REST
