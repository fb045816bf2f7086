"""Files of a run on disk: atomic replacement, reads with a size limit, JSON, and JSON with a checksum.

`Files` holds every call to the file system that checkpoints and run.json need. `tests/faults` replaces it
with disks that fail, record or lose power.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thalweg.core.errors import RunFolderError

# Bytes per write. Small enough that hashing, which releases the interpreter lock, alternates with writing.
WRITE_BYTES = 1 << 22
# The manifest of a thousand lanes takes a few hundred kilobytes. Anything longer than this is not a manifest.
SEALED_LIMIT = 1 << 24
SEAL = "sha256"


class Files:
    """The operating system's file calls. All of them raise OSError."""

    def make_folder(self, path: Path) -> None:
        """Create a folder and its parents; do nothing if it exists."""
        path.mkdir(parents=True, exist_ok=True)

    def create(self, path: Path) -> int:
        """Open a file for writing, truncated to zero bytes; return its descriptor."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        return os.open(path, flags, 0o666)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of `data`; return how many bytes were written."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Return when the file's content is on disk."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def sync_folder(self, path: Path) -> None:
        """Return when the folder's entries (new, renamed and removed names) are on disk."""
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        except OSError as error:  # some file systems cannot sync a folder and order its entries themselves
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file or folder atomically, replacing a file of that name."""
        os.rename(source, target)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        os.unlink(path)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        os.rmdir(path)

    def names(self, path: Path) -> list[str]:
        """Return the sorted names in a folder; none if it does not exist."""
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, path: Path, limit: int) -> bytes:
        """Return the content of a regular file.

        Raises:
            OSError: The file is missing, not a regular file (a link, a pipe), or longer than `limit` bytes
                (EFBIG).
        """
        # Opening a pipe without O_NONBLOCK would wait for a writer forever.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "must be a regular file", str(path))
        with open(descriptor, "rb") as file:
            if status.st_size > limit:
                raise OSError(errno.EFBIG, f"has {status.st_size} bytes, more than {limit}", str(path))
            return file.read(status.st_size)


DISK = Files()


def write_file(files: Files, path: Path, pieces: Iterable[memoryview]) -> None:
    """Write a new file and return when its content is on disk. For its name, sync the folder as well."""
    descriptor = files.create(path)
    try:
        for piece in pieces:
            _write_all(files, descriptor, piece.cast("B"))
        files.sync(descriptor)
    finally:
        files.close(descriptor)


def replace(path: Path, content: bytes, *, durable: bool = True, files: Files = DISK) -> None:
    """Write a file atomically: a reader, or a kill at any time, sees the old content or the new content.

    Args:
        path: The file.
        content: Its new content.
        durable: Whether the new content is on disk when this returns, so that it survives a power cut.
        files: The file system.

    Raises:
        OSError: The file could not be written. The old content is still there.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        if durable:
            write_file(files, temporary, [memoryview(content)])
        else:
            temporary.write_bytes(content)
        files.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            files.remove(temporary)
        raise
    if durable:
        files.sync_folder(path.parent)


def remove_tree(files: Files, folder: Path) -> None:
    """Remove a folder and the files in it, which must not be folders."""
    for name in files.names(folder):
        files.remove(folder / name)
    files.remove_folder(folder)


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
    return (text + "\n").encode()


def read_json(path: Path, who: str = "run") -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        who: The subject of the error message.

    Raises:
        RunFolderError: The file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path, error, who) from error


def unreadable(path: Path, error: Exception, who: str = "run") -> RunFolderError:
    """Return the error for a file that cannot be read or parsed."""
    return RunFolderError(
        who,
        "every file must be readable",
        got=str(error).splitlines()[0],
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
        value = json.loads(content)
        if isinstance(value, dict) and value.pop(SEAL, None) == _seal_of(value) and seal(value) == content:
            return value
    except (ValueError, RecursionError) as error:
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


def _write_all(files: Files, descriptor: int, data: memoryview) -> None:
    while len(data):
        written = files.write(descriptor, data[:WRITE_BYTES])
        if written <= 0:
            raise OSError(errno.EIO, "the system wrote no byte")
        data = data[written:]


def _seal_of(value: dict[str, Any]) -> str:
    body = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return checksum(body.encode("utf-8", "surrogatepass"))
