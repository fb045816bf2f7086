"""The log of a run: tables that grow and can be read while it runs, and Parquet files when it has ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from thalweg.core.lazy import pl, pq
from thalweg.engine.dispatch import ChunkResult
from thalweg.engine.state import LAYER_STATISTICS
from thalweg.run.folder.filesystem import files_of
from thalweg.run.folder.folder import LARGEST_FILE, RunFolder
from thalweg.run.folder.log_stream import FIGURES, TABLES, Stream, Tally, batches, by_lane, column_of


class Log:
    """The tables `steps`, `evaluations`, `layers`, and `figures` of metrics and objectives, of several lanes.

    Args:
        folder: Where the tables are written; None keeps them in memory.
        paths: Names of the parameters, in the order of the statistics per layer.
        lanes: Number of lanes.
        before: Rows to start with, of a resumed run; None for a new run.
        warn: Called when the log cannot be written to disk. The run continues.
        figures: Names of what the objective computes at every step.
        evaluated: Whether evaluations give figures, too: an objective's, or further metrics.
    """

    def __init__(
        self,
        folder: Path | None,
        paths: list[str],
        lanes: int = 1,
        before: dict[str, pa.Table] | None = None,
        warn: Callable[[str], None] = lambda text: None,
        figures: Sequence[str] = (),
        evaluated: bool = False,
    ):
        self._paths, self._lanes, self._figures = paths, lanes, list(figures)
        self._warn = warn
        kept = figures or evaluated or FIGURES in (before or {})
        self._schemas = {name: schema for name, schema in TABLES.items() if name != FIGURES or kept}
        self._streams: dict[str, Stream] = {}
        self._tallies = {name: Tally(lanes) for name in self._schemas}
        in_memory = {name: [list[pa.RecordBatch]() for _ in range(lanes)] for name in self._schemas}
        self._batches = in_memory
        self._read_back: dict[str, list[pa.Table]] = {}
        if folder is not None:
            self._streams = {
                name: Stream(folder / f"{name}.arrows", schema, warn)
                for name, schema in self._schemas.items()
            }
        for name, rows in (before or {}).items():
            for lane, table in enumerate(by_lane(rows, lanes)):
                for batch in table.to_batches():
                    self._add(name, lane, batch)
        for stream in self._streams.values():
            stream.publish(durable=before is not None)

    def chunk(self, result: ChunkResult) -> None:
        """Append the steps of one chunk, for every lane."""
        info, counts = result.chunk.info, np.asarray(result.chunk.done)
        for lane in map(int, np.flatnonzero(counts)):
            done = int(counts[lane])
            self._append(
                "steps",
                lane,
                {
                    "lane": np.full(done, lane),
                    "step": result.start + np.arange(done),
                    "loss": info.loss[lane, :done],
                    "learning_rate": info.learning_rate[lane, :done],
                    "gradient_norm": info.gradient_norm[lane, :done],
                },
            )
            self._append_layers(result, lane)
            self._append_figures(result, lane, done)

    def evaluation(self, **row: Any) -> None:
        """Append one evaluation: lane, step, epoch, part, loss, metric, seconds."""
        self._append("evaluations", row["lane"], {name: [value] for name, value in row.items()})

    def evaluated_figures(self, lane: int, step: int, part: str, values: Mapping[str, float]) -> None:
        """Append further metrics, or what an objective computed over a split."""
        if values:
            columns = {"lane": [lane], "step": [step], "part": [part]}
            rows = {name: values_ * len(values) for name, values_ in columns.items()}
            self._append(FIGURES, lane, rows | {"name": list(values), "value": list(values.values())})

    def mark(self) -> dict[str, Any]:
        """Return what a checkpoint records about the tables: rows per lane and a checksum."""
        return {name: tally.mark() for name, tally in self._tallies.items()}

    def rewrite(self) -> None:
        """Write again what a failed sync may have lost; called by the thread that appends, before a sync."""
        for stream in self._streams.values():
            stream.rewrite()

    def sync(self) -> None:
        """Return when the tables are on disk.

        Raises:
            OSError: A table may be lost on the disk. Its rows are held in memory and written again.
        """
        for stream in self._streams.values():
            stream.sync()

    def frames(self, lane: int = 0) -> dict[str, pl.DataFrame]:
        """Return the tables of one lane as those of a single run, whose lane is 0."""
        return {name: pl.DataFrame(self._table(name, lane)) for name in self._schemas}

    def write(self, lane: int, run_folder: RunFolder) -> None:
        """Write the tables of a lane as Parquet files."""
        for name in self._schemas:
            sink = pa.BufferOutputStream()
            pq.write_table(self._table(name, lane), sink, compression="zstd")
            run_folder.write(f"{name}.parquet", sink.getvalue().to_pybytes())

    def close(self, keep: bool = False) -> None:
        """Close the streams, and remove them unless `keep` is set because the run will be resumed."""
        for stream in self._streams.values():
            stream.close()
            if not keep:
                stream.remove()

    def _append_layers(self, result: ChunkResult, lane: int) -> None:
        steps = np.asarray(result.chunk.layer_steps[lane])
        rows = np.flatnonzero(steps >= 0)
        statistics = np.asarray(result.chunk.layers[lane])[rows].reshape(-1, len(LAYER_STATISTICS))
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

    def _append_figures(self, result: ChunkResult, lane: int, done: int) -> None:
        if self._figures:
            steps, values = (
                result.start + np.arange(done),
                [rows[lane, :done] for rows in result.chunk.info.figures],
            )
            columns = {
                "lane": np.full(done * len(values), lane),
                "step": np.repeat(steps, len(values)),
                "part": ["batch"] * (done * len(values)),
                "name": self._figures * done,
                "value": np.stack(values, axis=1).reshape(-1),
            }
            self._append(FIGURES, lane, columns)

    def _append(self, name: str, lane: int, columns: dict[str, Any]) -> None:
        schema = TABLES[name]
        batch = pa.record_batch([column_of(columns[f.name], f.type) for f in schema], schema=schema)
        self._add(name, lane, batch)

    def _add(self, name: str, lane: int, batch: pa.RecordBatch) -> None:
        self._read_back.clear()
        if name in self._streams:
            self._tallies[name].add(lane, batch)
            self._streams[name].append(batch)  # not in memory as well: a run may last for weeks
        else:
            self._batches[name][lane].append(batch)

    def _table(self, name: str, lane: int) -> pa.Table:
        # In one chunk: where chunks end depends on timing, which must not show in the Parquet file.
        table = self._lane_table(name, lane).combine_chunks()
        zeros = column_of(np.zeros(len(table), np.int32), pa.int32())
        return table.set_column(0, TABLES[name].field(0), zeros)

    def _lane_table(self, name: str, lane: int) -> pa.Table:
        schema = TABLES[name]
        if name not in self._streams:
            return pa.Table.from_batches(self._batches[name][lane], schema=schema)
        if name not in self._read_back:
            rows = pa.Table.from_batches(batches(self._streams[name].content(), schema), schema=schema)
            lost = sum(self._tallies[name].rows) - rows.num_rows
            if lost:
                self._warn(
                    f"{lost} rows of the log are lost: {name}.arrows was changed while the run wrote it"
                )
            self._read_back[name] = by_lane(rows, self._lanes)
        return self._read_back[name][lane]


def read_back(folder: Path) -> dict[str, pa.Table]:
    """Return the rows of an interrupted run from its streams, or else from its Parquet files.

    Damaged or missing rows are left out; `cut` notices if a checkpoint needs them.
    """
    return {name: _read_table(folder, name, schema) for name, schema in TABLES.items()}


def _read_table(folder: Path, name: str, schema: pa.Schema) -> pa.Table:
    stream, parquet = folder / f"{name}.arrows", folder / f"{name}.parquet"
    files = files_of(folder)
    with contextlib.suppress(OSError, pa.ArrowException, ValueError):
        if files.is_there(stream):
            content = files.read(stream, LARGEST_FILE)
            return pa.Table.from_batches(batches(content, schema), schema=schema)
        if files.is_there(parquet):
            return pq.read_table(pa.BufferReader(files.read(parquet, LARGEST_FILE)), schema=schema)
    return schema.empty_table()
