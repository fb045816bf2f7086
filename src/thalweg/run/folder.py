"""Run folders: where they are made, what may be overwritten, and writing that is never seen half done."""

import json
import os
import re
from pathlib import Path
from typing import Any

from thalweg.core.errors import RunFolderError

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
)


def make(out: Path | str | None, name: str, force: bool = False) -> Path:
    """Make the folder of a new run.

    Args:
        out: Where; None for `runs/<name>-<n>` with the next free n.
        name: Short name of the data.
        force: Whether a run that lies there already may be overwritten.

    Raises:
        RunFolderError: The folder holds a run already, is no folder, or cannot be written.
    """
    if out is None:
        return _next_free(Path("runs"), re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run")
    folder = Path(out)
    _create(folder)
    taken = [file for file in FILES if (folder / file).exists()]
    if taken and not force:
        raise RunFolderError(
            "run",
            "the output folder must not hold a run already",
            got=str(folder),
            hint="choose another --out, or overwrite it with --force",
        )
    _check_writable(folder)
    for file in taken:
        (folder / file).unlink()
    return folder


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash at any instant, sees the old content or the new, never a
    part.
    """
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write plain values as JSON that a person can read. NaN and infinities become null: JSON has none."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


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
