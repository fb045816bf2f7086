"""The tables of a log on disk while they grow: batches appended, cut back to a checkpoint, and verified.

A growing table is an Arrow stream (`steps.arrows`): the schema, then record batches, each written at once. A
torn tail costs the last batch. A checkpoint records the number of rows of each lane and a checksum of their
values, so that a resumed run can cut the tables back to exactly those rows and prove that it did. The
checksum covers values, not bytes of the file: where one batch ends depends on timing, a resumed run writes
the same rows in other batches, and an extended run reads them back from Parquet.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa

from thalweg.core.disk import remove_if_there, temporary_name
from thalweg.core.errors import RunFolderError
from thalweg.run.folder.filesystem import files_of

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
    "figures": pa.schema(
        {
            "lane": pa.int32(),
            "step": pa.int64(),
            "part": pa.string(),
            "name": pa.string(),
            "value": pa.float64(),
        }
    ),
}
# Only runs whose objective computes figures, or with further metrics, have this table.
FIGURES = "figures"
_NUMPY = {pa.int32(): np.int32, pa.int64(): np.int64, pa.float32(): np.float32, pa.float64(): np.float64}
# What was written is held in memory until it is synced, at the latest after this many bytes: 700,000 steps.
HELD_BYTES = 1 << 24


class Tally:
    """The number of rows of every lane, and a checksum of their values.

    Args:
        lanes: Number of lanes.
    """

    def __init__(self, lanes: int):
        self.rows = [0] * lanes
        self._digests = [hashlib.sha256() for _ in range(lanes)]

    def add(self, lane: int, batch: pa.RecordBatch) -> None:
        """Add rows of one lane, in the order of its steps."""
        self.rows[lane] += batch.num_rows
        self._digests[lane].update(_row_bytes(batch))

    def mark(self) -> dict[str, Any]:
        """Return the rows and the checksum so far, for a checkpoint."""
        whole = hashlib.sha256(b"".join(digest.digest() for digest in self._digests))
        return {"rows": list(self.rows), "sha256": whole.hexdigest()}


class Stream:
    """The file of a growing table.

    A batch that cannot be written, because the disk is full, is held in memory and retried with the next
    batch. A half-written batch is cut off first. What was written is held in memory until it is synced: where
    syncing fails, the system may have lost it, and it is written again.

    Args:
        path: The file.
        schema: Schema of the table.
        warn: Called once when a write fails, and once when all waiting batches are written.
    """

    def __init__(self, path: Path, schema: pa.Schema, warn: Callable[[str], None]):
        self.path, self._warn = path, warn
        self._waiting: list[memoryview] = []
        self._written: list[memoryview] = []  # and not synced, which the saving thread does
        self._synced, self._failed_sync, self._recoveries = 0, False, 0
        self._guard, self._syncing = Lock(), Lock()
        self._failing = False
        # Under a temporary name until `publish`: after a kill the old file may still be needed.
        self._files, self._temporary = files_of(path.parent), temporary_name(path.parent)
        self._files.check_replaceable(path)
        self._file = os.fdopen(self._files.create(self._temporary), "w+b", buffering=0)
        self._written.append(memoryview(schema.serialize()))
        self._length = self._file.write(self._written[0]) or 0

    def publish(self, durable: bool) -> None:
        """Give the file its name, replacing an older file.

        Args:
            durable: Whether the file holds rows of a resumed run. They are synced to disk first, and the
                Parquet file of the earlier run, which readers would prefer, is removed.
        """
        if durable:
            self.sync()
        self._files.rename(self._temporary, self.path)
        if durable:
            remove_if_there(self._files, self.path.with_suffix(".parquet"))

    def append(self, batch: pa.RecordBatch) -> None:
        """Append a batch; a failing disk is a warning."""
        self._waiting.append(memoryview(batch.serialize()))
        self._write()

    def rewrite(self) -> None:
        """Write again what a failed sync may have lost, if one failed; a failing disk is a warning."""
        if self._failed_sync:
            self._write()

    def _write(self) -> None:
        """Write what is waiting."""
        try:
            self._flush()
            if self._length - self._synced > HELD_BYTES:
                self.sync()
        except OSError as error:
            if not self._failing:
                self._warn(f"the log is held in memory:  {self.path.name}: {error.strerror or error}")
            self._failing = True
            return
        if self._failing:
            self._failing = False
            self._warn(f"the log is written again: {self.path.name}")

    def content(self) -> bytes:
        """Return everything that was appended, even if the file was removed or the disk is full."""
        self._recover()
        with self._guard:  # at one moment: the saving thread moves rows from those held to those synced
            synced, held = self._synced, [*self._written, *self._waiting]
        self._file.seek(0)
        return b"".join([self._file.read(synced), *held])

    def sync(self) -> None:
        """Return when the batches that were written are on disk. Called from any thread.

        Raises:
            OSError: They may be lost on the disk, now or since a sync that failed. They are held in memory
                and written again.
        """
        with self._syncing:  # one at a time: the system tells of a failure only once
            with self._guard:
                if self._failed_sync:
                    raise OSError(
                        errno.EIO, "what a failed sync lost is not written again yet", self.path.name
                    )
                count, length, recoveries = len(self._written), self._length, self._recoveries
            try:
                os.fsync(self._file.fileno())
            except OSError:
                self._failed_sync = True
                raise
            with self._guard:
                if recoveries == self._recoveries:  # else some of it is being written again
                    del self._written[:count]
                    self._synced = length

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def remove(self) -> None:
        """Remove the file, if it is still there."""
        remove_if_there(self._files, self.path)

    def _recover(self) -> None:
        """Write again what the system may have lost when syncing failed."""
        if self._failed_sync:
            with self._guard:
                self._waiting = self._written + self._waiting
                self._written, self._length = [], self._synced
                self._failed_sync, self._recoveries = False, self._recoveries + 1

    def _flush(self) -> None:
        self._recover()
        while self._waiting:
            data, done = self._waiting[0], 0
            try:
                self._file.seek(self._length)
                while done < len(data):
                    done += self._file.write(data[done:]) or 0
            except OSError:
                with contextlib.suppress(OSError):
                    self._file.truncate(self._length)
                raise
            with self._guard:
                self._length += len(data)
                self._written.append(self._waiting.pop(0))


def batches(content: bytes, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Return the record batches of a stream, up to the first that is damaged or incomplete.

    Batches are views of `content`, so a damaged file cannot cause a large allocation.
    """
    whole: list[pa.RecordBatch] = []
    with contextlib.suppress(StopIteration, pa.ArrowException, OSError, ValueError):
        reader = pa.ipc.open_stream(pa.BufferReader(content))
        while reader.schema.equals(schema):
            batch = reader.read_next_batch()
            batch.validate(full=True)
            whole.append(batch)
    return whole


