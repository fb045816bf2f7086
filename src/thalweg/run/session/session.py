"""One call of `train` or `resume`: its lanes trained shard by shard, its folder locked, kept and sealed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from thalweg.core.errors import RecipeError, RunFolderError
from thalweg.core.lazy import pl
from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import count as count_parameters
from thalweg.engine import compilation
from thalweg.engine.group import feed_of, length, resident
from thalweg.engine.plan import LanePlan
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.settings import flat_settings, label, varied
from thalweg.run.folder import checksums as sealing
from thalweg.run.folder import folder as folders
from thalweg.run.folder import sweep_record as sweeps
from thalweg.run.folder.describe import Descriptions, describe, write_descriptions
from thalweg.run.folder.folder import RunFolder
from thalweg.run.folder.lock import Lock
from thalweg.run.folder.run_json import RunFile
from thalweg.run.folder.weights import load as load_weights
from thalweg.run.folder.weights import transferred
from thalweg.run.progress import Progress, TrainingPlan
from thalweg.run.run import Run
from thalweg.run.runs import Runs
from thalweg.run.session.checkpointer import Checkpointer, Every
from thalweg.run.session.halving import Halving, freeze_losers, settings
from thalweg.run.session.halving_log import Decisions
from thalweg.run.session.interrupt import Interrupt
from thalweg.run.session.lane_states import Timings
from thalweg.run.session.merged_progress import MergedProgress
from thalweg.run.session.scheduler import together
from thalweg.run.session.shard import ShardTrainer
from thalweg.run.spec import Origin, described, part_fingerprints, plan_as_dict, recipes_as_text
from thalweg.run.validate import check_loss

# Of environment.json: where these differ, a run that goes on may not have the bits of one in one piece.
BITS = ("jax", "jaxlib", "device", "devices", "processor", "thalweg")


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Args:
        problem, recipes: What is learned, and how; a recipe for each lane.
        plan: Where the lanes run.
        progress: Who listens.
        strict, halving, init: As `train` was given them.
        every, last: When checkpoints are due, how many of the last are kept.
        run: The run that goes on; None for a new one.
        at: Go on from the newest checkpoint up to this step; None for the newest.
        schedule_total: Updates that schedules are planned over; None for the length of the run.
        forked: Where it was forked from.
        finding: How the learning rate was found; None where nobody looked for it.
        watch: Seconds, from when it was asked for.
    """

    problem: Problem
    recipes: Sequence[Recipe]
    plan: LanePlan
    progress: Progress
    strict: bool = False
    halving: Halving | None = None
    init: Path | str | None = None
    every: str = "60s"
    last: int = 2
    run: RunFile | None = None
    at: int | None = None
    schedule_total: int | None = None
    forked: dict[str, Any] | None = None
    finding: dict[str, Any] | None = None
    watch: Timings = field(default_factory=Timings)

    def run_file(self, many: bool) -> RunFile:
        """Return the run's own file: identity and what it was begun with."""
        origin = Origin(
            described(self.problem),
            recipes_as_text(self.recipes),
            many,
            plan_as_dict(self.plan),
            self.strict,
            None if self.halving is None else asdict(self.halving),
            None if self.init is None else str(Path(self.init).absolute()),
            self.every,
            self.last,
            self.schedule_total,
            self.forked,
        )
        made = RunFile(origin=origin.to_dict())
        return made if self.run is None else RunFile(self.run.run, made.origin)


