"""What the names of folders and files say: which split, which class, and in what order classes stand."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thalweg.problem.data.files.file_trees import natural

TRAIN, VALIDATION, TEST = "train", "validation", "test"
# Names of split folders, without case, digits and the words of `_FILLER`: `Training_Set`, `seg_train`,
# `val2017`. Folders of examples without labels cannot be used.
UNLABELLED = "unlabelled"
SPLITS = {
    TRAIN: ("train", "training", "trn"),
    VALIDATION: ("val", "valid", "validation", "validate", "validating", "dev", "development"),
    TEST: ("test", "tests", "testing", "tst", "holdout", "heldout", "eval", "evaluation"),
    UNLABELLED: ("unlabelled", "unlabeled", "pred", "predict", "prediction", "predictions"),
}
_SPLIT_OF = {word: split for split, words in SPLITS.items() for word in words}
_FILLER_WORDS = """
    set sets data dataset datasets image images img imgs picture pictures pic pics photo photos file files
    split splits sample samples example examples folder seg part batch
"""
_FILLER = frozenset(_FILLER_WORDS.split())
# A class and the number of the file: `cat.1`, `dog_12`, `tulip (3)`.
_NUMBERED = re.compile(r"^([^\W\d_]+(?:[ _-]+[^\W\d_]+)*)[ ._-]*\(?\d+\)?$")
# What cameras and programs call their files; these words before a number name no class.
_PROGRAM_WORDS = """
    dsc dscn dscf pxl mvi gopr dji cimg imag scan screenshot frame page untitled unnamed download vid id no nr
    item object copy
"""
_NO_CLASS = _FILLER | frozenset(_PROGRAM_WORDS.split())
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def split_named(name: str) -> str | None:
    """Return the split that a folder or file is named after (see `SPLITS`), or None."""
    words = re.findall(r"[^\W\d_]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", name))
    words = [word for word in (w.casefold() for w in words) if word not in _FILLER]
    return _SPLIT_OF.get("".join(words)) if len(words) <= 2 else None


def classes_by_name(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Return the files by the word before the number in their names; empty unless all names tell a class."""
    classes: dict[str, list[Path]] = {}
    for path in paths:
        match = _NUMBERED.match(path.stem)
        if match is None or match[1].casefold() in _NO_CLASS:
            return {}
        classes.setdefault(match[1], []).append(path)
    telling = len(classes) >= 2 and all(len(files) >= 2 for files in classes.values())
    return classes if telling else {}


def composed(classes: Mapping[str, list[Path]]) -> dict[str, list[Path]]:
    """Return the classes by names in Unicode's composed form: file systems differ in how they write an é."""
    result: dict[str, list[Path]] = {}
    for name, paths in classes.items():
        result.setdefault(unicodedata.normalize("NFC", name), []).extend(paths)
    return result


def class_order(names: Iterable[str]) -> Any:
    """Return the sort key of class names: by value if all are numbers, else in natural order."""
    if all(_NUMBER.fullmatch(name) for name in names):
        return lambda name: (float(name), name)
    return natural
