"""The log: columns, appended while the run goes on and readable at any moment, Parquet once it rests.

While running each table is an Arrow stream (`steps.arrows`), to which whole record batches are appended; a
torn tail costs the last batch, no more. `write` puts each lane's `steps.parquet` in its
place.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from thalweg.engine.drive import Progressed
from thalweg.run.folder import Home
from thalweg.run.record import TABLES

_ARROW = {
    pl.Int32: pa.int32(),
    pl.Int64: pa.int64(),
    pl.Float32: pa.float32(),
    pl.Float64: pa.float64(),
    pl.String: pa.string(),
}
_NUMPY = {pa.int32(): np.int32, pa.int64(): np.int64, pa.float32(): np.float32, pa.float64(): np.float64}
SCHEMAS = {name: pa.schema([(c, _ARROW[t]) for c, t in columns.items()]) for name, columns in TABLES.items()}


class Log:
    """The three tables of a run: `steps`, `evaluations`, `layers` (columns in `run.record`).

    Args:
        folder: Where to write; None keeps them in memory only.
        paths: Names of the parameters, in the order of the per-layer figures.
    """

    def __init__(self, folder: Path | None, paths: list[str]):
        self._folder, self._paths = folder, paths
        self._batches: dict[str, dict[int, list[pa.RecordBatch]]] = {name: {} for name in SCHEMAS}
        self._streams = {} if folder is None else {name: _Stream(folder, name) for name in SCHEMAS}

    def chunk(self, moved: Progressed) -> None:
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

    def _layers(self, moved: Progressed, lane: int) -> None:
        steps = np.asarray(moved.chunk.layer_steps[lane])
        rows = np.flatnonzero(steps >= 0)
        figures = np.asarray(moved.chunk.layers[lane])[rows].reshape(-1, 3)
        if len(rows):
            self._append(
                "layers",
                lane,
                {
                    "lane": np.full(len(figures), lane),
                    "step": np.repeat(steps[rows], len(self._paths)),
                    "path": self._paths * len(rows),
                    "weight_norm": figures[:, 0],
                    "gradient_norm": figures[:, 1],
                    "update_norm": figures[:, 2],
                },
            )

    def evaluation(self, **row: Any) -> None:
        """Append one evaluation: lane, step, epoch, part, loss, metric, seconds."""
        self._append("evaluations", row["lane"], {name: [value] for name, value in row.items()})

    def frames(self, lane: int = 0) -> dict[str, pl.DataFrame]:
        """Return a lane's tables, as those of a run of its own: its lane is 0."""
        return {name: pl.DataFrame(self._table(name, lane)) for name in SCHEMAS}

    def write(self, lane: int, home: Home) -> None:
        """Bring a lane's tables to rest as Parquet."""
        for name in SCHEMAS:
            sink = pa.BufferOutputStream()
            pq.write_table(self._table(name, lane), sink, compression="zstd")
            home.write(f"{name}.parquet", sink.getvalue().to_pybytes())

    def close(self) -> None:
        """Remove the streams: the tables are at rest."""
        for stream in self._streams.values():
            stream.remove()

    def _append(self, name: str, lane: int, columns: dict[str, Any]) -> None:
        schema = SCHEMAS[name]
        batch = pa.record_batch([_column(columns[f.name], f.type) for f in schema], schema=schema)
        self._batches[name].setdefault(lane, []).append(batch)
        if name in self._streams:
            self._streams[name].write(batch)

    def _table(self, name: str, lane: int) -> pa.Table:
        table = pa.Table.from_batches(self._batches[name].get(lane, []), schema=SCHEMAS[name])
        own = _column(np.zeros(len(table), np.int32), pa.int32())
        return table.set_column(0, SCHEMAS[name].field(0), own)


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


class _Stream:
    def __init__(self, folder: Path, name: str):
        self._path = folder / f"{name}.arrows"
        self._file = self._path.open("wb")
        self._writer = pa.ipc.new_stream(self._file, SCHEMAS[name])

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)
        self._file.flush()

    def remove(self) -> None:
        self._writer.close()
        self._file.close()
        self._path.unlink()
