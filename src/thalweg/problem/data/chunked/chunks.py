"""The chunks of a table in files: where each begins, how many rows it has, and the rows themselves."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from thalweg.core.errors import DataError, nearest
from thalweg.core.files import is_regular
from thalweg.core.lazy import pl, pq
from thalweg.core.limits import as_bytes, max_bytes
from thalweg.problem.data.files.content import ARRAY_COPIES
from thalweg.problem.data.files.parts import Parts, common_type, typed_level
from thalweg.problem.data.note import Note

_DAMAGED = "the file is damaged, or not in the format that its name says"


@dataclass(frozen=True)
class Chunk:
    """A stretch of rows of one file.

    Args:
        part: Number of the file.
        start: Number of the row group, or the byte where the stretch begins.
        stop: The byte where it ends; 0 for a row group.
        rows: How many rows it has.
        size: Bytes that it takes as text, or unpacked.
        line: Number of its first line in a text table.
    """

    part: int
    start: int
    stop: int
    rows: int
    size: int
    line: int = 0


class ChunkedTable(abc.ABC):
    """A table that is read chunk by chunk.

    Args:
        parts: Its files.
        chunks: Their chunks, in order.

    Attributes:
        text: Whether all cells are text, whose types are to be found.
        header: Whether the names come from the files.
        notes: Notes on what is left out.
    """

    text: bool = False
    header: bool = True
    notes: tuple[Note, ...] = ()

    def __init__(self, parts: Parts, chunks: list[Chunk]):
        self.parts, self.chunks = parts, chunks
        self._states = [_state(path) for path in parts.paths]
        levels = [pl.Series(n, [own[n] for own in parts.levels], pl.String) for n in parts.levels[0]]
        self._levels = levels if self.text else [typed_level(level) for level in levels]
        if not self.count:
            hint = "give other files"
            raise DataError("table", "must hold rows", got="0 rows", where=parts.shown, hint=hint)

    @property
    def count(self) -> int:
        """Rows of all chunks."""
        return int(self.starts[-1])

    @cached_property
    def starts(self) -> np.ndarray:
        """The number of the first row of each chunk, and of the row after the last, `chunk + 1`."""
        return np.concatenate([[0], np.cumsum([chunk.rows for chunk in self.chunks], dtype=np.int64)])

    def rows(self, number: int) -> pl.DataFrame:
        """Return the rows of a chunk, with the columns of its partitions.

        Raises:
            DataError: The file is damaged, or has changed since the table was opened.
        """
        chunk = self.chunks[number]
        path = self.parts.paths[chunk.part]
        if _state(path) != self._states[chunk.part]:
            rule, hint = "the file must not change while it is read", "start a new run"
            raise DataError("table", rule, got="another size or time", where=path, hint=hint)
        frame = self._read(chunk, path)
        if frame.height != chunk.rows:
            got = f"{frame.height} instead of {chunk.rows} rows"
            raise DataError("table", "the file must be readable", got=got, where=path, hint=_DAMAGED)
        return frame.with_columns(
            pl.lit(level[chunk.part], level.dtype).alias(level.name) for level in self._levels
        )

    @abc.abstractmethod
    def _read(self, chunk: Chunk, path: Path) -> pl.DataFrame:
        """Return the rows of a chunk as its file has them."""


def _state(path: Path) -> tuple[int, int]:
    if not is_regular(path):
        hint = "give a regular file; what comes through a pipe can be saved to one first"
        raise DataError("table", "every file must exist, and be regular", got=str(path), hint=hint)
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@dataclass
class _Footer:
    """The footer of a Parquet file, and the types of its columns that are not nested."""

    metadata: Any
    schema: dict[str, Any]
    nested: list[str] = field(default_factory=list)


class ParquetTable(ChunkedTable):
    """Parquet files, row group by row group. Nested columns are left out, noted."""

    def __init__(self, parts: Parts):
        self._footers = [_footer(path) for path in parts.paths]
        first = self._footers[0]
        for path, footer in zip(parts.paths[1:], self._footers[1:], strict=True):
            self._check(first.schema, footer.schema, path, parts.paths[0])
        self.schema = dict(first.schema)
        for footer in self._footers[1:]:
            self.schema |= {name: common_type(self.schema[name], footer.schema[name]) for name in self.schema}
        chunks = []
        for part, footer in enumerate(self._footers):
            for at in range(footer.metadata.num_row_groups):
                group = footer.metadata.row_group(at)
                if group.num_rows:
                    size = max(group.total_byte_size, group.num_rows * len(self.schema))
                    chunks.append(Chunk(part, at, 0, group.num_rows, size))
        most = max_bytes() // ARRAY_COPIES
        for chunk in chunks:
            if chunk.size > most:
                rule = f"a row group may take at most {as_bytes(most)}"
                hint = "write the file with smaller ones: row_group_size=100_000"
                where = parts.paths[chunk.part]
                raise DataError("table", rule, got=as_bytes(chunk.size), where=where, hint=hint)
        super().__init__(parts, chunks)
        nested = sorted({name for footer in self._footers for name in footer.nested})
        if nested:
            text = f"nested columns are left out of a table that is streamed: {', '.join(nested)}."
            self.notes = (Note("nested", text, tuple(nested)),)

    def _check(self, wanted: dict[str, Any], own: dict[str, Any], path: Path, first: Path) -> None:
        for one, other, word in ((wanted, own, "no column"), (own, wanted, "also")):
            lacking = [name for name in one if name not in other]
            if lacking:
                similar = nearest(lacking[0], list(other)) if word != "also" else None
                got = f"{word} {', '.join(lacking[:5])}" + (f" (is it {similar!r}?)" if similar else "")
                hint = "rename or add the columns, or leave the file out"
                raise DataError(
                    "table", f"must have the columns of {first.name}", got=got, where=path, hint=hint
                )
        for name, dtype in wanted.items():
            if common_type(dtype, own[name]) is None:
                rule = f"column {name!r} must have one type in all parts"
                hint = "write the parts with one type, or leave the file out"
                got = f"{own[name]} in {path.name}, {dtype} in {first.name}"
                raise DataError("table", rule, got=got, where=path, hint=hint)

    def _read(self, chunk: Chunk, path: Path) -> pl.DataFrame:
        try:
            file = pq.ParquetFile(path, metadata=self._footers[chunk.part].metadata)
            table = file.read_row_group(chunk.start, columns=list(self.schema), use_threads=False)
            table.validate(full=True)
            frame = pl.DataFrame(pl.from_arrow(table))
        except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, KeyError) as error:
            raise _unreadable(error, path) from error
        return frame.select(list(self.schema)).cast(self.schema)  # type: ignore[arg-type]


def _footer(path: Path) -> _Footer:
    _state(path)
    try:
        metadata = pq.read_metadata(path)
        empty = pl.DataFrame(pl.from_arrow(metadata.schema.to_arrow_schema().empty_table()))
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        raise _unreadable(error, path) from error
    nested = [
        name for name, dtype in empty.schema.items() if dtype.is_nested() or dtype in (pl.Object, pl.Binary)
    ]
    return _Footer(metadata, {n: t for n, t in empty.schema.items() if n not in nested}, nested)


def _unreadable(error: Exception, path: Path) -> DataError:
    got = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError("table", "the file must be readable", got=got, where=path, hint=_DAMAGED)


def sample(table: ChunkedTable, most: int, chunks: int) -> pl.DataFrame:
    """Return rows spread evenly over a table: at most so many, from at most so many chunks."""
    return pl.concat(list(_samples(table, most, chunks)), how="vertical")


def _samples(table: ChunkedTable, most: int, chunks: int) -> Iterator[pl.DataFrame]:
    total = len(table.chunks)
    chosen = np.unique(np.linspace(0, total - 1, min(total, chunks)).round().astype(int))
    for number in chosen:
        frame = table.rows(int(number))
        step = max(1, -(-frame.height * len(chosen) // most))
        yield frame.gather_every(step)
