"""A table in several files: a list of paths, a glob (`part-*.csv`), or a folder of parts.

All parts must have the columns of the first; Spark's and Hive's folders (`year=2020/month=1/part-0.parquet`)
add a column for each level. The rows stand in the order of the parts, which a folder and a glob give in
natural order (`part-2` before `part-10`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from thalweg.core.caller import either
from thalweg.core.errors import DataError, nearest
from thalweg.core.files import is_regular
from thalweg.core.lazy import pl
from thalweg.core.limits import check_memory
from thalweg.problem.data.files.class_names import split_named
from thalweg.problem.data.files.content import ARRAY_COPIES, TEXT_COPIES, plain_suffix
from thalweg.problem.data.files.file_trees import FileFormat, counted, kinds, listed, natural
from thalweg.problem.data.files.picture_files import PICTURES
from thalweg.problem.data.files.tables import TABLE_SUFFIXES, ReadTable, TableFormat, read_table
from thalweg.problem.data.note import Note, guess

_TABLES = FileFormat("tables", "CSV, Parquet or JSON Lines", TABLE_SUFFIXES)
# What Hive and Spark write for a missing value of a partition.
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_LEVEL = re.compile(r"([^=]+)=(.*)")
# Cells of a column that are looked at to tell whether they are numbers.
_SAMPLE = 1000
# Programs mark a folder of parts by files that begin with this, such as `_SUCCESS`.
_MARK = "_"


@dataclass(frozen=True)
class Parts:
    """The files of one table.

    Args:
        paths: The files, in the order of their rows.
        shown: What was given, for messages.
        levels: For each file, the values of the partitions that it lies in, by name; text, None if missing.
        notes: Notes on files that were left out.
    """

    paths: tuple[Path, ...]
    shown: str
    levels: tuple[dict[str, str | None], ...]
    notes: tuple[Note, ...] = ()

    @property
    def suffix(self) -> str:
        """The suffix that all parts have, without `.gz`."""
        return plain_suffix(self.paths[0])

    @property
    def name(self) -> str:
        """A name for the table: what the names of its files begin with, else that of their folder."""
        common = common_name(self.paths)
        return common if len(common) > 1 and not self.levels[0] else self.folder.name or "table"

    @property
    def folder(self) -> Path:
        """The folder of the first part, above its partitions."""
        return self.paths[0].absolute().parents[len(self.levels[0])]


def common_name(paths: Sequence[Path]) -> str:
    """Return what the names of files begin with, without the number of a part."""
    stems = [path.name.split(".")[0] for path in paths]
    same = next((i for i, letters in enumerate(zip(*stems, strict=False)) if len(set(letters)) > 1), None)
    return stems[0][:same].rstrip("-_. 0123456789")


def is_glob(text: str) -> bool:
    """Return whether a text is a pattern of paths, and no path itself."""
    return any(sign in text for sign in "*?[") and not Path(text).exists()


def is_list_of_paths(source: Any) -> bool:
    """Return whether something is a list of paths."""
    is_list = isinstance(source, (list, tuple)) and bool(source)
    return is_list and all(isinstance(each, (str, Path)) for each in source)


def parts_of(source: Any) -> Parts | None:
    """Return the parts of a table that a source names; None if it is something else.

    Args:
        source: A list of paths, a glob, or a folder that holds tables and neither pictures nor arrays.

    Raises:
        DataError: A file is missing or no table, they are of several formats, a pattern fits no file, or the
            files of a folder are splits of a set.
    """
    if is_list_of_paths(source):
        paths = [path for each in source for path in expanded(each)]
        return _parts(paths, listed(source, 3))
    if isinstance(source, str) and is_glob(source):
        return _parts(expanded(source), source)
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        return _of_folder(Path(source))
    return None


def expanded(given: str | Path) -> list[Path]:
    """Return a file, or the files that a pattern fits or that a folder of parts holds."""
    if isinstance(given, str) and is_glob(given):
        found = [Path(path) for path in sorted(glob(given, recursive=True), key=natural)]
        if not found:
            hint = "check the folder and the pattern; * stands for any characters of a name"
            raise DataError("data", "the pattern must fit a file", got=given, hint=hint)
        return [path for path in found if not path.is_dir()] or [p for each in found for p in expanded(each)]
    path = Path(given)
    if path.is_dir():
        parts = _of_folder(path)
        if parts is None:
            hint = "give files, or a folder that holds only the parts of a table"
            raise DataError("data", "must be the files of one table", got=str(path), hint=hint)
        return list(parts.paths)
    if not is_regular(path):
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        similar = nearest(path.name, siblings)
        hint = "check the path" if similar is None else f"did you mean {str(path.with_name(similar))!r}?"
        raise DataError("data", "every file must exist", got=str(given), hint=hint)
    return [path]


def _parts(
    paths: Sequence[Path], shown: str, root: Path | None = None, notes: tuple[Note, ...] = ()
) -> Parts:
    seen: set[Path] = set()
    for path in paths:
        if plain_suffix(path) not in TABLE_SUFFIXES:
            rule = f"several files must be parts of a table: {', '.join(TABLE_SUFFIXES)} (.gz or not)"
            raise DataError("data", rule, got=str(path), hint="leave it out, or convert it to CSV")
        if path.resolve() in seen:
            raise DataError("data", "every file must be given once", got=str(path), hint="leave one out")
        seen.add(path.resolve())
    if len({_format(path) for path in paths}) > 1:
        hint = "give those of one format"
        raise DataError("data", "all parts must have one format", got=kinds(paths), where=shown, hint=hint)
    levels = tuple(_levels(path, root) for path in paths)
    for path, own in zip(paths, levels, strict=True):
        if list(own) != list(levels[0]):
            rule = "all parts must lie in the same partitions"
            got = f"{'/'.join(own) or 'none'} for {path}, {'/'.join(levels[0]) or 'none'} for {paths[0]}"
            raise DataError("data", rule, got=got, where=shown, hint="give the folder above all partitions")
    return Parts(tuple(paths), shown, levels, notes)


def _format(path: Path) -> str:
    suffix = plain_suffix(path)
    return {".parquet": "parquet", ".jsonl": "json", ".ndjson": "json"}.get(suffix, "text")


def _levels(path: Path, root: Path | None) -> dict[str, str | None]:
    """Return the values of the partitions that a file lies in: `year=2020` directly above it, and above."""
    inner = path.relative_to(root).parts[:-1] if root is not None else path.parts[:-1]
    found: list[tuple[str, str | None]] = []
    for part in reversed(inner):
        match = _LEVEL.fullmatch(part)
        if match is None:
            break
        value = unquote(match[2])
        found.append((unquote(match[1]), None if value in (_NO_PARTITION, "") else value))
    return dict(reversed(found))


def _of_folder(folder: Path) -> Parts | None:
    """Return the parts in a folder; None if it holds no tables, or pictures or arrays besides."""
    tree = _Visible("tables", "tables", ()).scan(folder)
    files = [path for path in tree.others_under() if not path.name.startswith(_MARK)]
    tables = [path for path in files if plain_suffix(path) in TABLE_SUFFIXES]
    others = [path for path in files if plain_suffix(path) not in TABLE_SUFFIXES]
    if not tables or any(_is_of_a_set(path) for path in others):
        return None
    if any(path.parent != folder and not _levels(path, folder) for path in tables):
        return None  # folders that mean something else, such as classes
    splits = [path for path in tables if split_named(path.name.split(".")[0]) is not None]
    if splits and len(tables) > 1:
        train = next((path for path in splits if split_named(path.name.split(".")[0]) == "train"), splits[0])
        rule = "the folder holds the splits of a set, not the parts of a table"
        hint = either(
            f"name the table: {train}, and its test split: --test FILE", f"load({str(train)!r}, test=...)"
        )
        raise DataError("data", rule, got=listed(path.name for path in tables), where=folder, hint=hint)
    text = f"left out of the folder: {kinds(others)}."
    return _parts(tables, str(folder), folder, (Note("layout", text),) if others else ())


class _Visible(FileFormat):
    """All files that are not hidden."""

    def is_one(self, path: Path) -> bool:
        return False


def _is_of_a_set(path: Path) -> bool:
    """Return whether a file belongs to another kind of set: pictures, arrays, and binary files of images."""
    if PICTURES.is_one(path) or PICTURES.is_relative(path):
        return True
    return path.suffix.lower() in (".npy", ".npz", ".bin") or "ubyte" in path.name or "_batch" in path.name


def read_parts(parts: Parts, form: TableFormat | None = None) -> ReadTable:
    """Read the parts of a table into one.

    Args:
        parts: The files.
        form: As for `read_table`.

    Raises:
        DataError: A part cannot be read, is empty, or has other columns or types than the first; the message
            names it.
    """
    copies = ARRAY_COPIES if parts.suffix == ".parquet" else TEXT_COPIES
    check_memory(DataError, "data", sum(p.stat().st_size for p in parts.paths), parts.shown, copies=copies)
    form = form or TableFormat()
    tables: list[ReadTable] = []
    notes = list(parts.notes)
    empty = []
    paths = list(parts.paths)
    may_be_empty = parts.suffix == ".parquet" and len(paths) > 1
    for path in paths:
        table = read_table(path, form, may_be_empty=may_be_empty)
        if not tables:
            form = replace(form, header=table.header) if table.text else form
        else:
            table = _aligned(table, path, tables[0], paths[0], notes)
        if table.frame.height == 0:
            empty.append(path.name)
        tables.append(table)
        notes += [note for note in table.notes if note not in notes]
    if len(empty) == len(tables):
        raise DataError("table", "must hold rows", got="0 rows", where=parts.shown, hint="give other files")
    if empty:
        notes.append(Note("parts", f"{counted(len(empty), 'parts')} without rows: {listed(empty, 3)}."))
    notes += _differing(tables, parts) if tables[0].text else []
    frame = _joined(tables, parts)
    if len(paths) > 1:
        names = f"{len(paths)} files, {frame.height:,} rows: {paths[0].name} to {paths[-1].name}"
        notes.insert(0, Note("parts", f"the table consists of {names}."))
    first = tables[0]
    return ReadTable(frame, tuple(notes), first.header, first.text, first.separator)


def _aligned(
    table: ReadTable, path: Path, first: ReadTable, first_path: Path, notes: list[Note]
) -> ReadTable:
    """Return a part with its columns in the order of the first.

    Raises:
        DataError: It has other columns.
    """
    wanted, own = first.frame.columns, table.frame.columns
    if own == wanted:
        return table
    lacking, extra = ([n for n in a if n not in b] for a, b in ((wanted, own), (own, wanted)))
    if lacking or extra:
        rule = f"must have the columns of {first_path.name}"
        similar = nearest(lacking[0], extra) if lacking else None
        columns = "column" if len(lacking) == 1 else "columns"
        got = f"no {columns} {listed(lacking, 5)}" if lacking else f"also {listed(extra, 5)}"
        got += (
            f" (is it {similar!r}?)" if similar else f", but {listed(extra, 5)}" if lacking and extra else ""
        )
        hint = "rename or add the columns, or leave the file out"
        if table.text and first.header and len(own) == len(wanted) and len(lacking) == len(wanted):
            hint = "it seems to have no line of names: add it, or join the files"
        raise DataError("table", rule, got=got, where=path, hint=hint)
    text = f"{path.name} has the columns of {first_path.name} in another order; they were joined by name."
    notes.append(Note("parts", text))
    return replace(table, frame=table.frame.select(wanted))


def _joined(tables: Sequence[ReadTable], parts: Parts) -> pl.DataFrame:
    """Return the rows of all parts, with the columns of their partitions.

    Raises:
        DataError: A column has types in two parts that do not fit together.
    """
    first = tables[0].frame
    frames = []
    schema = dict(first.schema)
    for table, path in zip(tables, parts.paths, strict=True):
        for name, dtype in table.frame.schema.items():
            common = common_type(schema[name], dtype)
            if common is None:
                rule = f"column {name!r} must have one type in all parts"
                got = f"{dtype} in {path.name}, {schema[name]} in {parts.paths[0].name}"
                hint = "write the parts with one type, or leave the file out"
                raise DataError("table", rule, got=got, where=path, hint=hint)
            schema[name] = common
    for number, table in enumerate(tables):
        levels = parts.levels[number]
        taken = next((name for name in levels if name in schema), None)
        if taken is not None:
            rule, hint = "a partition must not be a column of its files too", "rename one of them"
            raise DataError("table", rule, got=taken, where=parts.paths[number], hint=hint)
        frame = table.frame.cast(schema)  # type: ignore[arg-type]
        frames.append(frame.with_columns(pl.lit(v, pl.String).alias(k) for k, v in levels.items()))
    frame = pl.concat(frames, how="vertical")
    if tables[0].text:
        return frame
    return frame.with_columns(typed_level(frame[name]) for name in parts.levels[0])


def common_type(one: Any, other: Any) -> Any:
    """Return Polars' type that holds the values of two; None if only text would."""
    if one == other or other == pl.Null:
        return one
    if one == pl.Null:
        return other
    if one.is_numeric() and other.is_numeric():
        whole = one.is_integer() and other.is_integer()
        return pl.Int64 if whole and pl.UInt64 not in (one, other) else pl.Float64
    texts = (pl.String, pl.Categorical)
    if any(isinstance(one, t) or one == t for t in texts) and any(
        isinstance(other, t) or other == t for t in texts
    ):
        return pl.String
    if one in (pl.Date, pl.Datetime) and other in (pl.Date, pl.Datetime):
        return pl.Datetime("us")
    return None


