"""Folders by class: `folder/<class>/*`, or `folder/train/<class>/*` with `folder/test/<class>/*`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.files import RawArrays

TRAIN_FOLDERS, TEST_FOLDERS = ("train", "training"), ("test", "testing")


@dataclass(frozen=True)
class FileFormat:
    """The files that a folder is searched for.

    Args:
        noun: What they hold, in the plural, for messages: `pictures`.
        names: Names of their formats, for messages: `PNG or JPEG`.
        suffixes: In lower case, such as `.png`.
    """

    noun: str
    names: str
    suffixes: tuple[str, ...]

    def under(self, folder: Path) -> list[Path]:
        """Return all such files under a folder, in the order of their paths."""
        return sorted(path for path in folder.rglob("*") if path.suffix.lower() in self.suffixes)

    def at(self, path: Path) -> list[Path]:
        """Return a file itself, or all such files under a folder.

        Raises:
            DataError: The folder holds none.
        """
        paths = [path] if path.is_file() else self.under(path)
        if not paths:
            rule = f"the folder must hold {self.names} files"
            raise DataError(self.noun, rule, where=path, hint="give another")
        return paths


@dataclass(frozen=True)
class ClassFolders:
    """The files of a data set by class, in the order of their names; `test` is empty if there is no split."""

    train: Mapping[str, list[Path]]
    test: Mapping[str, list[Path]]

    @property
    def paths(self) -> list[Path]:
        """All files, training first."""
        return [path for split in (self.train, self.test) for paths in split.values() for path in paths]

    def arrays(self, name: str, content: Mapping[Path, np.ndarray], **more: Any) -> RawArrays:
        """Return the data set.

        Args:
            name: Name of the set.
            content: The array of each file, all of one shape.
            **more: Further fields of `RawArrays`.
        """
        train, test = (self._stacked(split, content) for split in (self.train, self.test))
        assert train is not None
        return RawArrays(name, *train, test=test, classes=tuple(self.train), target="class", **more)

    def _stacked(
        self, split: Mapping[str, list[Path]], content: Mapping[Path, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        number = {label: i for i, label in enumerate(self.train)}
        pairs = [(content[path], number[label]) for label, paths in split.items() for path in paths]
        if not pairs:
            return None
        return np.stack([x for x, _ in pairs]), np.array([y for _, y in pairs], dtype=np.int64)


def class_folders(folder: Path, files: FileFormat) -> ClassFolders:
    """Find the files of each class; each subfolder is one.

    Raises:
        DataError: There are fewer than two classes, or the test split has one that training lacks.
    """
    train_folder = _subfolder(folder, TRAIN_FOLDERS) or folder
    test_folder = _subfolder(folder, TEST_FOLDERS)
    train = _by_class(train_folder, files)
    if len(train) < 2:
        rule = f"the folder must hold {files.names} files in at least two subfolders, one for each class"
        got = f"{len(train)} subfolders with {files.noun}"
        hint = f"move the {files.noun} of each class into a subfolder with its name"
        raise DataError(files.noun, rule, got=got, where=train_folder, hint=hint)
    test = _by_class(test_folder, files) if test_folder is not None else {}
    unknown = sorted(set(test) - set(train))
    if unknown:
        rule = "every class of the test split must occur in training"
        hint = "known are " + ", ".join(list(train)[:20])
        raise DataError(files.noun, rule, got=unknown[:5], where=test_folder, hint=hint)
    return ClassFolders(train, test)


def _subfolder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _by_class(folder: Path, files: FileFormat) -> dict[str, list[Path]]:
    subfolders = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    return {sub.name: paths for sub in subfolders if (paths := files.under(sub))}
