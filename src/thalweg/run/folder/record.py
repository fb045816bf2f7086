"""A run folder as data: plain dicts and columns, read without JAX.

The files of the folder, all readable by a person or with common tools:

    recipe.toml           the resolved recipe
    problem.json          data (name, source, task, counts, notes, preparation), model, loss, metric
    result.json           the result; the object that `thalweg fit --json` prints
    environment.json      versions and machine
    steps.parquet         lane, step, loss, learning_rate, gradient_norm (NaN at steps without it)
    evaluations.parquet   lane, step, epoch, part (the split), loss, metric, seconds (a clock column)
    layers.parquet        lane, step, path, weight_norm, gradient_norm, update_norm (of one update)
    test.parquet          target, prediction: one row per test example (class index, or original unit)
    sample.txt            text that a character model generates; also `sample` in result.json
    final.safetensors     weights after the last step
    best.safetensors      weights at the best validation loss; absent without a validation split
    run.json              what the run was started with, and the checksum of every file (`RunFile`)
    checkpoints/          the whole state, to resume from (`run.checkpoint.store`, docs/durability.md)
    steps.arrows, ...     the tables of a run that has not ended
    finding.json          how the learning rate was found, if `fit --lr auto` searched for it
    report.html           the curves, on request
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from thalweg.core.lazy import pl
from thalweg.run.folder.filesystem import read_json, unreadable
from thalweg.run.folder.folder import check_files, missing_run
from thalweg.run.folder.log_stream import TABLES, batches

_CHECKED = (
    "recipe.toml",
    "problem.json",
    "result.json",
    "environment.json",
    "test.parquet",
    "finding.json",
    *(f"{name}.parquet" for name in TABLES),
)


@dataclass(frozen=True)
class Record:
    """A run as data. `read(folder)` returns that of a folder.

    Args:
        folder: The run folder; None for a run that was not saved.
        recipe, problem, result, environment: Contents of the files of the same names.
        steps, evaluations, layers, test: Tables, as in the files of the same names.
        finding: How the learning rate was found, as in finding.json; empty if it was not searched for.
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
        """The name of the folder, or `run`."""
        return self.folder.name if self.folder is not None else "run"


def read(folder: Path | str) -> Record:
    """Read a run folder.

    Raises:
        RunFolderError: There is no such folder, it holds no run, or a file in it is damaged.
    """
    path = Path(folder)
    if not (path / "problem.json").exists():
        raise missing_run(path / "problem.json", "no such file")
    check_files(path, _CHECKED)
    return Record(
        folder=path,
        recipe=_read_toml(path / "recipe.toml"),
        problem=_read_json(path / "problem.json"),
        result=_read_json(path / "result.json"),
        environment=_read_json(path / "environment.json"),
        **{name: _read_table(path, name) for name in (*TABLES, "test")},
        finding=finding_of(path),
    )


def finding_of(folder: Path) -> dict[str, Any]:
    """Return how the learning rate of a run was found (finding.json); empty if it was not searched for."""
    return _read_json(folder / "finding.json")


def empty(name: str) -> pl.DataFrame:
    """Return a table without rows; tables other than those of the log have no columns either."""
    return pl.DataFrame(TABLES[name].empty_table()) if name in TABLES else pl.DataFrame()


def _read_json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (ValueError, OSError) as error:
        raise unreadable(path, error) from error


def _read_table(folder: Path, name: str) -> pl.DataFrame:
    path = folder / f"{name}.parquet"
    stream = path.with_suffix(".arrows")  # of a run that has not ended, or was killed
    try:
        if path.exists():
            return pl.read_parquet(path)
        if name in TABLES and stream.exists():
            rows = batches(stream.read_bytes(), TABLES[name])
            return pl.DataFrame(pa.Table.from_batches(rows, schema=TABLES[name]))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from error
    return empty(name)
