"""From whatever `load` was given to `Data`: which reader takes it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from thalweg.core.errors import DataError, nearest
from thalweg.core.lazy import in_background
from thalweg.problem.data.arrays import from_arrays
from thalweg.problem.data.data import Data
from thalweg.problem.data.files.cifar import batch_files, read_cifar_folder
from thalweg.problem.data.files.compressed import plain_suffix
from thalweg.problem.data.files.idx import idx_files, read_idx_folder
from thalweg.problem.data.files.numpy_files import read_array, read_npy, read_npz
from thalweg.problem.data.files.pictures import read_picture_folder
from thalweg.problem.data.fingerprint import fingerprint
from thalweg.problem.data.inputs.frames import is_frame, joined
from thalweg.problem.data.lines import from_lines
from thalweg.problem.data.options import LoadOptions, options_from
from thalweg.problem.data.raw import RawArrays
from thalweg.problem.data.series import from_series
from thalweg.problem.data.sets.named import load_named, names
from thalweg.problem.data.sets.published import CIFAR_CLASSES
from thalweg.problem.data.tables import read as table_files
from thalweg.problem.data.tables.table import from_frame
from thalweg.problem.data.text import from_text, read_text

IN_MEMORY = "in memory"
SUFFIXES = (*table_files.SUFFIXES, ".npy", ".npz", ".txt")


def read(source: Any, options: LoadOptions | None = None, **settings: Any) -> Data:
    """Read a data set; the arguments are those of `load`."""
    chosen = options_from(options, settings)
    if isinstance(source, str) and source in names():
        _check_form("", source, chosen)
        data, said = load_named(source, chosen), source
    elif isinstance(source, (str, Path)):
        data, said = _load_path(Path(source), chosen), str(source)
    elif chosen.window is not None:
        data, said = from_series(source, chosen.name or "series", chosen), IN_MEMORY
    elif is_frame(source):
        data, said = from_frame(source, chosen.name or "table", chosen), IN_MEMORY
    else:
        data, said = _load_pair(source, chosen), IN_MEMORY
    return replace(
        data,
        name=chosen.name or data.name,
        source={"from": said, "options": chosen.to_dict()},
        fingerprint=in_background(lambda: fingerprint(data.splits)),  # awaited after the model's check
    )


def _load_path(path: Path, options: LoadOptions) -> Data:
    if not path.exists():
        raise missing_path(path)
    name = options.name or path.name.split(".")[0] or "data"
    suffix = "" if path.is_dir() else plain_suffix(path)
    _check_form(suffix, path, options)
    if path.is_dir():
        return from_arrays(read_folder(path, name), options)
    if suffix in table_files.SUFFIXES:
        frame = table_files.read_table(path, options.header)
        return (from_series if options.window else from_frame)(frame, name, options)
    if suffix == ".txt":
        return (from_lines if options.lines else from_text)(read_text(path), name, options)
    if suffix == ".npz":
        return from_arrays(read_npz(path, name), options)
    if suffix == ".npy" and options.window:
        return from_series(read_array(path), name, options)
    if suffix == ".npy":
        return from_arrays(read_npy(path, name, options.target), options)
    raise DataError(
        "data",
        f"the file must end in {', '.join(SUFFIXES)} (.gz or not)",
        got=path.name,
        hint="convert it to CSV",
    )


def _check_form(suffix: str, source: object, options: LoadOptions) -> None:
    """Refuse options that this form of data does not know."""
    if options.lines and suffix != ".txt":
        raise DataError(
            "load",
            "lines is for text",
            got=str(source),
            hint="leave out lines (--lines), or give a .txt file",
        )
    if options.window is not None and suffix not in (*table_files.SUFFIXES, ".npy"):
        raise DataError(
            "load",
            "window is for tables in time order",
            got=str(source),
            hint="give a CSV, Parquet or npy file; a text's window is its context",
        )


def read_folder(path: Path, name: str) -> RawArrays:
    """Read a folder by what it holds: idx files, CIFAR batches, else pictures by class."""
    if idx_files(path):
        return read_idx_folder(path, name)
    if batch_files(path)["train"]:
        return read_cifar_folder(path, name, CIFAR_CLASSES)
    return read_picture_folder(path, name)


def missing_path(path: Path) -> DataError:
    """Return the error for a path that is not there, with the nearest name beside it or the nearest set."""
    there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near, known = nearest(path.name, there), nearest(str(path), names())
    if known is not None and (near is None or not path.suffix):  # a bare word more likely means a set
        hint = f"did you mean the named set {known!r}?"
    elif near is not None:
        hint = f"did you mean {str(path.with_name(near))!r}?"
    else:
        hint = "named sets are " + ", ".join(names())
    return DataError("data", "must be a named set, or a file or folder that exists", got=str(path), hint=hint)


def _load_pair(source: Any, options: LoadOptions) -> Data:
    if not isinstance(source, (tuple, list)) or len(source) != 2:
        raise DataError(
            "data",
            "must be a name, a path, a frame, or a pair (inputs, targets)",
            got=type(source).__name__,
            hint="for example load((x, y))",
        )
    if not is_frame(source[0]):
        return from_arrays(RawArrays(options.name or "arrays", source[0], source[1]), options)
    frame, target = joined((source[0], source[1]))
    return from_frame(frame, options.name or "table", options, target=target)
