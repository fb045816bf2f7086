"""Several models on the same data: a sweep for each, joined into one.

Models differ in their parameters, so that lanes of two models never share a program; what they share is the
data, the recipes and the table.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from thalweg.engine.lanes import Plan
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run import folder as folders
from thalweg.run import sweeps
from thalweg.run.folder import write_json
from thalweg.run.halving import Halving
from thalweg.run.progress import Progress
from thalweg.run.run import Run
from thalweg.run.runs import Runs
from thalweg.run.train import Keeping, plan, train

MODEL = "model"


def train_models(
    problems: Sequence[Problem],
    recipes: Sequence[Recipe],
    *,
    keep: Keeping,
    init: Path | str | None = None,
    progress: Progress | None = None,
    strict: bool = False,
    halving: Halving | None = None,
) -> Runs:
    """Train every recipe with every problem; the problems differ in their model alone.

    Halving compares the settings of one model with each other.

    Args:
        problems: One or more, on the same data.
        recipes, init, progress, strict, halving: As for `train`.
        keep: Where; a sweep folder.

    Returns:
        The runs, model by model. With several models `model` is a column of the table like any other.
    """
    for problem in problems:
        plan(problem, recipes, strict=strict)  # refuses what does not fit, before the first model is trained
    if len(problems) == 1:
        return train(
            problems[0], recipes, keep=keep, init=init, progress=progress, strict=strict, halving=halving
        )
    folder = folders.make(keep.out, problems[0].data.name, keep.force)
    found = []
    for number, problem in enumerate(problems):
        # What lies there is left from a sweep that was broken off.
        part = Keeping(folder / f"model-{number}", True, keep.every, keep.last)
        found.append(
            train(problem, recipes, keep=part, init=init, progress=progress, strict=strict, halving=halving)
        )
    return _joined(folder, problems, found)


def plan_models(
    problems: Sequence[Problem], recipes: Sequence[Recipe], *, strict: bool = False
) -> list[Plan]:
    """Return how the lanes of each model would be laid out; nothing is compiled."""
    return [plan(problem, recipes, strict=strict) for problem in problems]


def _joined(folder: Path, problems: Sequence[Problem], parts: Sequence[Runs]) -> Runs:
    """Move all lanes into one folder and write one table."""
    frames, groups, runs, first = [], [], [], 0
    for problem, part in zip(problems, parts, strict=True):
        frame = part.table.with_columns(pl.lit(problem.model_spec).alias(MODEL))
        frames.append(frame.with_columns(pl.col("lane") + first, pl.col("group") + len(groups)))
        groups += [[lane + first for lane in group] for group in part.result["groups"]]
        for lane in range(len(part)):
            runs.append(_moved(part[lane], sweeps.lane_folder(folder, lane + first)))
        first += len(part)
    table = pl.concat(frames, how="diagonal_relaxed")
    result = dict(parts[0].result) | {
        "run": str(folder),
        "stopped": _added([part.result["stopped"] for part in parts]),
        "model": ", ".join(problem.model_spec for problem in problems),
        "parameters": [part.result["parameters"] for part in parts],
        "lanes": len(table),
        "varied": [MODEL, *parts[0].result["varied"]],
        "groups": groups,
        "plan": [part.result["plan"] for part in parts],
        "seconds": _added([part.result["seconds"] for part in parts]),
    }
    for name in ("problem.json", "environment.json"):
        (folder / part_name(parts[0]) / name).replace(folder / name)
    write_json(folder / sweeps.FILE, result | {"rows": table.to_dicts()})
    for part in parts:
        folders.remove(folder / part_name(part))
    return Runs(tuple(runs), table, result, folder)


def part_name(part: Runs) -> str:
    """Return the name of the folder that one model's sweep was written to."""
    return part.folder.name if part.folder is not None else ""


def _moved(run: Run, target: Path) -> Run:
    """Move a lane's folder, and let its result say where it lies now."""
    target.parent.mkdir(exist_ok=True)
    (run.folder or target).rename(target)
    result = run.result | {"run": str(target)}
    write_json(target / "result.json", result)
    return replace(run, record=replace(run.record, folder=target, result=result))


def _added(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: sum(table.get(name, 0) for table in tables) for name in names}
