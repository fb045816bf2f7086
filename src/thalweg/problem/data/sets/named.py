"""Named data sets to `Data`: one place that knows all names."""

from pathlib import Path

from thalweg.core.errors import DataError, did_you_mean
from thalweg.problem.data.arrays import from_arrays
from thalweg.problem.data.data import Data
from thalweg.problem.data.files.cifar import read_cifar_folder
from thalweg.problem.data.files.idx import read_idx_folder
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.raw import RawArrays
from thalweg.problem.data.sets import bundled, published, synthetic
from thalweg.problem.data.sets.download import fetch
from thalweg.problem.data.sets.locate import locate
from thalweg.problem.data.tables.table import from_frame
from thalweg.problem.data.text import from_text, read_text


def names() -> list[str]:
    """Return the names of all sets."""
    return ["digits", *bundled.TABLES, *synthetic.SETS, *published.SETS]


def load_named(name: str, options: LoadOptions) -> Data:
    """Read a named set.

    Raises:
        DataError: The name is not known, or its files cannot be found or fetched.
    """
    if name == "digits":
        return from_arrays(bundled.digits(), options)
    if name in synthetic.SETS:
        return from_arrays(synthetic.make(name), options)
    if name in bundled.TABLES:
        frame, target = bundled.table(name)
        return from_frame(frame, name, options, target=target)
    if name in published.SETS:
        return _load_published(published.SETS[name], options)
    raise DataError("data", "must be a named set or a path", got=name, hint=did_you_mean(name, names()))


def read_published(name: str, folder: Path | str | None) -> RawArrays | str:
    """Return the raw arrays, or the text, of a published set."""
    known = published.SETS[name]
    at = locate(known, folder)
    if at is None and folder is not None:
        raise DataError(
            "data",
            f"the folder must hold {name}",
            got=str(folder),
            hint=f"looked in it and in its subfolder {known.folders[0]}; leave folder out to fetch it",
        )
    at = fetch(known) if at is None else at
    if known.form == "text":
        return read_text(at if at.is_file() else at / known.files[0].name)
    if known.form == "cifar":
        return read_cifar_folder(at, name, known.classes)
    return read_idx_folder(at, name, known.classes)


def _load_published(known: published.Published, options: LoadOptions) -> Data:
    raw = read_published(known.name, options.folder)
    return from_text(raw, known.name, options) if isinstance(raw, str) else from_arrays(raw, options)
