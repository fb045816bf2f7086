"""Faults around the writer: other writers, stale locks, a removed folder, a failing disk, no memory."""

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.faults.kills import killed_writer
from tests.faults.tally import Line
from tests.faults.victim import RUN, arrays_of, check_left, facts_of, scratch, write_by_thread, write_runs
from thalweg.core.disk import Files
from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.store import Retention, Store
from thalweg.run.checkpoint.writer_thread import Saver, SaveRequest
from thalweg.run.folder import lock
from thalweg.run.folder.lock import Lock, holder

MEMORY_LIMIT = 150 << 20


def surroundings(full: bool) -> Iterator[Line]:
    """Try all of these."""
    yield _two_writers(300 if full else 30)
    yield _race(200 if full else 20)
    yield _left_behind()
    yield _failing_disk(300 if full else 40)
    yield _removed_folder(100 if full else 10)
    yield _no_memory(10 if full else 2)


def _two_writers(times: int) -> Line:
    line = Line(
        "two processes want one run; the owner is killed",
        "the second is refused while the first lives, and gets the lock as soon as the first has ended",
    )
    rng = random.Random(1)
    with scratch(fast=True) as place:
        folder = Path(place)
        for number in range(times):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                with Lock(folder):
                    os.write(writing, b"x")
                    time.sleep(60)
                os._exit(0)
            os.read(reading, 1)
            os.close(reading)
            os.close(writing)
            refused = _is_refused(folder) and (holder(folder) or {}).get("pid") == child
            time.sleep(rng.uniform(0, 0.002))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            granted = not _is_refused(folder) and holder(folder) is None
            line.add(None if refused and granted else f"try {number}: refused {refused}, granted {granted}")
    return line


def _race(times: int, processes: int = 6) -> Line:
    line = Line(
        f"{processes} processes take a free lock at once, with and without file locks of the system",
        "at most one holds it at any time",
    )
    for number in range(times):
        with scratch(fast=True) as place:
            folder = Path(place)
            children = [_contender(folder, without=number % 2 == 1) for _ in range(processes)]
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            line.add("two had it at once" if 3 in codes or set(codes) - {0, 2} else None)
            line.count("got it", codes.count(0))
    return line


def _contender(folder: Path, without: bool) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if without:
            lock.fcntl = None
        with Lock(folder):
            flag = os.open(folder / "alone", os.O_CREAT | os.O_EXCL)  # fails when another is inside
            time.sleep(0.02)
            os.close(flag)
            os.unlink(folder / "alone")
        code = 0
    except RunFolderError:
        code = 2
    except FileExistsError:
        code = 3
    finally:
        os._exit(code)


def _is_refused(folder: Path) -> bool:
    try:
        with Lock(folder):
            return False
    except RunFolderError:
        return True


def _left_behind() -> Line:
    """Lock files where the system has no file locks: only their content names the owner."""
    line = Line(
        "a lock file left behind, where the system has no file locks",
        "stale if the owner is known to have ended; refused if it lives or cannot be seen",
    )
    me = lock.this_process()
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    for label, owner, refused in (
        ("a dead process", me | {"pid": int(gone.stdout)}, False),
        ("a later process with the same number", me | {"started": 1}, False),
        ("before a restart of the machine", me | {"boot": str(uuid.uuid4())}, False),
        ("another machine", me | {"machine": "elsewhere"}, True),
        ("another container", me | {"space": "pid:[1]"}, True),
        ("a process that lives", me | {"pid": os.getppid(), "started": lock._start_time(os.getppid())}, True),
        ("a torn file", None, False),
        ("not ours", {"pid": "x"}, False),
    ):
        with scratch(fast=True) as place:
            (Path(place) / lock.NAME).write_text("{" if owner is None else json.dumps(owner))
            line.add(None if _without_locks(lambda at=place: _is_refused(Path(at))) == refused else label)
    return line


def _without_locks(call: Callable[[], Any]) -> Any:
    fcntl, lock.fcntl = lock.fcntl, None
    try:
        return call()
    finally:
        lock.fcntl = fcntl


