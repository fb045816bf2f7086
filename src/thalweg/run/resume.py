"""`resume`: continue an interrupted run, bit for bit; extend a finished one, or fork it."""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from thalweg.core.arguments import check_fields, checked
from thalweg.core.caller import argument, either, option, option_name
from thalweg.core.errors import BadInput, DataError, RecipeError, RunFolderError
from thalweg.core.imports import allowing
from thalweg.engine.group import feed_of, length
from thalweg.engine.mesh import Devices
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Clock
from thalweg.recipe.toml import settings
from thalweg.run.checkpoint.store import FOLDER
from thalweg.run.cluster.spread import Workers, check_executor, reject_both
from thalweg.run.folder import kept_data
from thalweg.run.folder.claim import claim
from thalweg.run.folder.describe import environment
from thalweg.run.folder.filesystem import MODEL, readable
from thalweg.run.folder.folder import RUN_FILE, RunFile
from thalweg.run.folder.lock import Lock
from thalweg.run.folder.record import finding_of
from thalweg.run.problem_record import describe_problem
from thalweg.run.progress import Progress, Silent, Status, listener
from thalweg.run.run import Run, Runs
from thalweg.run.session.checkpointer import fork, newest_checkpoint, newest_facts
from thalweg.run.session.session import BITS, Judge, Session
from thalweg.run.session.stream import Stream
from thalweg.run.spec import MODELS, RunSpec, recipes_as_text
from thalweg.run.tracking import Tracker, tracked
from thalweg.run.validate import check_functions, check_loss, data_place
from thalweg.run.validate import check_recipe as check_fits

STRETCH, HOLD = "stretch", "hold"


@dataclass(frozen=True)
class Change:
    """What a resumed run does differently.

    Args:
        epochs, steps: Length of the whole run, from its first step; None for no change.
        schedule: How a schedule that was planned over the old length continues: `stretch` plans it over the
            new length as if from the start; `hold` keeps the plan and then holds its last value.
        at: Resume from the newest checkpoint up to this step.
        settings: Changes to the recipe's numbers, as `optimizer.lr=1e-4`. Only together with `out`.
        out: Folder of a new run that starts from here (a fork); the old run is not changed.
    """

    epochs: int | None = None
    steps: int | None = None
    schedule: str | None = None
    at: int | None = None
    settings: Sequence[str] = ()
    out: Path | str | None = None

    def check(self) -> None:
        """Reject changes that cannot be combined.

        Raises:
            RecipeError: Two changes contradict each other.
        """
        check_fields(RecipeError, "resume", self)
        if self.epochs is not None and self.steps is not None:
            got = f"{self.epochs}, {self.steps}"
            raise RecipeError("resume", "takes epochs or steps, not both", got=got, hint="leave one out")
        if self.schedule not in (None, STRETCH, HOLD):
            rule = f"schedule must be {STRETCH} or {HOLD}"
            raise RecipeError("resume", rule, got=self.schedule, hint=f"try {STRETCH}")
        if self.settings and self.out is None:
            raise RecipeError(
                "resume",
                "a changed recipe is a new run, which needs a folder of its own",
                got=" ".join(self.settings),
                hint=f"name one with {option('out', 'runs/new')}; this run is not changed",
            )
        for text in self.settings:
            if re.match(r"\s*(epochs|steps|seed)\s*=", text):
                rule = "the length is not a setting of the recipe here, and the seed cannot be changed"
                hint = f"change the length with {option_name('epochs')} or {option_name('steps')}"
                raise RecipeError("resume", rule, got=text, hint=hint)


