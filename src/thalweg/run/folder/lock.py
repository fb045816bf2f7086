"""One writer at a time: a lock on a run folder that a crash does not leave behind.

Where the system locks files (`flock`) the lock ends with the process, however that ends. Where it does not
(some network file systems), the file's own words decide: who wrote it (process, when it started, which boot
of which machine); a writer that is seen to be gone is stale, one that cannot be seen is not.
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

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None

NAME = ".lock"
# Without file locks two can judge at the same moment; whoever is held up for longer than this is too late.
_SETTLE_SECONDS = 0.3
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
_OWNER_BYTES = 4096


class Lock:
    """The lock of a run folder, held while entered.

    Args:
        folder: The run folder.

    Raises:
        RunFolderError: Another process writes there, or it cannot be told; when entered.
    """

    def __init__(self, folder: Path):
        self._path, self._descriptor = Path(folder) / NAME, -1

    def __enter__(self) -> Self:
        while not self._taken():
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # the folder may be gone by now
            if _same(self._path, self._descriptor):
                self._path.unlink()
        os.close(self._descriptor)

    def _taken(self) -> bool:
        """Take the lock; False when its file was removed between opening and locking: try again."""
        descriptor = _open(self._path)
        try:
            alone = _flock(descriptor, self._path)
            if not _same(self._path, descriptor):
                os.close(descriptor)
                return False
            owner = _owner(descriptor)
            if owner is not None and not _gone(owner, unseen_is_gone=alone):
                raise _held(self._path, owner)
            _sign(descriptor, self._path, alone)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True


def holder(folder: Path) -> dict[str, Any] | None:
    """Return who writes into a run folder now; None when nobody does. Nothing is changed."""
    path = Path(folder) / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        alone = _flock(descriptor, path)
        owner = _owner(descriptor)
        return None if owner is None or _gone(owner, unseen_is_gone=alone) else owner
    except RunFolderError:
        return _owner(descriptor) or {}
    finally:
        os.close(descriptor)


def check_free(folder: Path) -> None:
    """Refuse a folder that somebody writes into now.

    Raises:
        RunFolderError: A process that lives holds its lock.
    """
    owner = holder(folder)
    if owner is not None:
        raise _held(Path(folder) / NAME, owner if "pid" in owner else None)


def this_process() -> dict[str, Any]:
    """Return what tells this process from any other, before and after."""
    return {
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "boot": _boot(),
        "space": _space(),
        "machine": platform.node(),
        "token": uuid.uuid4().hex,
    }


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise RunFolderError(
            "run",
            "the run folder must be writable",
            got=str(path.parent),
            where=error.strerror,
            hint="look at its owner and its rights, or copy it elsewhere",
        ) from error


def _flock(descriptor: int, path: Path) -> bool:
    """Lock the open file; False where the system has no such locks.

    Raises:
        RunFolderError: Another process holds it.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise _held(path, _owner(descriptor)) from None
    return True


def _sign(descriptor: int, path: Path, alone: bool) -> None:
    mine = json.dumps(this_process()).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, mine, 0)
    if not alone:
        # Two that found the same stale lock both write; the last word counts, once both have spoken.
        time.sleep(_SETTLE_SECONDS)
        if os.pread(descriptor, _OWNER_BYTES, 0) != mine:
            raise _held(path, _owner(descriptor))


def _owner(descriptor: int) -> dict[str, Any] | None:
    """Return who signed; None for a file that nobody signed, or a torn one."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(os.pread(descriptor, _OWNER_BYTES, 0))
        if isinstance(found, dict) and type(found.get("pid")) is int:
            return found
    return None


def _gone(owner: dict[str, Any], unseen_is_gone: bool) -> bool:
    """Whether the process that signed has ended."""
    if owner.get("machine") != platform.node() or owner.get("space") != _space():
        return unseen_is_gone  # another machine or container: not to be seen from here
    if owner.get("boot") != _boot():
        return True  # this machine was started again since
    return not _lives(owner["pid"]) or owner.get("started") != _started(owner["pid"])


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> int | None:
    """Return when a process was started, in clock ticks since boot; None where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text()
        return int(text.rpartition(")")[2].split()[19])  # field 22; the name may hold blanks and brackets
    return None


def _boot() -> str | None:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def _space() -> str | None:
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return None


def _same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def _held(path: Path, owner: dict[str, Any] | None) -> RunFolderError:
    return RunFolderError(
        "run",
        "one process at a time may write into a run folder",
        got=f"process {owner['pid']}" if owner else "another process",
        where=path.parent,
        hint=f"wait for it or end it; if it is surely gone, remove {path}",
    )
