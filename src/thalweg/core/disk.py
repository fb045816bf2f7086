"""Files on disk: every file that Thalweg writes is opened here, and so is every file of a run folder.

Files are written under a random temporary name and renamed, so that a reader, a kill or a full disk leaves
the old content or the new one. No symbolic link is followed where a file belongs, nor, below a folder that
is given as `root`, anywhere on the way: each folder is opened relative to the one above it.

`Files` holds every call to the file system that checkpoints and run.json need. `tests/faults` replaces it
with disks that fail, record or lose power.
"""

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

# Bytes per write. Small enough that hashing, which releases the interpreter lock, alternates with writing.
WRITE_BYTES = 1 << 22
# Reasons in errors, in place of the system's own words, which do not name the rule.
LINK, NOT_A_FILE = "is a symbolic link, which is not followed", "must be a regular file"
_TEMPORARY = re.compile(r"\.thalweg-[0-9a-f]{16}\.part")
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_COMMON = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# Opening a pipe without O_NONBLOCK would wait for its other end forever.
_READ = os.O_RDONLY | _COMMON | getattr(os, "O_NONBLOCK", 0)
_FOLDER = os.O_RDONLY | _COMMON | getattr(os, "O_DIRECTORY", 0)
# A handle to reach what is in a folder needs no permission to list it, where the system tells the two apart.
_HANDLE = _FOLDER | getattr(os, "O_PATH", 0)
# Elsewhere than on Unix there are no handles of folders, and paths are used.
_HANDLES = os.open in os.supports_dir_fd