@checked(BadInput)
def resume(
    folder: Path | str,
    problem: Problem | None = None,
    *,
    data: Any = None,
    change: Change | None = None,
    allow_import: bool = False,
    progress: Progress | Callable[[Status], Any] | bool | None = None,
    trackers: Sequence[Tracker] = (),
    executor: Any = None,
    devices: Devices | int | str | None = None,
    data_on: str | None = None,
) -> Run | Runs:
    """Resume a run from its last sound checkpoint, as if it had never stopped.

    Weights, optimizer, order of the data, random numbers and log are those of an uninterrupted run, bit for
    bit, on the same machine, device and versions; where these differ, the run says so. The steps since the
    checkpoint are lost, and are repeated.

    Args:
        folder: The run's folder.
        problem: Data and model, where they cannot be rebuilt: large arrays in memory, a custom class or loss
            without an import path, several models.
        data: Where the data are now, as `load` takes it, if they moved since the run started. They must be
            the same data: their fingerprint is checked.
        change: What the run does differently from here on.
        allow_import: Whether to import the functions and classes of yours that the run names by import path
            (`package.module:function`). Importing a module executes it: only for folders that you trust.
        progress, trackers: As for `train`.
        executor: Of a sweep that was started with one: whose workers train what is left; None to train it in
            this process.
        devices: As for `train`; None for those that the run was started with. With another number of devices
            along `data`, the bits are no longer those of an uninterrupted run.
        data_on: As for `train`; None for where the run had its training rows.

    Returns:
        The run; the runs of a sweep.

    Raises:
        RunFolderError: There is no run, no checkpoint is sound, or another process is writing to it.
        DataError: The data have changed; the message says how.
        RecipeError: A change is not possible.
    """
    options = {"data": data, "change": change, "allow_import": allow_import}
    more = {"progress": progress, "trackers": trackers, "executor": executor, "devices": devices}
    more["data_on"] = data_on
    return resume_judged(folder, problem, None, **options, **more)


def resume_judged(
    folder: Path | str,
    problem: Problem | None,
    judge: Judge | None,
    *,
    data: Any = None,
    change: Change | None = None,
    allow_import: bool = False,
    progress: Progress | Callable[[Status], Any] | bool | None = None,
    trackers: Sequence[Tracker] = (),
    executor: Any = None,
    devices: Devices | int | str | None = None,
    data_on: str | None = None,
) -> Run | Runs:
    """Resume a run as `resume` does; `judge` adds to the result of one that was started with it."""
    change, path, progress = change or Change(), Path(folder), tracked(listener(progress), trackers)
    change.check()
    with allowing(allow_import):
        spread = None if executor is None else Workers(executor, allow_import)
        if spread is not None:
            reject_both(devices, executor)
            _check_spread(path, problem, data, executor, change)
        return _resumed(path, problem, data, change, progress, judge, spread, devices, data_on)


def _check_spread(path: Path, problem: Problem | None, data: Any, executor: Any, change: Change) -> None:
    """Reject what the workers of an executor cannot resume."""
    check_executor(executor)
    if change != Change():
        rule, hint = "continues a sweep as it was planned", "leave the change out, or the executor"
        raise BadInput(argument("executor"), rule, got=change, hint=hint)
    if problem is not None or data is not None:
        rule = "workers rebuild the problem from the sweep's folder, and can be passed none"
        hint = "leave problem and data out, or the executor"
        raise BadInput(argument("executor"), rule, got="problem" if data is None else "data", hint=hint)
    if not RunSpec.from_dict(RunFile.read(path).origin, path / RUN_FILE).many:
        rule, hint = "is for sweeps, whose lanes its workers share", "leave it out"
        raise BadInput(argument("executor"), rule, got="a single run", where=path, hint=hint)


