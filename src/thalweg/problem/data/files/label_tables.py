"""Tables that say which label each file of a folder has: `labels.csv` next to `images/`, and the like."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.files.content import plain_suffix
from thalweg.problem.data.files.file_trees import counted, listed
from thalweg.problem.data.files.tables import TABLE_SUFFIXES, find_column, read_table
from thalweg.problem.data.note import Note

TRAIN = "train"
# A column names files if at least this share of its cells does; the others name files that are not there.
NAMING = 0.5
# Bytes of the largest table that is read only to say that it was not used.
MOST_UNASKED = 10_000_000


@dataclass(frozen=True)
class FileLabels:
    """The label of each file, by split. `classes` are all labels in order, where they are fixed."""

    splits: Mapping[str, Mapping[Path, Any]]
    classes: tuple[str, ...] | None
    target: str
    notes: tuple[Note, ...]


def labels_from_tables(
    tables: list[Path],
    files: Mapping[str, list[Path]],
    root: Path,
    target: str | int | None,
    split_named: Callable[[str], str | None],
) -> FileLabels | None:
    """Return the labels of files that a table names; None if no table does.

    Args:
        tables: Files that may be such tables.
        files: All files by split.
        root: The folder that paths in a table start from.
        target: The column with the labels; None if the table has only one besides the files'.
        split_named: Returns the split that a word names, or None.

    Raises:
        DataError: Several tables or columns could hold the labels, or a file has two labels.
    """
    index = _index(files, root)
    naming = _naming(tables, index)
    if not naming:
        return None
    by_table: dict[Path, FileLabels] = {}
    for path, frame, column in naming:
        by_table[path] = _Labels(path, frame, column, split_named).read(index, files, target)
    return _joined(by_table)


def unused_table(tables: list[Path], classes: Mapping[str, list[Path]], root: Path) -> Note | None:
    """Return a note on a table that names files of class folders; None if it only repeats the classes.

    Args:
        tables: Files that may be such tables.
        classes: The files of each class.
        root: The folder that paths in a table start from.
    """
    index = _index(classes, root)
    class_of = {path: label for label, paths in classes.items() for path in paths}
    for path, frame, column in _naming(tables, index, _if_readable):
        named = [_find(cell, index) for cell in _text(frame, column)]
        own = [None if found is None else class_of[found] for found in named]
        others = [name for name in _plain(frame) if name != column and not _is_index(name)]
        if others and not any(_repeats(_text(frame, name), own) for name in others):
            text = f"{path.name} was not used, though its column {column} names files"
            hint = f"to learn one of its columns instead, name it: {option('target', others[-1])}"
            return Note("layout", f"{text}: the folders are the classes; {hint}.")
    return None


def _if_readable(path: Path) -> pl.DataFrame | None:
    """Read a table that nobody asked for: it may be damaged or very large."""
    with suppress(DataError, OSError):
        return read_table(path).frame if path.stat().st_size <= MOST_UNASKED else None
    return None


def _repeats(cells: list[str | None], classes: list[str | None]) -> bool:
    return all(cell == label for cell, label in zip(cells, classes, strict=True) if label is not None)


def _naming(
    tables: list[Path],
    index: Mapping[str, Path],
    read: Callable[[Path], pl.DataFrame | None] = lambda path: read_table(path).frame,
) -> list[tuple[Path, pl.DataFrame, str]]:
    """Return the tables that have a column of names of files and others, with that column."""
    naming = []
    for path in tables:
        if plain_suffix(path) in TABLE_SUFFIXES and "submission" not in path.stem.lower():
            frame = read(path)
            column = None if frame is None else _naming_column(frame, index)
            # A list of files alone has no labels.
            if frame is not None and column is not None and frame.width > 1:
                naming.append((path, frame, column))
    return naming


def _plain(frame: pl.DataFrame) -> list[str]:
    """Return the columns whose cells are no lists or records."""
    return [name for name in frame.columns if not frame.schema[name].is_nested()]


def _text(frame: pl.DataFrame, column: str) -> list[str | None]:
    cells = frame[column].cast(pl.String).to_list()
    return [unicodedata.normalize("NFC", c.strip()) if c and c.strip() else None for c in cells]


@dataclass(frozen=True)
class _Labels:
    """One table: its column of files, its column of labels, and perhaps one of splits."""

    path: Path
    frame: pl.DataFrame
    column: str
    split_named: Callable[[str], str | None]

    def read(
        self, index: Mapping[str, Path], files: Mapping[str, list[Path]], target: str | int | None
    ) -> FileLabels:
        split_column = self._split_column()
        name = self._target(target, split_column)
        labels, splits = self._cells(name), self._cells(split_column) if split_column else None
        split_of = {path: split for split, paths in files.items() for path in paths}
        found: dict[Path, tuple[str, Any]] = {}
        absent, unlabelled = [], 0
        for row, cell in enumerate(self._cells(self.column)):
            path = _find(cell, index)
            if path is None:
                absent.append(cell)
            elif labels[row] is None:
                unlabelled += 1
            else:
                split = self.split_named(splits[row] or "") if splits else split_of[path]
                self._add(found, path, (split or TRAIN, labels[row]))
        notes = self._notes(name, absent, unlabelled, len(split_of) - len(found) - unlabelled)
        values = dict(zip(found, _typed([label for _, label in found.values()]), strict=True))
        result: dict[str, dict[Path, Any]] = {}
        for split in dict.fromkeys((TRAIN, *files, *(split for split, _ in found.values()))):
            result[split] = {path: values[path] for path, (own, _) in found.items() if own == split}
        return FileLabels({k: v for k, v in result.items() if v}, None, name, notes)

    def _add(self, found: dict[Path, tuple[str, Any]], path: Path, entry: tuple[str, Any]) -> None:
        if found.setdefault(path, entry) != entry:
            rule, hint = "a file must have one label", "keep one row of each file"
            got = f"{path.name} as {found[path][1]!r} and {entry[1]!r}"
            raise DataError("labels", rule, got=got, where=self.path, hint=hint)

    def _cells(self, column: str) -> list[str | None]:
        return _text(self.frame, column)

    def _split_column(self) -> str | None:
        """Return the column whose cells all name a split, and not all the same one."""
        for name in self.frame.columns:
            cells = set(self._cells(name)) - {None}
            splits = {self.split_named(str(cell)) for cell in cells}
            if name != self.column and len(splits) > 1 and None not in splits and TRAIN in splits:
                return name
        return None

    def _target(self, target: str | int | None, split_column: str | None) -> str:
        if target is not None:
            return find_column(self.frame.columns, target)
        taken = (self.column, split_column)
        others = [name for name in self.frame.columns if name not in taken and not _is_index(name)]
        if len(others) == 1:
            return others[0]
        rule = f"the table that names the files in its column {self.column} must have one column of labels"
        got = listed(others) or "no other column"
        hint = f"choose one: {option('target', others[-1])}" if others else "add a column label"
        raise DataError("labels", rule, got=got, where=self.path, hint=hint)

    def _notes(self, name: str, absent: list[str | None], unlabelled: int, rest: int) -> tuple[Note, ...]:
        text = f"Labels were read from the column {name} of {self.path.name}, files from {self.column}."
        notes = [Note("layout", text, (name,))]
        if absent:
            some = listed((cell or "an empty cell" for cell in absent), 3)
            count = counted(len(absent), "rows")
            text = f"Left out: {count} of {self.path.name} whose files are not there ({some})."
            notes.append(Note("missing", text))
        if unlabelled:
            notes.append(
                Note("missing", f"Left out: {counted(unlabelled, 'files')} without a label.", (name,))
            )
        if rest:
            text = f"Left out: {counted(rest, 'files')} that {self.path.name} does not name."
            notes.append(Note("missing", text))
        return tuple(notes)


def _joined(by_table: Mapping[Path, FileLabels]) -> FileLabels:
    """Return the labels of all tables, which must not speak of the same files."""
    splits: dict[str, dict[Path, Any]] = {}
    names = dict.fromkeys(labels.target for labels in by_table.values())
    seen: set[Path] = set()
    for labels in by_table.values():
        own = {path for split in labels.splits.values() for path in split}
        if own & seen or len(names) > 1:
            rule, hint = "only one table may name the files", "move the others away"
            got = listed(path.name for path in by_table)
            raise DataError("labels", rule, got=got, where=next(iter(by_table)).parent, hint=hint)
        seen |= own
        for split, found in labels.splits.items():
            splits.setdefault(split, {}).update(found)
    if TRAIN not in splits:
        rule, hint = "some of the training files must have labels", "name them in the table"
        raise DataError("labels", rule, where=next(iter(by_table)), hint=hint)
    notes = tuple(note for labels in by_table.values() for note in labels.notes)
    if len(by_table) > 1:  # each speaks of a part of the files, so that the rest is no loss
        notes = tuple(note for note in notes if "does not name" not in note.text)
    return FileLabels(splits, None, next(iter(names)), notes)


def _index(files: Mapping[str, list[Path]], root: Path) -> dict[str, Path]:
    """Return the files by path, name and stem; a name that two files share stands for neither."""
    index: dict[str, Path | None] = {}
    for path in (path for paths in files.values() for path in paths):
        inner = path.relative_to(root)
        for key in {inner.as_posix(), path.name, path.stem}:
            key = unicodedata.normalize("NFC", key)
            index[key] = path if key not in index else None
    return {key: path for key, path in index.items() if path is not None}


def _find(cell: str | None, index: Mapping[str, Path]) -> Path | None:
    """Return the file that a cell names: by its path, the end of it, its name, or its name without suffix."""
    parts = (cell or "").replace("\\", "/").removeprefix("./").split("/")
    keys = ("/".join(parts[first:]) for first in range(len(parts)))
    return next((index[key] for key in keys if key in index), None)


def _naming_column(frame: pl.DataFrame, index: Mapping[str, Path]) -> str | None:
    """Return the column that names the most files: numbers can be both labels and names such as `1.png`."""
    best, most = None, 0
    for name in _plain(frame):
        cells = frame[name].cast(pl.String, strict=False).drop_nulls().str.strip_chars().to_list()
        named = [path for path in (_find(cell, index) for cell in cells) if path is not None]
        if cells and len(named) >= NAMING * len(cells) and len(set(named)) > most:
            best, most = name, len(set(named))
    return best


def _is_index(name: str) -> bool:
    return not name.strip() or name.startswith("Unnamed")


def _typed(labels: list[str]) -> list[Any]:
    """Return the labels as whole numbers or numbers where all of them are, else as text."""
    for form, number in ((r"[+-]?\d{1,18}", int), (r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", float)):
        if all(re.fullmatch(form, label, re.ASCII | re.IGNORECASE) for label in labels):
            return [number(label) for label in labels]
    return labels
