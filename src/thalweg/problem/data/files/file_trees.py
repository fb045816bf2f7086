"""Folders as trees of the files of one kind, in natural order and without junk."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from thalweg.core.errors import DataError

# What systems and programs leave in folders, besides names that begin with a dot.
_JUNK = frozenset(
    (
        "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin",
        "system volume information", "lost+found", "__pycache__",
    )
)  # fmt: skip
DEEPEST = 50  # levels of folders; deeper ones are a loop of links or an accident


@dataclass(frozen=True)
class FileFormat:
    """The files that a folder is searched for.

    Args:
        noun: What they hold, in the plural, for messages: `pictures`.
        names: Names of their formats, for messages: `PNG or JPEG`.
        suffixes: In lower case, such as `.png`.
        relatives: Suffixes of files of the same nature that cannot be read, such as `.heic`: that they are
            left out is said.
    """

    noun: str
    names: str
    suffixes: tuple[str, ...]
    relatives: tuple[str, ...] = ()

    def is_one(self, path: Path) -> bool:
        """Return whether a file is of this format, by its name."""
        return path.suffix.lower() in self.suffixes

    def is_relative(self, path: Path) -> bool:
        """Return whether a file holds the same kind of thing in a form that cannot be read."""
        return path.suffix.lower() in self.relatives

    def scan(self, folder: Path) -> "Tree":
        """Return the folder as a tree, without junk and hidden files.

        Raises:
            DataError: A folder cannot be read, or lies more than 50 levels deep.
        """
        return self._scan(folder, ())

    def under(self, folder: Path) -> list[Path]:
        """Return all such files under a folder, in natural order of their paths."""
        return self.scan(folder).under()

    def at(self, path: Path) -> list[Path]:
        """Return a file itself, or all such files under a folder.

        Raises:
            DataError: The folder holds none, or also related files that cannot be read.
        """
        if not path.is_dir():
            return [path]
        tree = self.scan(path)
        paths, related = tree.under(), [other for other in tree.others_under() if self.is_relative(other)]
        if related:
            rule = f"all {self.noun} of the folder must be {self.names} files"
            hint = "convert the others, or move them away"
            raise DataError(self.noun, rule, got=kinds(related), where=path, hint=hint)
        if not paths:
            rule, hint = f"the folder must hold {self.names} files", "give another folder, or a file"
            raise DataError(self.noun, rule, where=path, hint=hint)
        return paths

    def _scan(self, folder: Path, above: tuple[tuple[int, int], ...]) -> "Tree":
        try:
            status = folder.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in above:  # a link to a folder above
                return Tree(folder, (), (), ())
            with os.scandir(folder) as entries:
                visible = [entry for entry in entries if not is_junk(entry.name)]
            folders = sorted((e.name for e in visible if e.is_dir()), key=natural)
            files = sorted((e.name for e in visible if not e.is_dir()), key=natural)
        except OSError as error:
            rule, hint = "the folder must be readable", "check its owner and permissions"
            raise DataError(self.noun, rule, got=error.strerror, where=folder, hint=hint) from error
        if len(above) > DEEPEST:
            rule, hint = f"folders must lie at most {DEEPEST} levels deep", "give a folder further inside"
            raise DataError(self.noun, rule, where=folder, hint=hint)
        paths = [folder / name for name in files]
        inner = (self._scan(folder / name, (*above, identity)) for name in folders)
        own, others = [p for p in paths if self.is_one(p)], [p for p in paths if not self.is_one(p)]
        return Tree(folder, tuple(own), tuple(others), tuple(inner))


@dataclass(frozen=True, eq=False)
class Tree:
    """A folder: files of the kind, other files, and subfolders, each in natural order; no junk."""

    path: Path
    files: tuple[Path, ...]
    others: tuple[Path, ...]
    folders: tuple["Tree", ...]

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @cached_property
    def has_files(self) -> bool:
        """Whether there are files of the kind in it or below."""
        return bool(self.files) or any(sub.has_files for sub in self.folders)

    @cached_property
    def holders(self) -> tuple["Tree", ...]:
        """The subfolders that have files of the kind in them or below."""
        return tuple(sub for sub in self.folders if sub.has_files)

    def under(self) -> list[Path]:
        """Return all files of the kind in it and below: its own first, then folder by folder."""
        return [*self.files, *(path for sub in self.folders for path in sub.under())]

    def others_under(self) -> list[Path]:
        """Return all other files in it and below."""
        return [*self.others, *(path for sub in self.folders for path in sub.others_under())]


def natural(name: str) -> tuple[Any, ...]:
    """Return a sort key by which `img2` comes before `img10`, without regard to case."""
    parts = re.split("([0-9]+)", name.casefold())  # text and numbers in turn
    return [part if i % 2 == 0 else int(part) for i, part in enumerate(parts)], name


def listed(names: Iterable[Any], most: int = 10) -> str:
    """Return names as a list for a sentence: `a, b and 3 more`."""
    every = [str(name) for name in names]
    shown = ", ".join(every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which is given in the plural: `1 picture`, `1,200 pictures`."""
    return f"{count:,} {noun if count != 1 else noun.removesuffix('s')}"


def kinds(paths: Iterable[Path]) -> str:
    """Return how many files there are of each suffix: `12 .heic, 1 .txt`."""
    counts = Counter(path.suffix.lower() or "without a suffix" for path in paths)
    return listed(f"{count} {suffix}" for suffix, count in counts.most_common())


def is_junk(name: str) -> bool:
    """Return whether a name is one of what systems and programs leave in folders."""
    return name.startswith(".") or name.casefold() in _JUNK
