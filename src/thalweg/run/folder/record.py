"""What a run left behind, for readers: plain dicts and columns, read without JAX.

The folder, file by file (all readable by a person or by any tool):

    recipe.toml           the resolved recipe
    problem.json          data (name, source, task, counts, notes, preparation), model, loss, metric
    result.json           what came of it; the same object that `thalweg fit --json` prints
    environment.json      versions and machine
    steps.parquet         lane, step, loss, learning_rate, gradient_norm (NaN at steps where it is not taken)
    evaluations.parquet   lane, step, epoch, part, loss, metric, seconds (a clock column)
    layers.parquet        lane, step, path, weight_norm, gradient_norm, update_norm (of one update)
    test.parquet          target, prediction: one row for each test example (class index, or own unit)
    sample.txt            what a character model writes by itself; also `sample` in result.json
    final.safetensors     weights after the last step
    best.safetensors      weights at the best validation loss; absent without a validation part
    run.json              what the run was begun with, and every file's checksum (`run.files.sealing`)
    checkpoints/          the whole state, so that the run can go on (`run.store`, docs/durability.md)
    steps.arrows, ...     the tables while the run goes on, or has been broken off
    finding.json          how the learning rate was found, where `fit --lr auto` asked for it
    report.html           the curves, when asked for
"""

from __future__ import annotations

import contextlib
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from thalweg.core.errors import RunFolderError
from thalweg.core.lazy import pl
from thalweg.run.folder import checksums as sealing

TABLES = {
    "steps": pa.schema(
        {
            "lane": pa.int32(),
            "step": pa.int64(),
            "loss": pa.float32(),
            "learning_rate": pa.float32(),
            "gradient_norm": pa.float32(),
        }
    ),
    "evaluations": pa.schema(
        {
            "lane": pa.int32(),
            "step": pa.int64(),
            "epoch": pa.float64(),
            "part": pa.string(),
            "loss": pa.float64(),
            "metric": pa.float64(),
            "seconds": pa.float64(),
        }
    ),
    "layers": pa.schema(
        {
            "lane": pa.int32(),
            "step": pa.int64(),
            "path": pa.string(),
            "weight_norm": pa.float32(),
            "gradient_norm": pa.float32(),
            "update_norm": pa.float32(),
        }
    ),
}
_FILES = (
    "recipe.toml",
    "problem.json",
    "result.json",
    "environment.json",
    "test.parquet",
    "finding.json",
)


@dataclass(frozen=True)
class Record:
    """A run as data. Read one with `read(folder)`.

    Args:
        folder: Where it lies; None for a run that was not saved.
        recipe, problem, result, environment: As in the files of the same names.
        steps, evaluations, layers, test: Columns, as in the files of the same names.
        finding: How the learning rate was found, as in finding.json; empty where nobody looked for it.
    """

    folder: Path | None
    recipe: dict[str, Any]
    problem: dict[str, Any]
    result: dict[str, Any]
    environment: dict[str, Any]
    steps: pl.DataFrame = field(default_factory=lambda: empty("steps"))
    evaluations: pl.DataFrame = field(default_factory=lambda: empty("evaluations"))
    layers: pl.DataFrame = field(default_factory=lambda: empty("layers"))
    test: pl.DataFrame = field(default_factory=lambda: pl.DataFrame())
    finding: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's name, or `run`."""
        return self.folder.name if self.folder is not None else "run"


def read(folder: Path | str) -> Record:
    """Read a run folder.

    Raises:
        RunFolderError: There is no such folder, it holds no run, or a file in it is damaged.
    """
    path = Path(folder)
    if not path.is_dir():
        raise RunFolderError(
            "run",
            "must be a folder with a run in it",
            got=str(path),
            hint="the last line of `thalweg fit` names the folder it wrote",
        )
    if not (path / "problem.json").exists():
        raise RunFolderError(
            "run",
            "the folder must hold a run (problem.json)",
            got=str(path),
            hint="give the folder that `thalweg fit` wrote, for example runs/digits-1",
        )
    sealing.check(path, (*_FILES, *(f"{name}.parquet" for name in TABLES)))
    return Record(
        folder=path,
        recipe=_toml(path / "recipe.toml"),
        problem=_json(path / "problem.json"),
        result=_json(path / "result.json"),
        environment=_json(path / "environment.json"),
        **{name: _table(path, name) for name in (*TABLES, "test")},
        finding=finding_of(path),
    )


def finding_of(folder: Path) -> dict[str, Any]:
    """Return how a run's learning rate was found, as in finding.json; empty where nobody looked for it."""
    return _json(folder / "finding.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (ValueError, OSError) as error:
        raise _damaged(path, error) from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (ValueError, OSError) as error:
        raise _damaged(path, error) from error


def empty(name: str) -> pl.DataFrame:
    """Return one of the tables without rows; any other than those of the log has no columns either."""
    return pl.DataFrame(TABLES[name].empty_table()) if name in TABLES else pl.DataFrame()


def _table(folder: Path, name: str) -> pl.DataFrame:
    path = folder / f"{name}.parquet"
    if not path.exists():
        stream = path.with_suffix(".arrows")
        return _stream(stream) if stream.exists() else empty(name)
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> RunFolderError:
    return RunFolderError(
        "run",
        "every file of a run must be readable",
        got=str(error).splitlines()[0],
        where=path,
        hint="the file is damaged or was edited; train again, or restore a copy",
    )


def _stream(path: Path) -> pl.DataFrame:
    """Read a table that a run is still writing, or that a kill cut short: all whole record batches."""
    batches = []
    with path.open("rb") as file, contextlib.suppress(StopIteration, pa.ArrowInvalid, OSError):
        reader = pa.ipc.open_stream(file)
        while True:  # until the end, or a torn tail
            batches.append(pl.from_arrow(reader.read_next_batch()))
    return pl.concat(batches) if batches else empty(path.stem)
