"""Power cuts: a model of a disk that keeps what was synced, and any part of the rest.

A kill does not lose what the system holds in memory; a power cut does. The model is stricter than any file
system: any part of the unsynced bytes may survive, or zeros in their place, and any subset of the unsynced
names, in any combination over folders. Only a rename within a folder is atomic.
"""

import contextlib
import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.tally import Line
from tests.faults.victim import check_left, scratch, write_runs
from thalweg.core.disk import Files

COMMITS = 4
# (which unsynced names, which unsynced bytes) survive
FIXED = (
    ("none", "old"),
    ("all", "old"),
    ("all", "zeros"),
    ("all", "prefix"),
    ("none", "new"),
    ("all", "new"),
)
RANDOM_QUICK, RANDOM_FULL = 4, 200


class Cut(BaseException):
    """The power is cut."""


@dataclass
class Content:
    """A file: its bytes as the system sees them, and as they are on disk."""

    seen: bytearray = field(default_factory=bytearray)
    disk: bytes = b""

    def survivor(self, mode: str, rng: random.Random) -> bytes:
        """Return what survives the cut."""
        if bytes(self.seen) == self.disk or mode == "old":
            return self.disk
        if mode == "any":
            mode = rng.choice(("old", "new", "zeros", "prefix"))
            return self.survivor(mode, rng)
        if mode == "zeros":
            return bytes(len(self.seen))
        return bytes(self.seen[: rng.randrange(len(self.seen) + 1)] if mode == "prefix" else self.seen)


@dataclass
class Names:
    """A folder: its names as the system sees them, as they are on disk, and the changes between the two."""

    seen: dict[str, "Content | Names"] = field(default_factory=dict)
    disk: dict[str, "Content | Names"] = field(default_factory=dict)
    pending: list[Callable[[dict], None]] = field(default_factory=list)

    def do(self, change: Callable[[dict], None]) -> None:
        """Change the names for the system now; a sync changes them on disk."""
        change(self.seen)
        self.pending.append(change)

    def sync(self) -> None:
        """Write the names to disk."""
        self.disk, self.pending = dict(self.seen), []

    def survivors(self, mode: str, rng: random.Random) -> dict:
        """Return the names that survive the cut."""
        found = dict(self.disk)
        for change in self.pending:
            if mode == "all" or (mode == "any" and rng.random() < 0.5):
                change(found)
        return found


class Disk(Files):
    """The model as a file system; the power is cut at call number `cut`."""

    def __init__(self, root: Path, cut: int = -1):
        self.root, self.calls, self._cut = root, 0, cut
        self.top = Names()
        self._open: dict[int, Content] = {}

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it."""
        for part in [path, *path.parents][::-1]:
            if part.is_relative_to(self.root) and part != self.root and self._find(part) is None:
                self._call()
                self._add(part)

    def create(self, path: Path) -> int:
        """Open a file, truncated."""
        self._call()
        found = self._find(path)
        if not isinstance(found, Content):
            found = Content()
            self._folder(path.parent).do(lambda names: names.setdefault(path.name, found))
        found.seen = bytearray()
        descriptor = len(self._open) + 100
        self._open[descriptor] = found
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write all of it."""
        self._call()
        self._open[descriptor].seen += data
        return len(data)

    def sync(self, descriptor: int) -> None:
        """Write the bytes to disk, but not the name of the file."""
        self._call()
        self._open[descriptor].disk = bytes(self._open[descriptor].seen)

    def close(self, descriptor: int) -> None:
        """Do nothing."""

    def sync_folder(self, path: Path) -> None:
        """Write the names of the folder to disk."""
        self._call()
        self._folder(path).sync()

    def rename(self, source: Path, target: Path) -> None:
        """Rename within a folder."""
        self._call()
        assert source.parent == target.parent, "the model has renames within a folder only"
        found = self._find(source)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(source))

        def change(names: dict) -> None:
            names.pop(source.name, None)
            names[target.name] = found

        self._folder(source.parent).do(change)

    def remove(self, path: Path) -> None:
        """Remove a name."""
        self._call()
        self._folder(path.parent).do(lambda names: names.pop(path.name, None))

    def remove_folder(self, path: Path) -> None:
        """Remove a folder's name."""
        self.remove(path)

    def names(self, path: Path) -> list[str]:
        """Return the names that the system sees."""
        found = self._find(path)
        return sorted(found.seen) if isinstance(found, Names) else []

    def read(self, path: Path, limit: int) -> bytes:
        """Return the bytes that the system sees."""
        found = self._find(path)
        if not isinstance(found, Content):
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return bytes(found.seen[:limit])

    def after_the_cut(self, folder: Path, names: str, data: str, rng: random.Random) -> None:
        """Write what survives into a real folder."""
        _written(self.top, folder, names, data, rng)

    def _call(self) -> None:
        self.calls += 1
        if 0 <= self._cut <= self.calls:
            raise Cut

    def _add(self, path: Path) -> None:
        folder = Names()
        self._folder(path.parent).do(lambda names: names.setdefault(path.name, folder))

    def _find(self, path: Path) -> Content | Names | None:
        at: Content | Names | None = self.top
        for part in path.relative_to(self.root).parts:
            at = at.seen.get(part) if isinstance(at, Names) else None
        return at

    def _folder(self, path: Path) -> Names:
        found = self._find(path)
        if not isinstance(found, Names):
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(path))
        return found


def _written(folder: Names, place: Path, names: str, data: str, rng: random.Random) -> None:
    os.makedirs(place, exist_ok=True)
    for name, found in folder.survivors(names, rng).items():
        if isinstance(found, Names):
            _written(found, place / name, names, data, rng)
        else:
            (place / name).write_bytes(found.survivor(data, rng))


def power_cuts(full: bool, disk: type[Disk] = Disk) -> Iterator[Line]:
    """Cut the power at every call of a save, and check everything that may be left."""
    line = Line(
        "power cut at every call: unsynced bytes and names lost, zeroed or kept in any mix",
        "the last durable checkpoint is sound; damage is detected",
    )
    rng = random.Random(0)
    with scratch(fast=True) as place:
        calls = _until(disk(Path("/run")), [])
        for cut in range(1, calls + 1):
            durable: list[int] = []
            model = disk(Path("/run"), cut)
            _until(model, durable)
            variants = [*FIXED, *[("any", "any")] * (RANDOM_FULL if full else RANDOM_QUICK)]
            for names, data in variants:
                folder = Path(place) / "run"
                model.after_the_cut(folder, names, data, rng)
                wrong = check_left(folder, durable[-1] if durable else None, visible_is_sound=False)[1]
                line.add(wrong and f"call {cut} of {calls}, names {names}, bytes {data}: {wrong}")
                shutil.rmtree(folder)
        line.count("calls", calls)
    yield line


def _until(model: Disk, durable: list[int]) -> int:
    with contextlib.suppress(Cut):
        write_runs(model.root, 0, COMMITS, durable.append, model)
    return model.calls
