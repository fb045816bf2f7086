"""Text tables and Parquet files as frames. Cells of text files stay text; `column_types` reads them later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thalweg.core.caller import option
from thalweg.core.errors import DataError, did_you_mean
from thalweg.core.lazy import pl
from thalweg.core.limits import max_bytes, too_large
from thalweg.core.parquet import TooMuch, read_parquet
from thalweg.problem.data.files.content import (
    ARRAY_COPIES,
    TEXT_COPIES,
    decode,
    plain_suffix,
    read_bytes,
)
from thalweg.problem.data.files.delimited import read_cells
from thalweg.problem.data.files.header import headed
from thalweg.problem.data.files.json_lines import SUFFIXES as JSON_LINES
from thalweg.problem.data.files.json_lines import read_json_lines
from thalweg.problem.data.files.other_formats import refuse_other_text, refuse_signature
from thalweg.problem.data.files.plain_form import unwrapped
from thalweg.problem.data.files.separator import divided_equally
from thalweg.problem.data.note import Note, guess

TABLE_SUFFIXES = (".csv", ".tsv", ".data", ".dat", ".tab", ".parquet", *JSON_LINES)

# Between the names of several target columns.
TARGETS = ","


@dataclass(frozen=True)
class TableFormat:
    """How a text table is written, as far as the user says it; None: found.

    Args:
        header: Whether the first line holds the names of the columns.
        separator: What separates cells, of any length; `space` for runs of spaces and tabs.
        encoding: Encoding of the file.
        target: The column to predict, if known: a first line of numbers that has it holds names.
    """

    header: bool | None = None
    separator: str | None = None
    encoding: str | None = None
    target: str | int | None = None


@dataclass(frozen=True)
class ReadTable:
    """A table as it was read.

    Args:
        frame: Its rows. All cells of a text table are text, and null where they are empty.
        notes: What was guessed, and what was left out.
        header: Whether the names come from the file.
        text: Whether it was a text table, so that the types of its columns are to be found.
        separator: That of a text table.
    """

    frame: pl.DataFrame
    notes: tuple[Note, ...] = ()
    header: bool = True
    text: bool = False
    separator: str = ""


def read_table(path: Path, form: TableFormat | None = None, *, may_be_empty: bool = False) -> ReadTable:
    """Read a table, .gz or not.

    Args:
        path: A text table of any suffix, a Parquet file, or one of JSON lines.
        form: What the user says about a text table; None: all is found.
        may_be_empty: Whether it may have columns and no rows.

    Raises:
        DataError: The file is empty, damaged or ragged, or it cannot be told whether its first line holds
            names.
    """
    if plain_suffix(path) == ".parquet":
        table = ReadTable(_parquet(read_bytes(path), path))
    elif plain_suffix(path) in JSON_LINES:
        table = ReadTable(*read_json_lines(read_bytes(path, TEXT_COPIES), path))
    else:
        table = text_table(read_bytes(path, TEXT_COPIES), path, form or TableFormat())
    if (table.frame.height == 0 and not may_be_empty) or table.frame.width == 0:
        rule = "the file must hold at least one row under its header"
        got = f"{table.frame.height} rows, {table.frame.width} columns"
        hint = "give another file" if table.header else f"leave out {option('header', False)}"
        raise DataError("table", rule, got=got, where=path, hint=hint)
    return table


def _lines_of(content: bytes, path: Path, encoding: str | None = None) -> tuple[str, str]:
    """Return a file's text with lines ending in \\n, and its encoding if that was guessed."""
    text, guessed = decode(content, path, encoding)
    text = text.lstrip("\ufeff").rstrip("\x1a\0")  # DOS ends files with the one, full blocks with the other
    return text.replace("\r\n", "\n").replace("\r", "\n"), guessed


