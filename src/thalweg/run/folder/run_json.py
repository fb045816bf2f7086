"""`run.json`: which run a folder holds, what it was asked for, and the checksum of every file at rest.

Written when a run begins (its descriptions), and again when it has ended (all of its files), each time as one
indivisible replacement and as the last file. A file that is listed and not as listed is damaged; one that
is not listed is still being written, or is no part of the promise (the report).
"""

import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from thalweg.core.errors import RunFolderError
from thalweg.run.folder import sealed_json as sealed
from thalweg.run.folder.filesystem import DISK, Files, replace

NAME, SCHEMA = "run.json", 1
# Files at rest are read whole to be verified; a table of a very long run may be large.
LIMIT = 1 << 40


class FileCheck(NamedTuple):
    """What a look at one file found.

    Args:
        name: Within the run folder.
        sound: Whether it is as it was written; None where nothing can be said.
        why: What is wrong with it, or why nothing can be said.
    """

    name: str
    sound: bool | None
    why: str = ""


@dataclass(frozen=True)
class RunFile:
    """The content of run.json.

    Args:
        run: The run's identity, the same in all of its checkpoints.
        origin: What `resume` needs to make problem and recipe again; plain JSON.
        ended: Whether the run came to an end and brought its folder to rest.
        files: Name -> bytes and SHA-256.
    """

    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    origin: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, folder: Path, names: list[str], ended: bool = False, files: Files = DISK) -> Self:
        """Write run.json with the checksums of these files as they lie there now; return what was written.

        Raises:
            OSError: A file cannot be read, or run.json not be written.
        """
        listed = {name: _measured(files.read(folder / name, LIMIT)) for name in names}
        made = type(self)(self.run, self.origin, ended, listed)
        replace(folder / NAME, sealed.text({"schema": SCHEMA} | asdict(made)), files)
        return made

    @classmethod
    def read(cls, folder: Path, files: Files = DISK) -> Self:
        """Read a folder's run.json.

        Raises:
            RunFolderError: It is missing, damaged, or of another schema.
        """
        path = Path(folder) / NAME
        try:
            value = sealed.opened(files.read(path, sealed.LIMIT), path)
        except OSError as error:
            raise RunFolderError(
                "run",
                "the folder must hold a run (run.json)",
                got=error.strerror or str(error),
                where=path,
                hint="give the folder that `thalweg fit` wrote",
            ) from error
        schema = value.pop("schema", None)
        if schema != SCHEMA or set(value) != set(cls.__dataclass_fields__) or not _right(value):
            raise RunFolderError(
                "run",
                f"run.json must be of schema {SCHEMA}",
                got=schema,
                where=path,
                hint="read it with the version of Thalweg that wrote it",
            )
        return cls(**value)

    def findings(self, folder: Path, files: Files = DISK) -> list[FileCheck]:
        """Verify every listed file."""
        return [self.finding(folder, name, files) for name in self.files]

    def finding(self, folder: Path, name: str, files: Files = DISK) -> FileCheck:
        """Verify one file; one that is not listed cannot be told."""
        told = self.files.get(name)
        if told is None:
            return FileCheck(name, None, "no checksum was kept")
        try:
            found = _measured(files.read(Path(folder) / name, LIMIT))
        except OSError as error:
            return FileCheck(name, False, (error.strerror or str(error)).lower())
        return FileCheck(name, found == told, "" if found == told else _changed(found, told))


def _measured(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": sealed.checksum(content)}


def _changed(found: dict[str, Any], told: dict[str, Any]) -> str:
    if found["bytes"] != told["bytes"]:
        return f"has {found['bytes']} bytes instead of {told['bytes']}"
    return "its bytes were changed since it was written"


def _right(value: dict[str, Any]) -> bool:
    kinds = {"run": str, "origin": dict, "ended": bool, "files": dict}
    if not all(isinstance(value[name], kind) for name, kind in kinds.items()):
        return False
    listed: dict[str, Any] = value["files"]
    # Nothing that is listed can lead out of the folder.
    plain = all("/" not in name and "\\" not in name and name not in ("", ".", "..") for name in listed)
    return plain and all(isinstance(told, dict) for told in listed.values())
