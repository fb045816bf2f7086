"""Arrays as safetensors: written in pieces without a second copy in memory, read with every claim checked.

The format: eight bytes, the header's length, little endian; a JSON header of name -> dtype, shape and place;
the bytes of the arrays, one after another without gaps. https://github.com/huggingface/safetensors
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import ml_dtypes
import numpy as np

from thalweg.core.errors import RunFolderError

_DTYPES: dict[str, Any] = {
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
}
_NAMES = {np.dtype(kind): name for name, kind in _DTYPES.items()}
# The format's own bound on the header, 100 MB; and NumPy's on the number of dimensions.
_HEADER, _DIMENSIONS = 100_000_000, 32


def described(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Return dtype and shape of every array, as they stand in a header and in a manifest.

    Raises:
        TypeError: An array has a dtype that the format does not know.
    """
    return {name: {"dtype": _name(name, array), "shape": list(array.shape)} for name, array in arrays.items()}


def encoded(arrays: Mapping[str, np.ndarray]) -> Iterator[memoryview]:
    """Yield the file's bytes piece by piece: the header, then every array as it lies in memory."""
    header, place = {}, 0
    for name, told in described(arrays).items():
        end = place + arrays[name].nbytes
        header[name] = told | {"data_offsets": [place, end]}
        place = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    yield memoryview(len(text).to_bytes(8, "little") + text)
    for array in arrays.values():
        if array.nbytes:
            yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def decoded(content: bytes | memoryview, where: object) -> dict[str, np.ndarray]:
    """Return the arrays of a file's content, as views of it.

    Nothing is allocated by what the header claims: dtype, shape and place of every array must agree with each
    other and with the content's length.

    Raises:
        RunFolderError: The content is no safetensors, or claims what is not there.
    """
    view = memoryview(content)
    header, body = _header(view, where), len(view)
    start = 8 + int.from_bytes(view[:8], "little")
    found, place = {}, 0
    entries = [(name, _entry(name, told, where)) for name, told in header.items() if name != "__metadata__"]
    for name, (kind, shape, begin, end) in sorted(entries, key=lambda entry: entry[1][2:]):
        if begin != place or end - begin != math.prod(shape) * kind.itemsize or start + end > body:
            raise _refused("the places of the arrays must fit the file", f"{name}: {begin} to {end}", where)
        found[name] = _placed(view[start + begin : start + end], kind, shape, where)
        place = end
    if start + place != body:
        raise _refused("the arrays must fill the file", f"{start + place} of {body} bytes", where)
    return {name: found[name] for name, _ in entries}


def _header(view: memoryview, where: object) -> dict[str, Any]:
    length = int.from_bytes(view[:8], "little")
    if len(view) < 8 or length > min(len(view) - 8, _HEADER):
        raise _refused("the header must lie within the file", f"{length} of {len(view)} bytes", where)
    try:
        header = json.loads(bytes(view[8 : 8 + length]))
    except (ValueError, RecursionError) as error:
        raise _refused("the header must be JSON", str(error), where) from None
    if not isinstance(header, dict):
        raise _refused("the header must be an object", type(header).__name__, where)
    return header


def _entry(name: str, told: Any, where: object) -> tuple[np.dtype, list[int], int, int]:
    if not isinstance(told, dict):
        raise _refused("an entry of the header must be an object", f"{name}: {told!r}", where)
    kind, shape, places = told.get("dtype"), told.get("shape"), told.get("data_offsets")
    if (
        isinstance(kind, str)
        and kind in _DTYPES
        and _counts(shape, _DIMENSIONS)
        and _counts(places, 2)
        and len(places) == 2
    ):
        return np.dtype(_DTYPES[kind]), shape, places[0], places[1]
    raise _refused("an entry must have dtype, shape and data_offsets", f"{name}: {told!r}", where)


def _placed(data: memoryview, kind: np.dtype, shape: list[int], where: object) -> np.ndarray:
    try:
        return np.frombuffer(data, kind).reshape(shape)
    except ValueError as error:  # empty, with a side that no address can reach
        raise _refused("an array's shape must be possible", f"{shape}: {error}", where) from None


def _counts(value: Any, most: int) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(type(one) is int and 0 <= one < 2**62 for one in value)
    )


def _name(name: str, array: np.ndarray) -> str:
    found = _NAMES.get(array.dtype)
    if found is None:
        raise TypeError(f"{name}: the format has no {array.dtype}")
    return found


def _refused(rule: str, got: str, where: object) -> RunFolderError:
    return RunFolderError("arrays", rule, got=got, where=where, hint="the file is damaged, or no safetensors")
