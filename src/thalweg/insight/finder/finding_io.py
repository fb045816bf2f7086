"""Findings on disk: finding.json, complete in itself, and the folder that `thalweg find` writes.

finding.json      the finding, every lane, the recipe before and after; plain values
recipe.toml       the recipe with the finding in place
lanes.parquet     one row per lane: rung, steps, rate, seed, loss, train_loss, stopped, diverged_at;
                  for batch sizes sizes.parquet instead, one row per size
environment.json  versions and machine
finding.html      the figure and its evidence; finding.svg is the figure alone
"""

import math
from collections.abc import Mapping
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from thalweg.core.disk import left_over
from thalweg.core.errors import RunFolderError
from thalweg.insight.finder.finding import (
    FITTED,
    LANE,
    SIZE,
    BatchFinding,
    Cost,
    Fits,
    LearningRateFinding,
    NoiseScale,
)
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.describe import environment
from thalweg.run.folder.filesystem import files_of, plain, read_json
from thalweg.run.folder.folder import RunFolder

FILE, LANES, SIZES, PROBLEM = "finding.json", "lanes.parquet", "sizes.parquet", "problem.json"
SCHEMA = 2
# Keys of schema 1, which had no `schema` key, and their names today.
_RENAMED = {"standing": "status", "asked": "recipe_before"}
_TABLES = {"curve": LANE, "fitted": FITTED, "table": SIZE}
# Columns in which every row has a value: rows are sorted by them.
_KEYS = {"curve": ("rung", "steps", "rate", "seed"), "fitted": ("rate",), "table": ("batch",)}


def as_dict(finding: LearningRateFinding | BatchFinding, recipe: Recipe) -> dict[str, Any]:
    """Return a finding as plain values that `from_dict` (or `batch_from_dict`) reads back.

    Args:
        finding: The finding.
        recipe: The recipe that the search started from.
    """
    recipes = {"recipe_before": toml.write(recipe), "recipe": toml.write(finding.recipe)}
    return plain({"schema": SCHEMA} | finding.to_dict() | recipes)


def current(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of a finding.json of any schema with the current keys."""
    renamed = {_RENAMED.get(key, key): value for key, value in values.items()}
    if isinstance(renamed.get("table"), list):
        rows = renamed["table"]
        renamed["table"] = [{_RENAMED.get(key, key): row[key] for key in row} for row in rows]
    return renamed


def from_dict(values: Mapping[str, Any]) -> LearningRateFinding:
    """Return a learning rate finding from plain values.

    Raises:
        RunFolderError: A key is missing or has a wrong value.
    """
    return _read(LearningRateFinding, values)


def batch_from_dict(values: Mapping[str, Any]) -> BatchFinding:
    """Return a batch size finding from plain values.

    Raises:
        RunFolderError: A key is missing or has a wrong value.
    """
    return _read(BatchFinding, values)


def is_of_batches(values: Mapping[str, Any]) -> bool:
    """Return whether the contents of a finding.json are about batch sizes rather than one learning rate."""
    return "noise_scale" in values


def is_finding(folder: Path | str) -> bool:
    """Return whether `thalweg find` wrote a folder; a run's folder may also hold a finding.json."""
    return (Path(folder) / FILE).is_file() and not (Path(folder) / PROBLEM).exists()


def write(folder: Path, values: Mapping[str, Any], finding: LearningRateFinding | BatchFinding) -> None:
    """Write the folder of a finding; what a killed search left half written there is removed.

    Args:
        folder: The folder, which exists.
        values: The contents of finding.json.
        finding: The finding.
    """
    run_folder, table, files = RunFolder(folder), BytesIO(), files_of(folder)
    for part in left_over(folder, files):
        files.remove(part)
    is_rate = isinstance(finding, LearningRateFinding)
    (finding.curve if is_rate else finding.table).write_parquet(table)
    run_folder.write_json("environment.json", plain(environment()))
    run_folder.write("recipe.toml", toml.write(finding.recipe).encode())
    run_folder.write(LANES if is_rate else SIZES, table.getvalue())
    run_folder.write_json(FILE, dict(values))


def read(folder: Path | str) -> dict[str, Any]:
    """Return the contents of a folder's finding.json, with environment.json under `environment`.

    Raises:
        RunFolderError: A file is missing or damaged.
    """
    path = Path(folder)
    return current(read_json(path / FILE, "finding")) | {
        "environment": read_json(path / "environment.json", "finding")
    }


def _read(kind: type[Any], values: Mapping[str, Any]) -> Any:
    try:
        named = current(values)
        return kind(**{field.name: _value(field.name, named[field.name]) for field in fields(kind)})
    except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise RunFolderError(
            "finding", "finding.json must hold a complete finding", got=str(error), hint="run find again"
        ) from error


def _value(name: str, value: Any) -> Any:
    """Return one field of a finding from its plain value."""
    if name in _TABLES:
        frame = pl.DataFrame(value, schema=_TABLES[name], orient="row", strict=False)
        if any(frame[column].null_count() for column in _KEYS[name]):
            raise ValueError(f"{name} has a row without {' or '.join(_KEYS[name])}")
        return frame
    if name == "cost":
        return Cost(value["steps"], value["run_steps"], value["seconds"])
    if name == "fits":
        return Fits(**value)
    if name == "noise_scale":  # JSON has no number for infinity
        finite: Any = {key: math.inf if number is None else number for key, number in value.items()}
        return NoiseScale(**finite)
    if name == "recipe":
        return toml.read(value + "\n")  # the line break makes it text rather than a file name
    return value