def typed_level(level: pl.Series) -> pl.Series:
    """Return the values of a partition as numbers or dates where all of them are, else as text."""
    for dtype in (pl.Int64, pl.Float64):
        read = level.cast(dtype, strict=False)
        codes = level.drop_nulls().str.contains(r"^[+-]?0\d").any()
        if read.null_count() == level.null_count() and not codes:
            return read
    dates = level.str.to_date("%Y-%m-%d", strict=False)
    return dates if dates.null_count() == level.null_count() else level


def _differing(tables: Sequence[ReadTable], parts: Parts) -> list[Note]:
    """Note text columns that hold only numbers in one part, and none in another."""
    notes = []
    for name in tables[0].frame.columns:
        shares = [_share_of_numbers(table.frame[name]) for table in tables]
        numbers = next((i for i, share in enumerate(shares) if share == 1), None)
        words = next((i for i, share in enumerate(shares) if share == 0), None)
        if numbers is not None and words is not None:
            text = (
                f"{name} holds numbers in {parts.paths[numbers].name} and none in {parts.paths[words].name}; "
                "the parts were read together."
            )
            notes.append(guess("parts", text, (name,), drop=name))
    return notes


def _share_of_numbers(cells: pl.Series) -> float:
    """Return the share of numbers among the first cells; NaN without cells."""
    present = cells.str.strip_chars().drop_nulls().head(_SAMPLE)
    present = present.filter(present != "")
    read = present.cast(pl.Float64, strict=False)
    return (present.len() - read.null_count()) / present.len() if present.len() else np.nan
