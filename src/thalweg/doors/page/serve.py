"""Serving the live page: its address, which stays the same over restarts."""

import contextlib
import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thalweg.core.cache import cache_folder
from thalweg.core.disk import replace
from thalweg.doors.page.app import application
from thalweg.doors.page.local import LocalServer, bound
from thalweg.doors.page.monitor import Monitor


class LivePage(LocalServer):
    """The server of the live page of some folders. As a context manager it serves in a thread.

    Port and token are those of the last time for these folders, if the port is free: a page that is still
    open connects again.

    Args:
        folders: The folders whose runs it shows.
        port: The port; None for that of the last time, or a free one.

    Raises:
        BadInput: The port is taken.
    """

    def __init__(self, folders: Sequence[Path], port: int | None = None):
        before = _remembered(folders)
        listener = bound(port, before.get("port"))
        token = before.get("token") or secrets.token_urlsafe(24)
        super().__init__(listener, token, lambda is_ending: application(Monitor(folders), token, is_ending))
        _remember(folders, self.port, token)


def _remembered(folders: Sequence[Path]) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        path = _memory(folders)
        value = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict) and isinstance(value.get("token"), str) and len(value["token"]) >= 32:
            return value
    return {}


def _remember(folders: Sequence[Path], port: int, token: str) -> None:
    path = _memory(folders)
    with contextlib.suppress(OSError):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.parent.chmod(0o700)  # the token is for this user alone
            replace(path, json.dumps({"port": port, "token": token}).encode())


def _memory(folders: Sequence[Path]) -> Path | None:
    cache = cache_folder()
    text = "\n".join(str(folder.absolute()) for folder in folders)
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return None if cache is None else cache / "watch" / f"{digest}.json"
