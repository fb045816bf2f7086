"""CSV, TSV and Parquet files as frames. Cells of text files stay text; `column_types` reads them later."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from thalweg.core.errors import DataError, did_you_mean
from thalweg.core.lazy import pl, pq
from thalweg.problem.data.files.content import plain_suffix, read_bytes

SEPARATORS = ",;\t|"
TABLE_SUFFIXES = (".csv", ".tsv", ".data", ".parquet")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_table(path: Path, header: bool = True) -> pl.DataFrame:
    """Read a table, .gz or not.

    Args:
        path: A CSV, TSV or Parquet file. The separator of a CSV file is whichever of , ; tab | occurs most
            often in its first line.
        header: Whether the first line holds the names. If not, columns are `column_0`, `column_1`, ...

    Raises:
        DataError: The file is empty, damaged or ragged, or its first line holds numbers instead of names.
    """
    content = read_bytes(path)
    if not content.removeprefix(BYTE_ORDER_MARK).strip():
        raise DataError(
            "table", "the file must hold rows", got="an empty file", where=path, hint="give another file"
        )
    frame = _parquet(content, path) if plain_suffix(path) == ".parquet" else _csv(content, path, header)
    if frame.height == 0 or frame.width == 0:
        rule = "the file must hold at least one row under its header"
        got = f"{frame.height} rows, {frame.width} columns"
        hint = "give another file" if header else "leave out header=False"
        raise DataError("table", rule, got=got, where=path, hint=hint)
    return frame


def find_column(columns: Sequence[str], column: str | int | None, who: str = "target") -> str:
    """Return the name of a column given by name or by index.

    Raises:
        DataError: None is given, or there is no such column (with the nearest name).
    """
    if column is None:
        rule = "a table needs a target, the column to predict"
        hint = f"for example target={columns[-1]!r}, the last column"
        raise DataError("target", rule, where=f"columns {', '.join(columns[:20])}", hint=hint)
    if isinstance(column, str):
        matches = [name for name in columns if name == column]
        matches += [name for name in columns if name.strip() == column.strip()]
        if matches:
            return matches[0]
    try:
        index = int(column)
    except ValueError:
        hint = did_you_mean(str(column), columns)
        raise DataError(who, "must be a column of the table", got=column, hint=hint) from None
    if -len(columns) <= index < len(columns):
        return columns[index]
    last = len(columns) - 1
    hint = f"the last column is {last}, {columns[-1]!r}"
    raise DataError(who, f"the index must lie in 0..{last}", got=column, hint=hint)


def _parquet(content: bytes, path: Path) -> pl.DataFrame:
    # Arrow's reader, not Polars': on a damaged file Polars' once ended the process (it asked for 2 EB).
    try:
        return pl.DataFrame(pl.from_arrow(pq.read_table(pa.BufferReader(content))))
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(error, path) from error


def _csv(content: bytes, path: Path, header: bool) -> pl.DataFrame:
    content = _utf8(content).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    separator = "\t" if plain_suffix(path) == ".tsv" else _separator(content)
    _check_fields(content, separator, path)
    try:
        frame = pl.read_csv(
            io.BytesIO(content),
            separator=separator,
            has_header=header,
            infer_schema=False,
            raise_if_empty=False,
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(error, path) from error
    names = _checked_names(frame.columns, path) if header else [f"column_{i}" for i in range(frame.width)]
    frame.columns = names
    # A blank line is a row of nulls; in a file of one column it is a missing value.
    return frame if frame.width == 1 else frame.filter(~pl.all_horizontal(pl.all().is_null()))


def _checked_names(header: list[str], path: Path) -> list[str]:
    names = [name.strip().strip('"').strip() or f"column_{i}" for i, name in enumerate(header)]
    if all(_is_number(name.removesuffix("_duplicated_0")) for name in names):
        rule = "the first line must hold the names of the columns"
        hint = "use header=False (--no-header) for a file without names"
        raise DataError("table", rule, got=", ".join(names[:5]), where=path, hint=hint)
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(
            "table", "column names must differ", got=repeated, where=path, hint="rename one of the two"
        )
    return names


def _utf8(content: bytes) -> bytes:
    """A file that is not UTF-8 is read as Windows-1252, the most common other encoding of CSV files."""
    content = content.removeprefix(BYTE_ORDER_MARK)
    try:
        content.decode("utf-8")
        return content
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace").encode("utf-8")


def _separator(content: bytes) -> str:
    first = content.lstrip(b"\n").split(b"\n", 1)[0].decode("utf-8")
    return max(SEPARATORS, key=first.count)


def _check_fields(content: bytes, separator: str, path: Path) -> None:
    """Reject lines with another number of fields, which CSV readers pad or truncate silently."""
    data = np.frombuffer(content if content.endswith(b"\n") else content + b"\n", np.uint8)
    quoted = np.zeros(data.size, bool)
    if b'"' in content:
        quoted = np.cumsum(data == ord('"'), dtype=np.uint8) % 2 == 1
        if quoted[-1]:
            raise DataError(
                "table", "every quotation mark must be closed", where=path, hint='look for a lone "'
            )
    ends = np.flatnonzero((data == ord("\n")) & ~quoted)
    starts = np.concatenate([[0], ends[:-1] + 1])
    separators = ((data == ord(separator)) & ~quoted).astype(np.uint8)
    fields = np.add.reduceat(separators, starts, dtype=np.int32) + 1
    filled = ends > starts  # blank lines are not rows
    width = fields[filled][0]
    ragged = np.flatnonzero(filled & (fields != width))
    if ragged.size:
        raise DataError(
            "table",
            f"every line must have {width} fields, as the first",
            got=f"{fields[ragged[0]]} in line {ragged[0] + 1}",
            where=f"{path}: {ragged.size} such lines" if ragged.size > 1 else path,
            hint="quote fields that contain the separator, and complete or remove the line",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unreadable(error: Exception, path: Path) -> DataError:
    return DataError(
        "table",
        "the file must be readable",
        got=str(error).splitlines()[0],
        where=path,
        hint="the file is damaged, or not in the format that its name says",
    )
