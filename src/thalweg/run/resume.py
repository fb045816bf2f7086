"""`resume`: a run that was broken off goes on bit for bit; a finished one is extended, or forked."""

import contextlib
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
from thalweg.run.checkpoint.store import FOLDER, Checkpoint, Store
from thalweg.run.folder import folder as folders
from thalweg.run.folder.environment import environment
from thalweg.run.folder.lock import Lock
from thalweg.run.folder.log import Log, read_back
from thalweg.run.folder.log_stream import first_rows
from thalweg.run.folder.record import finding_of
from thalweg.run.folder.run_json import NAME, RunFile
from thalweg.run.progress import Progress, Silent
from thalweg.run.run import Run
from thalweg.run.runs import Runs
from thalweg.run.session.session import BITS, Job, Session
from thalweg.run.spec import Origin, halving_of, recipes_as_text
from thalweg.run.validate import check_recipe as check_fits

STRETCH, HOLD = "stretch", "hold"


@dataclass(frozen=True)
class Change:
    """What is to be other than it was when the run goes on.

    Args:
        epochs, steps: Length of the whole run, from its first step on; None leaves it.
        schedule: What a schedule does that was planned over the old length: `stretch` plans it over the new
            one as if it had been so from the start; `hold` leaves its plan, and its end lasts.
        at: Go on from the newest checkpoint up to this step.
        settings: Changes of the recipe's numbers, as `optimizer.lr=1e-4`. Only together with `out`.
        out: Folder of a new run that begins where this one was; the old one stays as it is.
    """

    epochs: int | None = None
    steps: int | None = None
    schedule: str | None = None
    at: int | None = None
    settings: Sequence[str] = ()
    out: Path | str | None = None


def resume(
    folder: Path | str,
    problem: Problem | None = None,
    *,
    change: Change | None = None,
    progress: Progress | None = None,
) -> Run | Runs:
    """Let a run go on from its last sound checkpoint, as if it had never stopped.

    Weights, optimizer, order of the data, random numbers and log are those of a run in one piece, bit for
    bit, on the same machine, device and versions; where these differ it says so. Lost are the steps since
    the checkpoint; they are made again.

    Args:
        folder: The run's folder.
        problem: Data and model, where they cannot be made again from names: arrays in memory, a class or
            a loss of the caller's own.
        change: What is to be other than it was.
        progress: Who is told how it goes.

    Returns:
        The run; of a sweep the runs.

    Raises:
        RunFolderError: There is no run, or it is damaged beyond its checkpoints, or another process writes
            it.
        DataError: The data changed since; says what.
        RecipeError: A change is not possible.
    """
    change, path, told = change or Change(), Path(folder), progress or Silent()
    _check_change(change)
    run = _run_file(path, told)
    origin = Origin.from_dict(run.origin, path / NAME)
    if change.out is not None:
        with Lock(path):
            path, run = _forked(path, run, origin, change, told)
        origin = Origin.from_dict(run.origin, path / NAME)
        change = replace(change, at=None)
    ready = origin.made_problem(problem, _parts(path, run))
    recipes, total = _recipes(ready, origin, change)
    for recipe in recipes:
        check_fits(ready, recipe)
    if origin.many and change != Change():
        raise RecipeError("resume", "a sweep goes on as it was planned", got=str(change))
    _say_where(path, run, told)
    job = Job(
        ready,
        recipes,
        origin.lane_plan(),
        told,
        strict=origin.strict,
        halving=halving_of(origin.halving),
        init=origin.init,
        every=origin.every,
        last=origin.last,
        run=run,
        at=change.at,
        schedule_total=total,
        forked=origin.forked,
        finding=finding_of(path) or None,
    )
    work = Session(job)
    return work.many(path) if origin.many else work.one(path)


def is_begun(folder: Path | str) -> bool:
    """Tell whether there is a run in a folder that can go on."""
    return (Path(folder) / NAME).is_file() or (Path(folder) / FOLDER).is_dir()


def check_recipe(folder: Path | str, *recipes: Recipe) -> None:
    """Refuse to go on under other recipes than those that a run, or a sweep, was begun with.

    Raises:
        RecipeError: They are others; says where the first of these differs.
    """
    begun = Origin.from_dict(_run_file(Path(folder), Silent()).origin, folder).lane_recipes()
    if len(begun) != len(recipes):
        raise _another(folder, f"{len(recipes)} lanes, it had {len(begun)}")
    for before, given in zip(begun, recipes, strict=True):
        asked = Recipe.from_dict(given.to_dict())
        if recipes_as_text([asked]) != recipes_as_text([before]):
            old, new = before.to_dict(), asked.to_dict()
            other = [name for name in {**old, **new} if str(old.get(name)) != str(new.get(name))]
            raise _another(folder, "; ".join(f"{n} = {new.get(n)}, it was {old.get(n)}" for n in other))


def _another(folder: Path | str, got: str) -> RecipeError:
    return RecipeError(
        "recipe",
        "must be the one that the run in the folder was begun with",
        got=got,
        where=folder,
        hint="choose another --out, or fork it: thalweg resume RUN --set ... --out NEW",
    )


