"""Verification of a run or sweep folder: which files are sound, and from which step it can be resumed."""

from pathlib import Path
from typing import Any, NamedTuple, Self

from thalweg.core.disk import LINK, left_over
from thalweg.core.errors import RunFolderError
from thalweg.run.checkpoint.store import FOLDER, Damaged, Store
from thalweg.run.folder.filesystem import (
    LANE_FOLDER,
    LANES,
    MODEL,
    SHARDS,
    SWEEP_FILE,
    files_of,
    read_json,
    readable,
)
from thalweg.run.folder.folder import RUN_FILE, FileCheck, RunFile, missing_run, own_files
from thalweg.run.folder.lock import holder

_NO_RUN_FILE = "no such file: the files of the folder are unverified"
_LEFT_OVER = "left over from a killed writer; the next writer removes it"


class Inspection(NamedTuple):
    """The result of verifying a folder.

    Args:
        files: run.json, every file that it lists, every checkpoint (newest first), and left-over files. Of a
            sweep the same for its shards and lanes.
        newest: Step of the newest sound checkpoint; None if there is none. Of a sweep the lowest over its
            shards.
        ended: Whether the run has ended and listed all of its files; None if that cannot be decided.
        writer: The process that is writing to the folder; None if there is none.
        resumable: Whether there is what `resume` needs: run.json, or a sound checkpoint.
        models: Whether it is a sweep over several models, each resumed by itself.
    """

    files: list[FileCheck]
    newest: int | None
    ended: bool | None
    writer: dict[str, Any] | None
    resumable: bool = True
    models: bool = False

    @property
    def damaged(self) -> list[FileCheck]:
        """The files that differ from what was written."""
        return [check for check in self.files if check.sound is False]

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged, and there is a run.json to tell by."""
        return not self.damaged and not self.unverified

    @property
    def unverified(self) -> bool:
        """Whether the folder has no run.json, and so nothing to verify its files by."""
        return any((file.name, file.why) == (RUN_FILE, _NO_RUN_FILE) for file in self.files)

    @property
    def resumes_at(self) -> int | None:
        """The step from which `resume` continues, 0 for the start; None if it cannot, or has no need to."""
        return None if self.ended or self.models or not self.resumable else self.newest or 0

    @property
    def summary(self) -> list[str]:
        """The result as text, one sentence per line."""
        sound = sum(check.sound is True for check in self.files)
        lines = [f"{sound} sound, {len(self.damaged)} damaged"]
        lines += [f"unverified: no {RUN_FILE}, which has the checksums"] if self.unverified else []
        if self.writer is not None:
            lines.append(f"process {self.writer.get('pid', '?')} is writing to the folder")
        elif self.ended:
            lines.append("the run has ended")
        elif self.models:
            lines.append("the sweep was interrupted; `thalweg resume` continues the folder of each model")
        elif not self.resumable:
            lines.append("the run was interrupted before anything was saved; start it again")
        else:
            start = f"step {self.newest}" if self.newest else "the start, as there is no sound checkpoint"
            lines.append(f"the run was interrupted; `thalweg resume` continues from {start}")
        return lines

    def within(self, prefix: str) -> Self:
        """Return the same with file names relative to the folder of the sweep."""
        return self._replace(files=[check._replace(name=f"{prefix}/{check.name}") for check in self.files])


@readable
def examine(folder: Path | str) -> Inspection:
    """Verify every byte of a run or a sweep that has a checksum. Nothing is changed.

    Raises:
        RunFolderError: There is no such folder, or it holds no run.
    """
    path = Path(folder)
    whole = inspect(path)
    files = list(whole.files)
    shards = [_inspect_within(path, shard, _identity(path)) for shard in _shards(path / SHARDS)]
    for inspection in shards:
        files += inspection.files
    models = _folders(path, MODEL)
    for model in models:
        files += examine(model).within(model.name).files
    for lane in _folders(path / LANES):
        if files_of(lane).is_there(lane / RUN_FILE):
            files += _inspect_within(path, lane).files
        elif f"{LANES}/{lane.name}/{RUN_FILE}" not in {check.name for check in files}:
            name = f"{LANES}/{lane.name}/{RUN_FILE}"
            gone, not_yet = (False, "no such file or directory"), (None, "is not written yet")
            files.append(FileCheck(name, *(gone if whole.ended else not_yet)))
    files += _lanes_gone(path, {check.name for check in files}) if whole.ended else []
    files += [FileCheck(str(link.relative_to(path)), False, LINK) for link in _links(path)]
    newest = min(shard.newest or 0 for shard in shards) if shards else whole.newest
    return whole._replace(files=files, newest=newest, models=bool(models))


def _lanes_gone(sweep: Path, known: set[str]) -> list[FileCheck]:
    """Return the lanes of a sweep that has ended which are neither listed in run.json nor there."""
    if not files_of(sweep).is_there(sweep / SWEEP_FILE):
        return []
    try:
        rows = read_json(sweep / SWEEP_FILE).get("rows", [])
        lanes = [row.get(LANE_FOLDER) or f"{LANES}/{row['lane']:03d}" for row in rows]
    except (RunFolderError, AttributeError, KeyError, TypeError, ValueError):
        return []  # the checksum of sweep.json says so
    names = [f"{lane}/{RUN_FILE}" for lane in lanes]
    return [FileCheck(name, False, "no such file or directory") for name in names if name not in known]


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
        if not {RUN_FILE, FOLDER, "problem.json"} & set(files_of(path).names(path)):
            raise missing_run(path / RUN_FILE, "no such file")
        run_file, files = _run_file(path)
    store = Store(path, run_file.run if run_file is not None else run)
    newest, resumable = None, run_file is not None or run is not None
    for checkpoint in store.sound():
        name = f"{FOLDER}/{checkpoint.path.name}"
        if isinstance(checkpoint, Damaged):
            files.append(FileCheck(name, False, checkpoint.why))
        else:
            files.append(FileCheck(name, True))
            newest = checkpoint.manifest.step if newest is None else newest
            resumable = resumable or "origin" in checkpoint.manifest.facts
    parts = [f"{FOLDER}/{name}" for name in store.left_over()]
    parts += [part.name for part in left_over(path, files_of(path))]
    files += [FileCheck(name, None, _LEFT_OVER) for name in parts]
    return Inspection(files, newest, None if run_file is None else run_file.ended, holder(path), resumable)


def _run_file(folder: Path) -> tuple[RunFile | None, list[FileCheck]]:
    """Return run.json if it is sound, and what it and the files that it lists are worth."""
    if not files_of(folder).is_there(folder / RUN_FILE):
        # Earlier versions wrote none for a sweep over several models, whose own sweeps each have one.
        return None, [FileCheck(RUN_FILE, None if _folders(folder, MODEL) else False, _NO_RUN_FILE)]
    try:
        run_file = RunFile.read(folder)
    except RunFolderError as error:
        return None, [FileCheck(RUN_FILE, False, f"{error.rule} ({error.got})")]
    checks = [FileCheck(RUN_FILE, True), *run_file.check_all(folder)]
    links = [name for name in own_files(folder) if files_of(folder).is_link(folder / name)]
    return run_file, checks + [FileCheck(name, False, LINK) for name in links if name not in run_file.files]


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


def _folders(parent: Path, prefix: str = "") -> list[Path]:
    """Return the folders in a folder of a sweep; a link to a folder is none."""
    paths = [parent / name for name in files_of(parent).names(parent) if name.startswith(prefix)]
    return [path for path in paths if path.is_dir() and not path.is_symlink()]


def _links(sweep: Path) -> list[Path]:
    """Return the links where a sweep has the folders of lanes, shards and models."""
    files = files_of(sweep)
    inner = [sweep / kind / name for kind in (LANES, SHARDS) for name in files.names(sweep / kind)]
    models = [sweep / name for name in files.names(sweep) if name.startswith(MODEL)]
    return [path for path in (*inner, *models) if path.is_symlink()]
