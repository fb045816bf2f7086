"""`train` trains a problem with one or many recipes, `train_models` several models on the same data.

Models differ in their parameters, so lanes of two models never share a program; they share the data, the
recipes and the table. On disk each model has its own sweep folder, `model-0`, ..., and the folder around
them holds a sweep.json over all of their lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from thalweg.core.errors import RunFolderError
from thalweg.core.lazy import pl
from thalweg.core.stop_reason import StopReason
from thalweg.engine.plan import LanePlan
from thalweg.engine.plan import plan as plan_lanes
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder import filesystem
from thalweg.run.folder import folder as folders
from thalweg.run.folder.folder import RunFolder
from thalweg.run.folder.sweep_record import FILE, FOLDER, lane_folder
from thalweg.run.progress import Progress, Silent
from thalweg.run.run import Run, Runs
from thalweg.run.session.lane_states import Timings
from thalweg.run.session.session import Session
from thalweg.run.spec import Halving, RunSpec, SaveOptions
from thalweg.run.validate import check_loss, check_recipe

MODEL, MODEL_FOLDER = "model", "model-"


@overload
def train(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    keep: SaveOptions | Path | str | None = None,
    init: Path | str | None = None,
    progress: Progress | None = None,
) -> Run: ...
@overload
def train(
    problem: Problem,
    recipe: Sequence[Recipe],
    *,
    keep: SaveOptions | Path | str | None = None,
    init: Path | str | None = None,
    progress: Progress | None = None,
    strict: bool = False,
    halving: Halving | None = None,
) -> Runs: ...
def train(
    problem: Problem,
    recipe: Recipe | Sequence[Recipe] | None = None,
    *,
    keep: SaveOptions | Path | str | None = None,
    init: Path | str | None = None,
    progress: Progress | None = None,
    strict: bool = False,
    halving: Halving | None = None,
) -> Run | Runs:
    """Train a model by gradient descent: once, or with many recipes together.

    Divergence and interruption are not errors: `result["stopped"]` names them, and the run keeps its best
    weights.

    Args:
        problem: What is learned.
        recipe: How; None for the default of the data (`recipe.book`). Several recipes are lanes: those of
            equal structure share one compiled program. Lanes of equal seed see the same batches and start
            from the same weights.
        keep: Where to write the run: a folder, a `SaveOptions`, or None for memory only.
        init: A run folder (or a safetensors file) whose weights to start from. Arrays whose path and shape
            agree are taken over; the others (a head for other classes) are initialised.
        progress: Listens to the run.
        strict: With many: only layouts in which every lane computes the bits that it computes alone. By
            default tiny networks, and all networks on an accelerator, may compute lanes in one product
            (`engine.plan`).
        halving: With many: freeze the worse settings at rungs. Needs a validation split.

    Returns:
        The run: model, history, why it stopped, its folder. With several recipes `Runs`, in their order.

    Raises:
        BadInput: The problem, a recipe or the folder cannot be used. Nothing has been trained or written.

    Example:
        >>> import thalweg as tw
        >>> run = tw.train(tw.Problem(tw.MLP([64, 32, 10]), tw.load("digits")), tw.Recipe(epochs=5))
        >>> run.result["stopped"]
        'epochs'
    """
    timings = Timings()
    many = not (recipe is None or isinstance(recipe, Recipe))
    if recipe is None:
        recipe = default_recipe(problem.data.task, problem.data.train.count())
    recipes = [recipe] if isinstance(recipe, Recipe) else list(recipe)
    lanes = plan(problem, recipes, strict=strict, measure=True)
    check_loss(problem)
    save = keep if isinstance(keep, SaveOptions) else SaveOptions(keep)
    spec = RunSpec.of(problem, recipes, many, lanes, strict=strict, halving=halving, init=init, save=save)
    session = Session(problem, spec, progress or Silent(), timings=timings)
    folder = None if keep is None else folders.make(save.out, problem.data.name, save.force)
    return session.run(folder)


def plan(
    problem: Problem, recipes: Sequence[Recipe], *, strict: bool = False, measure: bool = False
) -> LanePlan:
    """Return how `train` would lay these recipes out on this machine.

    Nothing is compiled, unless `measure` allows it: then layouts are timed where the rule is not sure.

    Raises:
        RecipeError: A recipe does not fit the data, or there are too many.
    """
    for recipe in recipes:
        check_recipe(problem, recipe)
    return plan_lanes(problem, recipes, strict=strict, measure=measure)


def train_models(
    problems: Sequence[Problem],
    recipes: Sequence[Recipe],
    *,
    keep: SaveOptions,
    strict: bool = False,
    **options: Any,
) -> Runs:
    """Train every recipe with every problem; the problems differ only in their model.

    Halving compares the settings of one model with each other.

    Args:
        problems: One or more, on the same data.
        recipes, strict, options: As for `train`.
        keep: Where to write them; a sweep folder.

    Returns:
        The runs, model by model. With several models `model` is a column of the table like any other.
    """
    for problem in problems:
        plan(problem, recipes, strict=strict)  # raises an error before the first model is trained
    if len(problems) == 1:
        return train(problems[0], recipes, keep=keep, strict=strict, **options)
    folder = folders.make(keep.out, problems[0].data.name, keep.force)
    _clear_models(folder, keep.force)
    sweeps: list[Runs] = []
    for number, problem in enumerate(problems):
        model_options = replace(keep, out=folder / f"{MODEL_FOLDER}{number}")
        sweeps.append(train(problem, recipes, keep=model_options, strict=strict, **options))
        if StopReason.INTERRUPTED in sweeps[-1].result["stopped"]:
            break
    return _joined(folder, problems, sweeps)


def _clear_models(folder: Path, force: bool) -> None:
    """Remove the models of an earlier sweep; refuse without `force`."""
    earlier = sorted(folder.glob(f"{MODEL_FOLDER}*"))
    if earlier and not force:
        raise RunFolderError(
            "run",
            "the output folder must not hold a run already",
            got=str(earlier[0]),
            hint="choose another --out, overwrite it with --force, or continue with `thalweg resume`",
        )
    for model_folder in earlier:
        folders.remove(model_folder)


def _joined(folder: Path, problems: Sequence[Problem], sweeps: Sequence[Runs]) -> Runs:
    """Write one table over the sweeps of all models, which stay where they are."""
    frames, groups, first = [], [], 0
    for number, (problem, sweep) in enumerate(zip(problems, sweeps, strict=False)):
        own = [str(lane_folder(Path(f"{MODEL_FOLDER}{number}"), lane)) for lane in sweep.table["lane"]]
        frames.append(
            sweep.table.with_columns(
                pl.col("lane") + first,
                pl.col("group") + len(groups),
                pl.lit(problem.model_spec).alias(MODEL),
                pl.Series(FOLDER, own),
            )
        )
        groups += [[lane + first for lane in group] for group in sweep.result["groups"]]
        first += len(sweep)
    table = pl.concat(frames, how="diagonal_relaxed")
    result = dict(sweeps[0].result) | {
        "run": str(folder),
        "stopped": _summed([sweep.result["stopped"] for sweep in sweeps]),
        "model": ", ".join(problem.model_spec for problem in problems),
        "parameters": [sweep.result["parameters"] for sweep in sweeps],
        "lanes": len(table),
        "varied": [MODEL, *sweeps[0].result["varied"]],
        "groups": groups,
        "plan": [sweep.result["plan"] for sweep in sweeps],
        "seconds": _summed([sweep.result["seconds"] for sweep in sweeps]),
    }
    for name in ("problem.json", "environment.json"):
        filesystem.replace(folder / name, (folder / f"{MODEL_FOLDER}0" / name).read_bytes())
    RunFolder(folder).write_json(FILE, result | {"rows": table.to_dicts()})
    return Runs(tuple(run for sweep in sweeps for run in sweep), table, result, folder)


def _summed(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: sum(table.get(name, 0) for table in tables) for name in names}
