"""The curves of a run or of all lanes of a sweep while they grow, thinned to what a screen can show.

The log of a run is a file that only grows (`run.folder.log_stream`), so a look at it reads what was appended
since the last one. Thinned curves have a fixed number of buckets; when a run outgrows them, each pair of
neighbours is merged. A look therefore costs what is new, and memory does not depend on the length of the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from thalweg.core.lazy import pq
from thalweg.insight.curves import Curve
from thalweg.insight.outcome import text
from thalweg.insight.settings import flat
from thalweg.insight.wording import as_number
from thalweg.recipe.settings import label
from thalweg.run.folder.filesystem import JSON_LIMIT, LANE_FOLDER, read_file
from thalweg.run.folder.folder import LARGEST_FILE, RUN_FILE, SHARDS
from thalweg.run.folder.log_stream import TABLES
from thalweg.run.folder.sweep_record import FILE as SWEEP_FILE
from thalweg.run.folder.sweep_record import is_lane, lane_folder

# Buckets of a curve: as many as a wide chart has pixels to tell apart, fewer where many lanes share it.
BUCKETS, BUCKETS_OF_MANY, MANY = 512, 256, 16
# Curves, with table, column and split. All splits of the evaluations that are drawn while a run trains.
SERIES = {
    "loss": ("steps", "loss", None),
    "validation_loss": ("evaluations", "loss", "validation"),
    "metric": ("evaluations", "metric", "validation"),
    "learning_rate": ("steps", "learning_rate", None),
    "gradient_norm": ("steps", "gradient_norm", None),
}
_LOGS = ("steps", "evaluations")


class ThinnedCurves:
    """One curve for each lane, in buckets of equally many steps, each with the mean of its finite values.

    Args:
        lanes: Number of lanes.
        buckets: Most buckets of a curve; an even number.

    Attributes:
        width: Steps in a bucket; a power of two.
        last: The last value of each lane, `lane`; NaN before the first.
        step: Its step, `lane`; -1 before the first.
    """

    def __init__(self, lanes: int, buckets: int):
        self.width, self.buckets = 1, buckets
        self.last, self.step = np.full(lanes, np.nan), np.full(lanes, -1)
        self._sums, self._counts = np.zeros((lanes, buckets)), np.zeros((lanes, buckets), np.int32)
        self._steps = np.zeros((2, buckets))  # sum of the steps in a bucket over all lanes, and their number
        self._changed = np.zeros((lanes, buckets), np.int32)

    def add(
        self,
        lane: Int[np.ndarray, " row"],
        step: Int[np.ndarray, " row"],
        value: Float[np.ndarray, " row"],
        version: int,
    ) -> None:
        """Add rows, the steps of a lane in ascending order.

        Args:
            lane, step, value: Of each row.
            version: Of the curves after this; greater than all before.
        """
        keep = (lane >= 0) & (lane < len(self.last)) & (step >= 0)
        lane, step, value = lane[keep], step[keep], np.asarray(value[keep], float)
        if not len(step):
            return
        while int(step.max()) >= self.width * self.buckets:
            self._merge(version)
        self.last[lane], self.step[lane] = value, step  # the last of several rows counts
        finite = np.isfinite(value)
        lane, step, value = lane[finite], step[finite], value[finite]
        bucket = step // self.width
        np.add.at(self._sums, (lane, bucket), value)
        np.add.at(self._counts, (lane, bucket), 1)
        np.add.at(self._steps[0], bucket, step)
        np.add.at(self._steps[1], bucket, 1)
        self._changed[lane, bucket] = version

    @property
    def x(self) -> Float[np.ndarray, " bucket"]:
        """The mean step of each bucket; NaN for an empty one."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._steps[0] / self._steps[1]

    def since(self, version: int) -> tuple[Int[np.ndarray, " cell"], Float[np.ndarray, " cell"]]:
        """Return the cells that changed after a version: index `lane * buckets + bucket`, and value."""
        cells = np.flatnonzero((self._changed > version) & (self._counts > 0))
        values = self._sums.reshape(-1)[cells] / self._counts.reshape(-1)[cells]
        return cells.astype(np.int32), values.astype(np.float32)

    def curve(self, lane: int) -> Curve:
        """Return the curve of a lane; empty buckets are left out."""
        kept = self._counts[lane] > 0
        return Curve(self.x[kept], self._sums[lane, kept] / self._counts[lane, kept])

    def _merge(self, version: int) -> None:
        """Make buckets twice as wide; every cell changes."""

        def folded(values: np.ndarray) -> np.ndarray:
            pairs = values.reshape(len(values), -1, 2).sum(axis=2, dtype=values.dtype)
            return np.concatenate([pairs, np.zeros_like(pairs)], axis=1)

        self._sums, self._counts, self._steps = map(folded, (self._sums, self._counts, self._steps))
        self._changed[:] = version
        self.width *= 2


