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
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalweg.core.errors import RunFolderError
from thalweg.core.lazy import pl
from thalweg.core.stop_reason import StopReason
from thalweg.recipe.settings import values, varied
from thalweg.run.folder.filesystem import LANE_FOLDER, LANES, MODEL, SWEEP_FILE, files_of, read_json, readable
from thalweg.run.folder.folder import RUN_FILE, RunFile, check_files
from thalweg.run.folder.record import Record
from thalweg.run.folder.record import read as read_run
from thalweg.run.folder.shapes import not_ours

FILE = SWEEP_FILE
_DESCRIPTIONS = ("problem.json", "environment.json")
_LANE = re.compile(rf"({MODEL}\d{{1,9}}/)?{LANES}/\d{{3,9}}")


@dataclass(frozen=True)
class Sweep:
    """A sweep as data.

    Args:
        folder: The sweep folder.
        result: The content of sweep.json without its rows.
        table: One row per lane.
        problem, environment: As for a run.
        unverified: Whether lanes without checksums are read nevertheless.
    """

    folder: Path
    result: dict[str, Any]
    table: pl.DataFrame
    problem: dict[str, Any]
    environment: dict[str, Any]
    unverified: bool = False

    @property
    def lanes(self) -> list[Path]:
        """The run folders of the lanes.

        Raises:
            RunFolderError: sweep.json names a folder that is no lane of this sweep.
        """
        if LANE_FOLDER in self.table.columns:
            names = list(self.table[LANE_FOLDER])
        else:
            names = [f"{LANES}/{lane:03d}" if type(lane) is int else lane for lane in self.table["lane"]]
        for name in names:
            if not is_lane(name):
                rule, hint = "sweep.json must name lanes of its own folder", "restore a copy"
                raise RunFolderError("run", rule, got=str(name), where=self.folder / FILE, hint=hint)
        return [self.folder / name for name in names]

    def lane(self, number: int) -> Record:
        """Return the run of one lane."""
        folder = self.lanes[self.table["lane"].to_list().index(number)]
        return read_run(folder, unverified=self.unverified)


def is_lane(name: object) -> bool:
    """Return whether sweep.json may name a lane so: no name leads out of the sweep."""
    return isinstance(name, str) and _LANE.fullmatch(name) is not None


def lane_folder(folder: Path, lane: int) -> Path:
    """Return the run folder of a lane."""
    return folder / LANES / f"{lane:03d}"


def is_sweep(folder: Path | str) -> bool:
    """Return whether a folder holds a sweep."""
    return (Path(folder) / FILE).is_file()


@readable
def read(folder: Path | str, *, unverified: bool = False) -> Sweep:
    """Read a sweep folder, after verifying its files and that every lane is there.

    Args:
        folder: The folder.
        unverified: Whether to read a folder without checksums (run.json) nevertheless.

    Raises:
        RunFolderError: The folder holds no sweep, or is damaged or unverified.
    """
    path = Path(folder)
    if not is_sweep(path):
        raise RunFolderError(
            "run",
            "must be the folder of a sweep (with sweep.json in it)",
            got=str(path),
            hint="the last lines of `thalweg sweep` name the folder it wrote",
        )
    listed = RunFile.read(path).files if files_of(path).is_there(path / RUN_FILE) else {}
    check_files(path, dict.fromkeys((FILE, *_DESCRIPTIONS, *listed)), unverified)
    result = read_json(path / FILE)
    table = _table_of(result.pop("rows", []), path / FILE)
    problem, environment = (read_json(path / name) for name in _DESCRIPTIONS)
    return Sweep(path, result, table, problem, environment, unverified)


def _table_of(rows: list[dict[str, Any]], where: Path) -> pl.DataFrame:
    """Return the rows of sweep.json as a table, whose columns must each have one type."""
    try:
        return pl.DataFrame(rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OverflowError, TypeError) as error:
        raise not_ours(f"rows that are no table: {str(error).splitlines()[0]}", where) from error


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
        row |= {"fold": result["fold"]} if "fold" in result else {}
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
