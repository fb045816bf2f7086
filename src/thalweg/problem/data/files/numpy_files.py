"""Arrays in npy and npz files. Objects are never unpickled."""

import io
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.files import read_up_to
from thalweg.core.limits import check_memory
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.files.content import ARRAY_COPIES, read_bytes
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

# How NumPy packs the arrays of an npz file. Others (LZMA, bzip2) take memory as their headers say.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

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
    return _array(read_bytes(path, ARRAY_COPIES), path)


def _npz_arrays(path: Path) -> dict[str, np.ndarray]:
    content = read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            unpacked = sum(entry.file_size for entry in entries)
            check_memory(DataError, "npz", unpacked, path, copies=ARRAY_COPIES)
            files = {entry.filename.removesuffix(".npy"): _unpacked(archive, entry) for entry in entries}
    except DataError:
        raise
    except _READ_ERRORS as error:
        raise _damaged("npz", path, error) from error
    return {key: _array(content, path) for key, content in files.items()}


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Unpack an entry piece by piece: it ends where it says, whatever it would expand to."""
    if entry.compress_type not in _PACKED:
        raise ValueError(f"{entry.filename} is packed in another way than NumPy's (deflate)")
    with archive.open(entry) as file:
        return read_up_to(file, entry.file_size) or b""


def _array(content: bytes, path: Path) -> np.ndarray:
    """Return the array in the content of an npy file, as a read-only view: nothing is allocated for it."""
    try:
        file = io.BytesIO(content)
        version = np.lib.format.read_magic(file)
        # Version 3 differs from 2 in names of columns beyond Latin-1, and tables with names are refused.
        shape, in_columns, dtype = _HEADERS[min(version, (2, 0))](file)
        if dtype.hasobject:
            rule = "must hold numbers; objects are never unpickled"
            hint = "save numbers here, and text in a CSV file"
            raise DataError("npy", rule, got="an array of objects", where=path, hint=hint)
        count, rest = math.prod(shape), len(content) - file.tell()
        if min(shape, default=0) < 0 or count * dtype.itemsize != rest:
            raise ValueError(f"{rest:,} bytes of numbers instead of {count * dtype.itemsize:,}")
        array = np.frombuffer(content, dtype, count, file.tell()) if count else np.zeros(0, dtype)
        return array.reshape(shape[::-1]).T if in_columns else array.reshape(shape)
    except DataError:
        raise
    except _READ_ERRORS as error:
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
