"""Named data sets: their names, and how each is read."""

from pathlib import Path

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.arrays import from_arrays
from thalweg.problem.data.data import Data
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.files.binary_images import read_cifar_folder, read_idx_folder
from thalweg.problem.data.files.content import read_text
from thalweg.problem.data.options import ARRAYS, NAMED, TABLES, LoadOptions, Reader, Source
from thalweg.problem.data.sets import bundled, published, synthetic
from thalweg.problem.data.tables.table import from_frame
from thalweg.problem.data.text import from_lines, from_text
from thalweg.problem.data.text import kinds as text_kinds


def names() -> list[str]:
    """Return the names of all sets."""
    return ["digits", *bundled.TABLES, *synthetic.SETS, *published.SETS]


def is_text(name: str) -> bool:
    """Return whether a set is text."""
    return name in published.SETS and published.SETS[name].form == "text"


def read_named(name: str, folder: Path | str | None) -> "RawArrays | tuple[pl.DataFrame, str] | str":
    """Return a set as arrays, as a table with the name of its target, or as text.

    Raises:
        DataError: Its files cannot be found or downloaded.
    """
    if name == "digits":
        return bundled.digits()
    if name in synthetic.SETS:
        return synthetic.make(name)
    if name in bundled.TABLES:
        return bundled.table(name)
    published_set = published.SETS[name]
    path = published.locate(published_set, folder)
    if path is None and folder is not None:
        hint = f"searched it and its subfolder {published_set.folders[0]}; leave out folder to download"
        raise DataError("data", f"the folder must hold {name}", got=str(folder), hint=hint)
    path = published.download(published_set) if path is None else path
    if published_set.form == "text":
        return read_text(path if path.is_file() else path / published_set.files[0].name)
    if published_set.form == "cifar":
        return read_cifar_folder(path, name)
    return read_idx_folder(path, name, published_set.classes)


def _accepts(source: Source, options: LoadOptions) -> bool:
    return isinstance(source.data, str)


def _read(source: Source, options: LoadOptions) -> Data:
    raw = read_named(source.data, options.folder)
    if isinstance(raw, str):
        return (from_lines if options.lines else from_text)(raw, source.data, options)
    if isinstance(raw, RawArrays):
        return from_arrays(raw, options)
    frame, target = raw
    return from_frame(frame, source.data, options, target=target)


def _kinds(source: Source, options: LoadOptions) -> tuple[str, ...]:
    if is_text(source.data):
        return (*text_kinds(options), NAMED)
    return (TABLES, NAMED) if source.data in bundled.TABLES else (ARRAYS, NAMED)


READER = Reader(_accepts, _read, _kinds)
