"""Tar archives of pictures: where each picture lies in them, and of which class it is.

Nothing is unpacked: an index of the archives' headers tells where each file begins, and pictures are read
from there, in any order. So archives must not be compressed as a whole. The class of a picture is

    0001.jpg, 0001.cls       what the file of the same name with `.cls` says, as in WebDataset
    <class>/0001.jpg         else what `class_folders` finds in the paths inside of the archives

Archives named after splits (`train-000.tar`, `val-000.tar`) are those splits.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from thalweg.core.errors import DataError
from thalweg.core.files import open_file
from thalweg.core.limits import as_bytes
from thalweg.problem.data.files.class_names import UNLABELLED, split_named
from thalweg.problem.data.files.file_trees import (
    DEEPEST,
    FileFormat,
    Tree,
    counted,
    is_junk,
    listed,
    natural,
)
from thalweg.problem.data.files.parts import common_name, expanded, is_glob, is_list_of_paths
from thalweg.problem.data.note import Note

SUFFIX = ".tar"
_COMPRESSED = (".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
_TARS = FileFormat("tar archives", "tar", (SUFFIX,))
_CLASS = "cls"
# Bytes of a header that are read at once: names and attributes of files are far shorter.
_MOST_HEADER = 1 << 20
_MOST_LABEL = 1 << 10
_LABELLED = "every picture must have a label, or none"


class Member(NamedTuple):
    """A file inside of an archive: its archive, its path in there, where it begins, and its bytes."""

    archive: Path
    name: str
    start: int
    size: int

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            OSError: The archive cannot be read, or ends before.
        """
        with open(open_file(self.archive), "rb") as file:
            file.seek(self.start)
            content = file.read(self.size)
        if len(content) < self.size:
            raise OSError("the archive ends in the middle of it")
        return content


@dataclass(frozen=True)
class Shards:
    """Archives that make up a set, and what was given, for messages."""

    paths: tuple[Path, ...]
    shown: str

    @property
    def name(self) -> str:
        """A name for the set: what the names of the archives begin with, else that of their folder."""
        common = common_name(self.paths)
        return common if len(common) > 1 else self.paths[0].absolute().parent.name or "pictures"


def shards_of(source: Any) -> Shards | None:
    """Return the archives that a source names; None if it is something else.

    Args:
        source: A tar file, a list or a pattern of such files, or a folder that holds nothing else.

    Raises:
        DataError: A file is missing, one is no tar file among others that are, or an archive is compressed.
    """
    if is_list_of_paths(source):
        given = [str(each) for each in source]
    elif isinstance(source, (str, Path)):
        given = [str(source)]
    else:
        return None
    if len(given) == 1 and Path(given[0]).is_dir():
        return _of_folder(Path(given[0]))
    packed = next((each for each in given if each.lower().endswith(_COMPRESSED)), None)
    if packed is not None:
        rule = "tar archives must not be compressed as a whole: pictures are read at any place in them"
        raise DataError("pictures", rule, got=packed, hint="unpack it to .tar, as with gunzip or unxz")
    if not any(each.lower().endswith(SUFFIX) for each in given):
        return None
    paths = [path for each in given for path in expanded(each if is_glob(each) else Path(each))]
    others = [path for path in paths if path.suffix.lower() != SUFFIX]
    if others:
        rule = "archives and other files must not be mixed"
        raise DataError("pictures", rule, got=listed(others, 3), hint="give those that end in .tar")
    if len({path.resolve() for path in paths}) < len(paths):
        hint = "leave one out"
        raise DataError("pictures", "every archive must be given once", got=listed(paths, 3), hint=hint)
    return Shards(tuple(paths), listed(given, 3))


def _of_folder(folder: Path) -> Shards | None:
    try:
        if not any(name.lower().endswith(SUFFIX) for name in os.listdir(folder)):
            return None  # without a look at all that lies in a folder of pictures
    except OSError:  # its reader says so
        return None
    tree = _TARS.scan(folder)
    if not tree.files or tree.others or tree.folders:
        return None
    return Shards(tree.files, str(folder))


@dataclass(frozen=True)
class Index:
    """The pictures in archives.

    Args:
        tree: Their paths, as if all archives were unpacked into one folder.
        members: Where each of them is.
        notes: Notes on what was left out, and what was understood.
    """

    tree: Tree
    members: Mapping[Path, Member]
    notes: tuple[Note, ...]


