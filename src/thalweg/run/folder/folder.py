"""A run folder: creating it, writing its files, and `run.json`, which lists their checksums.

`run.json` says which run the folder holds, what it was started with, and the size and SHA-256 of its files.
It is written when a run starts (its descriptions) and again when it ends (all of its files), each time last
and atomically. A listed file whose content differs is damaged. A file that is not listed is still being
written, or can be regenerated (the report).
"""

import re
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from thalweg.core.errors import RunFolderError
from thalweg.run.folder.filesystem import (
    DISK,
    SEALED_LIMIT,
    Files,
    as_json,
    checksum,
    replace,
    seal,
    unseal_object,
)
from thalweg.run.folder.lock import check_free

RUN_FILE, SCHEMA = "run.json", 1
_TYPES = {"run": (str,), "origin": (dict,), "ended": (bool,), "files": (dict,)}
# Folders of a sweep: complete runs of its lanes, and the state of those that still train.
LANES, SHARDS = "lanes", "shards"
# Files that do not change after the first step.
_DESCRIPTIONS = ("problem.json", "recipe.toml", "environment.json", "finding.json")
# Files that do not change after the run.
_RESULTS = (
    "recipe.toml",
    "problem.json",
    "result.json",
    "environment.json",
    "steps.parquet",
    "evaluations.parquet",
    "layers.parquet",
    "test.parquet",
    "final.safetensors",
    "best.safetensors",
    "sample.txt",
    "sweep.json",
    "finding.json",
    "lanes.parquet",
    "sizes.parquet",
)
# Files without a checksum: streams that grow, and figures that can be drawn again at any time.
_UNLISTED = (
    RUN_FILE,
    "report.html",
    "finding.html",
    "finding.svg",
    "steps.arrows",
    "evaluations.arrows",
    "layers.arrows",
)
_FOLDERS = (LANES, SHARDS, "checkpoints")
# Files are read whole to compute their checksum, and the table of a very long run may be large.
_LARGEST_FILE = 1 << 40


@dataclass(frozen=True)
class RunFolder:
    """Where the files of a run are written.

    Args:
        folder: The folder; None for a run in memory only.
        durable: Whether a file is on disk when `write` returns. False for the lanes of a sweep, of which
            there may be hundreds.
    """

    folder: Path | None
    durable: bool = True

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)  # it may have been removed during a long run
            replace(self.folder / name, content, durable=self.durable)

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write plain values as JSON; NaN and infinities become null."""
        self.write(name, as_json(value))


class FileCheck(NamedTuple):
    """Whether a file is as it was written.

    Args:
        name: Path within the run folder.
        sound: True, False, or None if it cannot be decided.
        why: What is wrong with the file, or why it cannot be decided.
    """

    name: str
    sound: bool | None
    why: str = ""


@dataclass(frozen=True)
class RunFile:
    """The content of run.json.

    Args:
        run: Identity of the run, the same in all of its checkpoints.
        origin: What `resume` needs to build problem and recipe again, as plain JSON.
        ended: Whether the run has ended and all of its files are listed.
        files: Size and SHA-256 of each file, by name.
    """

    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    origin: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, folder: Path, names: Sequence[str], ended: bool = False, files: Files = DISK) -> Self:
        """Write run.json with the current checksums of the files in `names`; return what was written.

        Raises:
            OSError: A file could not be read, or run.json could not be written.
        """
        listed = {name: _size_and_checksum(files.read(folder / name, _LARGEST_FILE)) for name in names}
        run_file = type(self)(self.run, self.origin, ended, listed)
        replace(folder / RUN_FILE, seal({"schema": SCHEMA} | asdict(run_file)), files=files)
        return run_file

    def write_start(self, folder: Path) -> Self:
        """Write run.json for a run that starts or resumes: only its descriptions are listed."""
        return self.write(folder, _existing(folder, _DESCRIPTIONS))

    def write_end(self, folder: Path, ended: bool) -> Self:
        """Write run.json when no file changes any more.

        Args:
            folder: The run folder.
            ended: Whether the run has ended; False if it was interrupted and can be resumed.
        """
        return self.write(folder, _existing(folder, _RESULTS), ended)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the run.json of a folder.

        Raises:
            RunFolderError: It is missing, damaged, or has another schema.
        """
        path = Path(folder) / RUN_FILE
        try:
            content = DISK.read(path, SEALED_LIMIT)
        except OSError as error:
            raise missing_run(path, error.strerror or str(error)) from error
        run_file = cls(**unseal_object(content, SCHEMA, _TYPES, path))
        for name, entry in run_file.files.items():  # no name may lead out of the folder
            if name in ("", ".", "..") or set(name) & set("/\\\0") or not isinstance(entry, dict):
                raise RunFolderError("run", "run.json must list files of its folder", got=name, where=path)
        return run_file

    def check(self, folder: Path, name: str) -> FileCheck:
        """Compare a file with its checksum."""
        expected = self.files.get(name)
        if expected is None:
            return FileCheck(name, None, "has no checksum in run.json")
        try:
            actual = _size_and_checksum(DISK.read(Path(folder) / name, _LARGEST_FILE))
        except OSError as error:
            return FileCheck(name, False, (error.strerror or str(error)).lower())
        if actual["bytes"] != expected.get("bytes"):
            return FileCheck(name, False, f"has {actual['bytes']} bytes instead of {expected.get('bytes')}")
        if actual != expected:
            return FileCheck(name, False, "its bytes were changed since it was written")
        return FileCheck(name, True)

    def check_all(self, folder: Path) -> list[FileCheck]:
        """Compare every listed file with its checksum."""
        return [self.check(folder, name) for name in self.files]