class Failing(Files):
    """A disk on which some calls fail for a while."""

    def __init__(self, failing: dict[str, int]):
        self.failing = failing

    def _fail_if_chosen(self, name: str) -> None:
        if name in self.failing:
            raise OSError(self.failing[name], os.strerror(self.failing[name]))

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write, or fail."""
        self._fail_if_chosen("write")
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Sync, or fail."""
        self._fail_if_chosen("sync")
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Rename, or fail."""
        self._fail_if_chosen("rename")
        super().rename(source, target)

    def create(self, path: Path) -> int:
        """Create, or fail."""
        self._fail_if_chosen("create")
        return super().create(path)


def _failing_disk(times: int) -> Line:
    line = Line(
        "while training: disk full, EIO, or renaming or creating fails, for a while",
        "a warning each; training continues; the last sound checkpoint stays; saving works again afterwards",
    )
    rng = random.Random(2)
    kinds = [
        (name, error) for name in ("write", "sync", "rename", "create") for error in (errno.ENOSPC, errno.EIO)
    ]
    with scratch(fast=True) as place:
        for number in range(times):
            folder, failing, warnings = Path(place) / str(number), {}, []
            saver = Saver(Store(folder, RUN, Failing(failing)), Retention(2), warnings.append)
            durable, lost = None, 0
            for step in range(8):
                failing.clear()
                if 2 <= step < 6:
                    failing.update([rng.choice(kinds)])
                saver.submit(SaveRequest(step, arrays_of(step), facts_of(step)))
                saver.settle()
                durable = step if saver.saved == step else durable
                lost += saver.saved != step
            saver.close()
            wrong = check_left(folder, durable)[1]
            if durable != 7 or lost != 4 or len(warnings) != 4:
                wrong = wrong or f"last {durable}, lost {lost}, warnings {warnings[:1]}"
            line.add(wrong)
            line.count("warnings", len(warnings))
            shutil.rmtree(folder)
    return line


def _removed_folder(times: int) -> Line:
    line = Line("the run folder removed while a writer uses it", "the next checkpoint creates it again")
    with scratch(fast=True) as place:
        folder = Path(place) / "run"
        for number in range(times):
            write_runs(folder, 0, 2, lambda step: None)
            shutil.rmtree(folder)
            store = Store(folder, RUN)
            store.commit(5, arrays_of(5), facts_of(5))
            line.add(check_left(folder, 5)[1] and f"try {number}")
            shutil.rmtree(folder)
    return line


def _no_memory(times: int) -> Line:
    """Let the kernel kill a writer for its memory, in a control group of its own."""
    line = Line("out-of-memory kill by the kernel", "the last durable checkpoint is sound")
    group = _limited_group()
    if group is None:
        line.skipped = "no control group with a memory limit can be made here"
        return line
    try:
        with scratch() as place:
            newest = None
            for _ in range(times):
                durable, code = killed_writer(Path(place), _growing(group), (newest or 0) + 1, 30.0)
                newest, wrong = check_left(Path(place), durable if durable is not None else newest)
                line.add(wrong or (None if code == -signal.SIGKILL else f"it ended with {code}"))
    finally:
        group.rmdir()
    return line


def _limited_group() -> Path | None:
    """Make a control group (version 1 or 2) with a memory limit; return None where that is not possible."""
    for parent, limit in (("", "memory.max"), ("memory", "memory.limit_in_bytes")):
        group = Path("/sys/fs/cgroup", parent, f"thalweg-faults-{os.getpid()}")
        if not (group.parent / "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
            (group / limit).write_text(str(MEMORY_LIMIT))
            return group
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
    return None


def _growing(group: Path) -> Callable[..., None]:
    def write(folder: Path, first: int, count: int, durable: Callable[[int], None]) -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        hoard: list[bytes] = []

        def grow(step: int) -> None:
            durable(step)
            hoard.append(b"x" * (8 << 20))

        write_by_thread(folder, first, count, grow)

    return write