class GrowingLog:
    """A table of a log that is being written: each `read` returns the rows since the last one.

    Args:
        path: The Arrow stream.
        schema: Of the table.
    """

    def __init__(self, path: Path, schema: pa.Schema):
        self._path, self._schema = path, schema
        self._head = schema.serialize().to_pybytes()
        self._inode, self._position = 0, 0

    def read(self) -> pa.Table | None:
        """Return the new rows, possibly none; None where the file was replaced or cut: then read all again.

        A row that is written in part is left for the next time.
        """
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._position:
                    replaced, self._inode, self._position = self._inode != 0, status.st_ino, len(self._head)
                    if replaced:
                        return None
                file.seek(self._position)
                content = file.read()
        except OSError:
            return self._schema.empty_table()
        batches, used = _whole_batches(self._head + content, self._schema)
        self._position += max(0, used - len(self._head))
        return pa.Table.from_batches(batches, schema=self._schema)


class LiveRun:
    """The curves of a run or a sweep, brought up to date by `refresh`.

    Args:
        folder: The run folder.

    Attributes:
        lanes: Label of each lane; one empty label for a single run.
        varied: Settings that vary among the lanes.
        values: Their values in each lane, `lane` lists.
        stopped: Why each lane stopped, as sweep.json says it at the end; None before.
        halted: Whether each lane has stopped while others of its shard went on, `lane`.
        metric: Name of the metric in the evaluations; None where it is not known.
        curves: By name, as in SERIES.
        epoch_steps: Updates in an epoch; None before the first evaluation.
        generation: Changes when all curves were read anew.
        version: Changes with every row that was read.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.generation, self.version = 0, 0
        self.lanes: list[str] = [""]
        self.varied: list[str] = []
        self.values: list[list[Any]] = [[]]
        self.stopped: list[Any] = [None]
        self.halted = np.zeros(1, bool)
        self.curves: dict[str, ThinnedCurves] = {}
        self.epoch_steps: float | None = None
        self.metric: str | None = None
        self._lane_folders = [folder]
        self._logs: list[tuple[str, Sequence[int], GrowingLog]] = []
        self._reached: dict[int, int] = {}  # furthest step of each shard at the last look
        self._source: tuple[Any, ...] | None = None

    def refresh(self) -> bool:
        """Read what is new; return whether anything is."""
        before = self.generation, self.version
        source = self._where()
        if source != self._source:
            self._source = source
            self._start()
        if source[0] == "growing":
            self._read_growing()
        return (self.generation, self.version) != before

    def _where(self) -> tuple[Any, ...]:
        """Return where the log is now: in streams that grow, or in the files of an ended run."""
        shards, run_file = self.folder / SHARDS, self.folder / RUN_FILE
        is_sweep = (self.folder / SWEEP_FILE).exists()
        files = shards if is_sweep else self.folder / "steps.parquet"
        grows = files.exists() if is_sweep else not files.exists()
        # run.json is written again when a run starts, is resumed, and ends.
        return ("growing" if grows else "ended", is_sweep, _inode(run_file), None if grows else _inode(files))

    def _start(self) -> None:
        """Read everything again, from the first row."""
        self.generation += 1
        self._reached.clear()
        self._describe()
        count = len(self.lanes)
        buckets = BUCKETS if count <= MANY else BUCKETS_OF_MANY
        self.curves = {name: ThinnedCurves(count, buckets) for name in SERIES}
        self.epoch_steps, self.halted = None, np.zeros(count, bool)
        assert self._source is not None
        if self._source[0] == "growing":
            self._logs = [
                (name, lanes, GrowingLog(folder / f"{name}.arrows", TABLES[name]))
                for folder, lanes in self._log_folders()
                for name in _LOGS
            ]
        else:
            for lane, folder in enumerate(self._lane_folders):
                for name in _LOGS:
                    self._take(name, [lane], _parquet(folder / f"{name}.parquet", name))

    def _describe(self) -> None:
        sweep = _object(self.folder / SWEEP_FILE)
        self.metric = text(_object(self.folder / "problem.json").get("metric"))
        if not sweep:
            self._lane_folders = [self.folder]
            return
        self.varied = [str(path) for path in sweep.get("varied") or ()]
        rows = [row for row in sweep.get("rows") or () if isinstance(row, dict)]
        if not rows:  # it trains: the recipes are in run.json
            recipes = _origin(self.folder).get("recipes") or ()
            rows = [{"lane": number} | row for number, row in enumerate(map(_recipe, recipes))]
        rows = rows or [{"lane": number} for number in range(int(as_number(sweep.get("lanes")) or 1))]
        self.values = [[row.get(path) for path in self.varied] for row in rows]
        self.stopped = [row.get("stopped") for row in rows]
        self.lanes = [label(row, self.varied) for row in rows]
        self._lane_folders = [
            self.folder / str(row[LANE_FOLDER])
            if is_lane(row.get(LANE_FOLDER))
            else lane_folder(self.folder, number)
            for number, row in enumerate(rows)
        ]

    def _log_folders(self) -> Iterator[tuple[Path, Sequence[int]]]:
        """Yield the folders of the growing logs, with the lanes that each holds."""
        assert self._source is not None
        if not self._source[1]:
            yield self.folder, [0]
            return
        folder = self.folder / SHARDS
        for number, lanes in enumerate(_shards(self.folder)):
            yield (folder if len(self.lanes) == 1 else folder / f"{number:03d}"), lanes

    def _read_growing(self) -> None:
        for name, lanes, log in self._logs:
            rows = log.read()
            if rows is None:  # a resumed run has cut it back
                self._start()
                self._read_growing()
                return
            self._take(name, lanes, rows)

        self._compare_lanes()

    def _compare_lanes(self) -> None:
        """Find the lanes that stopped: all that run make the same steps, and write them one after another."""
        step = self.curves["loss"].step
        for lanes in {id(lanes): lanes for _, lanes, _ in self._logs}.values():
            own = np.asarray(lanes)
            # A look may fall between two lanes of one chunk; what the last look saw is complete.
            self.halted[own] = step[own] < self._reached.get(id(lanes), -1)
            self._reached[id(lanes)] = int(step[own].max())

    def _take(self, name: str, lanes: Sequence[int], rows: pa.Table) -> None:
        """Add the rows of a log of some lanes, which counts its lanes from 0."""
        if not len(rows):
            return
        self.version += 1
        columns = {field: rows.column(field).to_numpy() for field in rows.column_names if field != "part"}
        number = columns["lane"]
        lane = np.where(number < len(lanes), np.asarray(lanes)[np.minimum(number, len(lanes) - 1)], -1)
        parts = np.asarray(rows.column("part").to_pylist()) if name == "evaluations" else None
        for curve, (table, column, part) in SERIES.items():
            if table == name:
                keep = slice(None) if parts is None else np.flatnonzero(parts == part)
                values = lane[keep], columns["step"][keep], columns[column][keep]
                self.curves[curve].add(*values, self.version)
        if name == "evaluations" and self.epoch_steps is None:
            known = np.flatnonzero(columns["epoch"] > 0)
            if len(known):
                self.epoch_steps = float(columns["step"][known[0]] / columns["epoch"][known[0]])


def _whole_batches(content: bytes, schema: pa.Schema) -> tuple[list[pa.RecordBatch], int]:
    """Return the batches of a stream up to the first damaged or incomplete one, and their bytes."""
    batches: list[pa.RecordBatch] = []
    source, used = pa.BufferReader(content), 0
    with contextlib.suppress(StopIteration, pa.ArrowException, OSError, ValueError):
        reader = pa.ipc.open_stream(source)
        used = source.tell()
        while reader.schema.equals(schema):
            batch = reader.read_next_batch()
            batch.validate(full=True)
            batches.append(batch)
            used = source.tell()
    return batches, used


def _parquet(path: Path, name: str) -> pa.Table:
    """Return a table of an ended run without its lane, which is 0 there; no rows where it cannot be read."""
    schema = TABLES[name]
    with contextlib.suppress(OSError, pa.ArrowException, ValueError):
        return pq.read_table(pa.BufferReader(read_file(path, LARGEST_FILE)), schema=schema)
    return schema.empty_table()


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _origin(folder: Path) -> dict[str, Any]:
    origin = _object(folder / RUN_FILE).get("origin")
    return origin if isinstance(origin, dict) else {}


def _shards(folder: Path) -> list[list[int]]:
    """Return the lanes of each shard of a sweep; none where run.json does not say."""
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return [[int(lane) for lane in shard["lanes"]] for shard in _origin(folder)["plan"]["shards"]]
    return []


def _object(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        value = json.loads(read_file(path, JSON_LIMIT))
        if isinstance(value, dict):
            return value
    return {}


def _recipe(toml: Any) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        return flat(tomllib.loads(str(toml)))
    return {}
