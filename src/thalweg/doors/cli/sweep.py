"""`thalweg sweep`: ranges from the command line become recipes, their runs a ranked table."""

import time
from dataclasses import dataclass

import numpy as np

from thalweg.core.errors import RecipeError
from thalweg.core.tree import count as count_parameters
from thalweg.doors.cli import fit, rate
from thalweg.doors.cli import resume as resuming
from thalweg.doors.cli.codes import DONE
from thalweg.doors.cli.device import use
from thalweg.doors.cli.output import print_json
from thalweg.doors.cli.ranked import told
from thalweg.engine.group import lane_bytes, length
from thalweg.insight.wording import plural
from thalweg.problem.models.registry import ALIASES, ARCHITECTURES
from thalweg.problem.models.spec import parse
from thalweg.problem.problem import Problem
from thalweg.recipe import ranges, vary
from thalweg.recipe.recipe import Recipe
from thalweg.run.resume import check_recipe, resume
from thalweg.run.spec import Halving, SaveOptions
from thalweg.run.train import plan as plan_lanes
from thalweg.run.train import train_models
from thalweg.view import progress as showing

MODEL, SEED = "model", "seed"
_EXAMPLE = "for example --vary optimizer.lr=1e-4..1e-1:16log"


@dataclass(frozen=True)
class Request:
    """The command's arguments, as they came; see `thalweg sweep --help`.

    Args:
        fit: What `thalweg fit` takes too.
        vary: `PATH=RANGE`, one for each setting.
        sample: Draw so many points from the ranges, instead of every combination.
        plan: Say how the lanes would be laid out, and train nothing.
        halving: Freeze the worse settings on the way.
        strict: Only layouts in which each lane has the bits of the lane alone.
    """

    fit: fit.Request
    vary: list[str]
    sample: int | None
    plan: bool
    halving: bool
    strict: bool


def run(request: Request) -> int:
    """Train every lane as asked; return the exit code."""
    asked = request.fit
    use(asked.device)
    rate.check(asked.lr, asked.set_, allow_auto=False)  # refused before the data is read
    given = _given(request.vary)
    base = fit.named_recipe(asked)
    problems = _problems(request, given.pop(MODEL, None))
    recipes = _recipes(request, problems, fit.recipe_of(asked, problems[0], base), given)
    if request.plan:
        return _plan(request, problems, recipes)
    progress = showing.progress(quiet=asked.quiet)
    for note in problems[0].data.notes:
        progress.note(note.text)
    keep = SaveOptions(asked.out, asked.force, asked.checkpoint_every)
    if asked.resume is not None:
        _check_resumable(problems)
        keep = fit.start_or_go_on(asked, keep)
    if keep is None and asked.out is not None:
        check_recipe(asked.out, *recipes)
        return resuming.told(resume(asked.out, problems[0], progress=progress), asked.json, asked.quiet)
    runs = train_models(
        problems,
        recipes,
        keep=keep or SaveOptions(),
        init=asked.init,
        progress=progress,
        strict=request.strict,
        halving=Halving() if request.halving else None,
    )
    return told(runs, asked.json, asked.quiet)


def _check_resumable(problems: list[Problem]) -> None:
    if len(problems) > 1:
        raise RecipeError(
            "--resume",
            "goes on with the sweep of one model",
            got=", ".join(problem.model_spec for problem in problems),
            hint="thalweg resume RUN/model-0 goes on with one of several",
        )


def _plan(request: Request, problems: list[Problem], recipes: list[Recipe]) -> int:
    plans = [plan_lanes(problem, recipes, strict=request.strict) for problem in problems]
    if request.fit.json:
        print_json({"plans": [plan.to_dict() for plan in plans]})
        return DONE
    for problem, plan in zip(problems, plans, strict=True):
        print(
            f"model {problem.model_spec}" if len(problems) > 1 else "", end="\n" if len(problems) > 1 else ""
        )
        print(plan.text())
    return DONE


def _given(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for given in texts:
        path, equals, values = (word.strip() for word in given.partition("="))
        if not equals or not path:
            raise RecipeError("--vary", "must be PATH=RANGE", got=given, hint=_EXAMPLE)
        if path in found:
            raise RecipeError(
                "--vary", "a setting varies once", got=given, hint="put all its values in one range"
            )
        found[path] = values
    return found


def _problems(request: Request, models: str | None) -> list[Problem]:
    """Return a problem for each model, all with the one data set."""
    asked = request.fit
    if models is not None and asked.model:
        raise RecipeError(
            "--vary", "model varies, and --model fixes it", got=asked.model, hint="leave one out"
        )
    specs = _models(models) if models is not None else [asked.model]
    parsed = [parse(spec) if spec else None for spec in specs]
    data = fit.data_of(asked)
    return [Problem(model, data) for model in parsed]


def _models(given: str) -> list[str]:
    """Part `mlp:32,mlp:256,256` where a new model begins: a comma also parts a model's own settings."""
    known, found = {*ARCHITECTURES, *ALIASES}, []
    for word in filter(None, (word.strip() for word in given.split(","))):
        if ":" in word or word in known or not found:
            found.append(word)
        else:
            found[-1] += f",{word}"
    if not found or len(set(found)) < len(found):
        raise RecipeError(
            "--vary", "model must name models that differ", got=given, hint="model=mlp:32,mlp:512"
        )
    return found


def _recipes(request: Request, problems: list[Problem], base: Recipe, given: dict[str, str]) -> list[Recipe]:
    if request.fit.seed is not None and SEED in given:
        raise RecipeError("--vary", "seed varies, and --seed fixes it", got=given[SEED], hint="leave one out")
    if not given:
        return _alone(request, problems, base)
    if request.sample is not None:
        return _drawn(request.sample, base, given)
    columns = vary.read_columns(base, given)
    lanes = vary.combinations(columns)
    if lanes * len(problems) > vary.MOST_LANES:
        vary.refuse_too_many(lanes * len(problems), _cost(problems[0], base, lanes * len(problems)))
    return vary.every(base, columns)


def _alone(request: Request, problems: list[Problem], base: Recipe) -> list[Recipe]:
    if len(problems) > 1 and request.sample is None:
        return [base]
    raise RecipeError("--vary", "at least one setting must vary", hint=_EXAMPLE)


def _drawn(count: int, base: Recipe, given: dict[str, str]) -> list[Recipe]:
    """Draw points, and give each of them every seed: seeds are no place to search."""
    space = {path: given[path] for path in given if path != SEED}
    seeds = ranges.values(given[SEED]) if SEED in given else [base.seed]
    vary.refuse_too_many(count * len(seeds))
    drawn = vary.drawn(base, count, space, key=base.seed)
    return [lane for recipe in drawn for lane in recipe.vary(seed=seeds)]


def _cost(problem: Problem, recipe: Recipe, lanes: int) -> str:
    """Say what so many lanes would take at the least, from a matrix product timed on the spot.

    Six operations a parameter and example: two forward, four backward. Parameters that are used several times
    in an example (convolutions, windows of text) take more.
    """
    size = 512
    matrix = np.ones((size, size), np.float32)
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        np.dot(matrix, matrix)
        seconds.append(time.perf_counter() - begun)
    examples = length(problem, recipe) * recipe.batch(problem.data.train.count())
    work = 6.0 * count_parameters(problem.shapes.params) * examples * lanes
    hours = work * min(seconds) / (2 * size**3) / 3600
    memory = lane_bytes(problem, recipe) * lanes / 2**30
    return (
        f"predicted: at least {plural(float(f'{hours:.2g}'), 'hour')}, and {memory:,.0f} GiB if held at once"
    )
