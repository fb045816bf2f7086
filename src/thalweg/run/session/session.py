"""One call of `train` or `resume`: locks the folder, trains the shards wave by wave, writes the results."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from thalweg.core.errors import RecipeError, RunFolderError
from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import count as count_parameters
from thalweg.engine import compilation
from thalweg.engine.group import feed_of, length, resident
from thalweg.problem.problem import Problem
from thalweg.recipe.settings import flat_settings, varied
from thalweg.run.folder import folder as folders
from thalweg.run.folder import sweep_record as sweeps
from thalweg.run.folder.describe import Descriptions, describe, write_descriptions
from thalweg.run.folder.filesystem import plain
from thalweg.run.folder.folder import SHARDS, RunFile, RunFolder
from thalweg.run.folder.lock import Lock
from thalweg.run.folder.weights import load as load_weights
from thalweg.run.folder.weights import transfer
from thalweg.run.progress import Progress, TrainingPlan
from thalweg.run.run import Run, Runs
from thalweg.run.session.checkpointer import Checkpointer, Interval
from thalweg.run.session.halving import Halver
from thalweg.run.session.lane_states import Timings
from thalweg.run.session.scheduler import Interrupt, MergedProgress, run_shards
from thalweg.run.session.shard import Context, ShardTrainer
from thalweg.run.spec import Lane, RunSpec, fingerprint_splits

# Entries of environment.json: where these differ, a resumed run may differ in the last bit.
BITS = ("jax", "jaxlib", "device", "devices", "processor", "thalweg")


class Session:
    """Trains the runs of a specification, once.

    Args:
        problem: What is learned.
        spec: The specification of the run.
        progress: The listener.
        resumed: run.json of the run that is resumed; None for a new one.
        at: Resume from the newest checkpoint up to this step; None for the newest of all.
        timings: Seconds spent so far; None starts the clock now.

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
    ):
        self._problem, self._spec, self._progress = problem, spec, progress
        self._resumes, self._at, self._timings = resumed is not None, at, timings or Timings()
        Interval.parse(spec.save.every)  # raises an error if it is not an interval
        if spec.halving is not None and "validation" not in problem.data.splits:
            raise RecipeError("halving", "needs a validation split to compare by", got="none")
        init, shapes = spec.init, problem.shapes.params
        self._initial_weights = None if init is None else InitialWeights(Path(init), shapes)
        self._runs: dict[int, Run] = {}
        self._run_file = RunFile() if resumed is None else RunFile(resumed.run)
        compilation.enable_cache()

    def run(self, folder: Path | None) -> Run | Runs:
        """Train, and write the run to a folder; None keeps it in memory only."""
        spec, descriptions = self._spec, self._describe()
        result = self._sweep_result(folder) if spec.many else {}
        lanes = spec.lanes(folder)
        listener = self._merged_progress(lanes) if spec.many else self._progress
        self._announce(folder)
        try:
            with _locked(folder):
                if folder is not None:
                    self._begin(folder, lanes, descriptions, result)
                self._train(lanes, descriptions, folder, listener)
                if spec.many:
                    return self._finish_sweep(folder, result)
                run = self._finish_run(folder, lanes[0], descriptions)
                result |= run.result
                return run
        finally:
            self._progress.finish(result)  # also after an error, so that the terminal is restored

    def _begin(
        self, folder: Path, lanes: list[Lane], descriptions: Descriptions, result: dict[str, Any]
    ) -> None:
        """Write what is known before the first step; run.json last."""
        self._run_file = replace(self._run_file, origin=self._spec.to_dict())
        if self._spec.many:
            sweep_folder = RunFolder(folder)
            sweep_folder.write_json("problem.json", descriptions.problem)
            sweep_folder.write_json("environment.json", descriptions.environment)
            sweep_folder.write_json(sweeps.FILE, result)
        for lane in lanes:
            write_descriptions(lane.folder, descriptions, lane.recipe)
        self._run_file.write_start(folder)

    def _train(
        self, lanes: list[Lane], descriptions: Descriptions, folder: Path | None, progress: Progress
    ) -> None:
        """Run all shards, wave after wave."""
        spec, problem = self._spec, self._problem
        logs = folder / SHARDS if folder is not None and spec.many else folder
        splits, halver = resident(problem.data), Halver(spec.halving, spec.recipes, logs)
        with Interrupt() as interrupt:
            start = self._initial_weights
            context = Context(problem, spec, splits, descriptions, start, progress, interrupt, halver)
            for wave in spec.plan.waves:
                self._train_wave([self._trainer(context, index, lanes, logs) for index in wave], halver)

    def _train_wave(self, trainers: list[ShardTrainer], halver: Halver) -> None:
        def compare() -> None:
            halver.compare([trainer.lane_states for trainer in trainers if trainer.lane_states is not None])

        try:
            run_shards([trainer.run() for trainer in trainers], self._spec.plan.workers, compare)
        finally:
            for trainer in trainers:
                trainer.close()
        for trainer in trainers:
            numbers = [lane.number for lane in trainer.lanes]
            self._runs |= dict(zip(numbers, trainer.runs, strict=True))
            self._timings.add(trainer.timings)

    def _trainer(self, context: Context, index: int, lanes: list[Lane], logs: Path | None) -> ShardTrainer:
        shard, alone = self._spec.plan.shards[index], len(lanes) == 1
        folder = logs if alone or logs is None else logs / f"{index:03d}"
        shard_lanes = [lanes[number] for number in shard.lanes]
        checkpointer = None if folder is None else self._checkpointer(folder, context.descriptions)
        return ShardTrainer(
            context, shard, shard_lanes, folder, checkpointer, self._timings if alone else Timings()
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

    def _finish_run(self, folder: Path | None, lane: Lane, descriptions: Descriptions) -> Run:
        """Seal the folder of a single run."""
        run = self._runs[0]
        if folder is not None:
            if not (folder / "problem.json").exists():  # the folder was removed while the run trained
                write_descriptions(lane.folder, descriptions, lane.recipe)
                lane.folder.write_json("result.json", run.result)
            self._run_file.write_end(folder, not self._interrupted)
        return run

    def _finish_sweep(self, folder: Path | None, result: dict[str, Any]) -> Runs:
        """Collect the runs of a sweep, and seal its folders."""
        runs = tuple(self._runs[lane] for lane in range(len(self._runs)))
        group_of = {lane: number for number, group in enumerate(self._spec.plan.groups) for lane in group}
        settings = flat_settings(self._spec.recipes)
        groups = [group_of[lane] for lane in range(len(runs))]
        table = sweeps.table(settings, groups, [run.result for run in runs])
        reasons = sorted(table["stopped"].value_counts().iter_rows(), key=lambda pair: -pair[1])
        result |= {"stopped": dict(reasons), "seconds": self._timings.seconds()}
        if folder is not None:
            RunFolder(folder).write_json(sweeps.FILE, result | {"rows": table.to_dicts()})
            for run in runs:
                if run.folder is not None:
                    RunFile(self._run_file.run).write_end(run.folder, not self._interrupted)
            self._run_file.write_end(folder, not self._interrupted)
            if not self._interrupted:
                folders.remove(folder / SHARDS)
        return Runs(runs, table, result, folder)

    @property
    def _interrupted(self) -> bool:
        return any(run.result["stopped"] == StopReason.INTERRUPTED for run in self._runs.values())

    def _describe(self) -> Descriptions:
        spec, shapes = self._spec, self._problem.shapes.params
        layouts = "+".join(dict.fromkeys(spec.plan.layouts))
        descriptions = describe(self._problem, shapes, layouts, len(spec.recipes))
        finding = None if spec.many or spec.save.finding is None else plain(dict(spec.save.finding))
        return descriptions._replace(finding=finding)

    def _sweep_result(self, folder: Path | None) -> dict[str, Any]:
        """Return what is known about a sweep before it starts."""
        problem, spec = self._problem, self._spec
        return {
            "run": None if folder is None else str(folder),
            "stopped": None,
            "data": problem.data.name,
            "task": problem.data.task,
            "model": problem.model_spec,
            "parameters": count_parameters(problem.shapes.params),
            "metric": {"name": problem.metric.name, "higher_is_better": problem.metric.higher_is_better},
            "lanes": len(spec.recipes),
            "varied": varied(flat_settings(spec.recipes)),
            "groups": [list(group) for group in spec.plan.groups],
            "plan": spec.plan.to_dict(),
            "recipe": spec.recipes[0].to_dict(),
        }

    def _merged_progress(self, lanes: list[Lane]) -> MergedProgress:
        examples = self._problem.data.train.count()
        totals = [length(self._problem, lane.recipe) for lane in lanes]
        return MergedProgress(self._progress, lanes, totals, [lane.recipe.batch(examples) for lane in lanes])

    def _announce(self, folder: Path | None) -> None:
        data, recipes = self._problem.data, self._spec.recipes
        name = folder.name if folder is not None else data.name
        epoch_steps = feed_of(self._problem, recipes[:1]).epoch_steps
        total = max(length(self._problem, recipe) for recipe in recipes)
        batch = recipes[0].batch(data.train.count())
        self._progress.start(TrainingPlan(name, total, epoch_steps, batch, len(recipes)))
        if self._initial_weights is not None and self._initial_weights.fresh:
            fresh = ", ".join(self._initial_weights.fresh)
            self._progress.note(f"initialised afresh (not in the run this one starts from): {fresh}")


class InitialWeights:
    """Weights of another run, to start from.

    Args:
        path: A safetensors file, or a run folder: then its best weights, or the final ones.
        shapes: The parameters of this run, or their shapes.

    Attributes:
        fresh: Parameters that are not in the other run.
    """

    def __init__(self, path: Path, shapes: PyTree):
        if path.is_dir():
            best = path / "best.safetensors"
            path = best if best.exists() else path / "final.safetensors"
        self._arrays = load_weights(path)
        self.fresh = transfer(shapes, self._arrays)[1]

    def __call__(self, params: PyTree) -> PyTree:
        """Return a lane's parameters, with those of the other run that fit."""
        return transfer(params, self._arrays)[0]


@contextlib.contextmanager
def _locked(folder: Path | None) -> Iterator[None]:
    """Hold the folder's lock; when writing to it fails, raise an error that says what to do."""
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
            hint=f"make room there, then resume from the last checkpoint: thalweg resume {folder}",
        ) from error
