"""The files of a run folder, and `run.json`, which lists their checksums.

`run.json` says which run the folder holds, what it was started with, and the size and SHA-256 of its files;
of a sweep, also of the run.json of every lane. It is written when a run starts (its descriptions) and again
when it ends (all of its files), each time last and atomically. A listed file whose content differs is
damaged. A file that is not listed is still being written, or can be regenerated (the report).
"""

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from thalweg.core.caller import option
from thalweg.core.disk import LINK, Files, replace
from thalweg.core.errors import RunFolderError
from thalweg.run.folder.filesystem import (
    LANES,
    MODEL,
    SEALED_LIMIT,
    SHARDS,
    SWEEP_FILE,
    as_json,
    checksum,
    files_of,
    read_file,
    seal,
    unseal_object,
)

RUN_FILE, SCHEMA = "run.json", 1
_TYPES = {"run": (str,), "origin": (dict,), "ended": (bool,), "files": (dict,)}
DATA_FILE = "data.safetensors"
# Files that do not change after the first step.
_DESCRIPTIONS = ("problem.json", "recipe.toml", "environment.json", "finding.json", DATA_FILE)
WEIGHTS = ("final.safetensors", "best.safetensors")
# Files that do not change after the run.
_RESULTS = (
    "recipe.toml",
    "problem.json",
    "result.json",
    "environment.json",
    "steps.parquet",
    "evaluations.parquet",
    "layers.parquet",
    "figures.parquet",
    "test.parquet",
    *WEIGHTS,
    "sample.txt",
    SWEEP_FILE,
    "finding.json",
    DATA_FILE,
    "lanes.parquet",
    "sizes.parquet",
)
# Figures, which can be drawn again at any time: no checksum.
FIGURES = ("report.html", "finding.html", "finding.svg", "landscape.html", "landscape.svg")
# Files without a checksum that only a run writes; the streams grow.
_UNLISTED = (RUN_FILE, "steps.arrows", "evaluations.arrows", "layers.arrows", "figures.arrows", "stop.json")
FOLDERS = (LANES, SHARDS, "checkpoints")
OWN_FILES = (*_RESULTS, *_UNLISTED)
# The run.json of a lane, or of the sweep of one model, within a sweep.
_INNER = re.compile(rf"({LANES}/\d{{3,9}}|{MODEL}\d{{1,9}})/{re.escape(RUN_FILE)}")
# Files are read whole to compute their checksum, and the table of a very long run may be large.
LARGEST_FILE = 1 << 40


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
            files = files_of(self.folder)
            files.make_folder(self.folder)  # it may have been removed during a long run
            replace(self.folder / name, content, durable=self.durable, files=files)

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

    def write(
        self, folder: Path, names: Iterable[str], ended: bool = False, files: Files | None = None
    ) -> Self:
        """Write run.json with the current checksums of the files in `names`; return what was written.

        Raises:
            OSError: A file could not be read, or run.json could not be written.
        """
        files = files or files_of(folder)
        listed = {name: _size_and_checksum(files.read(folder / name, LARGEST_FILE)) for name in names}
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
        return self.write(folder, [*_existing(folder, _RESULTS), *inner_runs(folder)], ended)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the run.json of a folder.

        Raises:
            RunFolderError: It is missing, damaged, or has another schema.
        """
        path = Path(folder) / RUN_FILE
        try:
            content = read_file(path, SEALED_LIMIT)
        except OSError as error:
            raise missing_run(path, error.strerror or str(error)) from error
        run_file = cls(**unseal_object(content, SCHEMA, _TYPES, path))
        for name, entry in run_file.files.items():  # no name may lead out of the folder
            if not (_is_plain(name) or _INNER.fullmatch(name)) or not isinstance(entry, dict):
                raise RunFolderError(
                    "run",
                    "run.json must list files of its folder",
                    got=name,
                    where=path,
                    hint="restore a copy",
                )
        return run_file

    def check(self, folder: Path, name: str) -> FileCheck:
        """Compare a file with its checksum."""
        try:
            path, listed = Path(folder) / name, name in self.files
            content = files_of(Path(folder)).read(path, LARGEST_FILE) if listed else b""
        except OSError as error:
            return FileCheck(name, False, (error.strerror or str(error)).lower())
        return self.compare(name, content)

    def compare(self, name: str, content: bytes) -> FileCheck:
        """Compare the content of a file with its checksum."""
        expected = self.files.get(name)
        if expected is None:
            return FileCheck(name, None, "has no checksum in run.json")
        if len(content) != expected.get("bytes"):
            return FileCheck(name, False, f"has {len(content)} bytes instead of {expected.get('bytes')}")
        if _size_and_checksum(content) != expected:
            return FileCheck(name, False, "its bytes were changed since it was written")
        return FileCheck(name, True)

    def check_all(self, folder: Path) -> list[FileCheck]:
        """Compare every listed file with its checksum."""
        return [self.check(folder, name) for name in self.files]


def check_files(folder: Path, names: Iterable[str], unverified: bool = False) -> None:
    """Reject files that differ from their checksums, and files without one.

    While a run has not ended, its files are still being written, and those that are not listed pass.

    Args:
        folder: The run folder.
        names: The files that are about to be read; those that do not exist are left out.
        unverified: Whether files without a checksum may be used.

    Raises:
        RunFolderError: A file, or run.json itself, is damaged or has no checksum.
    """
    run_file = run_file_of(folder, unverified)
    if run_file is None:
        return
    files = files_of(folder)
    for name in names:
        check = run_file.check(folder, name)
        if check.sound is None and run_file.ended and files.is_there(folder / name):
            _reject_unverified(folder / name, check.why, unverified)
        elif check.sound is False:
            raise _damaged(folder, check)


def read_weights(folder: Path, name: str, unverified: bool = False, hint: str | None = None) -> bytes:
    """Return the content of a file of weights after comparing it with its checksum.

    Args:
        folder: The run folder.
        name: One of `WEIGHTS`.
        unverified: Whether a file without a checksum may be used.
        hint: How to use it nevertheless; None for the option `unverified`.

    Raises:
        RunFolderError: It is missing, damaged, or has no checksum.
    """
    assert name in WEIGHTS
    try:
        content = read_file(folder / name, LARGEST_FILE)
    except FileNotFoundError as error:
        raise missing_weights(folder / name) from error
    except OSError as error:
        raise _damaged(folder, FileCheck(name, False, error.strerror or str(error))) from error
    run_file = run_file_of(folder, unverified, hint)
    if run_file is not None:
        check = run_file.compare(name, content)
        if check.sound is None:
            _reject_unverified(folder / name, check.why, unverified, hint)
        elif not check.sound:
            raise _damaged(folder, check)
    return content


def run_file_of(folder: Path, unverified: bool, hint: str | None = None) -> RunFile | None:
    """Return the run.json of a folder; None if it is missing and unverified files may be used.

    Raises:
        RunFolderError: It is damaged; or it is missing, and `unverified` is not set.
    """
    if files_of(folder).is_there(folder / RUN_FILE):
        return RunFile.read(folder)
    _reject_unverified(folder, f"no {RUN_FILE}, which has the checksums", unverified, hint)
    return None


def inner_runs(folder: Path) -> list[str]:
    """Return the names of the run.json of every lane, or of every model's sweep, within a sweep."""
    files = files_of(folder)
    lanes = [f"{LANES}/{name}/{RUN_FILE}" for name in files.names(folder / LANES)]
    models = [f"{name}/{RUN_FILE}" for name in files.names(folder) if name.startswith(MODEL)]
    return [name for name in (*lanes, *models) if _INNER.fullmatch(name) and files.is_there(folder / name)]


