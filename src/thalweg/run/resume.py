"""`resume`: continue an interrupted run, bit for bit; extend a finished one, or fork it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from thalweg.core.errors import RecipeError, RunFolderError
from thalweg.engine.group import feed_of, length
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Clock
from thalweg.recipe.toml import settings
from thalweg.run.checkpoint.store import FOLDER
from thalweg.run.folder import folder as folders
from thalweg.run.folder.describe import environment
from thalweg.run.folder.folder import RUN_FILE, RunFile
from thalweg.run.folder.lock import Lock
from thalweg.run.folder.record import finding_of
from thalweg.run.progress import Progress, Silent
from thalweg.run.run import Run, Runs
from thalweg.run.session.checkpointer import fork, newest_checkpoint, newest_facts
from thalweg.run.session.session import BITS, Session
from thalweg.run.spec import RunSpec, describe_problem, recipes_as_text
from thalweg.run.validate import check_loss
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
        if self.epochs is not None and self.steps is not None:
            got = f"{self.epochs}, {self.steps}"
            raise RecipeError("resume", "takes epochs or steps, not both", got=got)
        if self.schedule not in (None, STRETCH, HOLD):
            raise RecipeError("resume", f"schedule must be {STRETCH} or {HOLD}", got=self.schedule)
        if self.settings and self.out is None:
            raise RecipeError(
                "resume",
                "a changed recipe is a new run, which needs a folder of its own",
                got=" ".join(self.settings),
                hint="name one with --out NEW; this run is not changed",
            )
        for text in self.settings:
            if re.match(r"\s*(epochs|steps|seed)\s*=", text):
                rule = "the length is changed with --epochs or --steps, and the seed cannot be changed"
                raise RecipeError("resume", rule, got=text)


def resume(
    folder: Path | str,
    problem: Problem | None = None,
    *,
    change: Change | None = None,
    progress: Progress | None = None,
) -> Run | Runs:
    """Resume a run from its last sound checkpoint, as if it had never stopped.

    Weights, optimizer, order of the data, random numbers and log are those of an uninterrupted run, bit for
    bit, on the same machine, device and versions; where these differ, the run says so. The steps since the
    checkpoint are lost, and are repeated.

    Args:
        folder: The run's folder.
        problem: Data and model, where they cannot be rebuilt from names: arrays in memory, a custom class or
            loss.
        change: What the run does differently from here on.
        progress: Listens to the run.

    Returns:
        The run; the runs of a sweep.

    Raises:
        RunFolderError: There is no run, no checkpoint is sound, or another process is writing to it.
        DataError: The data have changed; the message says how.
        RecipeError: A change is not possible.
    """
    change, path, progress = change or Change(), Path(folder), progress or Silent()
    change.check()
    run, spec = _read(path, progress)
    if change.out is not None:
        with Lock(path):
            path, run, spec = _forked(path, run, spec, change, progress)
        change = replace(change, at=None)
    facts = newest_facts(path, run.run)
    problem = spec.rebuild_problem(problem, facts.get("parts", {}))
    recipes, schedule_total = _extended(problem, spec, change)
    for recipe in recipes:
        check_fits(problem, recipe)
    if spec.many and change != Change():
        raise RecipeError("resume", "a sweep can only be resumed unchanged", got=str(change))
    check_loss(problem)
    _note_environment(facts.get("environment", {}), progress)
    spec = replace(
        spec,
        problem=describe_problem(problem),
        recipes=recipes,
        schedule_total=schedule_total,
        save=replace(spec.save, finding=finding_of(path) or None),
    )
    return Session(problem, spec, progress, resumed=run, at=change.at).run(path)


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
        hint="choose another --out, or fork it: thalweg resume RUN --set ... --out NEW",
    )


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
            hint="--schedule stretch plans it over the new length; --schedule hold keeps its last value",
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
    now = environment() if before else {}
    changed = [
        f"{name} {before[name]} is now {now.get(name)}"
        for name in BITS
        if name in before and before[name] != now.get(name)
    ]
    if changed:
        progress.note("the bits may differ from those of an uninterrupted run: " + "; ".join(changed))


def _forked(
    folder: Path, run: RunFile, spec: RunSpec, change: Change, progress: Progress
) -> tuple[Path, RunFile, RunSpec]:
    """Start a new run from a checkpoint of an old one: with the checkpoint, and the log up to it."""
    if spec.many:
        raise RecipeError("resume", "a sweep cannot be forked", got=str(folder), hint="fork a single run")
    checkpoint = newest_checkpoint(folder, run.run, change.at)
    if checkpoint is None:
        raise RunFolderError(
            "run",
            "must have a sound checkpoint to be forked at",
            got=f"none up to step {change.at}" if change.at is not None else "none",
            where=folder,
        )
    step = checkpoint.manifest.step
    progress.note(f"forking at step {step}, from {checkpoint.path.name}")
    changed = Recipe.from_dict(settings(spec.recipes[0].to_dict(), change.settings), where="--set")
    spec = replace(spec, recipes=(changed,), forked={"run": str(folder.absolute()), "step": step})
    target = folders.make(change.out, "run", False)
    new_run = RunFile(origin=spec.to_dict())
    fork(checkpoint, folder, target, new_run)
    return target, new_run.write(target, []), spec