def check_files(folder: Path, names: Sequence[str]) -> None:
    """Reject files that differ from their checksums. A folder without run.json is not checked.

    Raises:
        RunFolderError: A file, or run.json itself, is damaged.
    """
    if not (folder / RUN_FILE).exists():
        return
    run_file = RunFile.read(folder)
    for name in names:
        check = run_file.check(folder, name)
        if check.sound is False:
            raise RunFolderError(
                "run",
                "every file of a run must be as it was written",
                got=check.why,
                where=folder / name,
                hint="see `thalweg check`; the file is damaged or was edited: restore a copy, or let "
                "`thalweg resume` rewrite it from the last sound checkpoint",
            )


def missing_run(path: Path, got: object) -> RunFolderError:
    """Return the error for a folder without a run.

    Args:
        path: The file, or folder, that is missing.
        got: What was found instead.
    """
    return RunFolderError(
        "run",
        f"the folder must hold a run ({path.name})",
        got=got,
        where=path,
        hint="give the folder that `thalweg fit` wrote, for example runs/digits-1",
    )


def make(out: Path | str | None, name: str, force: bool = False) -> Path:
    """Create the folder of a new run, and with `force` remove the files of an earlier run from it.

    Only files and folders that a run writes are removed.

    Args:
        out: The folder; None for `runs/<name>-<n>` with the smallest free n.
        name: Short name of the data.
        force: Whether an earlier run in the folder may be overwritten.

    Raises:
        RunFolderError: The folder already holds a run, another process is writing to it, it is not a folder,
            or it cannot be written.
    """
    if out is None:
        return _next_free(Path("runs"), re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run")
    folder = Path(out)
    reject_taken(folder, force)
    _create(folder)
    earlier = _earlier(folder)
    _check_writable(folder)
    check_free(folder)
    for name in earlier:
        if name in _FOLDERS:
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink()
    return folder


def reject_taken(folder: Path | str | None, force: bool = False) -> None:
    """Reject a folder that already holds a run; for commands that run for a long time before they write.

    Raises:
        RunFolderError: The folder holds a run, and `force` does not allow overwriting it.
    """
    if folder is not None and not force and _earlier(Path(folder)):
        raise RunFolderError(
            "run",
            "the output folder must not hold a run already",
            got=str(folder),
            hint="choose another --out, or overwrite it with --force",
        )


def remove(folder: Path) -> None:
    """Remove a folder of a sweep, if it exists."""
    shutil.rmtree(folder, ignore_errors=True)


def _earlier(folder: Path) -> list[str]:
    return _existing(folder, (*_RESULTS, *_UNLISTED, *_FOLDERS))


def _existing(folder: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if (folder / name).exists()]


def _next_free(parent: Path, name: str) -> Path:
    _create(parent)
    number = 1
    while True:
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()  # fails if it exists, so that two processes never share a folder
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise _unwritable(parent, error) from error


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _check_writable(folder: Path) -> None:
    probe = folder / ".probe.part"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        "run",
        "the output folder must be writable",
        got=str(folder),
        where=error.strerror or str(error),
        hint="choose another folder with --out",
    )


def _size_and_checksum(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": checksum(content)}
