"""A table from standard input, or from any open file: spooled to a file of the suffix that its bytes ask for.

Every reader takes a path, its messages name it, and large input is not held twice.
"""

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thalweg.core.disk import replace
from thalweg.core.errors import DataError
from thalweg.core.limits import max_bytes, too_large

STANDARD_INPUT = "-"
_GZIP = 31  # zlib's `wbits` for a gzip wrapper
_BEGINNING = 4096


def is_open_file(source: Any) -> bool:
    """Return whether something is a file opened for reading, of bytes or of text."""
    return callable(getattr(source, "read", None)) and callable(getattr(source, "readline", None))


@contextmanager
def spooled(stream: Any, example: str) -> Iterator[Path]:
    """Yield the path of what an open file holds, which lives as long as the block.

    Args:
        stream: The file, of bytes or text.
        example: A command that pipes a table in, for messages.

    Raises:
        DataError: It is a terminal, holds nothing, or more than `core.limits` allows.
    """
    content = _content(stream, example)
    with tempfile.TemporaryDirectory(prefix="thalweg-") as folder:
        path = Path(folder) / f"standard-input{_suffix(content)}"
        replace(path, content)
        yield path


def _content(stream: Any, example: str) -> bytes:
    if stream.isatty():
        hint = f"for example: {example}"
        raise DataError("-", "reads standard input, which is a terminal", hint=hint)
    most = max_bytes()
    try:
        content = stream.read(most + 1)
    except (OSError, ValueError) as error:  # closed, or not UTF-8
        hint = "open it for reading, in bytes"
        raise DataError("-", "the open file must be readable", got=str(error), hint=hint) from error
    content = content.encode() if isinstance(content, str) else content
    if len(content) > most:
        raise too_large(DataError, "-", "standard input holds more", most, STANDARD_INPUT)
    if not content.strip():
        raise DataError("-", "standard input must hold a table", got="nothing", hint="pipe a CSV table in")
    return content


def _suffix(content: bytes) -> str:
    """Return the suffix that the first bytes ask for: Parquet, JSON lines or CSV, compressed or not.

    Raises:
        DataError: They are those of a JSON document, or compressed in another way.
    """
    if content.startswith(b"PAR1"):
        return ".parquet"
    if content.startswith(b"\x1f\x8b"):
        try:
            inner = zlib.decompressobj(_GZIP).decompress(content[:_BEGINNING], _BEGINNING)
        except zlib.error:  # the reader will say so
            inner = b""
        return f"{_suffix(inner)}.gz" if not inner.startswith((b"PAR1", b"\x1f\x8b")) else ".csv.gz"
    start = content[:_BEGINNING].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        rule = "standard input must hold a table: CSV, JSON lines or Parquet"
        hint = "write an object on each line: jq -c '.[]'"
        raise DataError("-", rule, got="a JSON list", hint=hint)
    return ".jsonl" if start.startswith(b"{") else ".csv"
