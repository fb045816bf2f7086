"""A finding at rest: finding.json, whole in itself, and in a folder of its own the lanes as a table.

finding.json      what was found, every lane, the recipe before (`asked`) and after; plain values
recipe.toml       the recipe with the rate in place
lanes.parquet     a row for each lane: rung, steps, rate, seed, loss, train_loss, stopped, diverged_at;
                  of batch sizes instead sizes.parquet, a row for each size
environment.json  versions and machine
finding.html      the picture, and what it rests on; finding.svg the picture alone
"""

import math
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

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
from thalweg.run.folder.filesystem import plain, read_json
from thalweg.run.folder.folder import RunFolder

FILE, LANES, SIZES, PROBLEM = "finding.json", "lanes.parquet", "sizes.parquet", "problem.json"


def as_dict(finding: LearningRateFinding | BatchFinding, asked: Recipe) -> dict[str, Any]:
    """Return a finding as plain values, `from_dict` of which is equal.

    Args:
        finding: What came of it.
        asked: The recipe that the rate was looked for.
    """
    told = finding.to_dict() | {"asked": toml.write(asked), "recipe": toml.write(finding.recipe)}
    return plain(told)


def from_dict(told: Mapping[str, Any]) -> LearningRateFinding:
    """Return a finding from plain values.

    Raises:
        RunFolderError: Something is missing, or is not what it should be.
    """
    names = ("setting", "value", "low", "high", "default", "diverges", "predicted_edge", "standing", "reason")
    try:
        return LearningRateFinding(
            **{name: told[name] for name in names},
            curve=_table(told["curve"], LANE),
            fitted=_table(told["fitted"], FITTED),
            cost=Cost(*(told["cost"][name] for name in ("steps", "run_steps", "seconds"))),
            recipe=toml.read(told["recipe"] + "\n"),  # a line break: text, no file name
        )
    except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise _no_finding(error) from error


def batch_from_dict(told: Mapping[str, Any]) -> BatchFinding:
    """Return a finding of batch sizes from plain values.

    Raises:
        RunFolderError: Something is missing, or is not what it should be.
    """
    names = ("value", "lr", "default", "largest_useful", "reason")
    try:
        # What JSON has no number for: infinite where no gradient could be told from its noise.
        noise = told["noise_scale"]
        value, low, high = (
            math.inf if noise[name] is None else noise[name] for name in ("value", "low", "high")
        )
        return BatchFinding(
            **{name: told[name] for name in names},
            noise_scale=NoiseScale(value, low, high, noise["steps"]),
            fits=Fits(**told["fits"]),
            table=_table(told["table"], SIZE),
            cost=Cost(*(told["cost"][name] for name in ("steps", "run_steps", "seconds"))),
            recipe=toml.read(told["recipe"] + "\n"),
        )
    except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise _no_finding(error) from error


def is_of_batches(told: Mapping[str, Any]) -> bool:
    """Tell whether what a folder's finding.json holds is of batch sizes, and not of a rate alone."""
    return "noise_scale" in told


def is_finding(folder: Path | str) -> bool:
    """Tell whether a folder is that of `thalweg find`; one of a run may hold a finding too."""
    return (Path(folder) / FILE).is_file() and not (Path(folder) / PROBLEM).exists()


def write(folder: Path, told: Mapping[str, Any], finding: LearningRateFinding | BatchFinding) -> None:
    """Write a finding into a folder of its own.

    Args:
        folder: It exists.
        told: The content of finding.json.
        finding: What came of it.
    """
    rate = isinstance(finding, LearningRateFinding)
    home, table = RunFolder(folder), BytesIO()
    (finding.curve if rate else finding.table).write_parquet(table)
    home.write_json("environment.json", plain(environment()))
    home.write("recipe.toml", toml.write(finding.recipe).encode())
    home.write(LANES if rate else SIZES, table.getvalue())
    home.write_json(FILE, dict(told))


def read(folder: Path | str) -> dict[str, Any]:
    """Return the content of a folder's finding.json, and with it `environment`.

    Raises:
        RunFolderError: A file is missing or damaged.
    """
    path = Path(folder)
    return read_json(path / FILE, "finding") | {
        "environment": read_json(path / "environment.json", "finding")
    }


def _no_finding(error: Exception) -> RunFolderError:
    return RunFolderError(
        "finding", "finding.json must hold a whole finding", got=str(error), hint="find again"
    )


def _table(rows: Any, schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row", strict=False)
