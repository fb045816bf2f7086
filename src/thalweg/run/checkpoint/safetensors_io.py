"""The arrays of a checkpoint as a safetensors file, written in pieces and read without a copy.

The format: eight bytes with the length of the header, little-endian; a JSON header that gives the dtype,
shape and position of every array; the bytes of the arrays without gaps.
https://github.com/huggingface/safetensors

The manifest of a checkpoint also lists dtypes and shapes, and they determine the header. So reading parses no
header: the file must begin with exactly the header that follows from the manifest, and be exactly as long as
that header says.

The safetensors library copies every array when writing and when reading, cannot write through `Files`, and
does not read bfloat16 into NumPy.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from thalweg.core.errors import RunFolderError

_DTYPES: dict[str, np.dtype] = {
    name: np.dtype(dtype)
    for name, dtype in {
        "BOOL": np.bool_,
        "U8": np.uint8,
        "I8": np.int8,
        "U16": np.uint16,
        "I16": np.int16,
        "U32": np.uint32,
        "I32": np.int32,
        "U64": np.uint64,
        "I64": np.int64,
        "F16": np.float16,
        "BF16": ml_dtypes.bfloat16,
        "F32": np.float32,
        "F64": np.float64,
        "C64": np.complex64,
    }.items()
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_DIMENSIONS = 32  # at most, in NumPy


def describe_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Return dtype and shape of every array, as in a header and in a manifest.

    Raises:
        TypeError: The format does not have the dtype of an array.
    """
    for name, array in arrays.items():
        if array.dtype not in _NAMES:
            raise TypeError(f"{name}: the format has no {array.dtype}")
    return {name: {"dtype": _NAMES[a.dtype], "shape": list(a.shape)} for name, a in arrays.items()}


def encode(arrays: Mapping[str, np.ndarray]) -> Iterator[memoryview]:
    """Yield the bytes of the file: the header, then each array as it is in memory."""
    yield memoryview(_header(describe_arrays(arrays))[0])
    for array in arrays.values():
        if array.nbytes:
            yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def decode(
    content: bytes | memoryview, description: Mapping[str, Any], where: object
) -> dict[str, np.ndarray]:
    """Return the arrays in the content of a file, as views of it.

    Args:
        content: The bytes of the file.
        description: Dtype and shape of every array, in the order of the file (`describe_arrays`).
        where: The file, for the error message.

    Raises:
        RunFolderError: The description is not valid, or the content is not exactly what it describes.
    """
    try:
        return _views(memoryview(content), description)
    except (KeyError, TypeError, ValueError) as error:
        rule = "must be exactly what its manifest describes"
        raise RunFolderError(
            "arrays", rule, got=str(error), where=where, hint="see `thalweg check RUN`"
        ) from None


def _views(content: memoryview, description: Mapping[str, Any]) -> dict[str, np.ndarray]:
    header, size = _header(description)
    start, arrays = len(header), {}
    if bytes(content[:start]) != header:
        raise ValueError("another header")
    if len(content) != start + size:
        raise ValueError(f"{len(content)} bytes instead of {start + size}")
    for name, entry in description.items():
        end = start + _size(entry)
        array = np.frombuffer(content[start:end], _DTYPES[entry["dtype"]])
        arrays[name], start = array.reshape(entry["shape"]), end
    return arrays


def _header(description: Mapping[str, Any]) -> tuple[bytes, int]:
    """Return the header of a file, and the size of all arrays in bytes."""
    header, start = {}, 0
    for name, entry in description.items():
        end = start + _size(entry)
        header[name] = entry | {"data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, start


def _size(entry: Mapping[str, Any]) -> int:
    """Return the size of an array in bytes."""
    dtype, shape = _DTYPES[entry["dtype"]], entry["shape"]
    if (
        len(entry) != 2
        or len(shape) > _DIMENSIONS
        or any(type(side) is not int or side < 0 for side in shape)
    ):
        raise ValueError(f"not a dtype and shape: {entry}")
    return math.prod(shape) * dtype.itemsize
