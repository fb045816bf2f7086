"""What of a run or a sweep is sound: the store's look at every file, and what that means for going on."""

from pathlib import Path
from typing import Any, NamedTuple

from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.store import FOLDER
from thalweg.run.folder.run_json import NAME, FileCheck, RunFile
from thalweg.run.folder.sweep_record import LANES, SHARDS
from thalweg.run.inspection import Inspection, inspect


class Soundness(NamedTuple):
    """What was found.

    Args:
        findings: File by file.
        resumes_at: The step that `resume` would go on from: 0 for the start; of a sweep that of the shard
            which is least far. None for a run that has ended.
        ended: Whether it came to its end; None when that cannot be told.
        writer: The process that writes there now; None when nobody does.
    """

    findings: list[FileCheck]
    resumes_at: int | None
    ended: bool | None
    writer: dict[str, Any] | None

    @property
    def damaged(self) -> list[FileCheck]:
        """What is not as it was written."""
        return [finding for finding in self.findings if finding.sound is False]

    @property
    def summary(self) -> list[str]:
        """What that means, in sentences."""
        sound = sum(finding.sound is True for finding in self.findings)
        lines = [f"{sound} sound, {len(self.damaged)} damaged"]
        if self.writer is not None:
            lines.append(f"process {self.writer.get('pid', '?')} writes there now")
        elif self.ended:
            lines.append("the run has come to its end")
        elif self.resumes_at is not None:
            where = f"step {self.resumes_at}" if self.resumes_at else "its start: no sound checkpoint"
            lines.append(f"the run was broken off; `thalweg resume` goes on from {where}")
        return lines


def examine(folder: Path | str) -> Soundness:
    """Verify every byte of a run or a sweep that a checksum was kept of. Nothing is changed.

    Raises:
        RunFolderError: There is no such folder, or nothing of a run in it.
    """
    path = Path(folder)
    whole = inspect(path)
    shards = [_within(path, one, _identity(path)) for one in _shards(path / SHARDS)]
    lanes = [_within(path, one, None) for one in _folders(path / LANES) if (one / NAME).exists()]
    findings = whole.findings + [finding for part in shards + lanes for finding in part.findings]
    steps = [part.newest or 0 for part in shards] or [whole.newest or 0]
    return Soundness(findings, None if whole.ended else min(steps), whole.ended, whole.writer)


def _identity(folder: Path) -> str:
    try:
        return RunFile.read(folder).run
    except RunFolderError:
        return ""


def _shards(folder: Path) -> list[Path]:
    """Return the folders of a sweep's shards; that of a sweep of one lane has no parts."""
    return _folders(folder) if not (folder / FOLDER).is_dir() else [folder]


def _within(root: Path, folder: Path, run: str | None) -> Inspection:
    """Look at a part of a sweep; its findings are named from the sweep's folder."""
    found = inspect(folder, run)
    prefix = folder.relative_to(root)
    return found._replace(findings=[one._replace(name=f"{prefix}/{one.name}") for one in found.findings])


def _folders(parent: Path) -> list[Path]:
    return sorted(one for one in parent.iterdir() if one.is_dir()) if parent.is_dir() else []