def _check_change(change: Change) -> None:
    if change.epochs is not None and change.steps is not None:
        raise RecipeError("resume", "takes epochs or steps, not both", got=f"{change.epochs}, {change.steps}")
    if change.schedule not in (None, STRETCH, HOLD):
        raise RecipeError("resume", f"schedule must be {STRETCH} or {HOLD}", got=change.schedule)
    if change.settings and change.out is None:
        raise RecipeError(
            "resume",
            "a changed recipe makes another run, which needs a folder of its own",
            got=" ".join(change.settings),
            hint="name one with --out NEW; this run stays as it is",
        )
    for text in change.settings:
        if re.match(r"\s*(epochs|steps|seed)\s*=", text):
            raise RecipeError(
                "resume", "the length is changed with --epochs or --steps, and the seed not", got=text
            )


def _run_file(folder: Path, progress: Progress) -> RunFile:
    """Return what the run was begun with: of run.json, or, where that is damaged, of its checkpoints."""
    try:
        return RunFile.read(folder)
    except RunFolderError as error:
        for one in Store(folder).sound():
            if isinstance(one, Checkpoint) and "origin" in one.manifest.facts:
                progress.note(
                    f"run.json is not usable ({error.rule}); what it said is taken from {one.path.name}"
                )
                return RunFile(one.manifest.run, one.manifest.facts["origin"])
        raise


def _recipes(problem: Problem, origin: Origin, change: Change) -> tuple[list[Recipe], int | None]:
    """Return the recipes with their new length, and the updates that schedules are planned over."""
    before = origin.lane_recipes()
    if change.epochs is None and change.steps is None:
        return before, origin.schedule_total
    given = {"epochs": change.epochs, "steps": change.steps}
    after = [Recipe.from_dict(recipe.to_dict() | given) for recipe in before]
    old, new = length(problem, before[0]), length(problem, after[0])
    planned = origin.schedule_total or old
    if not _follows_length(problem, before[0], planned, new):
        return after, origin.schedule_total
    if change.schedule is None:
        raise RecipeError(
            "resume",
            "the schedule was planned over the old length; say what becomes of it",
            got=f"{type(before[0].schedule).__name__} over {planned} updates, {new} wanted",
            hint="--schedule stretch plans it over the new length; --schedule hold lets its end last",
        )
    return after, planned if change.schedule == HOLD else None


def _follows_length(problem: Problem, recipe: Recipe, old: int, new: int) -> bool:
    """Tell whether the learning rate at any step depends on how long the run is: asked of the schedule."""
    epoch_steps = feed_of(problem, [recipe]).epoch_steps
    state = recipe.schedule.init()

    def factor(step: float, total: int) -> float:
        clock = Clock(*(jnp.float32(value) for value in (step, total, epoch_steps)))
        return float(recipe.schedule.factor(clock, state))

    asked = np.unique(np.linspace(0, max(old, new) - 1, 64).astype(int))
    return any(factor(step, old) != factor(step, new) for step in asked)


def _parts(folder: Path, run: RunFile) -> dict[str, str]:
    """Return the fingerprints of the data's parts that the newest checkpoint noted."""
    store = Store(folder, run.run)
    for name in store.names():
        with contextlib.suppress(RunFolderError):
            return store.manifest(name).facts.get("parts", {})
    return {}


def _say_where(folder: Path, run: RunFile, progress: Progress) -> None:
    """Say what differs from where the run was before, where that may change bits."""
    for one in Store(folder, run.run).names():
        try:
            before = Store(folder, run.run).manifest(one).facts.get("environment", {})
        except RunFolderError:
            continue
        now = environment()
        changed = [
            f"{name} {before[name]} is now {now.get(name)}"
            for name in BITS
            if name in before and before[name] != now.get(name)
        ]
        if changed:
            progress.note("the bits may differ from a run in one piece: " + "; ".join(changed))
        return


def _forked(
    folder: Path, run: RunFile, origin: Origin, change: Change, progress: Progress
) -> tuple[Path, RunFile]:
    """Begin a new run where an old one was: its folder gets the checkpoint and the log up to it."""
    if origin.many:
        raise RecipeError("resume", "a sweep cannot be forked", got=str(folder), hint="fork a single run")
    chosen = next(
        (one for one in Store(folder, run.run).sound(change.at) if isinstance(one, Checkpoint)), None
    )
    if chosen is None:
        raise RunFolderError(
            "run",
            "must have a sound checkpoint to be forked at",
            got=f"none up to step {change.at}" if change.at is not None else "none",
            where=folder,
        )
    step = chosen.manifest.step
    progress.note(f"forking at step {step}, from {chosen.path.name}")
    recipe = origin.lane_recipes()[0]
    changed = Recipe.from_dict(settings(recipe.to_dict(), change.settings), where="--set")
    new = replace(
        origin,
        recipes=recipes_as_text([changed]),
        forked={"run": str(folder.absolute()), "step": step},
    )
    target = folders.make(change.out, "run", False)
    made = RunFile(origin=new.to_dict())
    facts = chosen.manifest.facts | {"origin": made.origin}
    rows = {name: first_rows(table, facts["log"][name]["rows"]) for name, table in read_back(folder).items()}
    Log(target, [], len(facts["stopped"]), before=rows).close(keep=True)
    Store(target, made.run).commit(step, chosen.arrays, facts, chosen.manifest.score)
    return target, made.write(target, [])
