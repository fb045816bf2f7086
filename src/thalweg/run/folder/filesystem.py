"""Files within a run folder: how they are reached, JSON, and JSON with a checksum.

`core.disk` writes and reads them. Nothing that a file of the folder says leads out of the folder.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from thalweg.core.disk import Files
from thalweg.core.documents import parse_json
from thalweg.core.errors import RunFolderError
from thalweg.run.folder.shapes import check_shape

# The manifest of a thousand lanes takes a few hundred kilobytes. Anything longer than this is not a manifest.
SEALED_LIMIT = 1 << 24
# sweep.json of ten thousand lanes takes ten megabytes.
JSON_LIMIT = 1 << 28
SEAL = "sha256"
# Folders of a sweep: complete runs of its lanes, and the state of those that still train. A sweep over
# several models has a sweep of its own for each, `model-0`, ...
LANES, SHARDS, MODEL = "lanes", "shards", "model-"
SWEEP_FILE = "sweep.json"
# Column of its table with the folder of each lane, in a sweep over several models.
LANE_FOLDER = "folder"
P = ParamSpec("P")
R = TypeVar("R")


def files_of(folder: Path) -> Files:
    """Return the file calls for a run folder, below which they follow no symbolic link.

    Of a lane or a shard this holds for the whole sweep that it belongs to. The folder that the user names may
    itself be a link.
    """
    root = Path(folder)
    while (outer := _sweep_of(root)) is not None:
        root = outer
    return Files(root)


def readable(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function that reads a run folder raise our own error where the folder cannot be read."""

    @functools.wraps(function)
    def reading(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            rule, hint = "the folder must be readable", "check its owner and permissions, or restore a copy"
            got = error.strerror or str(error)
            if isinstance(error, NotADirectoryError):
                rule, hint = "must be a folder", "give the folder that `thalweg fit` wrote"
            raise RunFolderError("run", rule, got=got, where=error.filename, hint=hint) from error

    return reading


def _sweep_of(folder: Path) -> Path | None:
    """Return the sweep that a folder belongs to as a lane, a shard or a model; None if it does not."""
    if folder.parent.name in (LANES, SHARDS):
        sweep = folder.parent.parent
    elif folder.name == SHARDS or folder.name.startswith(MODEL):
        sweep = folder.parent
    else:
        return None
    return sweep if (sweep / SWEEP_FILE).is_file() else None


def plain(value: Any) -> Any:
    """Convert NumPy numbers, tuples and paths to JSON types; non-finite numbers become None."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


def as_json(value: dict[str, Any]) -> bytes:
    """Return plain values as indented JSON; NaN and infinities, which JSON does not have, become null."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "replace")  # of a file name, what is not UTF-8 becomes ?


def read_json(path: Path, who: str = "run") -> Any:
    """Read a JSON file of a run folder.

    Args:
        path: The file.
        who: The subject of the error message.

    Raises:
        RunFolderError: The file is missing, unreadable or not JSON, or holds what no run writes.
    """
    try:
        value = parse_json(read_file(path, JSON_LIMIT))
    except (OSError, ValueError) as error:
        raise unreadable(path, error, who) from error
    return check_shape(value, path, who)


def read_file(path: Path, limit: int) -> bytes:
    """Return the content of a file of a run folder, which must be a regular file and no link.

    Raises:
        OSError: It is missing, something else, or longer than `limit` bytes.
    """
    return files_of(path.parent).read(path, limit)


def unreadable(path: Path, error: Exception, who: str = "run") -> RunFolderError:
    """Return the error for a file that cannot be read or parsed."""
    return RunFolderError(
        who,
        "every file must be readable",
        got=getattr(error, "strerror", None) or str(error).splitlines()[0],
        where=path,
        hint="the file is damaged or was edited; restore a copy, or run again",
    )


def seal(value: dict[str, Any]) -> bytes:
    """Return an object as readable JSON that ends with a checksum of its entries, in UTF-8.

    The checksum, `sha256`, covers the object without that entry, written with sorted keys and no whitespace.
    The checksum does not cover the layout of the file; `unseal` accepts only the exact text written here.

    Raises:
        ValueError: The object holds NaN or an infinity, which JSON does not have.
    """
    sealed = dict(sorted(value.items())) | {SEAL: _seal_of(value)}
    body = json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False)
    return (body + "\n").encode("utf-8", "surrogatepass")


def unseal(content: bytes, where: object) -> dict[str, Any]:
    """Return the object that `seal` wrote, without its checksum.

    Raises:
        RunFolderError: The content is not JSON, not an object, or differs from what was written.
    """
    reason = "its checksum does not match"
    try:
        value = parse_json(content, surrogates=True)
        if isinstance(value, dict) and value.pop(SEAL, None) == _seal_of(value) and seal(value) == content:
            return value
    except ValueError as error:
        reason = str(error)
    raise RunFolderError(
        "run",
        "must be as it was written",
        got=reason,
        where=where,
        hint="it is damaged or was edited; restore a copy",
    )


def unseal_object(
    content: bytes, schema: int, types: Mapping[str, tuple[type, ...]], where: object
) -> dict[str, Any]:
    """Return the object that `seal` wrote, if it has the right schema and entries.

    Args:
        content: The content of the file.
        schema: The schema number that its entry `schema` must have.
        types: The other entries that the object must have, and their possible types.
        where: The file, for the error message.

    Raises:
        RunFolderError: It is damaged, or has another schema or other entries.
    """
    value = unseal(content, where)
    number = value.pop("schema", None)
    if number != schema:
        hint = "read it with the version of Thalweg that wrote it (environment.json)"
        raise RunFolderError("run", f"must be of schema {schema}", got=number, where=where, hint=hint)
    if set(value) != set(types) or any(type(value[name]) not in kinds for name, kinds in types.items()):
        raise RunFolderError(
            "run",
            f"must have the entries {', '.join(types)}, of the right types",
            got={name: type(entry).__name__ for name, entry in value.items()},
            where=where,
            hint="it was not written by Thalweg",
        )
    return value


def checksum(content: bytes | memoryview) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _seal_of(value: dict[str, Any]) -> str:
    body = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return checksum(body.encode("utf-8", "surrogatepass"))
