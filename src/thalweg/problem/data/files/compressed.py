"""Bytes of a file, unpacked where its name ends in `.gz`: when asked for, or in threads ahead of that."""

import gzip
import struct
import zlib
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from thalweg.core.errors import DataError
from thalweg.core.lazy import in_background

# Deflate makes at most so many bytes of one (RFC 1951: 258 bytes in two bits).
MOST_OF_A_BYTE = 1032
_GZIP = 31  # zlib's number for the largest window, in a gzip wrapping

_AHEAD: dict[Path, Future[bytes]] = {}


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: The file cannot be read, or is no whole gzip file although its name ends in `.gz`.
    """
    ahead = _AHEAD.pop(path, None)
    return _unpacked(path) if ahead is None else ahead.result()


def unpack_ahead(paths: Iterable[Path]) -> None:
    """Begin to unpack files, each in a thread of its own; whoever reads one of them waits for it.

    Unpacking leaves other threads alone, so that it costs nothing beside work such as importing. Nobody waits
    for it at the end of the process, and nothing but plain files is opened: a pipe would be emptied.
    """
    for path in paths:
        if path.suffix == ".gz" and path.is_file():
            _AHEAD[path] = in_background(partial(_unpacked, path))


def forget_ahead() -> None:
    """Let go of what nobody read."""
    _AHEAD.clear()


def plain_suffix(path: Path) -> str:
    """Return the ending that says the form, without `.gz`, in small letters: `.csv` for `x.csv.gz`."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _unpacked(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return _gunzipped(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(
            "file",
            "must be a whole gzip file, as its name says",
            got=str(error),
            where=path,
            hint="the file is damaged or cut short; fetch it again",
        ) from error
    except OSError as error:
        raise DataError(
            "file",
            "must be readable",
            got=error.strerror or str(error),
            where=path,
            hint="check its owner and permissions",
        ) from error


def _gunzipped(content: bytes) -> bytes:
    """Unpack into memory of the size that the last four bytes tell: no second copy of it is made, which would
    hold up every other thread. A file of several parts, or with something behind, is left to Python.
    """
    size = int.from_bytes(content[-4:], "little")
    if not 0 < size <= MOST_OF_A_BYTE * len(content):
        return gzip.decompress(content)
    try:
        found = zlib.decompress(content, _GZIP, size)
    except (zlib.error, MemoryError):  # damaged, or a length that lies
        return gzip.decompress(content)  # its words say more
    # A part ends in its check sum and length (RFC 1952). Found nowhere but at the end: the part is the whole.
    end = struct.pack("<II", zlib.crc32(found), len(found) % 2**32)
    return found if content.find(end) == len(content) - len(end) else gzip.decompress(content)
