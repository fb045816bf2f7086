"""The log on its way to disk: whole batches appended, a running checksum of every lane's rows, cutting back.

A table that grows is an Arrow stream: the schema, then record batches, each written at once. A checkpoint
notes how many rows of each lane were there and a checksum of their values (not of the file's bytes: chunks
follow the clock, and the same rows may lie in other batches), so that what is read back later can be proven
to be what was logged, and cut back to exactly that.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from thalweg.core.errors import RunFolderError


class Tally:
    """Rows of every lane and a checksum of their values, as they are appended.

    Args:
        lanes: How many lanes there are.
    """

    def __init__(self, lanes: int):
        self.rows = [0] * lanes
        self._digests = [hashlib.sha256() for _ in range(lanes)]

    def add(self, lane: int, batch: pa.RecordBatch) -> None:
        """Take in rows of one lane, in the order of its steps."""
        self.rows[lane] += batch.num_rows
        self._digests[lane].update(_bytes_of(batch))

    def mark(self) -> dict[str, Any]:
        """Return what has been appended so far, for a checkpoint."""
        whole = hashlib.sha256(b"".join(digest.digest() for digest in self._digests))
        return {"rows": list(self.rows), "sha256": whole.hexdigest()}


class Stream:
    """A table's file while it grows.

    A batch that the disk does not take (it is full) waits in memory and is tried again with the next; what
    was half written is cut off first.

    Args:
        path: The file.
        schema: Of the table.
        warn: Told once when the disk does not take a batch, and once when it has taken all that waited.
    """

    def __init__(self, path: Path, schema: pa.Schema, warn: Callable[[str], None]):
        self.path, self._warn = path, warn
        self._waiting: list[memoryview] = []
        self._failing = False
        # Under another name until `publish`: what lies there may be needed again after a kill.
        self._temporary = path.with_name(f".{path.name}.part")
        self._file = self._temporary.open("w+b", buffering=0)
        self._length = self._file.write(schema.serialize()) or 0

    def publish(self, durable: bool) -> None:
        """Give the file its name, in the place of one that lies there."""
        if durable:
            os.fsync(self._file.fileno())
        self._temporary.replace(self.path)
        if durable:  # a run that goes on: its table at rest is of the past, and readers would prefer it
            self.path.with_suffix(".parquet").unlink(missing_ok=True)

    def append(self, batch: pa.RecordBatch) -> None:
        """Append a batch; never raises for the disk's sake."""
        self._waiting.append(memoryview(batch.serialize()))
        try:
            self._flush()
        except OSError as error:
            self._say(f"the log waits in memory: {self.path.name}: {error.strerror or error}")
            return
        if self._failing:
            self._failing = False
            self._warn(f"the log is written again: {self.path.name}")

    def content(self) -> bytes:
        """Return all that was appended, also where the file was removed or the disk is full."""
        self._file.seek(0)
        written = self._file.read(self._length)
        return b"".join([written, *self._waiting])

    def sync(self) -> None:
        """Bring what was appended to the disk, as far as it takes it."""
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _flush(self) -> None:
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
            self._length += len(data)
            del self._waiting[0]

    def _say(self, text: str) -> None:
        if not self._failing:
            self._failing = True
            self._warn(text)


def batches(content: bytes, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Return all whole record batches of a stream; what follows the first that is not whole is left out.

    The content is in memory already, and batches are views of it: what a damaged file claims is never
    allocated.
    """
    found: list[pa.RecordBatch] = []
    with contextlib.suppress(StopIteration, pa.ArrowException, OSError, ValueError):
        reader = pa.ipc.open_stream(pa.BufferReader(content))
        while reader.schema.equals(schema):
            batch = reader.read_next_batch()
            batch.validate(full=True)
            found.append(batch)
    return found


def cut(rows: pa.Table, mark: dict[str, Any], name: str) -> pa.Table:
    """Return the rows that were there at a checkpoint: of each lane the first so many.

    Args:
        rows: What was read back, each lane's rows in the order in which they were appended.
        mark: What the checkpoint noted.
        name: Of the table, for the message.

    Raises:
        RunFolderError: Rows are missing, or are not those that were logged.
    """
    counts = mark["rows"]
    kept = first_rows(rows, counts)
    tally = Tally(len(counts))
    for lane, table in enumerate(by_lane(kept, len(counts))):
        for batch in table.to_batches():
            tally.add(lane, batch)
    if tally.mark() != mark:
        missing = sum(counts) - kept.num_rows
        raise RunFolderError(
            "log",
            "must hold the rows that the checkpoint saw",
            got=f"{missing} rows are missing" if missing else "other values",
            where=name,
        )
    return kept


def first_rows(rows: pa.Table, counts: Sequence[int]) -> pa.Table:
    """Return the first `counts[lane]` rows of every lane, or as many as there are, in their order."""
    lanes = _lanes(rows)
    keep = np.zeros(len(lanes), bool)
    for lane, count in enumerate(counts):
        keep[np.flatnonzero(lanes == lane)[:count]] = True
    return _taken(rows, keep)


def by_lane(rows: pa.Table, lanes: int) -> list[pa.Table]:
    """Part a table by lane."""
    column = _lanes(rows)
    return [_taken(rows, column == lane) for lane in range(lanes)]


def _lanes(rows: pa.Table) -> np.ndarray:
    chunks = [_values(chunk) for chunk in rows.column("lane").chunks]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.int32)


def _taken(rows: pa.Table, which: np.ndarray) -> pa.Table:
    places = np.flatnonzero(which)  # `pa.array` would import pandas where it is installed: half a second
    return rows.take(pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)]))


def _bytes_of(batch: pa.RecordBatch) -> bytes:
    """Return a batch's values row by row. All NaNs are one, and both zeros: Parquet may not part them."""
    columns = [
        column for column, name in zip(batch.columns, batch.schema.names, strict=True) if name != "lane"
    ]
    numbers = [column for column in columns if not pa.types.is_string(column.type)]
    words = [column.to_pylist() for column in columns if pa.types.is_string(column.type)]
    arrays = [_canonical(_values(column)) for column in numbers]
    table = np.empty(batch.num_rows, [(str(place), array.dtype) for place, array in enumerate(arrays)])
    for place, array in enumerate(arrays):
        table[str(place)] = array
    if not words:
        return table.tobytes()
    rows = zip(*words, strict=True)
    return b"".join("\0".join(row).encode() + b"\0" + table[at].tobytes() for at, row in enumerate(rows))


def _values(column: pa.Array) -> np.ndarray:
    # `to_numpy` would import pandas where it is installed: half a second.
    kind = np.dtype(column.type.to_pandas_dtype())
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * kind.itemsize)


def _canonical(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    return np.where(np.isnan(values), np.asarray(np.nan, values.dtype), values + values.dtype.type(0))
