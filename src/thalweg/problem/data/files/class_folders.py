"""Folders by class: which files belong to which class, and to which split.

    folder/<class>/*                     classes; splits are drawn
    folder/train/<class>/*, test/, ...   the set's own splits (`class_names` lists their names)
    folder/<class>/train/*, test/, ...   the same, the other way round
    folder/cat.1.jpg, dog.2.jpg, ...     the class in the file name, before a number
    folder/*, labels.csv                 a table that names the files (`label_tables`)

A wrapper folder around any of these is descended. A folder named as a split is one only if it does not hold
files next to class folders: in `bus/ car/ train/`, `train` is a class.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.caller import option_name
from thalweg.core.errors import DataError
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.files.class_names import (
    TEST,
    TRAIN,
    UNLABELLED,
    VALIDATION,
    class_order,
    classes_by_name,
    composed,
    split_named,
)
from thalweg.problem.data.files.file_trees import FileFormat, Tree, counted, kinds, listed
from thalweg.problem.data.files.label_tables import FileLabels, labels_from_tables, unused_table
from thalweg.problem.data.note import Note

_RELEVANT = 10  # names that a message lists


@dataclass(frozen=True)
class ClassFolders:
    """The files of a data set with their labels.

    Args:
        splits: By split (`train`, `validation`, `test`): the label of each file, in order.
        classes: All labels, in order, where they are names of classes.
        target: Name of what the labels are.
        folder: The folder that was given.
        files: The kind of files.
        notes: What was guessed and what was left out.
    """

    splits: Mapping[str, Mapping[Path, Any]]
    classes: tuple[str, ...] | None
    folder: Path
    files: FileFormat
    target: str = "class"
    notes: tuple[Note, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """All files, training first."""
        return [path for split in self.splits.values() for path in split]

    def arrays(self, name: str, content: Mapping[Path, np.ndarray], **more: Any) -> RawArrays:
        """Return the data set.

        Args:
            name: Name of the set.
            content: The array of each file, all of one shape; files that it lacks are left out.
            **more: Further fields of `RawArrays`.

        Raises:
            DataError: A class is left without files in the train split.
        """
        kept = {split: [p for p in labels if p in content] for split, labels in self.splits.items()}
        self._check_classes(kept[TRAIN])
        pairs = {split: self._stacked(split, paths, content) for split, paths in kept.items() if paths}
        notes = (*self.notes, *more.pop("notes", ()))
        inputs, targets = pairs[TRAIN]
        held_out = {"validation": pairs.get(VALIDATION), "test": pairs.get(TEST)}
        common = {"classes": self.classes, "target": self.target, "notes": notes}
        return RawArrays(name, inputs, targets, **held_out, **common, **more)

    def _check_classes(self, paths: list[Path]) -> None:
        left = {self.splits[TRAIN][path] for path in paths}
        lost = [label for label in dict.fromkeys(self.splits[TRAIN].values()) if label not in left]
        if not paths or (self.classes is not None and lost):
            rule = f"every class must have {self.files.noun} that can be read"
            hint = f"replace the {self.files.noun}, or move the folder of the class away"
            raise DataError(self.files.noun, rule, got=listed(lost), where=self.folder, hint=hint)

    def _stacked(
        self, split: str, paths: list[Path], content: Mapping[Path, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        labels = [self.splits[split][path] for path in paths]
        if self.classes is not None:
            number = {label: i for i, label in enumerate(self.classes)}
            labels = [number[label] for label in labels]
        return np.stack([content[path] for path in paths]), np.array(labels)


def class_folders(
    folder: Path, files: FileFormat, target: str | int | None = None, tree: Tree | None = None
) -> ClassFolders:
    """Find the files of each class and each split; the docstring of this module lists the layouts.

    Args:
        folder: The folder of the set.
        files: The kind of files that are searched for.
        target: Column with the labels, if a table names the files.
        tree: The files in it, where the folder is that of archives; None: those on the disk.

    Raises:
        DataError: The layout can be read in several ways, there are fewer than two classes, a split has a
            class that training lacks, or a class folder holds only files of other kinds.
    """
    return _Layout(folder, files, target, tree).read()


@dataclass
class _Layout:
    """One reading of a folder; `notes` grow on the way."""

    folder: Path
    files: FileFormat
    target: str | int | None
    tree: Tree | None = None
    notes: list[Note] = field(default_factory=list)

    def read(self) -> ClassFolders:
        given = self.tree or self.files.scan(self.folder)
        tree = self._descend(given)
        splits = self._split_folders(tree)
        trees = splits or {TRAIN: tree}
        labelled = self._from_table(trees, [given, tree])
        if labelled is None:
            by_class = (self._transposed(tree) if not splits else None) or self._classes(trees)
            labelled = self._from_classes(by_class, trees)
            self._note_table(self._tables(trees, [given, tree]), by_class)
        self._note_others(given, labelled)
        return ClassFolders(
            labelled.splits, labelled.classes, self.folder, self.files, labelled.target, tuple(self.notes)
        )

    # Layout

    def _descend(self, tree: Tree, split: str | None = None) -> Tree:
        """Return the folder below single wrapper folders; in a split, also one with the split's name."""
        start = tree
        while not tree.files and len(tree.holders) == 1 and not self._lost(tree):
            (only,) = tree.holders
            if not only.holders or split_named(only.name) not in (None, split):
                break
            tree = only
        if split is not None and not tree.files and len(tree.holders) == 1:
            (only,) = tree.holders
            if not only.holders and split_named(only.name) == split:
                tree = only
        if tree is not start and split is None:
            inner = tree.path.relative_to(start.path).as_posix()
            self.notes.append(Note("layout", f"The {self.files.noun} were read from the subfolder {inner}."))
        return tree

    def _split_folders(self, tree: Tree) -> dict[str, Tree]:
        """Return the subfolders that are splits, by split; empty if they are not."""
        named = {sub: split_named(sub.name) for sub in tree.holders}
        splits = [sub for sub, split in named.items() if split is not None]
        others = [sub for sub, split in named.items() if split is None]
        if not splits:
            return {}
        if others and not any(sub.holders for sub in splits):
            text = f"The folder {listed(s.name for s in splits)} was read as a class, like its neighbours."
            self.notes.append(Note("layout", text))
            return {}
        if others:
            rule = "splits and classes must not lie next to each other in one folder"
            got = f"{listed(s.name for s in splits)} next to {listed(s.name for s in others)}"
            hint = f"move one of them away, or give {splits[0].path} alone"
            raise DataError(self.files.noun, rule, got=got, where=tree.path, hint=hint)
        return self._one_each({sub: split for sub, split in named.items() if split is not None}, tree)

    def _one_each(self, named: Mapping[Tree, str], tree: Tree) -> dict[str, Tree]:
        result: dict[str, Tree] = {}
        for sub, split in named.items():
            if split == UNLABELLED:
                text = f"The folder {sub.name} was left out: its name says that it has no labels."
                self.notes.append(Note("skipped", text))
            elif split in result:
                rule = f"only one folder can be the {split} split"
                got, hint = listed([result[split].name, sub.name]), "rename or move one of them"
                raise DataError(self.files.noun, rule, got=got, where=tree.path, hint=hint)
            else:
                result[split] = self._descend(sub, split)
        if TRAIN not in result:
            rule = "next to a validation or test split there must be one for training"
            got, hint = (
                listed(sub.name for sub in named),
                "add a folder train, or give one with classes in it",
            )
            raise DataError(self.files.noun, rule, got=got, where=tree.path, hint=hint)
        return {split: result[split] for split in (TRAIN, VALIDATION, TEST) if split in result}

    def _transposed(self, tree: Tree) -> dict[str, dict[str, list[Path]]] | None:
        """Return the files by split and class if every class folder holds the splits; else None."""
        if len(tree.holders) < 2 or any(sub.files for sub in tree.holders):
            return None
        result: dict[str, dict[str, list[Path]]] = {}
        for sub in tree.holders:
            splits = [split_named(part.name) for part in sub.holders]
            if None in splits or UNLABELLED in splits or len(set(splits)) < len(splits):
                return None
            for split, part in zip(splits, sub.holders, strict=True):
                result.setdefault(str(split), {})[sub.name] = part.under()
        if TRAIN not in result:
            return None
        self.notes.append(Note("layout", "Every class folder holds splits; they were used as such."))
        return result

    # Classes

    def _classes(self, trees: Mapping[str, Tree]) -> dict[str, dict[str, list[Path]]]:
        result = {}
        for split, tree in trees.items():
            classes = self._folder_classes(tree) if tree.holders else classes_by_name(tree.files)
            if len(classes) == 1 and split == TRAIN and tree.holders:  # the names of its files may tell more
                classes = classes_by_name(tree.holders[0].files) or classes
            if not classes and split != TRAIN:
                text = f"The {split} split was left out: nothing tells the classes of its {self.files.noun}."
                self.notes.append(Note("skipped", text))
                continue
            if classes and not any(label in {sub.name for sub in tree.holders} for label in classes):
                text = f"Classes were read from the file names, such as {listed(classes)}."
                self.notes.append(Note("layout", text))
            result[split] = classes
        self._check_count(result[TRAIN], trees[TRAIN])
        return result

    def _folder_classes(self, tree: Tree) -> dict[str, list[Path]]:
        self._check_lost(tree)
        if tree.files:
            names = listed(path.name for path in tree.files)
            count = counted(len(tree.files), self.files.noun)
            text = f"Left out: {count} next to the class folders ({names})."
            self.notes.append(Note("skipped", text))
        nested = [sub for sub in tree.holders if sub.holders]
        mixed = [sub for sub in nested if all(split_named(inner.name) for inner in sub.holders)]
        if mixed:
            rule = "every class folder must hold the same splits, or none"
            got, hint = f"splits in {listed(s.name for s in mixed)}", "move the files so that all are alike"
            raise DataError(self.files.noun, rule, got=got, where=tree.path, hint=hint)
        if nested:
            text = f"Subfolders of a class are not told apart: in {listed(s.name for s in nested)}."
            self.notes.append(Note("layout", text))
        return {sub.name: sub.under() for sub in tree.holders}

    def _check_lost(self, tree: Tree) -> None:
        """Refuse a class folder that holds only images of other kinds; note a folder of other files."""
        lost = self._lost(tree)
        if lost:
            rule = f"every class folder must hold {self.files.names} files"
            got = "; ".join(f"{sub.name}: {kinds(sub.others_under())}" for sub in lost[:_RELEVANT])
            hint = f"convert these files, or move the folder{'s' * (len(lost) > 1)} away"
            raise DataError(self.files.noun, rule, got=got, where=tree.path, hint=hint)
        for sub in (sub for sub in tree.folders if not sub.has_files):
            text = f"The folder {sub.name} was left out: it holds no {self.files.noun}"
            held = kinds(sub.others_under())
            self.notes.append(Note("skipped", f"{text}, only {held}." if held else f"{text}."))

    def _lost(self, tree: Tree) -> list[Tree]:
        """Return the subfolders that hold related files, but none that can be read."""
        empty = (sub for sub in tree.folders if not sub.has_files)
        return [sub for sub in empty if any(self.files.is_relative(p) for p in sub.others_under())]

    def _check_count(self, classes: Mapping[str, list[Path]], tree: Tree) -> None:
        if len(classes) >= 2:
            return
        noun, names = self.files.noun, self.files.names
        rule = f"the folder must hold {names} files in at least two subfolders, one for each class"
        got = f"{counted(len(tree.holders), 'subfolders')} with {noun}"
        if tree.files:
            got += f" and {counted(len(tree.files), noun)} outside them"
        elif kinds(tree.others_under()):
            got += f", and {kinds(tree.others_under())}"
        hint = f"move the {noun} of each class into a subfolder with its name"
        if tree.files or (tree.holders and not tree.holders[0].holders):
            hint += ", or add a file labels.csv with the columns file and label"
        raise DataError(noun, rule, got=got, where=tree.path, hint=hint)

    def _from_classes(
        self, by_split: Mapping[str, Mapping[str, list[Path]]], trees: Mapping[str, Tree]
    ) -> FileLabels:
        if self.target is not None:
            rule = f"the classes are the names of folders or files; {option_name('target')} names a column"
            raise DataError(self.files.noun, rule, got=self.target, where=self.folder, hint="leave it out")
        merged = {split: composed(classes) for split, classes in by_split.items()}
        train = merged[TRAIN]
        self._note_case(train)
        for split in (VALIDATION, TEST):
            if split in merged:
                merged[split] = self._known(merged[split], train, split, trees.get(split))
        classes = tuple(sorted(train, key=class_order(train)))
        splits = {
            split: {path: label for label in classes for path in found.get(label, ())}
            for split, found in merged.items()
        }
        return FileLabels(splits, classes, "class", ())

    def _note_case(self, classes: Iterable[str]) -> None:
        names: dict[str, list[str]] = {}
        for name in classes:
            names.setdefault(name.casefold(), []).append(name)
        for same in names.values():
            if len(same) > 1:
                text = f"{listed(same)} are {len(same)} classes; give them one name if they are the same."
                self.notes.append(Note("labels", text))

    def _known(
        self, found: Mapping[str, list[Path]], train: Mapping[str, Any], split: str, tree: Tree | None
    ) -> dict[str, list[Path]]:
        """Return the classes of a split under their names in training; a name may differ in case only."""
        by_case = Counter(name.casefold() for name in train)
        same_case = {name.casefold(): name for name in train if by_case[name.casefold()] == 1}
        names = {name: name if name in train else same_case.get(name.casefold()) for name in found}
        unknown = sorted(name for name, known in names.items() if known is None)
        if unknown:
            rule = f"every class of the {split} split must occur in training"
            hint = "known are " + listed(train, 20)
            where = tree.path if tree else self.folder
            raise DataError(self.files.noun, rule, got=unknown[:5], where=where, hint=hint)
        renamed = [f"{name} as {known}" for name, known in names.items() if name != known]
        if renamed:
            text = f"Classes of the {split} split were read by their names in training: {listed(renamed)}."
            self.notes.append(Note("labels", text))
        result: dict[str, list[Path]] = {}
        for name, paths in found.items():
            result.setdefault(str(names[name]), []).extend(paths)
        lacking = [name for name in train if name not in result]
        if lacking:
            text = f"The {split} split has no {self.files.noun} of {listed(lacking)}."
            self.notes.append(Note("labels", text))
        return result

    # Tables and other files

    def _from_table(self, trees: Mapping[str, Tree], more: list[Tree]) -> FileLabels | None:
        """Return the labels of a table, if the files do not lie in class folders."""
        train = trees[TRAIN]
        flat = not train.holders or (len(train.holders) == 1 and not train.holders[0].holders)
        parts = all(split_named(f"train {sub.name}") == TRAIN for sub in train.holders)  # only filler words
        if not (flat or parts) and self.target is None:
            return None
        tables = self._tables(trees, more)
        by_split = {split: tree.under() for split, tree in trees.items()}
        labelled = labels_from_tables(tables, by_split, more[0].path, self.target, split_named)
        if labelled is not None:
            self.notes.extend(labelled.notes)
        return labelled

    def _tables(self, trees: Mapping[str, Tree], more: list[Tree]) -> list[Path]:
        """Return the files beside those that are read; a table may be among them."""
        folders = dict.fromkeys([*more, *trees.values(), *trees[TRAIN].holders])
        return list(dict.fromkeys(path for folder in folders for path in folder.others))

    def _note_table(self, tables: list[Path], by_split: Mapping[str, Mapping[str, list[Path]]]) -> None:
        """Note a table that tells of the files something else than their folders do."""
        classes: dict[str, list[Path]] = {}
        for found in by_split.values():
            for label, paths in found.items():
                classes.setdefault(label, []).extend(paths)
        note = unused_table(tables, classes, self.folder)
        if note is not None:
            self.notes.append(note)

    def _note_others(self, tree: Tree, labelled: FileLabels) -> None:
        """Note the files among those read that are related, but of a kind that cannot be read."""
        others = [path for path in tree.others_under() if self.files.is_relative(path)]
        if others:
            text = f"Left out, as files of kinds that cannot be read: {kinds(others)}."
            self.notes.append(Note("skipped", text))
