"""Checkpoints of a run: committed whole or not at all, kept by rule, read with everything verified.

    RUN/checkpoints/step-0000001200/arrays.safetensors, manifest.json

Commit: the arrays and then the manifest are written into a folder of a temporary name, each synced to disk;
the folder is synced; renamed in one indivisible step; the folder above it is synced. Only then are older ones
removed, each by first renaming it away. So at every instant a name `step-...` stands for a whole checkpoint,
and the last sound one is never given up before the next is on the disk.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint import safetensors_io as encoding
from thalweg.run.checkpoint.manifest import ARRAYS, MANIFEST, Manifest
from thalweg.run.folder import sealed_json as sealed
from thalweg.run.folder.filesystem import DISK, Files, remove_tree, write_file

FOLDER = "checkpoints"
_NAME = re.compile(r"step-(\d{10,18})(?:\.(\d{1,4}))?")
_LEFT_OVER = ".part-"


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    Args:
        path: Its folder.
        manifest: What it says of itself.
        arrays: By name, as they were given; read-only views of the file's content.
    """

    path: Path
    manifest: Manifest
    arrays: dict[str, np.ndarray]


class Damaged(NamedTuple):
    """A checkpoint that cannot be used, and why."""

    path: Path
    why: str


class Retention(NamedTuple):
    """Which checkpoints are kept: the last so many, and the one of the lowest score."""

    last: int = 2
    best: bool = True


KEEP = Retention()


