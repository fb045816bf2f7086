"""A sweep folder as data, and the table with one row per lane.

sweep.json            the sweep: what varied, groups, the plan, metric, seconds, and a row for each lane
problem.json          as for a run
environment.json      as for a run
lanes/000, ...        a complete run folder for each lane
shards/               logs and checkpoints of lanes that still train; removed at the end
report.html           on request
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalweg.core.errors import RunFolderError
from thalweg.core.lazy import pl
from thalweg.core.stop_reason import StopReason
from thalweg.recipe.settings import values, varied
from thalweg.run.folder.filesystem import read_json
from thalweg.run.folder.folder import LANES
from thalweg.run.folder.record import Record
from thalweg.run.folder.record import read as read_run

FILE = "sweep.json"
# Column of the table with the folder of each lane, in a sweep over several models.
FOLDER = "folder"


@dataclass(frozen=True)
class Sweep:
    """A sweep as data.

    Args:
        folder: The sweep folder.
        result: The content of sweep.json without its rows.
        table: One row per lane.
        problem, environment: As for a run.
    """

    folder: Path
    result: dict[str, Any]
    table: pl.DataFrame
    problem: dict[str, Any]
    environment: dict[str, Any]

    @property
    def lanes(self) -> list[Path]:
        """The run folders of the lanes."""
        if FOLDER in self.table.columns:
            return [self.folder / name for name in self.table[FOLDER]]
        return [lane_folder(self.folder, lane) for lane in self.table["lane"]]

    def lane(self, number: int) -> Record:
        """Return the run of one lane."""
        return read_run(self.lanes[self.table["lane"].to_list().index(number)])


def lane_folder(folder: Path, lane: int) -> Path:
    """Return the run folder of a lane."""
    return folder / LANES / f"{lane:03d}"


def is_sweep(folder: Path | str) -> bool:
    """Return whether a folder holds a sweep."""
    return (Path(folder) / FILE).is_file()


def read(folder: Path | str) -> Sweep:
    """Read a sweep folder.

    Raises:
        RunFolderError: The folder holds no sweep, or is damaged.
    """
    path = Path(folder)
    if not is_sweep(path):
        raise RunFolderError(
            "run",
            "must be the folder of a sweep (with sweep.json in it)",
            got=str(path),
            hint="the last lines of `thalweg sweep` name the folder it wrote",
        )
    result = read_json(path / FILE)
    table = pl.DataFrame(result.pop("rows", []), infer_schema_length=None)
    return Sweep(path, result, table, read_json(path / "problem.json"), read_json(path / "environment.json"))


def table(
    settings: Sequence[dict[str, Any]], groups: Sequence[int], results: Sequence[dict[str, Any]]
) -> pl.DataFrame:
    """Return the table of a sweep.

    Args:
        settings: Settings of each lane (`recipe.settings.flat_settings`).
        groups: Group of each lane.
        results: Content of result.json of each lane.
    """
    paths = varied(settings)
    rows = []
    for lane, (own, group, result) in enumerate(zip(settings, groups, results, strict=True)):
        row = {"lane": lane, "group": group} | dict(zip(paths, values(own, paths), strict=True))
        row |= {name: result[name] for name in ("stopped", "steps", "epochs")}
        row["diverged_at"] = result["steps"] if result["stopped"] == StopReason.DIVERGED else None
        row["train_loss"] = _finite(result["train_loss"])
        for split in ("validation", "test"):
            metric = result[f"{split}_metric"]
            row[f"{split}_loss"] = _finite(result[f"{split}_loss"])
            row[f"{split}_metric"] = None if metric is None else _finite(metric["value"])
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None, strict=False)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
