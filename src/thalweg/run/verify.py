"""Verification of a run or sweep folder: which files are sound, and from which step it can be resumed."""

from pathlib import Path
from typing import Any, NamedTuple, Self

from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.store import FOLDER, Damaged, Store
from thalweg.run.folder.folder import LANES, RUN_FILE, SHARDS, FileCheck, RunFile, missing_run
from thalweg.run.folder.lock import holder


class Inspection(NamedTuple):
    """The result of verifying a folder.

    Args:
        files: run.json, every file that it lists, every checkpoint (newest first), and left-over files. Of a
            sweep the same for its shards and lanes.
        newest: Step of the newest sound checkpoint; None if there is none. Of a sweep the lowest over its
            shards.
        ended: Whether the run has ended and listed all of its files; None if that cannot be decided.
        writer: The process that is writing to the folder; None if there is none.
    """

    files: list[FileCheck]
    newest: int | None
    ended: bool | None
    writer: dict[str, Any] | None

    @property
    def damaged(self) -> list[FileCheck]:
        """The files that differ from what was written."""
        return [check for check in self.files if check.sound is False]

    @property
    def resumes_at(self) -> int | None:
        """The step from which `resume` continues, 0 for the start; None for a run that has ended."""
        return None if self.ended else self.newest or 0

    @property
    def summary(self) -> list[str]:
        """The result as text, one sentence per line."""
        sound = sum(check.sound is True for check in self.files)
        lines = [f"{sound} sound, {len(self.damaged)} damaged"]
        if self.writer is not None:
            lines.append(f"process {self.writer.get('pid', '?')} is writing to the folder")
        elif self.ended:
            lines.append("the run has ended")
        else:
            start = f"step {self.newest}" if self.newest else "the start, as there is no sound checkpoint"
            lines.append(f"the run was interrupted; `thalweg resume` continues from {start}")
        return lines

    def within(self, prefix: str) -> Self:
        """Return the same with file names relative to the folder of the sweep."""
        return self._replace(files=[check._replace(name=f"{prefix}/{check.name}") for check in self.files])


def examine(folder: Path | str) -> Inspection:
    """Verify every byte of a run or a sweep that has a checksum. Nothing is changed.

    Raises:
        RunFolderError: There is no such folder, or it holds no run.
    """
    path = Path(folder)
    whole = inspect(path)
    shards = [_inspect_within(path, shard, _identity(path)) for shard in _shards(path / SHARDS)]
    lanes = [_inspect_within(path, lane) for lane in _folders(path / LANES) if (lane / RUN_FILE).exists()]
    newest = min(shard.newest or 0 for shard in shards) if shards else whole.newest
    files = [check for inspection in (whole, *shards, *lanes) for check in inspection.files]
    return whole._replace(files=files, newest=newest)


def inspect(folder: Path | str, run: str | None = None) -> Inspection:
    """Verify every byte of a single run folder that has a checksum.

    Args:
        folder: The folder.
        run: Identity of the run, for a folder without its own run.json: a shard of a sweep.

    Raises:
        RunFolderError: There is no such folder, or it holds no run.
    """
    path = Path(folder)
    run_file, files = None, []
    if run is None:
        if not (path / RUN_FILE).exists() and not (path / FOLDER).exists():
            raise missing_run(path / RUN_FILE, "no such file")
        try:
            run_file = RunFile.read(path)
            files = [FileCheck(RUN_FILE, True), *run_file.check_all(path)]
        except RunFolderError as error:
            files = [FileCheck(RUN_FILE, False, f"{error.rule} ({error.got})")]
    store = Store(path, run_file.run if run_file is not None else run)
    newest = None
    for checkpoint in store.sound():
        name = f"{FOLDER}/{checkpoint.path.name}"
        if isinstance(checkpoint, Damaged):
            files.append(FileCheck(name, False, checkpoint.why))
        else:
            files.append(FileCheck(name, True))
            newest = checkpoint.manifest.step if newest is None else newest
    why = "left over from a killed writer; the next writer removes it"
    files += [FileCheck(f"{FOLDER}/{name}", None, why) for name in store.left_over()]
    return Inspection(files, newest, None if run_file is None else run_file.ended, holder(path))


def _inspect_within(sweep: Path, folder: Path, run: str | None = None) -> Inspection:
    return inspect(folder, run).within(str(folder.relative_to(sweep)))


def _identity(folder: Path) -> str:
    try:
        return RunFile.read(folder).run
    except RunFolderError:
        return ""


def _shards(folder: Path) -> list[Path]:
    """Return the folders of a sweep's shards. A sweep with one shard keeps it in `shards` itself."""
    return [folder] if (folder / FOLDER).is_dir() else _folders(folder)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
