"""Run folders: where they are made, what may be overwritten, and writing that is never seen half done."""

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalweg.core.errors import RunFolderError
from thalweg.run.folder.lock import check_free

# What a run writes, and so what `force` may remove. Nothing else in a folder is ever touched.
FILES = (
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
    "report.html",
    "steps.arrows",
    "evaluations.arrows",
    "layers.arrows",
    "sample.txt",
    "sweep.json",
    "run.json",
    "finding.json",
    "finding.html",
    "finding.svg",
    "lanes.parquet",
    "sizes.parquet",
)
# Folders of a sweep, and of a run that saves its state; `force` removes them whole.
FOLDERS = ("lanes", "shards", "checkpoints")


def remove(folder: Path) -> None:
    """Remove one of a sweep's folders, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class RunFolder:
    """Where a run's files go.

    Args:
        folder: None for a run that is kept in memory only.
        durable: Whether a file is on the disk when its writing returns. One of hundreds of lanes leaves that
            to the end of the sweep.
    """

    folder: Path | None
    durable: bool = True

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)  # it may have been removed under a long run
            write_atomically(self.folder / name, content, durable=self.durable)

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write plain values as JSON; NaN and infinities become null."""
        self.write(name, as_json(value))


def make(out: Path | str | None, name: str, force: bool = False) -> Path:
    """Make the folder of a new run.

    Args:
        out: Where; None for `runs/<name>-<n>` with the next free n.
        name: Short name of the data.
        force: Whether a run that lies there already may be overwritten.

    Raises:
        RunFolderError: The folder holds a run already, is being written by another process, is no folder, or
            cannot be written.
    """
    if out is None:
        return _next_free(Path("runs"), re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run")
    folder = Path(out)
    refuse_taken(folder, force)
    _create(folder)
    taken = _taken(folder)
    _check_writable(folder)
    check_free(folder)
    for name in taken:
        if name in FOLDERS:
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink()
    return folder


def refuse_taken(folder: Path | str | None, force: bool = False) -> None:
    """Refuse a folder that holds a run already: what takes long asks before it begins.

    Raises:
        RunFolderError: It does, and `force` does not allow to overwrite it.
    """
    if folder is not None and not force and _taken(Path(folder)):
        raise RunFolderError(
            "run",
            "the output folder must not hold a run already",
            got=str(folder),
            hint="choose another --out, or overwrite it with --force",
        )


def write_atomically(path: Path, content: bytes, durable: bool = True) -> None:
    """Write a file so that a reader, or a kill at any instant, sees the old content or the new, never a
    part; when durable, so does a crash of the machine.
    """
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write plain values as JSON that a person can read."""
    write_atomically(path, as_json(value))


def as_json(value: dict[str, Any]) -> bytes:
    """Return plain values as indented JSON. NaN and infinities become null: JSON has none."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def plain(value: Any) -> Any:
    """Turn NumPy numbers, tuples and paths into what JSON has; non-finite numbers into None."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


def _taken(folder: Path) -> list[str]:
    return [name for name in (*FILES, *FOLDERS) if (folder / name).exists()]


def _next_free(parent: Path, name: str) -> Path:
    _create(parent)
    number = 1
    while True:
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()  # fails when it exists, so that two processes never share one
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