def own_files(folder: Path) -> list[str]:
    """Return the files and folders in a folder that have names of those that runs write."""
    return _existing(folder, (*OWN_FILES, *FIGURES, *FOLDERS))


def reject_links(folder: Path) -> None:
    """Reject a folder in which a symbolic link lies where a run writes a file or a folder.

    Raises:
        RunFolderError: There is one.
    """
    files = files_of(folder)
    for name in own_files(folder):
        if files.is_link(folder / name):
            hint = "remove the link, or choose another folder"
            raise RunFolderError(
                "run", "no file of a run may be a link", got=LINK, where=folder / name, hint=hint
            )


def _reject_unverified(where: Path, why: str, unverified: bool, hint: str | None = None) -> None:
    if not unverified:
        raise RunFolderError(
            "run",
            "its files must be verified before they are used",
            got=f"unverified: {why}",
            where=where,
            hint=hint or f"see `thalweg check`; to use them nevertheless: {option('unverified')}",
        )


def _damaged(folder: Path, check: FileCheck) -> RunFolderError:
    again = files_of(folder).names(folder / "checkpoints")
    hint = "see `thalweg check`; the file is damaged or was edited: restore a copy"
    if again:
        hint += ", or let `thalweg resume` rewrite it from the last sound checkpoint"
    rule = "every file of a run must be as it was written"
    return RunFolderError("run", rule, got=check.why, where=folder / check.name, hint=hint)


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a run, also one whose run.json is lost."""
    return bool({RUN_FILE, "problem.json"} & set(files_of(folder).names(folder)))


def missing_weights(path: Path) -> RunFolderError:
    """Return the error for a run without weights."""
    lanes = path.parent / "lanes"
    if lanes.is_dir():
        rule, hint = "must be one run, not a sweep or folds", f"name a lane, for example {lanes / '000'}"
        return RunFolderError("run", rule, got=str(path.parent), hint=hint)
    hint = "the run may have been killed before it wrote them"
    return RunFolderError("run", "the weights must exist", got=str(path), hint=hint)


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


def _existing(folder: Path, names: Sequence[str]) -> list[str]:
    there = set(files_of(folder).names(folder))
    return [name for name in names if name in there]


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _size_and_checksum(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": checksum(content)}
