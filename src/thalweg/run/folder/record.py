"""A run folder as data: plain dicts and columns, read without JAX.

The files of the folder, all readable by a person or with common tools:

    recipe.toml           the resolved recipe
    problem.json          data (name, source, task, counts, notes, preparation), model, loss, metric, and what
                          outputs mean (`outputs`; folders without it: logits)
    result.json           the result; the object that `thalweg fit --json` prints
    environment.json      versions and machine
    steps.parquet         lane, step, loss, learning_rate, gradient_norm (NaN at steps without it)
    evaluations.parquet   lane, step, epoch, part (the split), loss, metric, seconds (a clock column)
    layers.parquet        lane, step, path, weight_norm, gradient_norm, update_norm (of one update)
    figures.parquet       lane, step, part, name, value: further metrics, or an objective's besides its
                          loss; part `batch` at every step, a split at every evaluation
    test.parquet          row, target, prediction: one row per test example; `row` counts the source's rows
                          from 0, if known; class names (numbers in older folders: class indices), or the
                          target's own unit
    sample.txt            text that a character model generates; also `sample` in result.json
    final.safetensors     weights after the last step
    best.safetensors      weights at the best validation loss; absent without a validation split
    run.json              what the run was started with, and the checksum of every file (`RunFile`)
    checkpoints/          the whole state, to resume from (`run.checkpoint.store`, docs/durability.md)
    steps.arrows, ...     the tables of a run that has not ended
    finding.json          how the learning rate was found, if `fit --lr auto` searched for it
    report.html           the curves, on request
    landscape.html, .svg  the loss around the weights, on request
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from thalweg.core.arguments import checked
from thalweg.core.documents import parse_toml
from thalweg.core.errors import BadInput
from thalweg.core.lazy import pl
from thalweg.core.limits import max_bytes
from thalweg.core.parquet import read_parquet
from thalweg.run.folder.filesystem import JSON_LIMIT, files_of, read_file, read_json, readable, unreadable
from thalweg.run.folder.folder import LARGEST_FILE, RUN_FILE, RunFile, check_files, missing_run
from thalweg.run.folder.log_stream import TABLES, batches
from thalweg.run.folder.shapes import not_ours

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
        steps, evaluations, layers, figures, test: Tables, as in the files of the same names.
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
    figures: pl.DataFrame = field(default_factory=lambda: empty("figures"))
    test: pl.DataFrame = field(default_factory=lambda: pl.DataFrame())
    finding: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the folder, or `run`."""
        return self.folder.name if self.folder is not None else "run"


@checked(BadInput)
@readable
def read(folder: Path | str, *, unverified: bool = False) -> Record:
    """Read a run folder, after verifying all of its files.

    Args:
        folder: The folder.
        unverified: Whether to read a folder without checksums (run.json) nevertheless.

    Raises:
        RunFolderError: There is no such folder, it holds no run, or a file in it is damaged or unverified.
    """
    path = Path(folder)
    files = files_of(path)
    if not files.is_there(path / "problem.json"):
        raise missing_run(path / "problem.json", "no such file")
    listed = RunFile.read(path).files if files.is_there(path / RUN_FILE) else {}
    check_files(path, dict.fromkeys((*_CHECKED, *listed)), unverified)
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
    # By types, because a table of Arrow imports pandas, where it is installed.
    return pl.DataFrame(schema={column.name: _type(str(column.type)) for column in TABLES.get(name, ())})


def _type(arrow: str) -> Any:
    """Return the type of Polars with the name of one of Arrow: `int32`, `double`, `string`, ..."""
    return getattr(pl, {"double": "Float64", "float": "Float32"}.get(arrow, arrow.capitalize()))


def _read_json(path: Path) -> dict[str, Any]:
    return read_json(path) if files_of(path.parent).is_there(path) else {}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        there = files_of(path.parent).is_there(path)
        return parse_toml(read_file(path, JSON_LIMIT)) if there else {}
    except (ValueError, OSError) as error:
        raise unreadable(path, error) from error


def _read_table(folder: Path, name: str) -> pl.DataFrame:
    files, path = files_of(folder), folder / f"{name}.parquet"
    stream = path.with_suffix(".arrows")  # of a run that has not ended, or was killed
    try:
        if files.is_there(path):
            return _checked_table(read_parquet(files.read(path, LARGEST_FILE), max_bytes()), name, path)
        if name in TABLES and files.is_there(stream):
            rows = batches(files.read(stream, LARGEST_FILE), TABLES[name])
            return pl.DataFrame(pa.Table.from_batches(rows, schema=TABLES[name]))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, OSError) as error:
        raise unreadable(path, error) from error
    return empty(name)


def _checked_table(table: pa.Table, name: str, path: Path) -> pl.DataFrame:
    """Return a table as a frame, if its columns are those that a run writes."""
    expected = {field.name: field.type for field in TABLES[name]} if name in TABLES else {}
    wrong = [field.name for field in table.schema if expected.get(field.name, field.type) != field.type]
    absent = [column for column in expected if column not in table.schema.names]
    if wrong or absent or len(set(table.schema.names)) < table.num_columns:
        raise not_ours(f"columns {', '.join(table.schema.names)[:120]}", path)
    frame = pl.DataFrame(pl.from_arrow(table))
    labels = pl.List(pl.Int8)  # of several labels: 0 or 1 for each
    if name == "test" and any(
        (kind.is_nested() and kind != labels) or kind in (pl.Binary, pl.Object) for kind in frame.dtypes
    ):
        raise not_ours(f"columns of types {', '.join(map(str, frame.dtypes))[:120]}", path)
    return frame
