"""JSON that carries its own checksum: a changed byte anywhere in it is noticed.

What is sealed is the object without its last entry, `sha256`, written with sorted keys and without blanks;
blanks and line breaks, which mean nothing, are not covered, except that the file must be the very text that
`text` makes of the object.
"""

import hashlib
import json
from typing import Any

from thalweg.core.errors import RunFolderError

# A manifest of a thousand lanes has some hundred kilobytes; what is longer than this is none.
LIMIT = 1 << 24
SEAL = "sha256"


def text(value: dict[str, Any]) -> bytes:
    """Return an object as sealed JSON that a person can read, in UTF-8.

    Raises:
        ValueError: It holds NaN or an infinity, which JSON has not.
    """
    sealed = dict(sorted(value.items())) | {SEAL: _seal(value)}
    body = json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False)
    return (body + "\n").encode("utf-8", "surrogatepass")


def opened(content: bytes, where: object) -> dict[str, Any]:
    """Return the object of a sealed JSON text.

    Raises:
        RunFolderError: It is no JSON, no object, or not what was sealed.
    """
    try:
        value = json.loads(content)
        whole = isinstance(value, dict) and value.pop(SEAL, None) == _seal(value) and text(value) == content
    except (ValueError, RecursionError) as error:
        raise _damaged(str(error), where) from None
    if not whole:
        raise _damaged("its checksum is another", where)
    return value


def checksum(content: bytes | memoryview) -> str:
    """Return the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def _seal(value: dict[str, Any]) -> str:
    body = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return checksum(body.encode("utf-8", "surrogatepass"))


def _damaged(got: str, where: object) -> RunFolderError:
    return RunFolderError(
        "run",
        "a manifest must be as it was written",
        got=got,
        where=where,
        hint="the file is damaged or was edited; restore a copy",
    )
