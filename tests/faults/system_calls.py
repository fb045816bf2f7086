"""Faults at every system call of a save, one at a time, by a library that is loaded before the C library.

The trial is a process of its own with that library. For every call and fault it forks a writer, arms the
fault there, and checks what is left. A kill must leave the last durable checkpoint. A failing call must be
reported or handled, and must not prevent the next commit.
"""

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.faults.tally import Line
from tests.faults.victim import RUN, arrays_of, check_left, facts_of, scratch, write_runs
from thalweg.run.checkpoint.store import Retention, Store
from thalweg.run.folder.folder import RunFile
from thalweg.run.folder.lock import Lock

NOTHING, KILL_BEFORE, KILL_AFTER, FAIL, SHORT, TORN = range(6)
REPORTED = 7
# The quick trial tries one call in four; faults that can meet every call begin at different ones.
QUICK_STRIDE = 4


class Fault(NamedTuple):
    """What happens at the chosen call.

    Args:
        name: Name in the tally.
        what: One of the numbers above.
        error: The error of a failing call.
        onward: Whether all later calls fail as well, as on a disk that stays full.
        writes: Which calls are counted: 0 all, 1 those that change something, 2 those that write bytes.
    """

    name: str
    what: int
    error: int = 0
    onward: bool = False
    writes: int = 0


FAULTS = (
    Fault("SIGKILL before every system call", KILL_BEFORE),
    Fault("SIGKILL after every system call", KILL_AFTER),
    Fault("SIGKILL in the middle of every write", TORN, writes=2),
    Fault("disk full (ENOSPC) at every write or change, once", FAIL, errno.ENOSPC, writes=1),
    Fault("disk full (ENOSPC) from every write or change on", FAIL, errno.ENOSPC, onward=True, writes=1),
    Fault("EIO at every call, once", FAIL, errno.EIO),
    Fault("EIO from every call on", FAIL, errno.EIO, onward=True),
    Fault("short write at every write", SHORT, writes=2),
    Fault(
        "read-only file system (EROFS) from every write or change on",
        FAIL,
        errno.EROFS,
        onward=True,
        writes=1,
    ),
    Fault("permission denied (EACCES) at every call, once", FAIL, errno.EACCES),
)
PROMISE = {
    KILL_BEFORE: "the last durable checkpoint is sound; no incomplete checkpoint reads as sound",
    KILL_AFTER: "the last durable checkpoint is sound; no incomplete checkpoint reads as sound",
    TORN: "the last durable checkpoint is sound; no incomplete checkpoint reads as sound",
    FAIL: "reported or handled; the last durable checkpoint is sound; the next commit works",
    SHORT: "the commit works as usual",
}


def every_call(full: bool) -> Iterator[Line]:
    """Build the library, and try every fault at every call."""
    lines = {fault.name: Line(fault.name, PROMISE[fault.what]) for fault in FAULTS}
    with tempfile.TemporaryDirectory() as place:
        library = built(Path(place))
        if library is None:
            for line in lines.values():
                line.skipped = "no C compiler (gcc or cc), or no LD_PRELOAD, here"
        else:
            for result in _trial(library, full):
                line = lines[result["fault"]]
                line.add(result["wrong"])
                line.count("reported", int(result["code"] == REPORTED))
    yield from lines.values()


def built(place: Path) -> Path | None:
    """Compile the library; return None where that is not possible."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = place / "preload.so"
    source = Path(__file__).with_name("preload.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
    done = subprocess.run(command, capture_output=True, check=False)
    return library if done.returncode == 0 else None


def _trial(library: Path, full: bool) -> Iterator[dict]:
    """Run this module with the library; every line that it prints is one try."""
    environment = os.environ | {"LD_PRELOAD": str(library)}
    command = [sys.executable, "-m", "tests.faults.system_calls", "full" if full else "quick"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            yield json.loads(text)
    if process.returncode != 0:
        raise RuntimeError(f"the trial ended with {process.returncode}")


def _episode(folder: Path, durable: int) -> None:
    """Do what is tried: take the lock, commit twice, remove a checkpoint, write run.json."""
    with Lock(folder):
        write_runs(folder, 3, 2, lambda step: os.write(durable, bytes([step])))


def _tried(fault: Fault, number: int, at: Path) -> tuple[int, int, str | None]:
    """Try one fault at one call; return how the writer ended, the calls it made, and what is wrong."""
    folder = at / "run"
    write_runs(folder, 0, 3, lambda step: None)
    control, (reading, writing) = ctypes.CDLL(None), os.pipe()
    counting, counted = os.pipe()
    child = os.fork()
    if child == 0:
        control.fault_arm(
            str(folder).encode(), number, fault.what, fault.error, int(fault.onward), fault.writes
        )
        code = 1
        try:
            _episode(folder, writing)
            code = 0
        except Exception as error:
            code = REPORTED if isinstance(error, (OSError, ValueError)) else 1
        finally:
            os.write(counted, control.fault_count().to_bytes(8, "little"))
            os._exit(code)
    os.close(writing), os.close(counted)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(reading, "rb") as steps, os.fdopen(counting, "rb") as calls:
        words, number_of_calls = steps.read(), int.from_bytes(calls.read(), "little")
    return code, number_of_calls, _wrong(fault, folder, code, max(words) if words else 2)


def _wrong(fault: Fault, folder: Path, code: int, durable: int) -> str | None:
    allowed = {FAIL: (0, REPORTED), SHORT: (0,)}.get(fault.what, (0, -signal.SIGKILL))
    if code not in allowed:
        return f"the writer ended with {code}"
    newest, wrong = check_left(folder, durable)
    if wrong is not None:
        return wrong
    if code == 0 and newest != 4:
        return f"the writer reported nothing, and the newest sound step is {newest}"
    # What was left must not prevent the next commit.
    with Lock(folder):
        Store(folder, RUN).commit(9, arrays_of(9), facts_of(9), keep=Retention(1))
        RunFile(RUN).write(folder, [])
    left = sorted(name for name in os.listdir(folder / "checkpoints") if name.startswith(".part-"))
    return check_left(folder, 9)[1] or (f"left over after the next commit: {left}" if left else None)


def _all(stride: int) -> None:
    with scratch(fast=True) as place:
        for order, fault in enumerate(FAULTS):
            first = 1 + order % stride
            number, calls = -1, first
            while number <= calls:  # no call has the number -1: the first try counts
                at = Path(place) / f"{fault.name[:7].strip()}-{number}"
                code, counted, wrong = _tried(fault, number, at)
                calls = counted if number < 0 else calls
                if number > 0:
                    wrong = wrong and f"call {number} of {calls}: {wrong}"
                    print(json.dumps({"fault": fault.name, "code": code, "wrong": wrong}), flush=True)
                shutil.rmtree(at)
                number = first if number < 0 else number + stride


if __name__ == "__main__":
    _all(1 if sys.argv[1:] == ["full"] else QUICK_STRIDE)
