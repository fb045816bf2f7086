"""`train_models` trains several models on the same data.

Models differ in their parameters, so lanes of two models never share a program; they share the data, the
recipes and the table. On disk each model has its own sweep folder, `model-0`, ..., and the folder around
them holds a sweep.json over all of their lanes.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thalweg.core.lazy import pl
from thalweg.core.stop_reason import StopReason
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.claim import claim, remove, taken
from thalweg.run.folder.filesystem import JSON_LIMIT, LANE_FOLDER, read_file
from thalweg.run.folder.filesystem import MODEL as MODEL_FOLDER
from thalweg.run.folder.folder import RunFile, RunFolder
from thalweg.run.folder.sweep_record import FILE, lane_folder
from thalweg.run.run import Runs
from thalweg.run.spec import MODELS, SaveOptions
from thalweg.run.train import plan, train

MODEL = "model"


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
    with claim(keep.out, problems[0].data.name, keep.force) as folder:
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
        raise taken(earlier[0])
    for model_folder in earlier:
        remove(model_folder)


def _joined(folder: Path, problems: Sequence[Problem], sweeps: Sequence[Runs]) -> Runs:
    """Write one table over the sweeps of all models, which stay where they are."""
    frames, groups, first = [], [], 0
    for number, (problem, sweep) in enumerate(zip(problems, sweeps, strict=False)):
        model_folder = Path(f"{MODEL_FOLDER}{number}")
        own = [lane_folder(model_folder, lane).as_posix() for lane in sweep.table["lane"]]
        frames.append(
            sweep.table.with_columns(
                pl.col("lane") + first,
                pl.col("group") + len(groups),
                pl.lit(problem.model_name).alias(MODEL),
                pl.Series(LANE_FOLDER, own),
            )
        )
        groups += [[lane + first for lane in group] for group in sweep.result["groups"]]
        first += len(sweep)
    table = pl.concat(frames, how="diagonal_relaxed")
    result = dict(sweeps[0].result) | {
        "run": str(folder),
        "stopped": _summed([sweep.result["stopped"] for sweep in sweeps]),
        "model": ", ".join(problem.model_name for problem in problems),
        "parameters": [sweep.result["parameters"] for sweep in sweeps],
        "lanes": len(table),
        "varied": [MODEL, *sweeps[0].result["varied"]],
        "groups": groups,
        "plan": [sweep.result["plan"] for sweep in sweeps],
        "seconds": _summed([sweep.result["seconds"] for sweep in sweeps]),
    }
    joined = RunFolder(folder)
    for name in ("problem.json", "environment.json"):
        joined.write(name, read_file(folder / f"{MODEL_FOLDER}0" / name, JSON_LIMIT))
    joined.write_json(FILE, result | {"rows": table.to_dicts()})
    interrupted = len(sweeps) < len(problems) or StopReason.INTERRUPTED in result["stopped"]
    RunFile(origin={MODELS: len(sweeps)}).write_end(folder, not interrupted)
    return Runs(tuple(run for sweep in sweeps for run in sweep), table, result, folder)


def _summed(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: sum(table.get(name, 0) for table in tables) for name in names}
