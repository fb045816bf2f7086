"""Files that the user names for a command to write: what lies there is not lost, and no input overwritten."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from thalweg.core.disk import DISK, replace, replace_by_parts
from thalweg.core.errors import BadInput
from thalweg.run.folder.folder import FIGURES, OWN_FILES, is_run


def check_out(path: Path, option: str = "--out", *, force: bool, inputs: Iterable[object] = ()) -> None:
    """Refuse a file that cannot or must not be written, before any work starts.

    Args:
        path: The file.
        option: The option that names it.
        force: Whether a file of that name may be overwritten.
        inputs: What the command reads; only paths matter.

    Raises:
        BadInput: Its folder does not exist, it is an input or a file of a run, or it exists and `force` is
            not set, or is no regular file.
    """
    if not path.absolute().parent.is_dir():
        hint = f"create it first: mkdir -p {shlex.quote(str(path.parent))}"
        raise BadInput(option, "must be in an existing folder", got=str(path), hint=hint)
    if any(_is_same(path, each) for each in inputs):
        raise BadInput(option, "must not be the file that is read", got=str(path), hint="name another file")
    if path.name in OWN_FILES and is_run(path.absolute().parent):
        hint = "name another file"
        raise BadInput(option, "must not be a file that belongs to a run", got=str(path), hint=hint)
    try:
        DISK.check_replaceable(path)
    except OSError as error:
        raise _unwritable(path, option, error) from error
    if DISK.is_there(path) and not force:
        raise _taken(path, option)


def write_out(path: Path, content: bytes, option: str = "--out", *, force: bool) -> None:
    """Write the file at once and durably; a full disk leaves what was there.

    Raises:
        BadInput: It cannot be written, or exists by now and `force` is not set.
    """
    try:
        replace(path, content, new=not force)
    except FileExistsError as error:
        raise _taken(path, option) from error
    except OSError as error:
        raise _unwritable(path, option, error) from error


def write_out_by_parts(
    path: Path, pieces: Iterable[bytes | memoryview], option: str = "--out", *, force: bool
) -> None:
    """Write the file as `write_out` does, from pieces that are made on the way."""
    try:
        replace_by_parts(path, pieces, new=not force)
    except FileExistsError as error:
        raise _taken(path, option) from error
    except OSError as error:
        raise _unwritable(path, option, error) from error


def is_page_of(path: Path, folder: Path) -> bool:
    """Return whether a file is a page in the run folder that it shows, which is drawn again at any time."""
    return path.name in FIGURES and os.path.realpath(path.parent) == os.path.realpath(folder)


def _is_same(path: Path, given: object) -> bool:
    try:
        return isinstance(given, (str, Path)) and os.path.samefile(path, given)
    except (OSError, ValueError):  # one of them does not exist, or is no path
        return False


def _taken(path: Path, option: str) -> BadInput:
    hint = "name another file, or overwrite it: --force"
    return BadInput(option, "must not exist already", got=str(path), hint=hint)


def _unwritable(path: Path, option: str, error: OSError) -> BadInput:
    hint = "name another file"
    return BadInput(option, "must be writable", got=str(path), where=error.strerror or str(error), hint=hint)
