"""What a process keeps for later ones in the user's cache folder. Losing it costs time, never a result."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import platformdirs

from thalweg.core.disk import DISK, replace
from thalweg.core.documents import parse_json

# Bytes of a file of what was remembered; each entry takes some hundred.
_LIMIT = 1 << 24


def cache_folder() -> Path | None:
    """Return the folder for files that are reused between processes; None if caching is switched off.

    `THALWEG_CACHE` names another folder; `THALWEG_CACHE=off` disables it.
    """
    setting = os.environ.get("THALWEG_CACHE", "")
    return None if setting == "off" else Path(setting or platformdirs.user_cache_dir("thalweg"))


def recall(file: str, key: str) -> Any:
    """Return what was remembered in a JSON file of the cache folder under a key; None if nothing was."""
    return _entries(file).get(key)


def remember(file: str, key: str, value: Any) -> None:
    """Keep a JSON value in a file of the cache folder, beside those of other keys."""
    folder = cache_folder()
    if folder is None:
        return
    with contextlib.suppress(OSError):  # it can be found out again
        make_private(folder)
        replace(folder / file, json.dumps(_entries(file) | {key: value}).encode(), durable=False)


def make_private(folder: Path) -> None:
    """Create a folder of the cache that no other user can write to: what it holds is trusted, and run.

    Raises:
        OSError: It cannot be created.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def _entries(file: str) -> dict[str, Any]:
    folder = cache_folder()
    try:
        entries = {} if folder is None else parse_json(DISK.read(folder / file, _LIMIT))
    except (OSError, ValueError):  # missing or damaged
        return {}
    return entries if isinstance(entries, dict) else {}