class Store:
    """The checkpoints of one run.

    Args:
        run: The run's folder.
        identity: The run's identity; checkpoints of another are damaged ones. None takes any.
        files: The file system.
    """

    def __init__(self, run: Path, identity: str | None = None, files: Files = DISK):
        self.folder, self._identity, self._files = Path(run) / FOLDER, identity, files

    def commit(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray],
        facts: dict[str, Any],
        score: float | None = None,
        keep: Retention = KEEP,
    ) -> Path:
        """Write a checkpoint; when this returns, it is on the disk, and those no longer kept are gone.

        Args:
            step: Updates behind it.
            arrays: By name.
            facts: Plain JSON that is wanted again, without NaN or infinities.
            score: Validation loss, the lower the better; None where there is none.
            keep: Which ones to keep.

        Raises:
            OSError: It could not be written. Nothing of it is left, and older ones are as they were.
        """
        if FOLDER not in self._files.names(self.folder.parent):
            self._files.make_folder(self.folder)
            self._files.sync_folder(self.folder.parent)
        with contextlib.suppress(OSError):  # what cannot be removed now is tried again at the next commit
            self.sweep()
        path = self.folder / self._free_name(step)
        temporary = self.folder / f"{_LEFT_OVER}{path.name}"
        try:
            self._write(temporary, step, arrays, facts, score)
            self._files.rename(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):  # on a full disk this frees what was written
                remove_tree(self._files, temporary)
            raise
        self._files.sync_folder(self.folder)
        with contextlib.suppress(OSError):
            self._remove(self._superseded(keep))
        return path

    def names(self) -> list[str]:
        """Return the names of what claims to be a checkpoint, newest first."""
        found = [name for name in self._files.names(self.folder) if _NAME.fullmatch(name)]
        return sorted(found, key=_order, reverse=True)

    def manifest(self, name: str) -> Manifest:
        """Return a checkpoint's manifest; its arrays are not looked at.

        Raises:
            RunFolderError: It is missing, damaged, or of another run or step.
        """
        path = self.folder / name / MANIFEST
        try:
            manifest = Manifest.read(self._files.read(path, sealed.LIMIT), path)
        except OSError as error:
            raise _unreadable(path, error) from error
        if self._identity is not None and manifest.run != self._identity:
            raise _wrong("must be of this run", manifest.run, path)
        if manifest.step != _order(name)[0]:
            raise _wrong("must be of the step in its folder's name", manifest.step, path)
        return manifest

    def read(self, name: str, expected: Mapping[str, Any] | None = None) -> Checkpoint:
        """Return a checkpoint with every byte of it verified.

        Args:
            name: As `names` gives it.
            expected: Dtype and shape by name (as `arrays.described` gives them) that it must have; seen to
                before anything large is read.

        Raises:
            RunFolderError: It is damaged, or of another run or step, or has other arrays.
        """
        manifest, path = self.manifest(name), self.folder / name / ARRAYS
        if expected is not None and manifest.arrays != expected:
            raise _wrong("must have the arrays of this run", _difference(manifest.arrays, expected), path)
        told = manifest.files[ARRAYS]
        try:
            content = self._files.read(path, told["bytes"])
        except OSError as error:
            raise _unreadable(path, error) from error
        if len(content) != told["bytes"] or sealed.checksum(content) != told.get("sha256"):
            raise _wrong("must have the length and checksum of its manifest", f"{len(content)} bytes", path)
        arrays = encoding.decoded(content, path)
        if encoding.described(arrays) != manifest.arrays:
            raise _wrong("must hold the arrays of its manifest", sorted(arrays)[:4], path)
        return Checkpoint(self.folder / name, manifest, arrays)

    def sound(self, at: int | None = None, expected: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """Yield every checkpoint up to step `at`, newest first: a `Checkpoint`, or a `Damaged` with why."""
        for name in self.names():
            if at is None or _order(name)[0] <= at:
                try:
                    yield self.read(name, expected)
                except RunFolderError as error:
                    yield Damaged(self.folder / name, _why(error))

    def forget_after(self, step: int) -> None:
        """Remove the checkpoints of steps after this one: of a course that is about to be taken again."""
        self._remove(name for name in self.names() if _order(name)[0] > step)

    def sweep(self) -> None:
        """Remove what a killed writer left behind."""
        for name in self._files.names(self.folder):
            if name.startswith(_LEFT_OVER):
                remove_tree(self._files, self.folder / name)

    def _write(self, folder: Path, step: int, arrays: Mapping, facts: dict, score: float | None) -> None:
        self._files.make_folder(folder)
        digest, length = hashlib.sha256(), 0

        def hashed() -> Iterator[memoryview]:
            nonlocal length
            for piece in encoding.encoded(arrays):
                digest.update(piece)
                length += len(piece)
                yield piece

        write_file(self._files, folder / ARRAYS, hashed())
        told = {ARRAYS: {"bytes": length, "sha256": digest.hexdigest()}}
        manifest = Manifest(self._identity or "", step, score, told, encoding.described(arrays), facts)
        write_file(self._files, folder / MANIFEST, [memoryview(manifest.text())])
        self._files.sync_folder(folder)

    def _free_name(self, step: int) -> str:
        # Never over an older one, not even of the same step: it is needed until this one is on the disk. And
        # always above those of the same step, whatever of them is left: the highest name is the newest.
        numbers = [number for at, number in map(_order, self.names()) if at == step]
        return f"step-{step:010d}" + (f".{max(numbers) + 1}" if numbers else "")

    def _superseded(self, keep: Retention) -> list[str]:
        names, steps, kept = self.names(), [], set()
        for name in names:
            step = _order(name)[0]
            if step not in steps:
                steps.append(step)
                if len(steps) <= max(1, keep.last):
                    kept.add(name)
        if keep.best and (best := self._best(names)) is not None:
            kept.add(best)
        return [name for name in names if name not in kept]

    def _best(self, names: list[str]) -> str | None:
        scores = {}
        for name in names:
            with contextlib.suppress(RunFolderError):
                score = self.manifest(name).score
                if score is not None:
                    scores[name] = score
        return min(scores, key=scores.__getitem__) if scores else None

    def _remove(self, names: Iterable[str]) -> None:
        gone = [(self.folder / name, self.folder / f"{_LEFT_OVER}old-{name}") for name in names]
        for path, aside in gone:
            self._files.rename(path, aside)
        if gone:
            self._files.sync_folder(self.folder)
        for _, aside in gone:
            remove_tree(self._files, aside)


def _order(name: str) -> tuple[int, int]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise RunFolderError("checkpoint", "must be named step-<number>", got=name)
    return int(found[1]), int(found[2] or 0)


def _difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    return "; ".join(f"{name}: {found.get(name)} for {expected.get(name)}" for name in names[:3])


def _why(error: RunFolderError) -> str:
    got = "" if error.got is None else f" ({error.got})"
    place = Path(str(error.where)).name if error.where is not None else "it"
    return f"{place} {error.rule}{got}"


def _unreadable(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError("checkpoint", "must be readable", got=error.strerror or str(error), where=path)


def _wrong(rule: str, got: object, path: Path) -> RunFolderError:
    return RunFolderError("checkpoint", rule, got=got, where=path, hint="see `thalweg check RUN`")
