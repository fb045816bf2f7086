"""Checkpoints of a run: written atomically, retained by rule, and verified when they are read.

    RUN/checkpoints/step-0000001200/arrays.safetensors, manifest.json

A commit writes the arrays and then the manifest into a folder with a temporary name, syncs each to disk,
syncs the folder, renames it atomically, and syncs the folder above. Only then are older checkpoints removed,
each renamed away first. So `step-...` is always a complete checkpoint, and the last sound
checkpoint is not removed before the next one is on disk.

manifest.json has these entries:

    schema      1; any other number is refused
    run         identity of the run, so that a checkpoint of another run is detected
    step        number of updates, the same as in the folder's name
    score       validation loss, to keep the best checkpoint; null if there is none
    files       size in bytes and SHA-256 of arrays.safetensors
    arrays      dtype and shape of every array, in the order of the file
    facts       what the run itself needs to resume, as plain JSON
    sha256      checksum of the other entries (`filesystem.seal`)
"""

import contextlib
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from thalweg.core.disk import Files, remove_tree, write_file
from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.safetensors_io import decode, describe_arrays, encode
from thalweg.run.folder.filesystem import (
    SEALED_LIMIT,
    checksum,
    files_of,
    seal,
    unseal_object,
)

FOLDER, MANIFEST, ARRAYS = "checkpoints", "manifest.json", "arrays.safetensors"
# Prefix of folders that a writer has not finished, or is removing.
LEFT_OVER = ".part-"
SCHEMA = 1
_TYPES = {
    "run": (str,),
    "step": (int,),
    "score": (float, int, type(None)),
    "files": (dict,),
    "arrays": (dict,),
    "facts": (dict,),
}
_NAME = re.compile(r"step-(\d{10,18})(?:\.(\d{1,4}))?")


