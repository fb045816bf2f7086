"""Files from anywhere, read whole within a limit: nothing that is not a regular file is ever opened."""

import errno
import io
import os
import stat
from pathlib import Path
from typing import Any

from thalweg.core.limits import as_bytes, max_bytes

_PIECE = 1 << 18
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegular(OSError):
    """A pipe, a socket, a device or a folder is where a file belongs; `strerror` says which."""


class TooLong(OSError):
    """A file has more bytes than may be read; `strerror` says how many, and the limit."""


def read_file(path: Path | str, most: int | None = None) -> bytes:
    """Return the content of a regular file; a link to one is followed.

    Reading a pipe would wait for a writer, and reading a device may never end, so that neither is opened.

    Args:
        path: The file.
        most: The most bytes that it may have; None for the limit of `core.limits`.

    Raises:
        NotRegular: It is no regular file.
        TooLong: It has more bytes.
        OSError: It is missing or cannot be read.
    """
    descriptor = open_file(path)
    with open(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        most = max_bytes() if most is None else most
        if size > most:
            raise TooLong(errno.EFBIG, f"{as_bytes(size)}, above {as_bytes(most)}", str(path))
        content = file.read(size)
        # Some files have no size of their own (/proc), and a file may grow while it is read.
        more = read_up_to(file, most - len(content))
    if more is None:
        raise TooLong(errno.EFBIG, f"more than {as_bytes(most)}", str(path))
    return content + more if more else content


def read_up_to(file: Any, most: int) -> bytes | None:
    """Return the rest of an open file, or None if it has more than `most` bytes.

    It is read in pieces, because a single call would allocate all that it may read.
    """
    whole = io.BytesIO()
    while piece := file.read(_PIECE):
        whole.write(piece)
        if whole.tell() > most:
            return None
    return whole.getvalue()


def open_file(path: Path | str) -> int:
    """Open a regular file for reading; return its descriptor.

    Raises:
        NotRegular: It is no regular file.
        OSError: It is missing or cannot be read.
    """
    try:
        _reject_others(os.stat(path).st_mode, path)
        extra = (getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY"))
        descriptor = os.open(path, os.O_RDONLY | sum(extra))
    except ValueError as error:  # a null byte
        raise OSError(errno.EINVAL, "is not a path", str(path)) from error
    try:
        _reject_others(os.fstat(descriptor).st_mode, path)  # it may have been exchanged in between
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_regular(path: Path) -> bool:
    """Return whether a path leads to a regular file."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _reject_others(mode: int, path: Path | str) -> None:
    if not stat.S_ISREG(mode):
        kind = next((words for test, words in _KINDS if test(mode)), "something else")
        raise NotRegular(errno.EINVAL, f"{kind} where a file belongs", str(path))
