"""A request to a run to stop, in its folder: written by whoever watches it, read by the run between chunks.

`stop.json` names lanes to stop for good, or asks the whole run to stop as Ctrl-C does: it saves its state and
can be resumed. A file reaches a run in another container or on another machine, and cannot hit a process
that has taken over its number; a signal can do neither.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalweg.core.disk import replace
from thalweg.core.documents import parse_json
from thalweg.run.folder.filesystem import as_json, files_of, read_file

FILE = "stop.json"
# A request names at most all lanes of a sweep; anything longer was not written by `ask`.
_LONGEST = 1 << 20


@dataclass(frozen=True)
class StopRequest:
    """What a run is asked to stop.

    Args:
        run: Whether the whole run stops, to be resumed later.
        lanes: Numbers of lanes that stop for good.
    """

    run: bool = False
    lanes: frozenset[int] = frozenset()

    def write(self, folder: Path) -> None:
        """Write the request, or remove the file if nothing is requested.

        Raises:
            OSError: The folder cannot be written.
        """
        files = files_of(folder)
        if self == StopRequest():
            with contextlib.suppress(FileNotFoundError):
                files.remove(folder / FILE)
        else:
            content = as_json({"run": self.run, "lanes": sorted(self.lanes)})
            replace(folder / FILE, content, durable=False, files=files)


def ask(folder: Path, lanes: Iterable[int] | None = None) -> None:
    """Ask a run to stop, or some lanes of a sweep; requests that were written before still hold.

    Args:
        folder: The run folder.
        lanes: Numbers of the lanes; None for the whole run.

    Raises:
        OSError: The folder cannot be written.
    """
    before = read(folder)
    StopRequest(before.run or lanes is None, before.lanes | frozenset(lanes or ())).write(folder)


def read(folder: Path) -> StopRequest:
    """Return the request in a folder; one for nothing where there is no file, or a damaged one."""
    with contextlib.suppress(OSError, ValueError):
        value: Any = parse_json(read_file(folder / FILE, _LONGEST))
        if isinstance(value, dict) and isinstance(value.get("lanes"), list):
            lanes = frozenset(lane for lane in value["lanes"] if type(lane) is int)
            return StopRequest(value.get("run") is True, lanes)
    return StopRequest()


class StopRequests:
    """The requests to one run while it trains; its shards read them from several threads.

    Args:
        folder: The run folder; None for memory only, which nobody can ask.
    """

    def __init__(self, folder: Path | None):
        self._folder = folder
        self._seen: tuple[int, int, int] | None = None
        self._request = StopRequest()

    def begin(self, resumed: bool) -> None:
        """Forget a request to stop the run, which an earlier session has followed, or never saw.

        Args:
            resumed: Whether the run continues; its stopped lanes stay stopped.
        """
        if self._folder is not None:
            StopRequest(lanes=read(self._folder).lanes if resumed else frozenset()).write(self._folder)

    def read(self) -> StopRequest:
        """Return what is requested now. Costs one look at the folder while the file does not change."""
        if self._folder is None:
            return self._request
        try:
            status = (self._folder / FILE).stat()
        except OSError:
            return StopRequest()
        seen = status.st_mtime_ns, status.st_ino, status.st_size
        if seen != self._seen:
            self._request, self._seen = read(self._folder), seen
        return self._request

    def end(self, interrupted: bool) -> None:
        """Remove what has been followed; an interrupted sweep remembers which lanes were stopped."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self.begin(resumed=interrupted)
