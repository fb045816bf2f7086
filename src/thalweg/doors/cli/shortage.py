"""What the machine lacks (memory, files, threads, disk space), told from the exceptions of all libraries.

Each of them says it in its own way, and at any place: `ulimit -v` may fail an import, a thread or an array.
"""

import errno
import re

from thalweg.core.errors import ShortageError
from thalweg.core.limits import VARIABLE, address_space, as_bytes, free_memory

# Address space, mostly unused, of a command on two cores: 3.5 GB at the peak. With 3 GB, JAX aborts.
ADDRESS_SPACE = 4_000_000_000
_MEMORY = re.compile(
    r"resource_exhausted|out of memory|memory allocation|bad_alloc|cannot allocate memory"
    r"|failed to map segment|unable to allocate|capacity overflow|malloc of size|realloc of size",
    re.IGNORECASE,
)
_THREADS = re.compile(r"can't start new thread|failed to spawn|could not create .{0,20}thread", re.IGNORECASE)
_BY_NUMBER = {
    errno.ENOMEM: "memory",
    errno.EMFILE: "open files",
    errno.ENFILE: "open files",
    errno.ENOSPC: "space on the disk",
    errno.EDQUOT: "space on the disk",
}
_HINTS = {
    "memory": "free some, lift `ulimit -v`, or use fewer examples, a smaller model or smaller batches; "
    f"{VARIABLE} limits what one file may take",
    "open files": "raise the limit: ulimit -n 1024",
    "threads": "raise the limits of processes and memory: ulimit -u, ulimit -v",
    "space on the disk": "free some, or write to another disk; a run that was saved can be resumed",
}


def reject_small_address_space() -> None:
    """Reject an `ulimit -v` in which JAX's compiler aborts the process rather than fail.

    Raises:
        ShortageError: The limit is below 4 GB.
    """
    space = address_space()
    if space is not None and space < ADDRESS_SPACE:
        rule = f"there must be {as_bytes(ADDRESS_SPACE)} of address space (ulimit -v)"
        hint = f"ulimit -v {ADDRESS_SPACE // 1024}; to limit what files may take, set {VARIABLE}"
        raise ShortageError("machine", rule, got=as_bytes(space), hint=hint)


def as_shortage(error: BaseException) -> ShortageError | None:
    """Return the error that says what the machine lacks; None where the cause is another."""
    seen: BaseException | None = error
    known: set[int] = set()
    while seen is not None and id(seen) not in known:  # a context may lead back to an error before it
        known.add(id(seen))
        what = _lacking(seen)
        if what is not None:
            got = str(seen).strip().splitlines()
            free = f", {as_bytes(free_memory())} are free" if what == "memory" else ""
            return ShortageError(
                "machine",
                f"there are not enough {what}" if what[-1] == "s" else f"there is not enough {what}",
                got=f"{got[0][:160] if got else type(seen).__name__}{free}",
                hint=_HINTS[what],
            )
        seen = seen.__cause__ or seen.__context__
    return None


def _lacking(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError) and error.errno in _BY_NUMBER:
        return _BY_NUMBER[error.errno]
    text = f"{type(error).__name__}: {error}"
    if _THREADS.search(text):
        return "threads"
    return "memory" if _MEMORY.search(text) else None