def _resumed(
    path: Path,
    problem: Problem | None,
    data: Any,
    change: Change,
    progress: Progress,
    judge: Judge | None = None,
    spread: Workers | None = None,
    devices: Devices | int | str | None = None,
    data_on: str | None = None,
) -> Run | Runs:
    if data is not None and problem is not None:
        hint = "leave data out: a problem has its data"
        raise DataError("resume", "takes a problem or data, not both", got=type(data).__name__, hint=hint)
    run, spec = _read(path, progress)
    source = path
    with ExitStack() as stack:
        if change.out is None:
            stack.enter_context(Lock(path))
        else:
            with Lock(path):
                path, run, spec = _forked(path, run, spec, change, progress, stack)
            change = replace(change, at=None)
        facts = newest_facts(path, run.run)
        kept = (lambda: kept_data.read(source)) if kept_data.is_kept(source) else None
        problem = spec.rebuild_problem(problem, facts.get("parts", {}), data, kept)
        spec = _on_devices(_continued(problem, spec, change, path), devices, progress)
        if data_on is not None:
            place = data_place(problem, spec.recipes, spec.plan, data_on, progress.note)
            spec = replace(spec, data_on=place)
        check_loss(problem)
        _note_environment(facts.get("environment", {}), progress)
        session = Session(problem, spec, progress, resumed=run, at=change.at, judge=judge, spread=spread)
        return Stream(session, path, progress).result()


def _on_devices(spec: RunSpec, devices: Devices | int | str | None, progress: Progress) -> RunSpec:
    """Return the specification of the run on other devices; on those that it had without any."""
    if devices is None:
        return spec
    now, before = Devices.parse(devices, spec.many), spec.devices or Devices()
    if now.data != before.data:
        progress.note(
            "the bits may differ from those of an uninterrupted run: "
            f"the rows of a batch were on {before.data} device(s), and now are on {now.data}"
        )
    return replace(spec, devices=now, plan=replace(spec.plan, workers=now.lanes))


def _continued(problem: Problem, spec: RunSpec, change: Change, folder: Path) -> RunSpec:
    """Return the specification of the run as it continues."""
    recipes, schedule_total = _extended(problem, spec, change)
    for recipe in recipes:
        check_fits(problem, recipe)
    check_functions(problem, recipes)
    if spec.many and change != Change():
        hint = "leave the changes out, or train the sweep anew"
        raise RecipeError("resume", "a sweep can only be resumed unchanged", got=str(change), hint=hint)
    return replace(
        spec,
        problem=describe_problem(problem),
        recipes=recipes,
        schedule_total=schedule_total,
        save=replace(spec.save, finding=finding_of(folder) or None),
    )


def is_resumable(folder: Path | str) -> bool:
    """Return whether a folder holds a run that can be resumed."""
    return (Path(folder) / RUN_FILE).is_file() or (Path(folder) / FOLDER).is_dir()


def check_recipe(folder: Path | str, *recipes: Recipe) -> None:
    """Reject to resume a run, or a sweep, with other recipes than it was started with.

    Raises:
        RecipeError: They differ; the message names the settings that differ in the first such recipe.
    """
    _, spec = _read(Path(folder), Silent())
    if len(spec.recipes) != len(recipes):
        raise _differs(folder, f"{len(recipes)} lanes, it had {len(spec.recipes)}")
    for before, recipe in zip(spec.recipes, recipes, strict=True):
        now = Recipe.from_dict(recipe.to_dict())
        if recipes_as_text([now]) != recipes_as_text([before]):
            old, new = before.to_dict(), now.to_dict()
            names = [name for name in {**old, **new} if str(old.get(name)) != str(new.get(name))]
            raise _differs(folder, "; ".join(f"{n} = {new.get(n)}, it was {old.get(n)}" for n in names))


def _differs(folder: Path | str, got: str) -> RecipeError:
    return RecipeError(
        "recipe",
        "must be the one that the run in the folder was started with",
        got=got,
        where=folder,
        hint="choose another folder, or fork it: "
        + either(
            "thalweg resume RUN --set ... --out NEW", "resume(folder, change=Change(settings=..., out=...))"
        ),
    )


@readable
def _read(folder: Path, progress: Progress) -> tuple[RunFile, RunSpec]:
    """Return run.json and its specification; from a checkpoint where run.json is damaged."""
    try:
        run = RunFile.read(folder)
    except RunFolderError as error:
        checkpoint = newest_checkpoint(folder, fact="origin")
        if checkpoint is None:
            raise
        name = checkpoint.path.name
        progress.note(f"run.json is not usable ({error.rule}); its content is taken from {name}")
        run = RunFile(checkpoint.manifest.run, checkpoint.manifest.facts["origin"])
    if MODELS in run.origin:
        rule, hint = "a sweep over several models is resumed model by model", f"resume {folder / MODEL}0"
        raise RunFolderError("resume", rule, got=str(folder), hint=hint)
    return run, RunSpec.from_dict(run.origin, folder / RUN_FILE)