def index(shards: Shards, files: FileFormat) -> Index:
    """Find the files of one kind in archives, from their headers alone.

    Args:
        shards: The archives.
        files: The kind of files.

    Raises:
        DataError: An archive is damaged, files have the same path, or only some have labels.
    """
    splits = [split_named(path.name.split(".")[0]) for path in shards.paths]
    root = Path(shards.paths[0]).absolute().parent
    placed: dict[Path, Member] = {}
    related: list[Path] = []
    unlabelled = labelled = 0
    for path, split in zip(shards.paths, splits, strict=True):
        pictures, labels, more = _listed(path, files)
        related += more
        top = root / str(split) if all(splits) else root
        for member in pictures:
            inner = _inner(member.name)
            label = labels.get(_key(inner))
            labelled, unlabelled = labelled + (label is not None), unlabelled + (label is None)
            place = top / inner if label is None else top / _label(label) / _unique(path, inner)
            if place in placed:
                rule = "every picture must have a path of its own in the archives"
                got = f"{inner} in {placed[place].archive.name} and in {path.name}"
                hint = "give one of the archives, or put each class into a folder of its own"
                raise DataError(files.noun, rule, got=got, where=shards.shown, hint=hint)
            placed[place] = member
    if not placed:
        rule, hint = f"the archives must hold {files.names} files", "give others"
        raise DataError(files.noun, rule, where=shards.shown, hint=hint)
    if labelled and unlabelled:
        got = f"{unlabelled} of {labelled + unlabelled} without a .{_CLASS} file"
        hint = f"add a .{_CLASS} file to each, or leave all out and put them into folders by class"
        raise DataError(files.noun, _LABELLED, got=got, where=shards.shown, hint=hint)
    notes = [Note("layout", f"The {files.noun} were read from {counted(len(shards.paths), 'tar archives')}.")]
    if labelled:
        notes.append(Note("labels", f"The classes are those of the .{_CLASS} files."))
    if all(splits) and UNLABELLED not in splits:
        notes.append(Note("layout", "The names of the archives tell the splits."))
    return Index(tree_of(root, placed, related), placed, tuple(notes))


def _listed(path: Path, files: FileFormat) -> tuple[list[Member], dict[str, Member], list[Path]]:
    """Return an archive's files of a kind, those with labels by key, and related ones, which are left out."""
    pictures: list[Member] = []
    labels: dict[str, Member] = {}
    related: list[Path] = []
    for member in _members(path):
        inner = _inner(member.name)
        if any(is_junk(part) for part in inner.parts):
            continue
        if files.is_one(Path(inner)):
            pictures.append(member)
        elif inner.name.partition(".")[2].lower() == _CLASS:
            labels[_key(inner)] = member
        elif files.is_relative(Path(inner)):
            related.append(Path(inner))
    pictures.sort(key=lambda member: natural(member.name))
    return pictures, labels, related


def _members(path: Path) -> Iterator[Member]:
    """Yield the regular files of an archive.

    Raises:
        DataError: It is damaged, or no tar archive.
    """
    try:
        with open(open_file(path), "rb") as file, tarfile.open(fileobj=_Headers(file), mode="r:") as tar:  # type: ignore[call-overload]
            end = file.seek(0, 2)
            for info in tar:
                tar.members = []  # it would keep all of them, at a kilobyte each
                if info.size < 0:  # the next header would be sought before this one, for ever
                    raise tarfile.ReadError(f"{info.name} has {info.size} bytes")
                if info.isreg() and not info.issparse():
                    yield Member(path, info.name, info.offset_data, info.size)
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE).strip(tarfile.NUL) or tar.offset == end:
                raise tarfile.ReadError("the blocks that mark the end are missing: it was cut short")
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
        rule, hint = "the archive must be readable", "it is damaged, or no tar archive: make it anew"
        got = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError("pictures", rule, got=got, where=path, hint=hint) from error


class _Headers:
    """An archive of which headers are read: one that claims a header of many bytes is refused."""

    def __init__(self, file: Any):
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes."""
        if not 0 <= size <= _MOST_HEADER:
            raise tarfile.ReadError(f"a header of {as_bytes(size) if size > 0 else 'any size'}")
        return self._file.read(size)


def _inner(name: str) -> PurePosixPath:
    """Return the path of a file inside of an archive, which leads nowhere else."""
    text = name.encode("utf-8", "replace").decode()
    parts = [part for part in PurePosixPath(text).parts if part not in ("/", "..", ".")]
    return PurePosixPath(*parts[-DEEPEST:])


def _key(inner: PurePosixPath) -> str:
    """Return what the files of one example have in common: the path up to the first dot of the name."""
    return str(inner.with_name(inner.name.split(".")[0] or inner.name))


def _label(member: Member) -> str:
    """Return the class that a file of a label says.

    Raises:
        DataError: It is empty, long, or no text.
    """
    rule = f"a .{_CLASS} file must hold a number or a name"
    try:
        text = member.read().decode().strip() if member.size <= _MOST_LABEL else ""
    except (OSError, UnicodeError):
        text = ""
    if text in ("", ".", "..") or "/" in text or not text.isprintable():
        hint = "for example 7, or cat"
        where = f"{member.name} in {member.archive}"
        raise DataError("pictures", rule, got=text[:40] or as_bytes(member.size), where=where, hint=hint)
    return text


def _unique(archive: Path, inner: PurePosixPath) -> str:
    """Return a name for a picture of which the class is known: keys may begin anew in each archive."""
    return f"{archive.name}:{str(inner).replace('/', ':')}"


def tree_of(root: Path, placed: Mapping[Path, Any], others: list[Path]) -> Tree:
    """Return the tree of folders that paths lie in, as `FileFormat.scan` would if they were on the disk.

    Args:
        root: The folder above all.
        placed: The paths, in order.
        others: Paths of files that are not used.
    """
    inside: dict[Path, list[Path]] = {root: []}
    below: dict[Path, dict[Path, None]] = {}
    for path in placed:
        folder = path.parent
        if folder not in inside:
            inside[folder] = []
            while folder != root:
                below.setdefault(folder.parent, {})[folder] = None
                folder = folder.parent
        inside[path.parent].append(path)

    def build(folder: Path) -> Tree:
        folders = sorted(below.get(folder, ()), key=lambda path: natural(path.name))
        own = tuple(others) if folder == root else ()
        return Tree(folder, tuple(inside.get(folder, ())), own, tuple(map(build, folders)))

    return build(root)
