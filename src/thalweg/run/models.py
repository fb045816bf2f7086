"""Several models on the same data: a sweep for each, joined into one.

Models differ in their parameters, so that lanes of two models never share a program; what they share is the
data, the recipes and the table. On disk each model has a sweep folder of its own, `model-0`, ..., and the
folder around them a sweep.json over all of their lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thalweg.core.errors import RunFolderError
from thalweg.core.lazy import pl
from thalweg.core.stop_reason import StopReason
from thalweg.engine.plan import LanePlan
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder import folder as folders
from thalweg.run.folder.filesystem import replace as replace_file
from thalweg.run.folder.sweep_record import FILE, FOLDER, lane_folder
from thalweg.run.progress import Progress
from thalweg.run.runs import Runs
from thalweg.run.session.halving import Halving
from thalweg.run.train import SaveOptions, plan, train

MODEL, PART = "model", "model-"


def train_models(
    problems: Sequence[Problem],
    recipes: Sequence[Recipe],
    *,
    keep: SaveOptions,
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
    _make_room(folder, keep.force)
    found: list[Runs] = []
    for number, problem in enumerate(problems):
        part = replace(keep, out=folder / f"{PART}{number}")
        found.append(
            train(problem, recipes, keep=part, init=init, progress=progress, strict=strict, halving=halving)
        )
        if StopReason.INTERRUPTED in found[-1].result["stopped"]:
            break
    return _joined(folder, problems, found)


def plan_models(
    problems: Sequence[Problem], recipes: Sequence[Recipe], *, strict: bool = False
) -> list[LanePlan]:
    """Return how the lanes of each model would be laid out; nothing is compiled."""
    return [plan(problem, recipes, strict=strict) for problem in problems]


def _make_room(folder: Path, force: bool) -> None:
    """Remove the models of an earlier sweep; without `force` refuse, for they may be wanted."""
    taken = sorted(folder.glob(f"{PART}*"))
    if taken and not force:
        raise RunFolderError(
            "run",
            "the output folder must not hold a run already",
            got=str(taken[0]),
            hint="choose another --out, overwrite it with --force, or go on with `thalweg resume`",
        )
    for part in taken:
        folders.remove(part)


def _joined(folder: Path, problems: Sequence[Problem], parts: Sequence[Runs]) -> Runs:
    """Write one table over the sweeps of all models, which stay where they are."""
    frames, groups, first = [], [], 0
    for number, (problem, part) in enumerate(zip(problems, parts, strict=False)):
        own = [str(lane_folder(Path(f"{PART}{number}"), lane)) for lane in part.table["lane"]]
        frames.append(
            part.table.with_columns(
                pl.col("lane") + first,
                pl.col("group") + len(groups),
                pl.lit(problem.model_spec).alias(MODEL),
                pl.Series(FOLDER, own),
            )
        )
        groups += [[lane + first for lane in group] for group in part.result["groups"]]
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
        replace_file(folder / name, (folder / f"{PART}0" / name).read_bytes())
    folders.RunFolder(folder).write_json(FILE, result | {"rows": table.to_dicts()})
    return Runs(tuple(run for part in parts for run in part), table, result, folder)


def _added(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: sum(table.get(name, 0) for table in tables) for name in names}
