"""Tables in files that do not fit in memory, or of which it is asked, to `Data` with a stream to train on."""

from __future__ import annotations

from pathlib import Path

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.problem.data.chunked.chunks import ChunkedTable, ParquetTable
from thalweg.problem.data.chunked.delimited import DelimitedTable
from thalweg.problem.data.chunked.feeding import ChunkReader
from thalweg.problem.data.chunked.parted import TEST, VALIDATION
from thalweg.problem.data.chunked.scan import scan
from thalweg.problem.data.data import Data
from thalweg.problem.data.files.content import exceeds_memory
from thalweg.problem.data.files.json_lines import SUFFIXES as JSON_LINES
from thalweg.problem.data.files.parts import Parts, parts_of
from thalweg.problem.data.files.pictures import is_picture_set
from thalweg.problem.data.files.tables import TABLE_SUFFIXES, TableFormat
from thalweg.problem.data.note import guess
from thalweg.problem.data.options import (
    RANDOM,
    SERIES,
    TABLES,
    TEXT_TABLES,
    LoadOptions,
    Reader,
    Source,
    is_text_table,
)
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows, Split
from thalweg.problem.data.stream import StoredRows
from thalweg.problem.data.tables.columns import table_format

# Options of reading that need all rows at once.
_WHOLE = ("folds", "validation_folds", "weights", "window", "series")


def _accepts(source: Source, options: LoadOptions) -> bool:
    if not isinstance(source.data, (Path, Parts)) or source.suffix not in TABLE_SUFFIXES:
        return options.stream is True and not is_picture_set(source.data)
    return options.stream is True or (options.stream is None and _is_too_large(source, options))


def _is_too_large(source: Source, options: LoadOptions) -> bool:
    """Return whether a table does not fit in memory and can be streamed as the options ask."""
    paths = source.data.paths if isinstance(source.data, Parts) else (source.data,)
    if source.suffix in JSON_LINES or options.target is None or _hindrance(options) is not None:
        return False
    return exceeds_memory(paths, source.suffix)


def open_chunks(parts: Parts, suffix: str, form: TableFormat) -> ChunkedTable:
    """Return tables in files, Parquet or text, to be read chunk by chunk.

    Raises:
        DataError: A file is damaged, compressed, or no plain table.
    """
    return ParquetTable(parts) if suffix == ".parquet" else DelimitedTable(parts, form)


def _parts(source: Source) -> Parts:
    return source.data if isinstance(source.data, Parts) else parts_of([source.data])  # type: ignore[return-value]


def _hindrance(options: LoadOptions) -> str | None:
    """Return the option that needs all rows at once, if one is given."""
    given = options.to_dict()
    if options.split != RANDOM:
        return "split"
    if options.separate_test is not None:
        return "test"
    return next((name for name in _WHOLE if name in given), "min_class" if options.min_class != 1 else None)


def _read(source: Source, options: LoadOptions) -> Data:
    hindrance = _hindrance(options)
    if not isinstance(source.data, (Path, Parts)) or source.suffix not in TABLE_SUFFIXES:
        rule, hint = "stream is for tables and pictures in files", f"leave {option('stream', True)} out"
        raise DataError("load", rule, got=source.shown, hint=hint)
    if source.suffix in JSON_LINES:
        rule, hint = (
            "JSON Lines are not streamed",
            "convert them to Parquet: polars.scan_ndjson(...).sink_parquet(...)",
        )
        raise DataError("load", rule, got=source.shown, hint=hint)
    if hindrance is not None:
        rule = "needs all rows at once, which a table that is streamed does not have"
        raise DataError(
            hindrance, rule, got=source.shown, hint=f"leave it out, or use {option('stream', False)}"
        )
    parts = _parts(source)
    table = open_chunks(parts, source.suffix, table_format(options))
    return from_chunks(table, source.name or "table", options)


def _kinds(source: Source, options: LoadOptions) -> tuple[str, ...]:
    series = () if options.window is None else (SERIES,)  # refused with what is said of all such options
    return (TABLES, *series, *((TEXT_TABLES,) if is_text_table(source) else ()))


READER = Reader(_accepts, _read, _kinds)


def from_chunks(table: ChunkedTable, name: str, options: LoadOptions) -> Data:
    """Scan a table in chunks, and return its held-out rows and a stream of its training rows.

    Raises:
        DataError: The table cannot be used.
    """
    scanned = scan(table, options)
    reader = ChunkReader(table, scanned, options.split_seed)
    splits: dict[str, Split] = {}
    rows = {}
    for part, split in ((VALIDATION, "validation"), (TEST, "test")):
        if part in scanned.held_out:
            frame, rows[split] = scanned.held_out[part]
            splits[split] = Rows(*reader.examples(frame))
    train = StoredRows.of(reader.spread(), reader, scanned.facts)
    target = scanned.target
    mean, scale = (0.0, 1.0) if target.is_class else (target.moments.mean, target.moments.scale)
    preparation = Preparation(
        scanned.columns, target.classes, target.found.name, target_mean=mean, target_scale=scale
    )
    notes = scanned.notes
    if options.stream is None:
        text = "the table does not fit in memory at once."
        notes = (guess("stream", text, stream=False), *notes)
    data = Data.of_splits(name, target.found.task, {"train": train} | splits, preparation, notes, rows)
    return data.with_source({"options": {"stream": True}}, "")
