"""Checksums of a run's files at rest: written when it begins and when it ends, asked for when it is read."""

from pathlib import Path

from thalweg.core.errors import RunFolderError
from thalweg.run.folder.folder import FILES
from thalweg.run.folder.run_json import NAME, RunFile

# Files that are as they are from the first step on.
DESCRIPTIONS = ("problem.json", "recipe.toml", "environment.json", "finding.json")
# Files that are no promise: they are drawn again at any time, or still grow.
_LOOSE = ("report.html", "finding.html", "finding.svg", NAME)


def begin(run: RunFile, folder: Path) -> RunFile:
    """Write run.json for a run that begins or goes on: its descriptions are at rest, no more."""
    return run.write(folder, [name for name in DESCRIPTIONS if (folder / name).exists()])


def end(run: RunFile, folder: Path, ended: bool) -> RunFile:
    """Write run.json for a run whose files are all at rest.

    Args:
        run: What is known of it.
        folder: Where it lies.
        ended: Whether it came to its end; else it was interrupted and may go on.
    """
    names = [name for name in FILES if not name.endswith(".arrows") and name not in _LOOSE]
    return run.write(folder, [name for name in names if (folder / name).exists()], ended)


def check(folder: Path, names: tuple[str, ...]) -> None:
    """Refuse files that are not as they were written; a folder without run.json is taken as it is.

    Raises:
        RunFolderError: A file, or run.json itself, is damaged.
    """
    if not (folder / NAME).exists():
        return
    run = RunFile.read(folder)
    for name in names:
        finding = run.finding(folder, name)
        if finding.sound is False:
            raise RunFolderError(
                "run",
                "every file of a run must be as it was written",
                got=finding.why,
                where=folder / name,
                hint="see `thalweg check`; the file is damaged or was edited: restore a copy, or "
                "`thalweg resume` makes it again from the last sound checkpoint",
            )
