"""Successive halving during a sweep: which lanes are frozen at a rung, and the decisions on disk.

Every decision is on disk before any shard continues. A sweep that is killed between two shards must not
decide again, from other losses.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from thalweg.core.stop_reason import StopReason
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.filesystem import DISK, SEALED_LIMIT, replace, seal, unseal
from thalweg.run.session.lane_states import LaneStates
from thalweg.run.spec import Halving

FILE = "rungs.json"


class Halver:
    """Freezes the losers at each rung of a sweep.

    Args:
        halving: The settings; None for a session without rungs.
        recipes: Of all lanes.
        folder: Where decisions are written; None for memory only.

    Attributes:
        rungs: Fractions of the run at which lanes are compared, ascending.

    Raises:
        RunFolderError: The file of decisions is damaged.
    """

    def __init__(self, halving: Halving | None, recipes: Sequence[Recipe], folder: Path | None):
        self._halving = halving
        self.rungs = [] if halving is None else halving.rungs
        self._setting = [] if halving is None else settings(recipes)
        self._path = None if halving is None or folder is None else folder / FILE
        self._frozen: list[list[int]] = []  # lane numbers, after each rung
        if self._path is not None and self._path.exists():
            self._frozen = unseal(DISK.read(self._path, SEALED_LIMIT), self._path)["halved"]

    def compare(self, shards: Sequence[LaneStates]) -> None:
        """Freeze the losers among all lanes at one rung, and write down which lanes are frozen now."""
        if self._halving is None:
            return
        freeze_losers(shards, self._setting, self._halving)
        before = set(self._frozen[-1]) if self._frozen else set()
        now = {
            lane.number
            for shard in shards
            for lane, reason in zip(shard.lanes, shard.stopped, strict=False)
            if reason == StopReason.HALVED
        }
        self._frozen.append(sorted(before | now))
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace(self._path, seal({"halved": self._frozen}))

    def decided(self, rung: int) -> bool:
        """Whether this rung (0 is the first) has been decided."""
        return rung < len(self._frozen)

    def freeze(self, rung: int, shard: LaneStates) -> None:
        """Freeze the lanes of a shard that were frozen at a rung."""
        frozen = [lane.number in self._frozen[rung] for lane in shard.lanes]
        unused = [False] * (len(shard.stopped) - len(frozen))
        shard.stop(np.array(frozen + unused), StopReason.HALVED)


def settings(recipes: Sequence[Recipe]) -> list[int]:
    """Return the setting that each lane belongs to: lanes that differ only in their seed share one."""
    known: dict[str, int] = {}
    return [known.setdefault(repr({**recipe.to_dict(), "seed": 0}), len(known)) for recipe in recipes]


def freeze_losers(shards: Sequence[LaneStates], setting: Sequence[int], halving: Halving) -> None:
    """Freeze the lanes of all but the best settings.

    Args:
        shards: All that still run, at one rung.
        setting: Setting of each lane, by its number.
        halving: How many settings continue.
    """
    losses: dict[int, list[float]] = {}
    for shard in shards:
        for lane in np.flatnonzero(shard.alive):
            loss = float(shard.validated[0][lane])
            losses.setdefault(setting[shard.lanes[lane].number], []).append(loss)
    means = {number: float(np.mean(values)) for number, values in losses.items()}
    order = sorted(means, key=lambda number: means[number] if np.isfinite(means[number]) else np.inf)
    continuing = set(order[: max(halving.at_least, -int(-len(order) // halving.factor))])
    for shard in shards:
        which = np.zeros(len(shard.stopped), bool)
        for lane in np.flatnonzero(shard.alive):
            which[lane] = setting[shard.lanes[lane].number] not in continuing
        shard.stop(which, StopReason.HALVED)
