"""What is recorded of a run: digests of its arrays and columns, and its figures, read from its files."""

import hashlib
import json
import math
import shutil
import struct
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bits import names

# An item describes a file: digest or value by the name of an array, column or figure.
Item = dict[str, Any]
FIGURES = ("result.json", "sweep.json", "finding.json", "problem.json", "recipe.toml")
# Files compared byte by byte.
TEXTS = (".csv", ".npy", ".txt")


def of(folder: Path) -> dict[str, Item]:
    """Return the items of all compared files in a folder.

    The path of the file is recorded as `at`, so that a difference can be examined.
    """
    items = {}
    for path in files(folder):
        relative = path.relative_to(folder).as_posix()
        item = _item(path)
        if item is not None:
            items[names.file(relative)] = {"at": relative, "holds": item}
    return items


def files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, except checkpoints."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part in names.UNREAD for part in path.parts):
            yield path


def lighten(folder: Path) -> None:
    """Remove files that are not compared."""
    for name in names.UNREAD:
        for path in list(folder.rglob(name)):
            shutil.rmtree(path, ignore_errors=True)
    for path in [*folder.rglob("*.html"), *folder.rglob("*.svg")]:
        path.unlink()


def _item(path: Path) -> Item | None:
    if path.suffix == ".safetensors":
        content = path.read_bytes()
        digests = {name: _sha(f"{a.dtype}{a.shape}".encode(), a) for name, a in arrays(path).items()}
        return {"file": _sha(content), **digests}
    if path.suffix in (".parquet", ".arrow", ".feather"):
        return _columns(path)
    if path.name in FIGURES:
        return dict(_figures(plain(path)))
    return {"file": _sha(path.read_bytes())} if path.suffix in TEXTS else None


def plain(path: Path) -> Any:
    """Return the content of a JSON or TOML file."""
    text = path.read_text(encoding="utf-8")
    return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file; raw bytes for types that NumPy lacks."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    dtypes = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U32": "<u4", "BOOL": "?"}
    arrays_ = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            dtype = dtypes.get(entry["dtype"])
            flat = np.frombuffer(body[start:end], dtype or "u1")
            arrays_[name] = flat.reshape(entry["shape"]) if dtype else flat
    return arrays_


def table(path: Path) -> pa.Table:
    """Return a table from its file."""
    if path.suffix == ".parquet":
        return pq.ParquetFile(path).read()
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column's values with all bits of its floats."""
    return column.to_pylist()


def _columns(path: Path) -> Item:
    table_ = table(path)
    item: Item = {"rows": table_.num_rows}
    for name in table_.column_names:
        if name not in names.CLOCKS:
            column = table_.column(name)
            item[names.column(path.stem, name)] = _sha(str(column.type).encode(), *_pieces(column))
    return item


def _pieces(column: pa.ChunkedArray) -> Iterator[Any]:
    """Yield the content of a column: its null mask and its numbers bit by bit, or its strings."""
    yield np.asarray(column.is_null().to_pylist(), bool)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers = column.to_pylist()
        dtype = "<f8" if pa.types.is_floating(column.type) else "<i8"
        yield np.asarray([0 if number is None else number for number in numbers], dtype)
    else:
        yield repr(column.to_pylist()).encode()


def _figures(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the figures of plain values by their dotted paths."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner_value in inner:
            if str(key) not in names.CLOCKS and str(key) not in names.APART:
                yield from _figures(inner_value, f"{path}.{key}" if path else str(key))
    else:
        yield names.figure(path), repr(value) if isinstance(value, float) and math.isnan(value) else value


def _sha(*pieces: Any) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece.tobytes() if isinstance(piece, np.ndarray) else piece)
    return digest.hexdigest()
