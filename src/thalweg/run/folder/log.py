"""The log: columns, appended while the run goes on and readable at any moment, Parquet once it rests.

While running each table is an Arrow stream (`steps.arrows`, see `trail`), to which whole record batches are
appended; a torn tail costs the last batch, no more. `write` puts each lane's `steps.parquet` in its place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from thalweg.core.lazy import pl, pq
from thalweg.engine.dispatch import ChunkResult
from thalweg.engine.state import LAYER_STATISTICS
from thalweg.run.folder.folder import RunFolder
from thalweg.run.folder.log_stream import Stream, Tally, batches, by_lane
from thalweg.run.folder.record import TABLES

_NUMPY = {pa.int32(): np.int32, pa.int64(): np.int64, pa.float32(): np.float32, pa.float64(): np.float64}


class Log:
    """The three tables of a run: `steps`, `evaluations`, `layers` (columns in `run.files.record`).

    Args:
        folder: Where to write; None keeps them in memory only.
        paths: Names of the parameters, in the order of the per-layer figures.
        lanes: How many lanes there are.
        before: Rows to begin with, of a run that goes on; None for none.
        warn: Told when the disk does not take what is logged; the run goes on.
    """

    def __init__(
        self,
        folder: Path | None,
        paths: list[str],
        lanes: int = 1,
        before: dict[str, pa.Table] | None = None,
        warn: Callable[[str], None] = lambda text: None,
    ):
        self._paths, self._lanes = paths, lanes
        # Without a folder: every lane's batches.
        self._batches = {name: [list[pa.RecordBatch]() for _ in range(lanes)] for name in TABLES}
        self._tallies = {name: Tally(lanes) for name in TABLES}
        self._streams: dict[str, Stream] = {}
        self._rest: dict[str, list[pa.Table]] = {}
        for name, schema in TABLES.items():
            if folder is not None:
                self._streams[name] = Stream(folder / f"{name}.arrows", schema, warn)
        for name, rows in (before or {}).items():
            for lane, table in enumerate(by_lane(rows, lanes)):
                for batch in table.to_batches():
                    self._take(name, lane, batch)
        for stream in self._streams.values():
            stream.publish(durable=before is not None)

    def chunk(self, moved: ChunkResult) -> None:
        """Append what one chunk told, for every lane."""
        counts = np.asarray(moved.chunk.done)
        for lane in map(int, np.flatnonzero(counts)):
            done = int(counts[lane])
            info = moved.chunk.info
            self._append(
                "steps",
                lane,
                {
                    "lane": np.full(done, lane),
                    "step": moved.start + np.arange(done),
                    "loss": info.loss[lane, :done],
                    "learning_rate": info.learning_rate[lane, :done],
                    "gradient_norm": info.gradient_norm[lane, :done],
                },
            )
            self._layers(moved, lane)

    def _layers(self, moved: ChunkResult, lane: int) -> None:
        steps = np.asarray(moved.chunk.layer_steps[lane])
        rows = np.flatnonzero(steps >= 0)
        statistics = np.asarray(moved.chunk.layers[lane])[rows].reshape(-1, len(LAYER_STATISTICS))
        if len(rows):
            self._append(
                "layers",
                lane,
                {
                    "lane": np.full(len(statistics), lane),
                    "step": np.repeat(steps[rows], len(self._paths)),
                    "path": self._paths * len(rows),
                    **{name: statistics[:, column] for column, name in enumerate(LAYER_STATISTICS)},
                },
            )

    def evaluation(self, **row: Any) -> None:
        """Append one evaluation: lane, step, epoch, part, loss, metric, seconds."""
        self._append("evaluations", row["lane"], {name: [value] for name, value in row.items()})

    def mark(self) -> dict[str, Any]:
        """Return what a checkpoint notes of the tables that are on disk."""
        return {name: tally.mark() for name, tally in self._tallies.items()}

    def sync(self) -> None:
        """Bring the tables to the disk, as far as it takes them."""
        for stream in self._streams.values():
            stream.sync()

    def frames(self, lane: int = 0) -> dict[str, pl.DataFrame]:
        """Return a lane's tables, as those of a run of its own: its lane is 0."""
        return {name: pl.DataFrame(self._table(name, lane)) for name in TABLES}

    def write(self, lane: int, home: RunFolder) -> None:
        """Bring a lane's tables to rest as Parquet."""
        for name in TABLES:
            sink = pa.BufferOutputStream()
            pq.write_table(self._table(name, lane), sink, compression="zstd")
            home.write(f"{name}.parquet", sink.getvalue().to_pybytes())

    def close(self, keep: bool = False) -> None:
        """Close the streams, and remove them unless the run is to go on: the tables are at rest."""
        for stream in self._streams.values():
            stream.close()
            if not keep:
                stream.path.unlink(missing_ok=True)

    def _append(self, name: str, lane: int, columns: dict[str, Any]) -> None:
        schema = TABLES[name]
        batch = pa.record_batch([_column(columns[f.name], f.type) for f in schema], schema=schema)
        self._take(name, lane, batch)

    def _take(self, name: str, lane: int, batch: pa.RecordBatch) -> None:
        self._rest.clear()
        if name in self._streams:
            self._tallies[name].add(lane, batch)
            self._streams[name].append(batch)  # and no longer in memory: a run may last for weeks
        else:
            self._batches[name][lane].append(batch)

    def _table(self, name: str, lane: int) -> pa.Table:
        # In one piece: where chunks ended was the clock's choice, and must not show in the file.
        table = self._of_lane(name, lane).combine_chunks()
        own = _column(np.zeros(len(table), np.int32), pa.int32())
        return table.set_column(0, TABLES[name].field(0), own)

    def _of_lane(self, name: str, lane: int) -> pa.Table:
        schema = TABLES[name]
        if name not in self._streams:
            return pa.Table.from_batches(self._batches[name][lane], schema=schema)
        if name not in self._rest:
            found = batches(self._streams[name].content(), schema)
            self._rest[name] = by_lane(pa.Table.from_batches(found, schema=schema), self._lanes)
        return self._rest[name][lane]


def read_back(folder: Path) -> dict[str, pa.Table]:
    """Return the rows of a run that was broken off: of its streams, else of its tables at rest.

    Whatever is damaged or missing is left out; `trail.cut` says whether that matters.
    """
    return {name: _found(folder, name, schema) for name, schema in TABLES.items()}


def _found(folder: Path, name: str, schema: pa.Schema) -> pa.Table:
    stream, rest = folder / f"{name}.arrows", folder / f"{name}.parquet"
    with contextlib.suppress(OSError, pa.ArrowException, ValueError):
        if stream.exists():
            return pa.Table.from_batches(batches(stream.read_bytes(), schema), schema=schema)
        if rest.exists():
            return pq.read_table(rest, schema=schema)
    return schema.empty_table()


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    """Return a column, put together from buffers: `pa.array` imports pandas where it is installed (half a
    second).
    """
    if pa.types.is_string(kind):
        encoded = [value.encode() for value in values]
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
        return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))
    numbers = np.ascontiguousarray(values, _NUMPY[kind])
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])