class Files:
    """The operating system's file calls. All of them raise OSError.

    Args:
        root: A folder that paths do not lead out of: no link below it is followed. None: only the last part
            of a path must not be a link.
    """

    root: Path | None = None

    def __init__(self, root: Path | None = None):
        self.root = None if root is None else Path(root)

    def make_folder(self, path: Path) -> None:
        """Create a folder and its parents; do nothing if it exists."""
        if self.root is None or not _HANDLES:
            path.mkdir(parents=True, exist_ok=True)
            return
        with contextlib.suppress(FileNotFoundError):
            os.close(self._open_folder(path))
            return
        self.root.mkdir(parents=True, exist_ok=True)
        for part in [path, *path.parents][::-1]:
            if part != self.root and part.is_relative_to(self.root):
                with self._at(part) as (folder, name), contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=folder)
        os.close(self._open_folder(path))

    def create(self, path: Path) -> int:
        """Create a file that must not exist yet, for writing and reading; return its descriptor."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK | _COMMON
        with self._at(path) as (folder, name):
            return os.open(name, flags, 0o666, dir_fd=folder)

    def open_shared(self, path: Path, *, create: bool) -> int:
        """Open a file that several processes write, such as a lock, created if missing and allowed."""
        flags = os.O_RDWR | _NO_LINK | _COMMON | getattr(os, "O_NONBLOCK", 0) | (os.O_CREAT if create else 0)
        with self._at(path) as (folder, name):
            return _regular(self._opened(name, flags, folder, path), path)[0]

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
        descriptor = self._open_folder(path, _FOLDER)
        try:
            os.fsync(descriptor)
        except OSError as error:  # some file systems cannot sync a folder and order its entries themselves
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file or folder atomically, replacing a file of that name."""
        with self._at(source) as (old_folder, old), self._at(target) as (new_folder, new):
            os.replace(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)

    def rename_new(self, source: Path, target: Path) -> None:
        """Rename a file; FileExistsError if the name is taken, also by another process at this moment."""
        with self._at(source) as (old_folder, old), self._at(target) as (new_folder, new):
            try:
                os.link(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder, follow_symlinks=False)
                os.unlink(old, dir_fd=old_folder)
            except FileExistsError:
                raise
            except (OSError, NotImplementedError):  # a file system without links
                if self.is_there(target):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
                os.replace(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)

    def remove(self, path: Path) -> None:
        """Remove a file; of a link, the link."""
        with self._at(path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        with self._at(path) as (folder, name):
            os.rmdir(name, dir_fd=folder)

    def names(self, path: Path) -> list[str]:
        """Return the sorted names in a folder; none if it does not exist or is not a folder, but a link."""
        try:
            descriptor = self._open_folder(path, _FOLDER)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a null byte
            return []
        except OSError as error:
            if error.errno == errno.ELOOP:
                return []
            raise
        try:
            return sorted(os.listdir(descriptor if _HANDLES else path))
        finally:
            os.close(descriptor)

    def is_there(self, path: Path) -> bool:
        """Return whether a name is taken: by a file, a folder, or a link, also one that leads nowhere."""
        return self._status(path) is not None

    def is_link(self, path: Path) -> bool:
        """Return whether a name is that of a symbolic link."""
        status = self._status(path)
        return status is not None and stat.S_ISLNK(status.st_mode)

    def check_replaceable(self, path: Path) -> None:
        """Reject to replace anything but a regular file: a link, a folder, a device.

        Raises:
            OSError: There is something else of that name; strerror says what is wrong.
        """
        status = self._status(path)
        if status is None or stat.S_ISREG(status.st_mode):
            return
        if stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, LINK, str(path))
        raise OSError(errno.EINVAL, NOT_A_FILE, str(path))

    def read(self, path: Path, limit: int) -> bytes:
        """Return the content of a regular file.

        Raises:
            OSError: The file is missing, not a regular file (a link, a pipe), or longer than `limit` bytes
                (EFBIG).
        """
        try:
            with self._at(path) as (folder, name):
                opened = self._opened(name, _READ | _NO_LINK, folder, path)
        except ValueError as error:  # a null byte
            raise OSError(errno.EINVAL, "is not a path", str(path)) from error
        descriptor, size = _regular(opened, path)
        with open(descriptor, "rb") as file:
            if size > limit:
                raise OSError(errno.EFBIG, f"has {size} bytes, more than {limit}", str(path))
            return file.read(size)

    def _status(self, path: Path) -> os.stat_result | None:
        with (
            contextlib.suppress(FileNotFoundError, ValueError),
            self._at(path) as (folder, name),
        ):  # a null byte
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        return None

    @contextlib.contextmanager
    def _at(self, path: Path) -> Iterator[tuple[int | None, str]]:
        """Open the folder of a path; what is done to the path's last part is done relative to it."""
        if not _HANDLES:
            self._reject_links(path.parent)
            yield None, str(path)
            return
        folder = self._open_folder(path.parent)
        try:
            yield folder, path.name
        finally:
            os.close(folder)

    def _open_folder(self, path: Path, flags: int = _HANDLE) -> int:
        if self.root is None or not _HANDLES:
            self._reject_links(path)
            return os.open(path, flags)
        inner = self._parts(path)
        descriptor = os.open(self.root, flags if not inner else _HANDLE)
        for count, part in enumerate(inner, 1):
            above, at = descriptor, self.root.joinpath(*inner[:count])
            try:
                kind = flags if count == len(inner) else _HANDLE
                descriptor = self._opened(part, kind | _NO_LINK, above, at)
            finally:
                os.close(above)
        return descriptor

    def _opened(self, name: str, flags: int, folder: int | None, path: Path) -> int:
        """Open a name; say that it is a link where the system's words would not."""
        try:
            return os.open(name, flags, 0o666, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    raise OSError(errno.ELOOP, LINK, str(path)) from None
            error.filename = str(path)
            raise

    def _parts(self, path: Path) -> tuple[str, ...]:
        """Return the parts of a path below the root."""
        assert self.root is not None
        inner = path.relative_to(self.root).parts if path.is_relative_to(self.root) else ("..",)
        if ".." in inner:
            raise OSError(errno.EPERM, f"leads out of {self.root}", str(path))
        return inner

    def _reject_links(self, path: Path) -> None:
        """Do what the handles do, where there are none; a link that is made at this moment is not noticed."""
        if self.root is not None:
            inner = self._parts(path)
            for at in (self.root.joinpath(*inner[:count]) for count in range(1, len(inner) + 1)):
                if at.is_symlink():
                    raise OSError(errno.ELOOP, LINK, str(at))


DISK = Files()


def _regular(descriptor: int, path: Path) -> tuple[int, int]:
    """Return an open file and its size, after checking that it is a regular one."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, NOT_A_FILE, str(path))
    return descriptor, status.st_size


def temporary_name(folder: Path) -> Path:
    """Return a new name in a folder, which cannot be guessed, for a file that is renamed when complete."""
    return folder / f".thalweg-{secrets.token_hex(8)}.part"


def left_over(folder: Path, files: Files = DISK) -> list[Path]:
    """Return the temporary files that a killed writer left in a folder."""
    return [folder / name for name in files.names(folder) if _TEMPORARY.fullmatch(name)]


def write_file(files: Files, path: Path, pieces: Iterable[memoryview], *, durable: bool = True) -> None:
    """Write a new file, and return when its content is on disk. For its name, sync the folder as well."""
    descriptor = files.create(path)
    try:
        for piece in pieces:
            _write_all(files, descriptor, piece.cast("B"))
        if durable:
            files.sync(descriptor)
    finally:
        files.close(descriptor)


def replace(
    path: Path, content: bytes, *, durable: bool = True, files: Files = DISK, new: bool = False
) -> None:
    """Write a file atomically: a reader, or a kill at any time, sees the old content or the new content.

    Args:
        path: The file.
        content: Its new content.
        durable: Whether the new content is on disk when this returns, so that it survives a power cut.
        files: The file system.
        new: Whether the name must be free (FileExistsError).

    Raises:
        OSError: The file could not be written, or a link or something else lies where it belongs. The old
            content is still there.
    """
    _replace(path, [memoryview(content)], durable=durable, files=files, new=new)


def _replace(path: Path, pieces: Iterable[memoryview], *, durable: bool, files: Files, new: bool) -> None:
    files.check_replaceable(path)
    temporary = temporary_name(path.parent)
    try:
        write_file(files, temporary, pieces, durable=durable)
        (files.rename_new if new else files.rename)(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            files.remove(temporary)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise
    if durable:
        files.sync_folder(path.parent)


def replace_by_parts(
    path: Path, pieces: Iterable[bytes | memoryview], *, files: Files = DISK, new: bool = False
) -> None:
    """Write a file whose content does not fit in memory atomically, as `replace` does.

    What the pieces raise while they are made leaves the old content, too.
    """
    _replace(path, (memoryview(piece) for piece in pieces), durable=True, files=files, new=new)


def remove_if_there(files: Files, path: Path) -> None:
    """Remove a file, if it exists; of a link, the link."""
    with contextlib.suppress(FileNotFoundError):
        files.remove(path)


def remove_tree(files: Files, folder: Path) -> None:
    """Remove a folder and the files in it, which must not be folders; of a link to a folder, the link."""
    if files.is_link(folder):
        files.remove(folder)
        return
    for name in files.names(folder):
        files.remove(folder / name)
    files.remove_folder(folder)


def _write_all(files: Files, descriptor: int, data: memoryview) -> None:
    while len(data):
        written = files.write(descriptor, data[:WRITE_BYTES])
        if written <= 0:
            raise OSError(errno.EIO, "the system wrote no byte")
        data = data[written:]