def cut(rows: pa.Table, mark: dict[str, Any], name: str) -> pa.Table:
    """Return the rows that the table had at a checkpoint.

    Args:
        rows: The rows that were read back, those of each lane in the order of its steps.
        mark: What the checkpoint recorded about the table (`Log.mark`).
        name: Name of the table, for the error message.

    Raises:
        RunFolderError: Rows are missing, or differ from those that were logged.
    """
    counts = mark["rows"]
    first = first_rows(rows, counts)
    tally = Tally(len(counts))
    for lane, table in enumerate(by_lane(first, len(counts))):
        for batch in table.to_batches():
            tally.add(lane, batch)
    if tally.mark() != mark:
        missing = sum(counts) - first.num_rows
        raise RunFolderError(
            "log",
            "must hold the rows that it had at the checkpoint",
            got=f"{missing} rows are missing" if missing else "other values",
            where=name,
            hint="see `thalweg check`: the run resumes from an older checkpoint whose log is whole",
        )
    return first


def first_rows(rows: pa.Table, counts: Sequence[int]) -> pa.Table:
    """Return the first `counts[lane]` rows of every lane (all, if there are fewer), in their order."""
    lanes = _lane_column(rows)
    keep = np.zeros(len(lanes), bool)
    for lane, count in enumerate(counts):
        keep[np.flatnonzero(lanes == lane)[:count]] = True
    return _select(rows, keep)


def by_lane(rows: pa.Table, lanes: int) -> list[pa.Table]:
    """Split a table by lane."""
    column = _lane_column(rows)
    return [_select(rows, column == lane) for lane in range(lanes)]


# `pa.array` and `to_numpy` import pandas where it is installed, which takes half a second. The functions
# below work on buffers instead.


def column_of(values: Any, kind: pa.DataType) -> pa.Array:
    """Return a column of an Arrow type."""
    if pa.types.is_string(kind):
        encoded = [value.encode() for value in values]
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
        return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))
    numbers = np.ascontiguousarray(values, _NUMPY[kind])
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def _values(column: pa.Array) -> np.ndarray:
    dtype = np.dtype(_NUMPY[column.type])
    return np.frombuffer(column.buffers()[1], dtype, len(column), column.offset * dtype.itemsize)


def _lane_column(rows: pa.Table) -> np.ndarray:
    chunks = [_values(chunk) for chunk in rows.column("lane").chunks]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.int32)


def _select(rows: pa.Table, mask: np.ndarray) -> pa.Table:
    return rows.take(column_of(np.flatnonzero(mask), pa.int64()))


def _row_bytes(batch: pa.RecordBatch) -> bytes:
    """Return the values of a batch row by row, without the lane; strings first, each ended by a zero byte."""
    columns = [
        column for field, column in zip(batch.schema, batch.columns, strict=True) if field.name != "lane"
    ]
    strings = [column.to_pylist() for column in columns if pa.types.is_string(column.type)]
    arrays = [_canonical(_values(column)) for column in columns if not pa.types.is_string(column.type)]
    numbers = np.empty(batch.num_rows, [(str(index), array.dtype) for index, array in enumerate(arrays)])
    for index, array in enumerate(arrays):
        numbers[str(index)] = array
    if not strings:
        return numbers.tobytes()
    rows = zip(*strings, strict=True)
    return b"".join("\0".join(row).encode() + b"\0" + numbers[at].tobytes() for at, row in enumerate(rows))


def _canonical(values: np.ndarray) -> np.ndarray:
    """Return numbers with one NaN and one zero: Parquet may not distinguish NaN payloads and signed zeros."""
    if values.dtype.kind != "f":
        return values
    return np.where(np.isnan(values), np.asarray(np.nan, values.dtype), values + values.dtype.type(0))
