"""One writer at a time: a lock on a run folder that a crash does not leave behind.

With file locks of the operating system (`flock`) the lock ends when its process ends, however that happens.
Where they do not exist (some network file systems) the content of the lock file decides. It names the owner:
process, start time, and the machine, boot and container of the process. A lock whose
owner is known to have ended is stale; one whose owner is not visible from here is not.

The filelock library is not used because its lock files do not name the owner under `flock`, and because it
refuses a torn lock file permanently (`tests/faults/surroundings.py` tries both).
"""

import contextlib
import errno
import json
import os
import platform
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from thalweg.core.errors import RunFolderError
from thalweg.run.folder.filesystem import files_of

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None

NAME = ".lock"
# Without file locks two processes may see the same stale lock. The slower one, by more than this, loses it.
_SETTLE_SECONDS = 0.3
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
_OWNER_BYTES = 4096


class Lock:
    """The lock of a run folder, as a context manager.

    Args:
        folder: The run folder.

    Raises:
        RunFolderError: On entry: another process holds the lock, or may hold it.
    """

    def __init__(self, folder: Path):
        self._path, self._descriptor = Path(folder) / NAME, -1

    def __enter__(self) -> Self:
        while not self._acquire():
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # the folder may have been removed
            if _is_same_file(self._path, self._descriptor):
                self._path.unlink()
        os.close(self._descriptor)

    def _acquire(self) -> bool:
        """Take the lock; return False if its file was removed after it was opened, to try again."""
        descriptor = _open(self._path)
        try:
            exclusive, owner = _lock(descriptor)
            if not _is_same_file(self._path, descriptor):
                os.close(descriptor)
                return False
            if owner is not None:
                raise _held(self._path, owner)
            _write_owner(descriptor, self._path, exclusive)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True


def holder(folder: Path) -> dict[str, Any] | None:
    """Return the process that is writing to a run folder, {} if it is unknown; None if there is none.

    Nothing is changed.
    """
    try:
        descriptor = files_of(Path(folder)).open_shared(Path(folder) / NAME, create=False)
    except OSError:
        return None
    try:
        return _lock(descriptor)[1]
    finally:
        os.close(descriptor)


def writer(folder: Path) -> dict[str, Any] | None:
    """Return the process that is writing to a run folder as its lock file names it; None if it has ended.

    Unlike `holder` it never takes the lock, not even for a moment: whoever looks at many folders once a
    second must not make a run fail that starts in the same instant. A process on another machine, or in
    another container, counts as writing.
    """
    try:
        owner = _owner_in(files_of(Path(folder)).read(Path(folder) / NAME, _OWNER_BYTES))
    except OSError:
        return None
    return None if owner is None or _has_ended(owner, if_unseen=False) else owner


def check_free(folder: Path) -> None:
    """Reject a folder that another process is writing to.

    Raises:
        RunFolderError: A live process holds its lock.
    """
    owner = holder(folder)
    if owner is not None:
        raise _held(Path(folder) / NAME, owner)


def this_process() -> dict[str, Any]:
    """Return what identifies this process among all processes, past and future."""
    return {
        "pid": os.getpid(),
        "started": _start_time(os.getpid()),
        "boot": _boot(),
        "space": _pid_namespace(),
        "machine": platform.node(),
        "token": uuid.uuid4().hex,
    }


def _open(path: Path) -> int:
    try:
        return files_of(path.parent).open_shared(path, create=True)
    except OSError as error:
        raise RunFolderError(
            "run",
            "the run folder must be writable",
            got=str(path.parent),
            where=error.strerror,
            hint="check its owner and permissions, or copy it elsewhere",
        ) from error


def _lock(descriptor: int) -> tuple[bool, dict[str, Any] | None]:
    """Lock an open lock file.

    Returns:
        Whether the file is locked now; it is not where the system has no file locks. And the other process
        that holds the lock, {} if it is unknown; None if there is none.
    """
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        exclusive = fcntl is not None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            return False, _read_owner(descriptor) or {}
        exclusive = False
    owner = _read_owner(descriptor)
    return exclusive, None if owner is None or _has_ended(owner, if_unseen=exclusive) else owner


def _write_owner(descriptor: int, path: Path, exclusive: bool) -> None:
    content = json.dumps(this_process()).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)
    if not exclusive:
        # Two processes that see the same stale lock both write. After a pause the last writer holds it.
        time.sleep(_SETTLE_SECONDS)
        if os.pread(descriptor, _OWNER_BYTES, 0) != content:
            raise _held(path, _read_owner(descriptor) or {})


def _read_owner(descriptor: int) -> dict[str, Any] | None:
    """Return the owner that a lock file names; None for an empty or torn file."""
    with contextlib.suppress(OSError):
        return _owner_in(os.pread(descriptor, _OWNER_BYTES, 0))
    return None


def _owner_in(content: bytes) -> dict[str, Any] | None:
    """Return the owner in the content of a lock file; None if it is empty or torn."""
    with contextlib.suppress(ValueError, RecursionError):
        owner = json.loads(content)
        if isinstance(owner, dict) and type(owner.get("pid")) is int:
            return owner
    return None


def _has_ended(owner: dict[str, Any], if_unseen: bool) -> bool:
    """Whether an owner has ended; `if_unseen` for one on another machine or in another container."""
    if owner.get("machine") != platform.node() or owner.get("space") != _pid_namespace():
        return if_unseen
    if owner.get("boot") != _boot():
        return True
    try:
        os.kill(owner["pid"], 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return True
    except OSError:  # it exists and belongs to another user
        pass
    return owner.get("started") != _start_time(owner["pid"])


def _start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None where that is unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text()
        return int(text.rpartition(")")[2].split()[19])  # field 22; the name may contain spaces and brackets
    return None


def _boot() -> str | None:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def _pid_namespace() -> str | None:
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return None


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


def _held(path: Path, owner: dict[str, Any]) -> RunFolderError:
    return RunFolderError(
        "run",
        "one process at a time may write into a run folder",
        got=f"process {owner['pid']} on {owner.get('machine', '?')}" if owner else "another process",
        where=path.parent,
        hint=f"wait for it or end it; if it has certainly ended, remove {path}",
    )