@dataclass(frozen=True)
class Manifest:
    """A manifest; the fields are the entries of the file."""

    run: str
    step: int
    score: float | None
    files: dict[str, dict[str, Any]]
    arrays: dict[str, dict[str, Any]]
    facts: dict[str, Any]

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        return seal({"schema": SCHEMA} | asdict(self))

    @classmethod
    def read(cls, content: bytes, where: object) -> Self:
        """Return the manifest in the content of a file.

        Raises:
            RunFolderError: It is damaged, has another schema, or names a file that no checkpoint has.
        """
        manifest = cls(**unseal_object(content, SCHEMA, _TYPES, where))
        entry = manifest.files.get(ARRAYS)
        length = entry.get("bytes") if isinstance(entry, dict) else None
        # Only one name is allowed, so that a manifest cannot lead out of its folder.
        if len(manifest.files) != 1 or type(length) is not int or length < 0 or manifest.step < 0:
            rule = f"must have a step, and the length of {ARRAYS} and of no other file"
            hint = "see `thalweg check`: an older checkpoint may be sound"
            raise RunFolderError("manifest", rule, got=manifest.files, where=where, hint=hint)
        return manifest


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    Args:
        path: Its folder.
        manifest: Its manifest.
        arrays: The arrays by name, as read-only views of the content of the file.
    """

    path: Path
    manifest: Manifest
    arrays: dict[str, np.ndarray]


class Damaged(NamedTuple):
    """A checkpoint that cannot be used, and the reason."""

    path: Path
    why: str


class Retention(NamedTuple):
    """Which checkpoints are kept: those of the `last` newest steps, and the one with the lowest score."""

    last: int = 2
    best: bool = True


KEEP = Retention()


class Store:
    """The checkpoints of one run.

    Args:
        run: The run folder.
        identity: Identity of the run; a checkpoint of another run counts as damaged. None accepts any.
        files: The file system; None for the disk, below the folder of the run.
    """

    def __init__(self, run: Path, identity: str | None = None, files: Files | None = None):
        self.folder, self._identity = Path(run) / FOLDER, identity
        self._files = files or files_of(Path(run))

    def commit(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray],
        facts: dict[str, Any],
        score: float | None = None,
        keep: Retention = KEEP,
    ) -> Path:
        """Write a checkpoint. On return it is on disk, and superseded ones are removed.

        Args:
            step: Number of updates.
            arrays: The arrays by name.
            facts: Plain JSON that is needed to resume, without NaN or infinities.
            score: Validation loss, lower is better; None if there is none.
            keep: Which checkpoints are kept.

        Raises:
            OSError: It could not be written. Nothing of it is left, and older checkpoints are unchanged.
        """
        if FOLDER not in self._files.names(self.folder.parent):
            self._files.make_folder(self.folder)
            self._files.sync_folder(self.folder.parent)
        with contextlib.suppress(OSError):  # the next commit tries again
            for name in self.left_over():
                remove_tree(self._files, self.folder / name)
        path = self.folder / self._free_name(step)
        temporary = self.folder / f"{LEFT_OVER}{path.name}{_suffix()}"
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
        """Return the names of all checkpoints, newest first, without reading them."""
        names = [name for name in self._files.names(self.folder) if _NAME.fullmatch(name)]
        return sorted(names, key=_order, reverse=True)

    def left_over(self) -> list[str]:
        """Return the names of the folders that a killed writer left behind."""
        return [name for name in self._files.names(self.folder) if name.startswith(LEFT_OVER)]

    def manifest(self, name: str) -> Manifest:
        """Return the manifest of a checkpoint, without reading its arrays.

        Raises:
            RunFolderError: It is missing, damaged, or of another run or step.
        """
        path = self.folder / name / MANIFEST
        manifest = Manifest.read(self._read(path, SEALED_LIMIT), path)
        if self._identity is not None and manifest.run != self._identity:
            raise _wrong("must be of this run", manifest.run, path)
        if manifest.step != _order(name)[0]:
            raise _wrong("must be of the step in its folder's name", manifest.step, path)
        return manifest

    def read(self, name: str) -> Checkpoint:
        """Return a checkpoint after verifying every byte of it.

        Args:
            name: As returned by `names`.

        Raises:
            RunFolderError: It is damaged, or of another run or step.
        """
        manifest, path = self.manifest(name), self.folder / name / ARRAYS
        entry = manifest.files[ARRAYS]
        content = self._read(path, entry["bytes"])
        if len(content) != entry["bytes"] or checksum(content) != entry.get("sha256"):
            raise _wrong("must have the length and checksum of its manifest", f"{len(content)} bytes", path)
        return Checkpoint(self.folder / name, manifest, decode(content, manifest.arrays, path))

    def sound(self, at: int | None = None) -> Iterator[Checkpoint | Damaged]:
        """Yield the checkpoints up to step `at` (None: all), newest first; `Damaged` for unreadable ones."""
        for name in self.names():
            if at is None or _order(name)[0] <= at:
                try:
                    yield self.read(name)
                except RunFolderError as error:
                    yield Damaged(self.folder / name, _why(error))

    def forget_after(self, step: int) -> None:
        """Remove the checkpoints of later steps, which are about to be repeated."""
        self._remove(name for name in self.names() if _order(name)[0] > step)

    def _read(self, path: Path, limit: int) -> bytes:
        try:
            return self._files.read(path, limit)
        except OSError as error:
            reason = error.strerror or str(error)
            hint = "see `thalweg check`: an older checkpoint may be sound"
            raise RunFolderError(
                "checkpoint", "must be readable", got=reason, where=path, hint=hint
            ) from error

    def _write(self, folder: Path, step: int, arrays: Mapping, facts: dict, score: float | None) -> None:
        self._files.make_folder(folder)
        digest, length = hashlib.sha256(), 0

        def hashed() -> Iterator[memoryview]:
            nonlocal length
            for piece in encode(arrays):
                digest.update(piece)
                length += len(piece)
                yield piece

        write_file(self._files, folder / ARRAYS, hashed())
        files = {ARRAYS: {"bytes": length, "sha256": digest.hexdigest()}}
        manifest = Manifest(self._identity or "", step, score, files, describe_arrays(arrays), facts)
        write_file(self._files, folder / MANIFEST, [memoryview(manifest.to_bytes())])
        self._files.sync_folder(folder)

    def _free_name(self, step: int) -> str:
        # A checkpoint never overwrites an older one, not even of the same step: the older one is needed until
        # the new one is on disk. Among those of one step, the highest number is the newest.
        numbers = [number for at, number in map(_order, self.names()) if at == step]
        return f"step-{step:010d}" + (f".{max(numbers) + 1}" if numbers else "")

    def _superseded(self, keep: Retention) -> list[str]:
        names = self.names()
        newest: dict[int, str] = {}  # of each step
        for name in names:
            newest.setdefault(_order(name)[0], name)
        retained = set(list(newest.values())[: max(1, keep.last)])
        if keep.best:
            retained |= self._best(names)
        return [name for name in names if name not in retained]

    def _best(self, names: list[str]) -> set[str]:
        scores = {}
        for name in names:
            with contextlib.suppress(RunFolderError):
                score = self.manifest(name).score
                if score is not None:
                    scores[name] = score
        return {min(scores, key=scores.__getitem__)} if scores else set()

    def _remove(self, names: Iterable[str]) -> None:
        moves = [(self.folder / name, self.folder / f"{LEFT_OVER}old-{name}{_suffix()}") for name in names]
        for path, aside in moves:
            self._files.rename(path, aside)
        if moves:
            self._files.sync_folder(self.folder)
        for _, aside in moves:
            remove_tree(self._files, aside)


def _suffix() -> str:
    """Return the end of a name that nobody can have put a link under."""
    return f"-{secrets.token_hex(8)}"


def _order(name: str) -> tuple[int, int]:
    """Return the step of a checkpoint, and its number among those of the step."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise RunFolderError("checkpoint", "must be named step-<number>", got=name, hint="rename it back")
    return int(match[1]), int(match[2] or 0)


def _why(error: RunFolderError) -> str:
    got = "" if error.got is None else f" ({error.got})"
    file = Path(str(error.where)).name if error.where is not None else "it"
    return f"{file} {error.rule}{got}"


def _wrong(rule: str, got: object, path: Path) -> RunFolderError:
    return RunFolderError("checkpoint", rule, got=got, where=path, hint="see `thalweg check RUN`")