class Session:
    """A job on its way."""

    def __init__(self, job: Job):
        self._watch = job.watch
        self._job, self._problem, self._recipes = job, job.problem, list(job.recipes)
        self._every = Every.read(job.every)
        self._plan, self._progress = job.plan, job.progress
        check_loss(job.problem)
        self._settings = flat_settings(self._recipes)
        self._paths = varied(self._settings)
        if job.halving is not None and "validation" not in job.problem.data.splits:
            raise RecipeError("halving", "needs a validation part to compare by", got="none")
        shape = job.problem.shapes.params
        self._start = None if job.init is None else Start(_weights_file(Path(job.init)), shape)
        self._runs: dict[int, Run] = {}
        self._interrupted = False
        self._run_file = RunFile()
        compilation.enable_cache()

    def one(self, folder: Path | None) -> Run:
        """Train the one recipe."""
        told = self._described()
        home = RunFolder(folder)
        result: dict[str, Any] = {}
        self._announce(folder)
        try:
            with _kept(folder):
                self._begin(
                    folder, many=False, write=lambda: write_descriptions(home, told, self._recipes[0])
                )
                self._go([home], told, folder, self._progress)
                if folder is not None:
                    if not (folder / "problem.json").exists():  # the folder was removed under the run
                        write_descriptions(home, told, self._recipes[0])
                        home.write_json("result.json", self._runs[0].result)
                    sealing.end(self._run_file, folder, not self._interrupted)
            result = self._runs[0].result
            return self._runs[0]
        finally:
            self._progress.finish(result)  # also when training breaks, so that the terminal is given back

    def many(self, folder: Path | None) -> Runs:
        """Train all recipes as lanes."""
        told = self._described()
        result = self._result(folder)
        lanes = range(len(self._recipes))
        homes = [RunFolder(folder and sweeps.lane_folder(folder, lane), False) for lane in lanes]
        gathered = MergedProgress(
            self._progress,
            [(lane, self._label(lane)) for lane in lanes],
            [length(self._problem, recipe) for recipe in self._recipes],
            [recipe.batch(self._problem.data.train.count()) for recipe in self._recipes],
        )
        self._announce(folder)
        try:
            with _kept(folder):
                self._begin(
                    folder,
                    many=True,
                    write=lambda: _begin_sweep(RunFolder(folder), told, result, homes, self._recipes),
                )
                self._go(homes, told, folder and folder / sweeps.SHARDS, gathered)
                return self._ended(folder, result)
        finally:
            self._progress.finish(result)

    def _begin(self, folder: Path | None, many: bool, write: Callable[[], None]) -> None:
        """Write what is known before the first step; run.json last."""
        if folder is None:
            return
        self._run_file = self._job.run_file(many)
        write()
        sealing.begin(self._run_file, folder)

    def _go(self, homes: list[RunFolder], told: Descriptions, logs: Path | None, progress: Progress) -> None:
        """Run all shards, wave after wave."""
        splits = resident(self._problem.data)
        decisions = Decisions(None if self._job.halving is None else logs)
        with Interrupt() as interrupt:
            for wave in self._plan.waves:
                journeys = [
                    self._journey(index, homes, told, logs, progress, interrupt, splits, decisions)
                    for index in wave
                ]
                at_rung = self._at_rung(journeys, decisions)
                try:
                    together([iter(one) for one in journeys], self._plan.workers, at_rung)
                finally:
                    for one in journeys:
                        one.close()
                for one in journeys:
                    self._runs |= dict(zip(one.shard.lanes, one.runs, strict=True))
                    self._watch.add(one.watch)
        self._interrupted = any(
            run.result["stopped"] == StopReason.INTERRUPTED for run in self._runs.values()
        )

    def _journey(
        self,
        index: int,
        homes: list[RunFolder],
        told: Descriptions,
        logs: Path | None,
        progress: Progress,
        interrupt: Interrupt,
        splits: dict[str, Any],
        decisions: Decisions,
    ) -> ShardTrainer:
        shard, alone = self._plan.shards[index], len(self._recipes) == 1
        place = logs if alone or logs is None else logs / f"{index:03d}"
        return ShardTrainer(
            problem=self._problem,
            splits=splits,
            recipes=[self._recipes[lane] for lane in shard.lanes],
            labels=[(lane, self._label(lane)) for lane in shard.lanes],
            homes=[homes[lane] for lane in shard.lanes],
            shard=shard,
            logs=place,
            told=told,
            start=self._start,
            progress=progress,
            interrupt=interrupt,
            rungs=[] if self._job.halving is None else self._job.halving.rungs,
            decisions=decisions,
            keeper=None if place is None else self._keeper(place, homes, told),
            schedule_total=self._job.schedule_total,
            watch=self._watch if alone else Timings(),
        )

    def _keeper(self, place: Path, homes: list[RunFolder], told: Descriptions) -> Checkpointer:
        def about() -> dict[str, Any]:
            return {
                "origin": self._run_file.origin,
                "parts": part_fingerprints(self._problem),
                "environment": {name: told.environment.get(name) for name in BITS},
            }

        return Checkpointer(
            folder=place,
            run=self._run_file.run,
            every=self._every,
            last=self._job.last,
            note=self._progress.note,
            about=about,
            at_end=place == homes[0].folder,  # a sweep that has ended is not gone on with
            at=self._job.at,
            again=self._job.run is not None,
        )

    def _at_rung(self, journeys: list[ShardTrainer], decisions: Decisions) -> Callable[[], None]:
        halving = self._job.halving
        setting = settings(self._recipes) if halving is not None else []

        def compare() -> None:
            courses = [one.course for one in journeys if one.course is not None]
            if halving is not None:
                freeze_losers(courses, setting, halving)
                decisions.note(courses)

        return compare

    def _described(self) -> Descriptions:
        layouts = "+".join(dict.fromkeys(self._plan.layouts))
        told = describe(self._problem, self._problem.shapes.params, layouts, len(self._recipes))
        return told._replace(finding=self._job.finding)

    def _announce(self, folder: Path | None) -> None:
        data, first = self._problem.data, self._recipes[0]
        name = folder.name if folder is not None else data.name
        epoch_steps = feed_of(self._problem, [first]).epoch_steps
        totals = [length(self._problem, recipe) for recipe in self._recipes]
        batch = first.batch(data.train.count())
        self._progress.start(TrainingPlan(name, max(totals), epoch_steps, batch, len(self._recipes)))
        if self._start is not None and self._start.fresh:
            fresh = ", ".join(self._start.fresh)
            self._progress.note(f"starting fresh (not in the run this one starts from): {fresh}")

    def _label(self, lane: int) -> str:
        return label(self._settings[lane], self._paths)

    def _result(self, folder: Path | None) -> dict[str, Any]:
        """Return what is known of a sweep before it begins."""
        problem = self._problem
        return {
            "run": None if folder is None else str(folder),
            "stopped": None,
            "data": problem.data.name,
            "task": problem.data.task,
            "model": problem.model_spec,
            "parameters": count_parameters(problem.shapes.params),
            "metric": {"name": problem.metric.name, "higher_is_better": problem.metric.higher_is_better},
            "lanes": len(self._recipes),
            "varied": self._paths,
            "groups": [list(group) for group in self._plan.groups],
            "plan": self._plan.to_dict(),
            "recipe": self._recipes[0].to_dict(),
        }

    def _ended(self, folder: Path | None, result: dict[str, Any]) -> Runs:
        """Put the runs together, and bring the folder to rest."""
        runs = tuple(self._runs[lane] for lane in range(len(self._recipes)))
        group_of = {lane: number for number, group in enumerate(self._plan.groups) for lane in group}
        groups = [group_of[lane] for lane in range(len(runs))]
        table = sweeps.table(self._settings, groups, [run.result for run in runs])
        result |= {"stopped": _why(table), "seconds": self._watch.seconds()}
        if folder is not None:
            RunFolder(folder).write_json(sweeps.FILE, result | {"rows": table.to_dicts()})
            for run in runs:
                if run.folder is not None:
                    sealing.end(RunFile(self._run_file.run), run.folder, not self._interrupted)
            sealing.end(self._run_file, folder, not self._interrupted)
            if not self._interrupted:
                folders.remove(folder / sweeps.SHARDS)
        return Runs(runs, table, result, folder)


