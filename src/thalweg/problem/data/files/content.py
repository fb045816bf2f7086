"""The content of a file as bytes or text; `.gz` is decompressed, on request or ahead in threads."""

import gzip
import struct
import zlib
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from thalweg.core.errors import DataError
from thalweg.core.lazy import in_background

# Deflate expands a byte to at most this many (RFC 1951: 258 bytes in two bits).
MAX_EXPANSION = 1032
_GZIP = 31  # zlib's `wbits` for the largest window in a gzip wrapper

_AHEAD: dict[Path, Future[bytes]] = {}


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: The file cannot be read, or is not a complete gzip file although its name ends in `.gz`.
    """
    ahead = _AHEAD.pop(path, None)
    return _content(path) if ahead is None else ahead.result()


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, .gz or not, with every line ending as \\n.

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        rule = "the file must be UTF-8"
        got = f"byte 0x{error.object[error.start]:02x} at {error.start}"
        raise DataError("text", rule, got=got, where=path, hint="convert the file to UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decompress_ahead(paths: Iterable[Path]) -> None:
    """Start to decompress files, each in its own thread; `read_bytes` waits for the result.

    Decompression releases the interpreter lock, so it costs nothing next to work such as importing. The
    process does not wait for these threads when it ends. Only regular files are opened: reading a pipe would
    empty it.
    """
    for path in paths:
        if path.suffix == ".gz" and path.is_file():
            _AHEAD[path] = in_background(partial(_content, path))


def discard_ahead() -> None:
    """Drop what was decompressed ahead and not read."""
    _AHEAD.clear()


def plain_suffix(path: Path) -> str:
    """Return the suffix that names the format, without `.gz`, in lower case: `.csv` for `x.csv.gz`."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return _gunzip(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        rule = "must be a whole gzip file, as its name says"
        hint = "the file is damaged or truncated; fetch it again"
        raise DataError("file", rule, got=str(error), where=path, hint=hint) from error
    except OSError as error:
        rule, hint = "must be readable", "check its owner and permissions"
        raise DataError("file", rule, got=error.strerror or str(error), where=path, hint=hint) from error


def _gunzip(content: bytes) -> bytes:
    """Decompress into one buffer of the size stored in the last four bytes.

    This avoids a second copy, which would hold the interpreter lock. Files of several members, or with
    trailing bytes, are left to Python's gzip.
    """
    size = int.from_bytes(content[-4:], "little")
    if not 0 < size <= MAX_EXPANSION * len(content):
        return gzip.decompress(content)
    try:
        plain = zlib.decompress(content, _GZIP, size)
    except (zlib.error, MemoryError):  # damaged, or the stored length is wrong
        return gzip.decompress(content)  # its errors are more specific
    # A member ends with its checksum and length (RFC 1952). If they occur only at the end, it is the only
    # one.
    end = struct.pack("<II", zlib.crc32(plain), len(plain) % 2**32)
    return plain if content.find(end) == len(content) - len(end) else gzip.decompress(content)
