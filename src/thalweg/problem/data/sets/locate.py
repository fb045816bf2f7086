"""Where the files of a published set lie on this machine: a given folder, THALWEG_DATA, or the cache."""

import os
from pathlib import Path

import platformdirs

from thalweg.problem.data.files.cifar import batch_files
from thalweg.problem.data.files.idx import idx_files
from thalweg.problem.data.sets.published import Published

VARIABLE = "THALWEG_DATA"


def cache_folder() -> Path:
    """Return the folder for fetched data, in the user's cache."""
    return Path(platformdirs.user_cache_dir("thalweg")) / "data"


def places(folder: Path | str | None) -> list[Path]:
    """Return the data folders in the order of search. A folder that is given is the only one."""
    if folder is not None:
        return [Path(folder)]
    told = os.environ.get(VARIABLE)
    return ([Path(told)] if told else []) + [cache_folder()]


def locate(published: Published, folder: Path | str | None) -> Path | None:
    """Return the folder (for text the file) that holds a set, or None.

    Each place is tried itself and by its subfolders; a place itself counts only for an outright match, so
    that the MNIST files in a data folder are not taken for Fashion-MNIST.
    """
    for place in places(folder):
        for name in published.folders:
            found = _holds(published, place / name)
            if found is not None:
                return found
        if folder is not None or place.name in published.folders or published.form == "text":
            found = _holds(published, place)
            if found is not None:
                return found
    return None


def _holds(published: Published, folder: Path) -> Path | None:
    if not folder.is_dir():
        return None
    if published.form == "text":
        names = [name for file in published.files for name in (file.name, f"{file.name}.gz")]
        return next((folder / name for name in names if (folder / name).is_file()), None)
    if published.form == "cifar":
        return folder if batch_files(folder)["train"] else None
    return folder if {"train_images", "train_labels"} <= set(idx_files(folder)) else None
