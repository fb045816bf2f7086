"""Every call to the file system that the store makes, in one place that a test can replace.

`Files` is the operating system's; `tests/faults` puts failing, recording and crashing ones in its stead.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

# Written and hashed in pieces, so that a hash can run while other threads do.
PIECE = 1 << 22


class Files:
    """Calls to the file system, each as small as the system's own. All of them raise OSError."""

    def make_folder(self, path: Path) -> None:
        """Make a folder, and those above it; that it exists is fine."""
        path.mkdir(parents=True, exist_ok=True)

    def create(self, path: Path) -> int:
        """Open a file for writing, emptied; return its descriptor."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        return os.open(path, flags, 0o666)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write what the system takes; return how many bytes it took."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Return when the file's content is on the disk, not only on its way."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def sync_folder(self, path: Path) -> None:
        """Return when the folder's entries (new, renamed and removed names) are on the disk."""
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        except OSError as error:  # some file systems cannot do it for a folder; theirs is the order then
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or folder another name in one indivisible step, over a file that has it."""
        os.rename(source, target)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        os.unlink(path)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        os.rmdir(path)

    def names(self, path: Path) -> list[str]:
        """Return the names in a folder, sorted; none where there is no such folder."""
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, path: Path, limit: int) -> bytes:
        """Return a regular file's content.

        Raises:
            OSError: It is missing, no regular file (a link, a pipe), or longer than `limit` bytes (EFBIG).
        """
        descriptor = _opened(path)
        with open(descriptor, "rb") as file:
            size = os.fstat(descriptor).st_size
            if size > limit:
                raise OSError(errno.EFBIG, f"has {size} bytes, more than {limit}", str(path))
            return file.read(size)


DISK = Files()


def write_all(files: Files, descriptor: int, data: memoryview) -> None:
    """Write all of `data`, however little the system takes at a time."""
    data = data.cast("B")
    while len(data):
        taken = files.write(descriptor, data[:PIECE])
        if taken <= 0:
            raise OSError(errno.EIO, "the system took no byte")
        data = data[taken:]


def write_file(files: Files, path: Path, pieces: Iterable[memoryview]) -> None:
    """Write a new file and return when it is on the disk. Its name may not be: sync the folder for that."""
    descriptor = files.create(path)
    try:
        for piece in pieces:
            write_all(files, descriptor, piece)
        files.sync(descriptor)
    finally:
        files.close(descriptor)


def replace(path: Path, content: bytes, files: Files = DISK) -> None:
    """Write a file so that a reader, or a crash at any instant, sees the old content or the new one.

    Raises:
        OSError: It could not be written. What lay there before still lies there.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        write_file(files, temporary, [memoryview(content)])
        files.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            files.remove(temporary)
        raise
    files.sync_folder(path.parent)


def remove_tree(files: Files, folder: Path) -> None:
    """Remove a folder and the files in it. The store makes no folders inside of these."""
    for name in files.names(folder):
        files.remove(folder / name)
    files.remove_folder(folder)


def _opened(path: Path) -> int:
    # A pipe in a file's place would keep `open` waiting for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "must be a regular file", str(path))
    return descriptor
