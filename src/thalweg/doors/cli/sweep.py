"""`thalweg sweep`: ranges from the command line become recipes, their runs a ranked table."""

import time

import numpy as np

from thalweg.core.errors import RecipeError
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.core.tree import count as count_parameters
from thalweg.doors.cli.arguments import (
    Options,
    load_options,
    recipe_request,
    resumes,
    save_options,
    use_device,
)
from thalweg.doors.cli.output import finish, print_json
from thalweg.engine.group import lane_bytes, length
from thalweg.insight.fit import restart_options
from thalweg.insight.wording import plural
from thalweg.problem.data.load import load
from thalweg.problem.models import ALIASES, ARCHITECTURES, parse
from thalweg.problem.problem import Problem
from thalweg.recipe import ranges, vary
from thalweg.recipe.recipe import Recipe
from thalweg.run.resume import check_recipe, is_resumable, resume
from thalweg.run.spec import Halving
from thalweg.run.train import plan as plan_lanes
from thalweg.run.train import train_models
from thalweg.view import progress as showing

MODEL, SEED = "model", "seed"
_EXAMPLE = "for example --vary optimizer.lr=1e-4..1e-1:16log"


def sweep(options: Options) -> int:
    """Train every lane, or print the plan; return the exit code."""
    use_device(options["device"])
    request = recipe_request(options, allow_auto=False)
    varied = _varied(options["vary"])
    problems = _problems(options, varied.pop(MODEL, None))
    recipes = _recipes(options, problems, request.for_data(problems[0].data), varied)
    if options["plan"]:
        return _plan(options, problems, recipes)
    progress = showing.progress(quiet=options["quiet"])
    for note in problems[0].data.notes:
        progress.note(note.text)
    save, folder = save_options(options), options["out"]
    if resumes(options):
        _check_resumable(problems)
        save = restart_options(save)
        if is_resumable(folder):
            check_recipe(folder, *recipes)
            runs = resume(folder, problems[0], progress=progress)
            return finish(runs, options["json"], options["quiet"])
    runs = train_models(
        problems,
        recipes,
        keep=save,
        init=options["init"],
        progress=progress,
        strict=options["strict"],
        halving=Halving() if options["halving"] else None,
    )
    return finish(runs, options["json"], options["quiet"])


def _check_resumable(problems: list[Problem]) -> None:
    if len(problems) > 1:
        raise RecipeError(
            "--resume",
            "continues a sweep of one model",
            got=", ".join(problem.model_spec for problem in problems),
            hint="thalweg resume RUN/model-0 continues the sweep of the first of several",
        )


def _plan(options: Options, problems: list[Problem], recipes: list[Recipe]) -> int:
    plans = [plan_lanes(problem, recipes, strict=options["strict"]) for problem in problems]
    if options["json"]:
        print_json({"plans": [plan.to_dict() for plan in plans]})
        return EXIT_DONE
    for problem, plan in zip(problems, plans, strict=True):
        if len(problems) > 1:
            print(f"model {problem.model_spec}")
        print(plan.text())
    return EXIT_DONE


def _varied(texts: list[str]) -> dict[str, str]:
    """Return what each setting of `--vary` ranges over, as text."""
    varied: dict[str, str] = {}
    for text in texts:
        path, equals, values = (word.strip() for word in text.partition("="))
        if not equals or not path:
            raise RecipeError("--vary", "must be PATH=RANGE", got=text, hint=_EXAMPLE)
        if path in varied:
            raise RecipeError(
                "--vary",
                "each setting may be given only once",
                got=text,
                hint="put all its values in one range",
            )
        varied[path] = values
    return varied


def _problems(options: Options, models: str | None) -> list[Problem]:
    """Return a problem for each model, all on the same data."""
    if models is not None and options["model"]:
        raise RecipeError(
            "--vary",
            "model cannot vary and be set by --model",
            got=options["model"],
            hint="leave one out",
        )
    specs = _models(models) if models is not None else [options["model"]]
    architectures = [parse(spec) if spec else None for spec in specs]
    data = load(options["data"], **load_options(options))
    return [Problem(architecture, data) for architecture in architectures]


def _models(text: str) -> list[str]:
    """Split `mlp:32,mlp:256,256` where a new model starts: commas also separate a model's own settings."""
    known: set[str] = {*ARCHITECTURES, *ALIASES}
    specs: list[str] = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        if ":" in word or word in known or not specs:
            specs.append(word)
        else:
            specs[-1] += f",{word}"
    if not specs or len(set(specs)) < len(specs):
        raise RecipeError(
            "--vary", "model must name models that differ", got=text, hint="model=mlp:32,mlp:512"
        )
    return specs


def _recipes(options: Options, problems: list[Problem], base: Recipe, varied: dict[str, str]) -> list[Recipe]:
    """Return the recipe of every lane."""
    if options["seed"] is not None and SEED in varied:
        raise RecipeError(
            "--vary", "seed cannot vary and be set by --seed", got=varied[SEED], hint="leave one out"
        )
    if not varied:
        if len(problems) > 1 and options["sample"] is None:
            return [base]
        raise RecipeError("--vary", "at least one setting must vary", hint=_EXAMPLE)
    if options["sample"] is not None:
        return _sampled(options["sample"], base, varied)
    columns = vary.read_columns(base, varied)
    lanes = vary.combinations(columns) * len(problems)
    if lanes > vary.MOST_LANES:
        vary.reject_too_many(lanes, _cost(problems[0], base, lanes))
    return vary.product(base, columns)


def _sampled(count: int, base: Recipe, varied: dict[str, str]) -> list[Recipe]:
    """Draw points, and give each of them every seed: seeds are not searched."""
    space = {path: values for path, values in varied.items() if path != SEED}
    seeds = ranges.read_values(varied[SEED], True, "--vary seed") if SEED in varied else [base.seed]
    vary.reject_too_many(count * len(seeds))
    points = vary.sample(base, count, space, key=base.seed)
    return [lane for recipe in points for lane in recipe.vary(seed=seeds)]


def _cost(problem: Problem, recipe: Recipe, lanes: int) -> str:
    """Return a lower bound of the cost of `lanes` lanes, from a matrix product that is timed now.

    Six operations per parameter and example: two forward, four backward. Parameters that an example uses
    several times (convolutions, windows of text) take more.
    """
    size = 512
    matrix = np.ones((size, size), np.float32)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        np.dot(matrix, matrix)
        seconds.append(time.perf_counter() - start)
    examples = length(problem, recipe) * recipe.batch(problem.data.train.count())
    work = 6.0 * count_parameters(problem.shapes.params) * examples * lanes
    hours = work * min(seconds) / (2 * size**3) / 3600
    memory = lane_bytes(problem, recipe) * lanes / 2**30
    return (
        f"predicted: at least {plural(float(f'{hours:.2g}'), 'hour')}, and {memory:,.0f} GiB if held at once"
    )
