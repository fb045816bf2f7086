"""`thalweg fit`: words from the command line become a problem and a recipe; `run.train` does the rest."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thalweg.core.errors import DataError, RecipeError
from thalweg.doors.cli import rate
from thalweg.doors.cli.device import use
from thalweg.doors.cli.rate import AUTO
from thalweg.doors.cli.resume import told
from thalweg.insight.finder.finding_io import as_dict
from thalweg.problem.data.data import Data
from thalweg.problem.data.load import load
from thalweg.problem.models.spec import parse
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.toml import named_or_file, settings
from thalweg.run.folder.folder import refuse_taken
from thalweg.run.resume import check_recipe, is_resumable
from thalweg.run.resume import resume as go_on
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train
from thalweg.view import progress as showing


@dataclass(frozen=True)
class Request:
    """The command's arguments, as they came; see `thalweg fit --help`."""

    data: str
    target: str | None
    model: str | None
    recipe: str | None
    set_: list[str] | None
    lr: str | None
    epochs: int | None
    steps: int | None
    seed: int | None
    test: str | None
    validation: float
    split: str
    split_seed: int
    header: bool
    missing: list[str] | None
    drop: list[str] | None
    task: str | None
    context: int
    lines: bool
    window: int | None
    horizon: int
    folder: Path | None
    init: Path | None
    device: Any
    out: Path | None
    force: bool
    checkpoint_every: str
    resume: str | None
    json: bool
    quiet: bool


def run(request: Request) -> int:
    """Train as asked; return the exit code."""
    use(request.device)
    rate.check(request.lr, request.set_)  # refused before the data is read
    named = named_recipe(request)
    model = parse(request.model) if request.model else None
    problem = Problem(model, data_of(request))
    recipe = recipe_of(request, problem, named)
    progress = showing.progress(quiet=request.quiet)
    for note in problem.data.notes:
        progress.note(note.text)
    keep = SaveOptions(request.out, request.force, request.checkpoint_every)
    if request.resume is not None:
        keep = start_or_go_on(request, keep)
    if keep is None and request.out is not None:
        check_recipe(request.out, recipe if request.lr != AUTO else rate.begun_with(request.out, recipe))
        return told(go_on(request.out, problem, progress=progress), request.json, request.quiet)
    if request.lr == AUTO:
        refuse_taken(request.out, request.force or keep is None or keep.force)
        finding = rate.search(problem, recipe, progress)
        if finding.value is None:
            return rate.none_usable(finding, request.json)
        keep, recipe = replace(keep or SaveOptions(), finding=as_dict(finding, recipe)), finding.recipe
    found = train(problem, recipe, keep=keep, init=request.init, progress=progress)
    return told(found, request.json, request.quiet)


def start_or_go_on(request: Request, keep: SaveOptions) -> SaveOptions | None:
    """Return how the run that is to be started is kept; None where there is one to go on with."""
    if request.resume != "auto":
        raise RecipeError("--resume", "must be auto", got=request.resume, hint="or: thalweg resume RUN")
    if request.out is None:
        raise RecipeError("--resume auto", "needs the folder of the run", hint="name it with --out")
    if is_resumable(request.out):
        return None
    # Left over from a run that was killed before it began: nothing that anyone could miss.
    finished = (request.out / "final.safetensors").exists()
    return SaveOptions(request.out, request.force or not finished, request.checkpoint_every)


def data_of(request: Request) -> Data:
    """Read the data as asked."""
    target = request.target
    return load(
        request.data,
        target=int(target) if target is not None and target.isdigit() else target,
        test=_test(request.test),
        validation=request.validation,
        split=request.split,
        split_seed=request.split_seed,
        header=request.header,
        missing=tuple(request.missing or ()),
        drop=tuple(request.drop or ()),
        task=request.task,
        context=request.context,
        lines=request.lines,
        window=request.window,
        horizon=request.horizon,
        folder=request.folder,
    )


def _test(given: str | None) -> float | str | None:
    if given is None:
        return None
    try:
        return float(given)
    except ValueError:
        if not Path(given).exists():
            raise DataError(
                "--test", "must be a fraction or a file that exists", got=given, hint="for example --test 0.2"
            ) from None
        return given


def named_recipe(request: Request) -> Recipe | None:
    """Return the recipe that was asked for; None for the data's default."""
    if request.epochs is not None and request.steps is not None:
        raise RecipeError(
            "recipe",
            "takes epochs or steps, not both",
            got=f"--epochs {request.epochs} --steps {request.steps}",
        )
    return named_or_file(request.recipe) if request.recipe else None


def recipe_of(request: Request, problem: Problem, base: Recipe | None) -> Recipe:
    """Return the recipe with every change from the command line."""
    data = problem.data
    given = (base or default_recipe(data.task, data.train.count())).to_dict()
    lengths = {"epochs": request.epochs, "steps": request.steps}
    if any(value is not None for value in lengths.values()):
        given |= lengths  # the other one, from the recipe, no longer counts
    if request.seed is not None:
        given["seed"] = request.seed
    changes = [*(request.set_ or []), *rate.as_setting(request.lr)]
    return Recipe.from_dict(settings(given, changes), where="the command line")