def text_table(content: bytes, path: Path, form: TableFormat) -> ReadTable:
    """Return the table in the content of a text file; arguments and errors are those of `read_table`."""
    refuse_signature(content, path)
    text, guessed = _lines_of(content, path, form.encoding)
    refuse_other_text(text, path)
    if not text.strip():
        hint = "give another file"
        raise DataError("table", "the file must hold rows", got="an empty file", where=path, hint=hint)
    separator = form.separator or ("\t" if plain_suffix(path) in (".tsv", ".tab") and "\t" in text else None)
    cells = read_cells(text, path, separator)
    frame, header, notes = headed(cells.frame, form.header, form.target, path)
    if guessed:
        shown = f"the file is not UTF-8; it was read as {guessed}."
        notes = (guess("encoding", shown, encoding="utf-8" if guessed != "cp1252" else "latin-1"), *notes)
    return ReadTable(frame, (*cells.notes, *notes), header, True, cells.separator)


def looks_like_table(path: Path) -> bool:
    """Return whether nearly all lines of a text file are divided into the same number of fields."""
    text = _lines_of(read_bytes(path, TEXT_COPIES), path)[0]
    return divided_equally(text) or (text[:1] == '"' and divided_equally(unwrapped(text)[0]))


def find_column(columns: Sequence[str], column: str | int | None, who: str = "target") -> str:
    """Return the name of a column given by its name or, if there is no such name, by its index.

    Raises:
        DataError: None is given, or there is no such column (with the nearest name).
    """
    if column is None:
        rule = "a table needs a target, the column to predict"
        hint = f"for example {option('target', columns[-1])}, the last column"
        raise DataError("target", rule, where=f"columns {', '.join(columns[:20])}", hint=hint)
    wanted = str(column)
    match = _named(columns, wanted)
    if match is not None:
        return match
    try:
        index = int(column)
    except ValueError:
        several = [part for part in wanted.split(",") if _named(columns, part) is not None]
        if len(several) > 1:
            each = " ".join(option(who, part.strip()) for part in several)
            hint = f"give each by itself: {each}" if who in ("drop", "keep") else f"give {several[0].strip()}"
            raise DataError(who, "must be one column here", got=column, hint=hint) from None
        hint = did_you_mean(str(column), columns)
        raise DataError(who, "must be a column of the table", got=column, hint=hint) from None
    if -len(columns) <= index < len(columns):
        return columns[index]
    last = len(columns) - 1
    hint = f"the last column is {last}, {columns[-1]!r}"
    raise DataError(who, f"the index must lie in 0..{last}", got=column, hint=hint)


def find_columns(columns: Sequence[str], target: str | int | None) -> list[str]:
    """Return the names of the columns that a target names: one, or several with commas between.

    Raises:
        DataError: There is no such column.
    """
    parts = str(target).split(",")
    if len(parts) == 1 or _named(columns, str(target)) is not None:
        return [find_column(columns, target)]
    if not any(_named(columns, part) is not None or part.strip().lstrip("-").isdigit() for part in parts):
        return [find_column(columns, target)]  # refused there
    names = [find_column(columns, part) for part in parts]
    if len(set(names)) < len(names):
        raise DataError("target", "each column may be given once", got=target, hint="leave the others out")
    return names


def _named(columns: Sequence[str], wanted: str) -> str | None:
    """Return the column of this name; spaces around it do not count unless another has them."""
    stripped = next((name for name in columns if name.strip() == wanted.strip()), None)
    return wanted if wanted in columns else stripped


def _parquet(content: bytes, path: Path) -> pl.DataFrame:
    most = max_bytes()
    try:
        return pl.DataFrame(pl.from_arrow(read_parquet(content, most // ARRAY_COPIES)))
    except TooMuch as error:
        raise too_large(DataError, "table", f"{error} when unpacked", most, path) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError) as error:
        raise _unreadable(error, path) from error


def _unreadable(error: Exception, path: Path) -> DataError:
    return DataError(
        "table",
        "the file must be readable",
        got=str(error).splitlines()[0],
        where=path,
        hint="the file is damaged, or not in the format that its name says",
    )
