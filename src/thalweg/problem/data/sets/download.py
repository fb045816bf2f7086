"""Fetching published files: checked by SHA-256, put in place by one rename, never half there."""

import gzip
import hashlib
import os
import tempfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from thalweg.core.errors import DataError
from thalweg.problem.data.sets.locate import VARIABLE, cache_folder
from thalweg.problem.data.sets.published import Fetched, Published

TIMEOUT = 30  # seconds without an answer; a server that sleeps longer is as good as down


def fetch(published: Published) -> Path:
    """Fetch all files of a set into the cache, those that are missing there.

    Returns:
        The folder that holds them.

    Raises:
        DataError: The set cannot be fetched, no address answers, or what came is not what was published.
    """
    if not published.files:
        raise DataError("data", f"{published.name} must lie on this machine", hint=_advice(published.name))
    folder = cache_folder() / published.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            "data",
            "the cache folder must be writable",
            got=error.strerror,
            where=folder,
            hint=_advice(published.name),
        ) from error
    for file in published.files:
        if not (folder / file.name).exists():
            _place(folder / file.name, _fetch_file(published.name, file))
    return folder


def _fetch_file(name: str, file: Fetched) -> bytes:
    failures = []
    for address in file.addresses:
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
                content = answer.read()
            content = gzip.decompress(content) if address.endswith(".gz") else content
        except (OSError, EOFError, zlib.error, ValueError) as error:
            failures.append(f"{address}: {_reason(error)}")
            continue
        found = hashlib.sha256(content).hexdigest()
        if found == file.sha256:
            return content
        failures.append(f"{address}: other content (SHA-256 {found[:12]}...)")
    raise DataError(
        "data",
        f"{name} is not on this machine and could not be fetched",
        got="; ".join(failures),
        hint=_advice(name),
    )


def _place(path: Path, content: bytes) -> None:
    """Write beside the target and rename: whoever sees the name sees the whole file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)
    return str(error)


def _advice(name: str) -> str:
    return f"set {VARIABLE} to a folder that holds {name}, or give folder="
