"""A sweep on disk, and its table.

sweep.json            the sweep: what varied, groups, the plan, metric, seconds, and a row for each lane
problem.json          as of a run
environment.json      as of a run
lanes/000, ...        one complete run folder for each lane
shards/               logs of lanes that still run; gone at the end
report.html           when asked for
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalweg.core.errors import RunFolderError
from thalweg.core.lazy import pl
from thalweg.core.stop_reason import StopReason
from thalweg.recipe.settings import values, varied
from thalweg.run.folder.record import Record
from thalweg.run.folder.record import read as read_run

FILE, LANES, SHARDS = "sweep.json", "lanes", "shards"
# Column of the table that says where a lane lies, where that is not in `lanes`.
FOLDER = "folder"


@dataclass(frozen=True)
class Sweep:
    """A sweep as data.

    Args:
        folder: Where it lies.
        result: The object of sweep.json.
        table: One row for each lane.
        problem, environment: As of a run.
    """

    folder: Path
    result: dict[str, Any]
    table: pl.DataFrame
    problem: dict[str, Any]
    environment: dict[str, Any]

    @property
    def lanes(self) -> list[Path]:
        """The lanes' run folders."""
        if FOLDER in self.table.columns:  # of several models, each in a folder of its own
            return [self.folder / name for name in self.table[FOLDER]]
        return [lane_folder(self.folder, lane) for lane in self.table["lane"]]

    def lane(self, number: int) -> Record:
        """Return one lane's run."""
        return read_run(self.lanes[self.table["lane"].to_list().index(number)])


def lane_folder(folder: Path, lane: int) -> Path:
    """Return where a lane's run lies."""
    return folder / LANES / f"{lane:03d}"


def is_sweep(folder: Path | str) -> bool:
    """Tell whether a folder holds a sweep."""
    return (Path(folder) / FILE).is_file()


def read(folder: Path | str) -> Sweep:
    """Read a sweep.

    Raises:
        RunFolderError: There is none, or it is damaged.
    """
    path = Path(folder)
    if not is_sweep(path):
        raise RunFolderError(
            "run",
            "must be the folder of a sweep (with sweep.json in it)",
            got=str(path),
            hint="the last lines of `thalweg sweep` name the folder it wrote",
        )
    found = {}
    for name in (FILE, "problem.json", "environment.json"):
        try:
            found[name] = json.loads((path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunFolderError(
                "run", "every file of a sweep must be readable", got=str(error), where=path / name
            ) from error
    rows = found[FILE].pop("rows", [])
    table = pl.DataFrame(rows, infer_schema_length=None)
    return Sweep(path, found[FILE], table, found["problem.json"], found["environment.json"])


def table(
    settings: Sequence[dict[str, Any]], groups: Sequence[int], results: Sequence[dict[str, Any]]
) -> pl.DataFrame:
    """Return a row for each lane.

    Args:
        settings: The lanes' settings (`recipe.settings.flat_settings`).
        groups: The group of each.
        results: What came of each; the objects of their result.json.
    """
    paths = varied(settings)
    rows = []
    for lane, (own, group, result) in enumerate(zip(settings, groups, results, strict=True)):
        row = {"lane": lane, "group": group} | dict(zip(paths, values(own, paths), strict=True))
        row |= {name: result[name] for name in ("stopped", "steps", "epochs")}
        row["diverged_at"] = result["steps"] if result["stopped"] == StopReason.DIVERGED else None
        row["train_loss"] = _finite(result["train_loss"])
        for part in ("validation", "test"):
            metric = result[f"{part}_metric"]
            row[f"{part}_loss"] = _finite(result[f"{part}_loss"])
            row[f"{part}_metric"] = None if metric is None else _finite(metric["value"])
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None, strict=False)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
