"""Arrays in npy and npz files. Objects are never unpickled."""

import io
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import DataError, did_you_mean
from thalweg.problem.data.files.compressed import read_bytes
from thalweg.problem.data.raw import RawArrays

# Names that people give to inputs and targets, as pairs; the first pair that is there counts.
TRAIN_NAMES = (
    ("x_train", "y_train"),
    ("x", "y"),
    ("inputs", "targets"),
    ("data", "target"),
    ("images", "labels"),
)
TEST_NAMES = (("x_test", "y_test"),)

# All that zipfile and NumPy raise on damaged bytes: seen by changing bytes of whole files at random.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError, struct.error, OSError, EOFError, KeyError),
    *(ValueError, TypeError, SyntaxError, RuntimeError, OverflowError, MemoryError),
)


def read_npz(path: Path, name: str) -> RawArrays:
    """Read x_train, y_train, x_test, y_test, or x and y (either case) from an npz file.

    Raises:
        DataError: The file is damaged, holds objects, or lacks the names.
    """
    arrays = _npz_arrays(path)
    train = _named(arrays, TRAIN_NAMES)
    if train is None:
        raise DataError(
            "npz",
            "must hold x_train and y_train, or x and y",
            got=", ".join(arrays) or "no arrays",
            where=path,
            hint="save it with np.savez(path, x=inputs, y=targets)",
        )
    return RawArrays(name, *train, test=_named(arrays, TEST_NAMES))


def read_npz_inputs(path: Path) -> np.ndarray:
    """Return the inputs of an npz file for prediction: `x`, or whatever its only array is called."""
    arrays = _npz_arrays(path)
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    lower = {key.lower(): value for key, value in arrays.items()}
    for key in ("x_test", *(pair[0] for pair in TRAIN_NAMES)):
        if key in lower:
            return lower[key]
    raise DataError(
        "npz",
        "must hold an array x",
        got=", ".join(arrays),
        where=path,
        hint="save it with np.savez(path, x=inputs)",
    )


def read_npy(path: Path, name: str, target: str | int | None) -> RawArrays:
    """Read a table of numbers, `row column`, from an npy file; one column is the target.

    Raises:
        DataError: The file is damaged or holds objects, no table, or no such column.
    """
    array = read_array(path)
    if array.ndim != 2 or array.shape[1] < 2:
        raise DataError(
            "npy",
            "must hold a table with at least two columns, the target among them",
            got=f"shape {array.shape}",
            where=path,
            hint="use an npz file with x and y for other shapes",
        )
    column = _column(target, array.shape[1], path)
    return RawArrays(name, np.delete(array, column, axis=1), array[:, column], target=f"column_{column}")


def read_array(path: Path) -> np.ndarray:
    """Return the array in an npy file.

    Raises:
        DataError: The file is damaged or holds objects.
    """
    return _loaded(io.BytesIO(read_bytes(path)), path)


def _npz_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path))) as archive:
            files = {
                n.removesuffix(".npy"): archive.read(n) for n in archive.namelist() if n.endswith(".npy")
            }
    except _BROKEN as error:
        raise _damaged("npz", path, error) from error
    return {key: _loaded(io.BytesIO(content), path) for key, content in files.items()}


def _loaded(file: io.BytesIO, path: Path) -> np.ndarray:
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except _BROKEN as error:
        if "Object arrays" in str(error):
            raise DataError(
                "npy",
                "must hold numbers; objects are never unpickled",
                got="an array of objects",
                where=path,
                hint="save numbers, or text as a CSV file",
            ) from error
        raise _damaged("npy", path, error) from error


def _named(arrays: dict[str, np.ndarray], pairs: tuple[tuple[str, str], ...]) -> tuple[Any, Any] | None:
    lower = {key.lower(): value for key, value in arrays.items()}
    return next(((lower[x], lower[y]) for x, y in pairs if x in lower and y in lower), None)


def _column(target: str | int | None, width: int, path: Path) -> int:
    names = [f"column_{i}" for i in range(width)]
    if target is None:
        hint = f"for example target={width - 1}, the last column"
        raise DataError("target", "a table needs the column to predict", where=path, hint=hint)
    if target in names:
        return names.index(str(target))
    try:
        index = int(target)
    except ValueError:
        index = width
    if not -width <= index < width:
        raise DataError(
            "target", f"must be a column, 0..{width - 1}", got=target, hint=did_you_mean(str(target), names)
        )
    return index % width


def _damaged(who: str, path: Path, error: Exception) -> DataError:
    return DataError(
        who,
        "the file must be whole",
        got=str(error).splitlines()[0] if str(error) else type(error).__name__,
        where=path,
        hint="the file is damaged, cut short, or in another form than its name says",
    )
