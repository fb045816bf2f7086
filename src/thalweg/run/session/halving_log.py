"""What was decided at each rung of a halving, on disk before anyone goes on: a sweep that was killed between
two shards must not decide again, on other losses.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from thalweg.core.stop_reason import StopReason
from thalweg.run.folder.filesystem import DISK, SEALED_LIMIT, replace, seal, unseal
from thalweg.run.session.lane_states import LaneStates

FILE = "rungs.json"


class Decisions:
    """The lanes that are frozen after each rest of a sweep.

    Args:
        folder: Where they are kept; None for memory only.

    Raises:
        RunFolderError: What is kept there is damaged.
    """

    def __init__(self, folder: Path | None):
        self._path = None if folder is None else folder / FILE
        self._halved: list[list[int]] = []
        if self._path is not None and self._path.exists():
            self._halved = unseal(DISK.read(self._path, SEALED_LIMIT), self._path)["halved"]

    def note(self, courses: Sequence[LaneStates]) -> None:
        """Keep which lanes of all these courses are frozen now."""
        before = set(self._halved[-1]) if self._halved else set()
        now = {
            course.labels[lane][0]
            for course in courses
            for lane, why in enumerate(course.stopped[: len(course.labels)])
            if why == StopReason.HALVED
        }
        self._halved.append(sorted(before | now))
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace(self._path, seal({"halved": self._halved}))

    def known(self, rest: int) -> bool:
        """Whether it is decided already what follows this rest (0 is the first)."""
        return rest < len(self._halved)

    def carry_out(self, rest: int, course: LaneStates) -> None:
        """Freeze the lanes of a course that were frozen after this rest."""
        frozen = set(self._halved[rest])
        which = [number in frozen for number, _ in course.labels]
        course.stop(np.array(which + [False] * (len(course.stopped) - len(which))), StopReason.HALVED)