def _extended(problem: Problem, spec: RunSpec, change: Change) -> tuple[tuple[Recipe, ...], int | None]:
    """Return the recipes with their new length, and the updates that schedules are planned over."""
    if change.epochs is None and change.steps is None:
        return spec.recipes, spec.schedule_total
    lengths = {"epochs": change.epochs, "steps": change.steps}
    recipes = tuple(Recipe.from_dict(recipe.to_dict() | lengths) for recipe in spec.recipes)
    old, new = length(problem, spec.recipes[0]), length(problem, recipes[0])
    planned = spec.schedule_total or old
    if not _depends_on_length(problem, spec.recipes[0], planned, new):
        return recipes, spec.schedule_total
    if change.schedule is None:
        raise RecipeError(
            "resume",
            "the schedule was planned over the old length; say how it continues",
            got=f"{type(spec.recipes[0].schedule).__name__} over {planned} updates, for a run of {new}",
            hint=f"{option('schedule', STRETCH)} plans it over the new length; "
            f"{option('schedule', HOLD)} keeps its last value",
        )
    return recipes, planned if change.schedule == HOLD else None


def _depends_on_length(problem: Problem, recipe: Recipe, old: int, new: int) -> bool:
    """Return whether the schedule gives another learning rate at any step if the run is `new` steps long."""
    epoch_steps = feed_of(problem, [recipe]).epoch_steps
    state = recipe.schedule.init()

    def factor(step: float, total: int) -> float:
        clock = Clock(*(jnp.float32(value) for value in (step, total, epoch_steps)))
        return float(recipe.schedule.factor(clock, state))

    steps = np.unique(np.linspace(0, max(old, new) - 1, 64).astype(int))
    return any(factor(step, old) != factor(step, new) for step in steps)


def _note_environment(before: dict[str, str], progress: Progress) -> None:
    """Say how the environment differs from that of the checkpoint, where that may change bits."""
    if not before:
        return
    now = environment()
    before = {"compiler": "defaults"} | before  # runs from before this entry were compiled with these
    changed = [
        f"{name} {before[name]} is now {now.get(name)}"
        for name in BITS
        if name in before and before[name] != now.get(name)
    ]
    if changed:
        progress.note("the bits may differ from those of an uninterrupted run: " + "; ".join(changed))


def _forked(
    folder: Path, run: RunFile, spec: RunSpec, change: Change, progress: Progress, stack: ExitStack
) -> tuple[Path, RunFile, RunSpec]:
    """Start a new run from a checkpoint of an old one: with the checkpoint, and the log up to it.

    The lock of the new folder is held until `stack` ends.
    """
    if spec.many:
        raise RecipeError("resume", "a sweep cannot be forked", got=str(folder), hint="fork a single run")
    checkpoint = newest_checkpoint(folder, run.run, change.at)
    if checkpoint is None:
        raise RunFolderError(
            "run",
            "must have a sound checkpoint to be forked at",
            got=f"none up to step {change.at}" if change.at is not None else "none",
            where=folder,
            hint="see `thalweg check` for its checkpoints",
        )
    step = checkpoint.manifest.step
    progress.note(f"forking at step {step}, from {checkpoint.path.name}")
    changed = Recipe.from_dict(
        settings(spec.recipes[0].to_dict(), change.settings), where=argument("settings")
    )
    spec = replace(spec, recipes=(changed,), forked={"run": str(folder.absolute()), "step": step})
    target = stack.enter_context(claim(change.out, "run"))
    new_run = RunFile(origin=spec.to_dict())
    fork(checkpoint, folder, target, new_run)
    return target, new_run.write(target, []), spec
