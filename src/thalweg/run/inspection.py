"""A look at a run folder: what of it is sound, file by file. Nothing is changed."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.store import FOLDER, Damaged, Store
from thalweg.run.folder.lock import holder
from thalweg.run.folder.run_json import NAME, FileCheck, RunFile


class Inspection(NamedTuple):
    """What was found.

    Args:
        findings: run.json, every file that it lists, every checkpoint (newest first), and what is left over.
        newest: Step of the newest sound checkpoint; None when there is none.
        ended: Whether the run came to its end and its folder to rest; None when that cannot be told.
        writer: The process that writes there now; None when nobody does.
    """

    findings: list[FileCheck]
    newest: int | None
    ended: bool | None
    writer: dict[str, Any] | None

    @property
    def damaged(self) -> list[FileCheck]:
        """What is not as it was written."""
        return [finding for finding in self.findings if finding.sound is False]


def inspect(folder: Path | str, run: str | None = None) -> Inspection:
    """Verify every byte of a run folder that a checksum was kept of.

    Args:
        folder: The folder.
        run: Identity of the run, for a folder without a run.json of its own: a part of a sweep.

    Raises:
        RunFolderError: There is no such folder, or nothing of a run in it.
    """
    path = Path(folder)
    told, findings = None, []
    if run is None:
        _check_is_run(path)
        told, findings = _run_file(path)
    if told is not None:
        findings += told.findings(path)
        run = told.run
    newest = None
    for found in Store(path, run).sound():
        name = f"{FOLDER}/{found.path.name}"
        if isinstance(found, Damaged):
            findings.append(FileCheck(name, False, found.why))
        else:
            findings.append(FileCheck(name, True))
            newest = found.manifest.step if newest is None else newest
    findings += [
        FileCheck(
            f"{FOLDER}/{name}", None, "left over from a writer that was killed; the next one removes it"
        )
        for name in _left_over(path / FOLDER)
    ]
    return Inspection(findings, newest, None if told is None else told.ended, holder(path))


def _run_file(folder: Path) -> tuple[RunFile | None, list[FileCheck]]:
    try:
        return RunFile.read(folder), [FileCheck(NAME, True)]
    except RunFolderError as error:
        return None, [FileCheck(NAME, False, f"{error.rule} ({error.got})")]


def _check_is_run(folder: Path) -> None:
    if not folder.is_dir() or not any((folder / name).exists() for name in (NAME, FOLDER)):
        raise RunFolderError(
            "run",
            "must be a folder with a run in it (run.json)",
            got=str(folder),
            hint="the last line of `thalweg fit` names the folder it wrote",
        )


def _left_over(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.startswith(".part-")) if folder.is_dir() else []
