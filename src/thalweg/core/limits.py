"""How much memory the content of one file may take: asked before it is taken.

The limit holds for a file as it is in memory: unpacked, decoded, as arrays. It is half of the memory that is
free, or what the environment variable `THALWEG_MAX_BYTES` says (`4000000000`, `4GB`, `512MiB`). What a file
claims about itself (its size, the lengths in its header) is compared with the limit before anything is
allocated for it, and what a file unpacks to is counted on the way.
"""

import ctypes
import math
import os
import re
import sys
from pathlib import Path
from typing import TypeVar

from thalweg.core.errors import BadInput
from thalweg.core.lazy import psutil

try:
    import resource
except ImportError:  # not a Unix
    resource = None

E = TypeVar("E", bound=BadInput)

VARIABLE = "THALWEG_MAX_BYTES"
# The other half is for the copies that readers make on their way, and for what the process does besides.
SHARE = 0.5
_UNITS = {"": 1} | {
    f"{prefix}{unit}": base**power
    for base, unit in ((1000, "b"), (1024, "ib"))
    for power, prefix in enumerate("kmgt", 1)
}
_SETTING = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([kmgt]i?b|)\s*", re.ASCII | re.IGNORECASE)
_MEMORY, _GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def max_bytes() -> int:
    """Return the most bytes that the content of one file may take in memory.

    Raises:
        BadInput: The environment variable is not a number of bytes above 0.
    """
    setting = os.environ.get(VARIABLE, "").strip()
    if not setting:
        return int(SHARE * free_memory())
    most = bytes_of(setting)
    if most < 1:
        rule = "must be a number of bytes above 0"
        raise BadInput(VARIABLE, rule, got=setting, hint=f"for example {VARIABLE}=4GB")
    return most


def return_freed_memory() -> None:
    """Give memory that was freed back to the system, where the C library keeps it (glibc).

    Freed blocks lie between others that are in use, so that a process that has compiled and dropped many
    programs keeps their memory unless it is asked to return it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def check_memory(
    error: type[BadInput], who: str, count: int, where: object, *, copies: int = 1, most: int | None = None
) -> None:
    """Reject a file whose content would take more memory than it may.

    Args:
        error: Class of the error.
        who: Its subject.
        count: Bytes of the content, unpacked.
        where: The file.
        copies: Bytes of memory for each byte of the content, while it is read.
        most: The limit; None for `max_bytes`.

    Raises:
        BadInput: It would take more; of the class `error`.
    """
    most = max_bytes() if most is None else most
    if copies * count > most:
        got = as_bytes(count) + (
            f", which take {as_bytes(copies * count)} while they are read" * (copies > 1)
        )
        raise too_large(error, who, got, most, where)


def too_large(error: type[E], who: str, got: str, most: int, where: object) -> E:
    """Return the error for a file whose content would take more memory than it may."""
    rule = f"the content of a file may take at most {as_bytes(most)} of memory"
    room = math.ceil(2 * most / 1e9)
    hint = f"give a smaller file, or set the limit where there is room: {VARIABLE}={room}GB"
    return error(who, rule, got=got, where=where, hint=hint)


def bytes_of(text: str) -> int:
    """Return a number of bytes from text, `4000000000`, `4GB` or `512MiB`; 0 where it is none."""
    match = _SETTING.fullmatch(text)
    return int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0


def as_bytes(count: int) -> str:
    """Write a number of bytes: `512 bytes`, `1.5 MB`, `900 GB`."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB")):
        if count >= 1000**power:
            return f"{count / 1000**power:,.4g} {unit}"
    return f"{count:,} bytes"


def peak_memory() -> int | None:
    """Return the most bytes of main memory that this process has held; None where the system does not say."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def free_memory() -> int:
    """Return the bytes of main memory that this process can still have.

    That is what is available in the machine, or less: what `ulimit -v` or the memory limit of a container
    leaves.
    """
    return max(0, min(_available(), _left_of_address_space(), _left_of_group()))


def _available() -> int:
    try:  # as psutil does, which takes a while to import
        return 1024 * int(re.findall(r"^MemAvailable:\s+(\d+) kB", _MEMORY.read_text(), re.MULTILINE)[0])
    except (OSError, IndexError):  # not Linux
        return int(psutil.virtual_memory().available)


def address_space() -> int | None:
    """Return the bytes of address space that `ulimit -v` leaves this process in all; None without a limit."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0] if resource is not None else -1
    return None if resource is None or most == resource.RLIM_INFINITY else most


def _left_of_address_space() -> int:
    if not sys.platform.startswith("linux"):
        return sys.maxsize
    most = address_space()
    if most is None:
        return sys.maxsize
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return most - pages * os.sysconf("SC_PAGE_SIZE")


def _left_of_group() -> int:
    """Return what the control group of a container leaves; its file cache counts as free."""
    try:
        most, used = ((_GROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        cache = re.search(r"^inactive_file (\d+)", (_GROUP / "memory.stat").read_text(), re.MULTILINE)
        return int(most) - int(used) + (int(cache[1]) if cache else 0)
    except (OSError, ValueError):  # there is none, or it sets no limit ("max")
        return sys.maxsize
