"""The folder of a new run: made and locked in one step, so that no two runs ever write into it.

Whether the folder is free is decided while its lock is held. Between making and locking, another process may
have trained a whole run in it.
"""

import itertools
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from thalweg.core.caller import either
from thalweg.core.errors import RunFolderError
from thalweg.run.folder.filesystem import SHARDS, files_of
from thalweg.run.folder.folder import FOLDERS, RUN_FILE, WEIGHTS, own_files, reject_links
from thalweg.run.folder.lock import Lock


@contextmanager
def claim(out: Path | str | None, name: str, force: bool = False, restart: bool = False) -> Iterator[Path]:
    """Make the folder of a new run and hold its lock; with `force`, remove an earlier run from it.

    Only files and folders that a run writes are removed.

    Args:
        out: The folder; None for `runs/<name>-<n>` with the smallest free n.
        name: Short name of the data.
        force: Whether an earlier run in the folder may be overwritten.
        restart: Whether the remains of a start that was killed before it could be resumed may be.

    Raises:
        RunFolderError: The folder already holds a run, another process is writing to it, it is not a folder,
            it cannot be written, or a link lies where a file of the run belongs.
    """
    with ExitStack() as stack:
        if out is None:
            folder = _next_free(Path("runs"), re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run", stack)
        else:
            folder = Path(out)
            try:
                _claim(folder, force, restart, stack)
            except (OSError, ValueError) as error:  # ValueError: a null byte
                raise error if isinstance(error, RunFolderError) else _unwritable(folder, error) from error
        yield folder


def reject_taken(folder: Path | str | None, force: bool = False) -> None:
    """Reject a folder that already holds a run; for commands that run for a long time before they write.

    Raises:
        RunFolderError: The folder holds a run, and `force` does not allow overwriting it.
    """
    if folder is not None and not force and own_files(Path(folder)):
        raise taken(folder)


def taken(folder: Path | str) -> RunFolderError:
    """Return the error for a folder that already holds a run."""
    force = either("--force", "keep=SaveOptions(folder, force=True)")
    return RunFolderError(
        "run",
        "the output folder must not hold a run already",
        got=str(folder),
        hint=f"choose another folder, or overwrite it: {force}",
    )


def remove(folder: Path) -> None:
    """Remove a folder of a sweep, if it exists."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def writable(folder: Path | None) -> Iterator[None]:
    """When writing to the folder fails, raise an error that says what to do."""
    try:
        yield
    except OSError as error:
        if folder is None:
            raise
        raise RunFolderError(
            "run",
            "its folder must be writable to the end",
            got=error.strerror or str(error),
            where=error.filename or folder,
            hint=_next_action(folder),
        ) from error


def _next_action(folder: Path) -> str:
    """Return what to do after a failed write: resume only where there is something to resume from."""
    names: list[str] = []
    with suppress(OSError):
        names = files_of(folder).names(folder)
    if not {RUN_FILE, SHARDS, "checkpoints"} & set(names):
        again = either("--force", "keep=SaveOptions(folder, force=True)")
        return f"make room there, then start again: nothing was saved yet{f' ({again})' if names else ''}"
    resume = either(f"thalweg resume {shlex.quote(str(folder))}", f"resume({str(folder)!r})")
    return f"make room there, then resume it: {resume}"


def _claim(folder: Path, force: bool, restart: bool, stack: ExitStack) -> None:
    reject_taken(folder, force or restart)  # before anything is made
    folder.mkdir(parents=True, exist_ok=True)
    stack.enter_context(Lock(folder))
    reject_taken(folder, force or (restart and not _holds_results(folder)))
    _remove_run(folder)


def _holds_results(folder: Path) -> bool:
    """Whether a folder holds what can be resumed, or weights."""
    return bool({RUN_FILE, "checkpoints", *WEIGHTS} & set(own_files(folder)))


def _remove_run(folder: Path) -> None:
    reject_links(folder)
    for name in own_files(folder):
        if name in FOLDERS:
            shutil.rmtree(folder / name)
        else:
            files_of(folder).remove(folder / name)


def _next_free(parent: Path, name: str, stack: ExitStack) -> Path:
    for number in itertools.count(1):
        folder = parent / f"{name}-{number}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()  # fails if it exists
        except FileExistsError:
            continue
        except OSError as error:
            raise _unwritable(parent, error) from error
        stack.enter_context(Lock(folder))
        if not own_files(folder):
            return folder
        stack.close()  # another process was told to use just this folder, and was faster
    raise AssertionError


def _unwritable(folder: Path, error: OSError | ValueError) -> RunFolderError:
    return RunFolderError(
        "run",
        "the output folder must be writable",
        got=str(folder),
        where=getattr(error, "strerror", None) or str(error),
        hint="choose another folder, or change the permissions of this one",
    )
