"""What a checkpoint's manifest says, and the strict reading of it.

schema      1; another number is refused with the reason
run         identity of the run, so that a checkpoint of another run is noticed
step        updates behind it, the same as in the folder's name
score       validation loss, for keeping the best; null where there is none
files       name -> bytes and SHA-256, of every other file of the checkpoint
arrays      name -> dtype and shape
facts       what the run itself wants to know again: plain JSON
sha256      of all the rest (`sealed`)
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

from thalweg.core.errors import RunFolderError
from thalweg.run.folder import sealed_json as sealed

SCHEMA = 1
MANIFEST, ARRAYS = "manifest.json", "arrays.safetensors"


@dataclass(frozen=True)
class Manifest:
    """A manifest; the fields are those of the file."""

    run: str
    step: int
    score: float | None
    files: dict[str, dict[str, Any]]
    arrays: dict[str, dict[str, Any]]
    facts: dict[str, Any]

    def text(self) -> bytes:
        """Return the file's content."""
        return sealed.text({"schema": SCHEMA} | asdict(self))

    @classmethod
    def read(cls, content: bytes, where: object) -> Self:
        """Return the manifest of a file's content.

        Raises:
            RunFolderError: It is damaged, of another schema, or names files that no checkpoint has.
        """
        value = sealed.opened(content, where)
        schema = value.pop("schema", None)
        if schema != SCHEMA:
            raise RunFolderError(
                "run",
                f"a checkpoint must be of schema {SCHEMA}",
                got=schema,
                where=where,
                hint="read it with the version of Thalweg that wrote it (environment.json)",
            )
        if set(value) != set(cls.__dataclass_fields__):
            raise _refused("must have its entries and no others", sorted(value), where)
        found = cls(**value)
        found._check(where)
        return found

    def _check(self, where: object) -> None:
        right = (
            isinstance(self.run, str)
            and type(self.step) is int
            and self.step >= 0
            and (self.score is None or type(self.score) in (int, float))
            and all(isinstance(each, dict) for each in (self.files, self.arrays, self.facts))
        )
        if not right:
            raise _refused("must have entries of the right kinds", f"step {self.step!r}", where)
        # One fixed name: nothing that a manifest says can lead out of its folder.
        if set(self.files) != {ARRAYS}:
            raise _refused(f"must name {ARRAYS} and no other file", sorted(self.files), where)
        told = self.files[ARRAYS]
        if not isinstance(told, dict) or type(told.get("bytes")) is not int or told["bytes"] < 0:
            raise _refused("must say how long its file is", told, where)


def _refused(rule: str, got: object, where: object) -> RunFolderError:
    return RunFolderError("manifest", rule, got=got, where=where, hint="the file was not written by Thalweg")
