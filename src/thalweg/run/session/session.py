"""One call of `train` or `resume`: locks the folder, trains the shards wave by wave, writes the results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from thalweg.core.caller import option
from thalweg.core.disk import left_over, remove_if_there
from thalweg.core.errors import RecipeError, RunFolderError
from thalweg.core.stop_reason import StopReason
from thalweg.engine import compilation
from thalweg.engine.feeds import DEVICE
from thalweg.engine.group import feed_of, length
from thalweg.problem.problem import Problem
from thalweg.recipe.settings import per_recipe
from thalweg.run.folder import kept_data
from thalweg.run.folder import sweep_record as sweeps
from thalweg.run.folder.claim import remove, writable
from thalweg.run.folder.describe import Descriptions, describe, write_descriptions
from thalweg.run.folder.filesystem import SHARDS, files_of, plain
from thalweg.run.folder.folder import DATA_FILE, LARGEST_FILE, RUN_FILE, RunFile, RunFolder, reject_links
from thalweg.run.folder.pretrained import InitialWeights
from thalweg.run.folder.stop_request import StopRequests
from thalweg.run.problem_record import fingerprint_splits
from thalweg.run.progress import CallerStops, Progress, Status, TrainingPlan
from thalweg.run.run import Run, Runs
from thalweg.run.session.checkpointer import Checkpointer, Interval
from thalweg.run.session.halving import Halver
from thalweg.run.session.lane_states import LaneStates, Timings
from thalweg.run.session.scheduler import Interrupt, MergedStatus, stream_shards
from thalweg.run.session.shard import Context, ShardTrainer, Site
from thalweg.run.session.unit_record import (
    FINISHED,
    Spread,
    UnitRecord,
    UnitSweep,
    forget_unit,
    place_of,
    read_runs,
)
from thalweg.run.session.unit_record import read as read_unit
from thalweg.run.spec import Lane, RunSpec

# Entries of environment.json: where these differ, a resumed run may differ in the last bit.
BITS = ("jax", "jaxlib", "device", "devices", "processor", "thalweg", "compiler")

# A generator of statuses that returns the run.
Training = Generator[Status, None, "Run | Runs"]
# Returns entries that are added to the result of a finished run, such as what other methods reach.
Judge = Callable[[Run, dict[str, Any]], dict[str, Any]]


class Session:
    """Trains the runs of a specification, once.

    Args:
        problem: What is learned.
        spec: The specification of the run.
        progress: The listener.
        resumed: run.json of the run that is resumed; None for a new one.
        at: Resume from the newest checkpoint up to this step; None for the newest of all.
        timings: Seconds spent so far; None starts the clock now.
        every: A status is due at each multiple of so many updates, at the latest; None for no such rule.
        observe: Called with the lanes of a shard before the first step and after each chunk.
        spread: Has the shards of a sweep trained elsewhere; None to train them here.
        judge: Adds to the result of a single run that has reached its end, if its specification says so.

    Attributes:
        interrupt, requests: What a signal and the caller want stopped.

    Raises:
        RecipeError: The specification does not fit the data.
    """

    def __init__(
        self,
        problem: Problem,
        spec: RunSpec,
        progress: Progress,
        *,
        resumed: RunFile | None = None,
        at: int | None = None,
        timings: Timings | None = None,
        every: int | None = None,
        observe: Callable[[LaneStates], None] | None = None,
        spread: Spread | None = None,
        judge: Judge | None = None,
    ):
        self.interrupt, self.requests, self._every = Interrupt(), CallerStops(len(spec.recipes)), every
        self._observe, self._spread, self._judge = observe, spread, judge
        self._finished: set[int] = set()  # units of a sweep on many machines, trained before it was resumed
        self._problem, self._spec, self._progress = problem, spec, progress
        self._resumes, self._at, self._timings = resumed is not None, at, timings or Timings()
        Interval.parse(spec.save.every)  # raises an error if it is not an interval
        if spec.halving is not None and "validation" not in problem.data.splits:
            hint = f"load the data with {option('validation', 0.1)}"
            raise RecipeError("halving", "needs a validation split to compare by", got="none", hint=hint)
        self._places = spec.places(problem)
        init, shapes = spec.init, problem.shapes.params
        self._initial_weights = None if init is None else InitialWeights(Path(init), shapes, spec.init_names)
        self._runs: dict[int, Run] = {}
        self._run_file = RunFile() if resumed is None else RunFile(resumed.run)
        compilation.enable_cache()

    def stream(self, folder: Path | None) -> Training:
        """Train, and write the run to a folder, whose lock the caller holds; None keeps it in memory only.

        Yields every status, and returns the run. A caller that closes the generator leaves the folder as a
        kill would: it can be resumed from its last checkpoint.
        """
        spec, descriptions = self._spec, self._describe()
        result = spec.sweep_facts(self._problem, folder) if spec.many else {}
        lanes = spec.lanes(folder)
        self._announce(folder)
        try:
            with compilation.in_use(), writable(folder):
                requests = StopRequests(folder)
                requests.begin(self._resumes)
                if folder is not None:
                    self._take_finished(folder, lanes)
                    self._begin(folder, lanes, descriptions, result)
                yield from self._train(lanes, descriptions, folder, requests)
                requests.end(self._paused)
                if spec.many:
                    return self._finish_sweep(folder, result)
                run = self._finish_run(folder, lanes[0], descriptions)
                result |= run.result
                return run
        finally:
            self._progress.finish(result)  # also after an error, so that the terminal is restored

    def _begin(
        self,
        folder: Path,
        lanes: list[Lane],
        descriptions: dict[int | None, Descriptions],
        result: dict[str, Any],
    ) -> None:
        """Write what is known before the first step; run.json last."""
        self._run_file = replace(self._run_file, origin=self._spec.to_dict())
        lanes = [lane for lane in lanes if lane.number not in self._runs]
        for path in {folder, *(lane.folder.folder or folder for lane in lanes)}:
            reject_links(path)
            files = files_of(path)
            for part in left_over(path, files):
                files.remove(part)
            if path != folder:  # its files change now; it is written when the lane has ended
                remove_if_there(files, path / RUN_FILE)
        if self._spec.many:
            sweep_folder = RunFolder(folder)
            sweep_folder.write_json("problem.json", descriptions[None].problem)
            sweep_folder.write_json("environment.json", descriptions[None].environment)
            sweep_folder.write_json(sweeps.FILE, result)
        for lane in lanes:
            write_descriptions(lane.folder, descriptions[lane.fold], lane.recipe)
        most = kept_data.MOST_BYTES if self._spread is None else LARGEST_FILE  # workers read them from there
        content = kept_data.pack(self._problem.data, most) if self._spec.save.data else None
        if content is not None:
            RunFolder(folder).write(DATA_FILE, content)
        self._run_file.write_start(folder)

    def _train(
        self,
        lanes: list[Lane],
        descriptions: dict[int | None, Descriptions],
        folder: Path | None,
        asked: StopRequests,
    ) -> Iterator[Status]:
        """Run all shards, wave after wave; yield every status, of a sweep those of all lanes."""
        spec = self._spec
        logs = folder / SHARDS if folder is not None and spec.many else folder
        halver = Halver(spec.halving, spec.recipes, logs)
        merged = self._merged_status(lanes) if spec.many else None
        if self._spread is not None and folder is not None:
            latest = self._spread.stream(self._unit_sweep(folder, lanes, halver))
        else:
            latest = self._train_here(self._context(descriptions, halver, asked), lanes, logs)
        for one in latest:
            status = one if merged is None else merged.update(one)
            if status is not None:
                yield replace(status, requests=self.requests)

    def _train_here(self, context: Context, lanes: list[Lane], logs: Path | None) -> Iterator[Status]:
        for wave in self._spec.plan.waves:
            trainers = [
                self._trainer(context, index, lanes, logs) for index in wave if index not in self._finished
            ]

            def compare(trainers: list[ShardTrainer] = trainers) -> None:
                states = [trainer.lane_states for trainer in trainers]
                context.halver.compare([each for each in states if each is not None])

            yield from self._train_wave(trainers, compare, self._spec.plan.workers)

    def _train_wave(
        self, trainers: list[ShardTrainer], at_barrier: Callable[[], None], workers: int
    ) -> Iterator[Status]:
        sites = None if self._spec.devices is None else [id(trainer.site) for trainer in trainers]
        statuses = stream_shards([trainer.run() for trainer in trainers], workers, at_barrier, sites)
        try:
            with contextlib.closing(statuses):
                yield from statuses
        finally:
            for trainer in trainers:
                trainer.close()
        for trainer in trainers:
            numbers = [lane.number for lane in trainer.lanes]
            self._runs |= dict(zip(numbers, trainer.runs, strict=True))
            self._timings.add(trainer.timings)

    def stream_shard(
        self, folder: Path, number: int, at_rung: Callable[[ShardTrainer], None]
    ) -> Generator[Status, None, ShardTrainer]:
        """Train one shard of a sweep that another process has begun; the caller holds the shard's lock.

        Args:
            folder: The sweep's folder.
            number: The shard's number in the plan.
            at_rung: Called where the shard waits for a decision; what it raises ends the training.
        """
        self._run_file = replace(self._run_file, origin=self._spec.to_dict())
        halver = Halver(self._spec.halving, self._spec.recipes, folder / SHARDS)
        context = self._context(self._describe(), halver, StopRequests(folder))
        trainer = self._trainer(context, number, self._spec.lanes(folder), folder / SHARDS)
        with compilation.in_use(), writable(folder):
            yield from self._train_wave([trainer], lambda: at_rung(trainer), 1)
        return trainer

    def _context(
        self, descriptions: dict[int | None, Descriptions], halver: Halver, asked: StopRequests
    ) -> Context:
        return Context(
            self._problem,
            self._spec,
            [Site.at(place, self._problem, self._spec.data_on) for place in self._places],
            descriptions,
            self._initial_weights,
            self._progress.note,
            self.interrupt,
            self.requests,
            asked,
            self._every,
            self._observe,
            halver,
        )

    def _unit_sweep(self, folder: Path, lanes: list[Lane], halver: Halver) -> UnitSweep:
        return UnitSweep(
            folder.absolute(),
            self._run_file.run,
            self._spec,
            lanes,
            halver,
            self._progress.note,
            self.interrupt,
            self.requests,
            frozenset(self._finished),
            lambda number, record: self._take(number, record, lanes),
        )

    def _take_finished(self, folder: Path, lanes: list[Lane]) -> None:
        """Take over the units that workers had finished before a sweep was resumed, where they are sound."""
        if not (self._resumes and self._spec.many):
            return
        for number in range(len(self._spec.plan.shards)):
            record = read_unit(place_of(folder, number), self._run_file.run)
            if record is None or record.state != FINISHED:
                continue
            try:
                self._take(number, record, lanes, self._at)
            except RunFolderError:  # it is trained again
                forget_unit(place_of(folder, number))

    def _take(self, number: int, record: UnitRecord, lanes: list[Lane], at: int | None = None) -> None:
        """Take over the runs that a worker has finished."""
        own = [lanes[lane] for lane in self._spec.plan.shards[number].lanes]
        runs = read_runs(self._problem, own, at)
        self._runs |= {lane.number: run for lane, run in zip(own, runs, strict=True)}
        timings = Timings()
        for name in ("compile", "train", "evaluate"):
            setattr(timings, name, float(record.seconds.get(name, 0.0)))
        self._timings.add(timings)
        self._finished.add(number)

    def _trainer(self, context: Context, index: int, lanes: list[Lane], logs: Path | None) -> ShardTrainer:
        shard, alone = self._spec.plan.shards[index], len(lanes) == 1
        folder = logs if alone or logs is None else logs / f"{index:03d}"
        shard_lanes = [lanes[number] for number in shard.lanes]
        checkpointer = None if folder is None else self._checkpointer(folder, context.descriptions[None])
        return ShardTrainer(
            context, index, shard, shard_lanes, folder, checkpointer, self._timings if alone else Timings()
        )

    def _checkpointer(self, folder: Path, descriptions: Descriptions) -> Checkpointer:
        def about() -> dict[str, Any]:
            return {
                "origin": self._run_file.origin,
                "parts": fingerprint_splits(self._problem),
                "environment": {name: descriptions.environment.get(name) for name in BITS},
            }

        return Checkpointer(
            folder,
            self._run_file.run,
            self._spec.save,
            note=self._progress.note,
            about=about,
            resumes=self._resumes,
            at=self._at,
        )

    def _finish_run(
        self, folder: Path | None, lane: Lane, descriptions: dict[int | None, Descriptions]
    ) -> Run:
        """Seal the folder of a single run."""
        run = self._runs[0]
        if self._judge is not None and self._spec.judged and not self._paused:
            run.result.update(self._judge(run, self._spec.judged))
            lane.folder.write_json("result.json", run.result)
        if folder is not None:
            if not (folder / "problem.json").exists():  # the folder was removed while the run trained
                write_descriptions(lane.folder, descriptions[lane.fold], lane.recipe)
                lane.folder.write_json("result.json", run.result)
            self._run_file.write_end(folder, not self._paused)
        return run

    def _finish_sweep(self, folder: Path | None, result: dict[str, Any]) -> Runs:
        """Collect the runs of a sweep, and seal its folders."""
        runs = tuple(self._runs[lane] for lane in range(len(self._runs)))
        group_of = {lane: number for number, group in enumerate(self._spec.plan.groups) for lane in group}
        settings = self._spec.settings
        groups = [group_of[lane] for lane in range(len(runs))]
        table = sweeps.table(settings, groups, [run.result for run in runs])
        reasons = sorted(table["stopped"].value_counts().iter_rows(), key=lambda pair: -pair[1])
        result |= {
            "stopped": dict(reasons),
            "seconds": self._timings.seconds(max(1, self._spec.plan.workers)),
        }
        if folder is not None:
            RunFolder(folder).write_json(sweeps.FILE, result | {"rows": table.to_dicts()})
            for run in runs:
                if run.folder is not None:
                    RunFile(self._run_file.run).write_end(run.folder, not self._paused)
            self._run_file.write_end(folder, not self._paused)
            if not self._paused:
                remove(folder / SHARDS)
        return Runs(runs, table, result, folder)

    @property
    def _paused(self) -> bool:
        """Whether the run was stopped in a state from which it resumes, before its own end."""
        by_caller = StopReason.CALLER if self.requests.everything else None
        reasons = {run.result["stopped"] for run in self._runs.values()}
        return StopReason.INTERRUPTED in reasons or by_caller in reasons

    def _describe(self) -> dict[int | None, Descriptions]:
        """Return what is written before the first step: of the run, by None, and of every fold."""
        spec, shapes = self._spec, self._problem.shapes.params
        layouts = "+".join(dict.fromkeys(spec.plan.layouts))
        where = {} if spec.devices is None else {"mesh": str(spec.devices)}
        where |= {} if spec.data_on == DEVICE else {"data_on": spec.data_on}
        finding = None if spec.many or spec.save.finding is None else plain(dict(spec.save.finding))

        def of_fold(fold: int | None) -> Descriptions:
            problem = self._problem.of_fold(fold)
            described = describe(problem, shapes, layouts, len(spec.recipes), where)
            return described._replace(finding=finding)

        return {fold: of_fold(fold) for fold in (None, *dict.fromkeys(spec.folds))}

    def _merged_status(self, lanes: list[Lane]) -> MergedStatus:
        examples = self._problem.data.train.count()
        recipes = [lane.recipe for lane in lanes]
        totals = per_recipe(lambda recipe: length(self._problem, recipe), recipes)
        batch_sizes = per_recipe(lambda recipe: recipe.batch(examples), recipes)
        return MergedStatus(lanes, totals, batch_sizes, self._every)

    def _announce(self, folder: Path | None) -> None:
        data, recipes = self._problem.data, self._spec.recipes
        name = folder.name if folder is not None else data.name
        epoch_steps = feed_of(self._problem, recipes[:1]).epoch_steps
        total = max(per_recipe(lambda recipe: length(self._problem, recipe), recipes))
        batch = recipes[0].batch(data.train.count())
        plan = TrainingPlan(name, total, epoch_steps, batch, len(recipes), self._spec.settings)
        self._progress.start(plan)
        if self._initial_weights is not None and self._initial_weights.fresh:
            fresh = ", ".join(self._initial_weights.fresh)
            self._progress.note(f"initialised afresh (not in the run this one starts from): {fresh}")
        if self._initial_weights is not None and self._initial_weights.unused:
            unused = ", ".join(self._initial_weights.unused)
            self._progress.note(f"arrays of the file that this model does not have: {unused}")
