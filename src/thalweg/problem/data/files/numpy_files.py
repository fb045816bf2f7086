"""Arrays in npy and npz files. Objects are never unpickled."""

import io
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.files.content import read_bytes
from thalweg.problem.data.files.tables import find_column

# Usual names of inputs and targets, as pairs; the first pair in the file is used.
TRAIN_NAMES = (
    ("x_train", "y_train"),
    ("x", "y"),
    ("inputs", "targets"),
    ("data", "target"),
    ("images", "labels"),
)
TEST_NAMES = (("x_test", "y_test"),)

# All that zipfile and NumPy raise on damaged bytes: found by changing bytes of valid files at random.
_READ_ERRORS = (
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
        rule = "must hold x_train and y_train, or x and y"
        hint = "save it with np.savez(path, x=inputs, y=targets)"
        raise DataError("npz", rule, got=", ".join(arrays) or "no arrays", where=path, hint=hint)
    return RawArrays(name, *train, test=_named(arrays, TEST_NAMES))


def read_npz_inputs(path: Path) -> np.ndarray:
    """Return the inputs of an npz file for prediction: its only array, else `x_test`, `x_train` or `x`."""
    arrays = _npz_arrays(path)
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    lower = {key.lower(): value for key, value in arrays.items()}
    for x, _ in (*TEST_NAMES, *TRAIN_NAMES):
        if x in lower:
            return lower[x]
    hint = "save it with np.savez(path, x=inputs)"
    raise DataError("npz", "must hold an array x", got=", ".join(arrays), where=path, hint=hint)


def read_npy(path: Path, name: str, target: str | int | None) -> RawArrays:
    """Read a table of numbers, `row column`, from an npy file; one column is the target.

    Raises:
        DataError: The file is damaged, holds objects, is not a table, or has no such column.
    """
    array = read_array(path)
    if array.ndim != 2 or array.shape[1] < 2:
        rule = "must hold a table with at least two columns, the target among them"
        hint = "use an npz file with x and y for other shapes"
        raise DataError("npy", rule, got=f"shape {array.shape}", where=path, hint=hint)
    names = [f"column_{i}" for i in range(array.shape[1])]
    column = names.index(find_column(names, target))
    return RawArrays(name, np.delete(array, column, axis=1), array[:, column], target=names[column])


def read_array(path: Path) -> np.ndarray:
    """Return the array in an npy file.

    Raises:
        DataError: The file is damaged or holds objects.
    """
    return _array(io.BytesIO(read_bytes(path)), path)


def _npz_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path))) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            files = {name.removesuffix(".npy"): archive.read(name) for name in names}
    except _READ_ERRORS as error:
        raise _damaged("npz", path, error) from error
    return {key: _array(io.BytesIO(content), path) for key, content in files.items()}


def _array(file: io.BytesIO, path: Path) -> np.ndarray:
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except _READ_ERRORS as error:
        if "Object arrays" in str(error):
            rule = "must hold numbers; objects are never unpickled"
            hint = "save numbers here, and text in a CSV file"
            raise DataError("npy", rule, got="an array of objects", where=path, hint=hint) from error
        raise _damaged("npy", path, error) from error


def _named(arrays: dict[str, np.ndarray], pairs: tuple[tuple[str, str], ...]) -> tuple[Any, Any] | None:
    lower = {key.lower(): value for key, value in arrays.items()}
    return next(((lower[x], lower[y]) for x, y in pairs if x in lower and y in lower), None)


def _damaged(who: str, path: Path, error: Exception) -> DataError:
    return DataError(
        who,
        "the file must be whole",
        got=str(error).splitlines()[0] if str(error) else type(error).__name__,
        where=path,
        hint="the file is damaged, truncated, or not in the format that its name says",
    )