@contextlib.contextmanager
def _kept(folder: Path | None) -> Iterator[None]:
    """Hold the folder's lock, and say what can be done where the disk fails for good."""
    if folder is None:
        yield
        return
    try:
        with Lock(folder):
            yield
    except OSError as error:
        raise RunFolderError(
            "run",
            "its folder must be writable to the end",
            got=error.strerror or str(error),
            where=error.filename or folder,
            hint=f"make room there, then go on from the last checkpoint: thalweg resume {folder}",
        ) from error


def _why(table: pl.DataFrame) -> dict[str, int]:
    """Return how many lanes stopped for each reason."""
    return dict(sorted(table["stopped"].value_counts().iter_rows(), key=lambda pair: -pair[1]))


def _begin_sweep(
    home: RunFolder, told: Descriptions, result: dict[str, Any], lanes: list[RunFolder], recipes: list[Recipe]
) -> None:
    home.write_json("problem.json", told.problem)
    home.write_json("environment.json", told.environment)
    home.write_json(sweeps.FILE, result)
    for lane, recipe in zip(lanes, recipes, strict=True):
        if lane.folder is not None:
            lane.folder.mkdir(parents=True, exist_ok=True)
        write_descriptions(lane, told, recipe)


class Start:
    """Takes weights over from another run; `fresh` are the parameters that are not in it."""

    def __init__(self, file: Path, shapes: PyTree):
        self._arrays = load_weights(file)
        self.fresh = transferred(shapes, self._arrays)[1]

    def __call__(self, params: PyTree) -> PyTree:
        """Return a lane's parameters with those taken over that fit."""
        return transferred(params, self._arrays)[0]


def _weights_file(given: Path) -> Path:
    if given.is_dir():
        best = given / "best.safetensors"
        return best if best.exists() else given / "final.safetensors"
    return given
