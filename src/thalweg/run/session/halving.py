"""Successive halving during a sweep: which lanes are frozen at a rung, and the decisions on disk.

Every decision is on disk before any shard continues. A sweep that is killed between two shards must not
decide again, from other losses.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from thalweg.core.disk import replace
from thalweg.core.stop_reason import StopReason
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.filesystem import SEALED_LIMIT, files_of, read_file, seal, unseal
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
        if self._path is not None and files_of(self._path.parent).is_there(self._path):
            self._frozen = unseal(read_file(self._path, SEALED_LIMIT), self._path)["halved"]

    def compare(self, shards: Sequence[LaneStates]) -> None:
        """Freeze the losers among all lanes at one rung, and write down which lanes are frozen now."""
        if self._halving is None:
            return
        self.decide([pair for shard in shards for pair in running(shard)])
        for shard in shards:
            self.freeze(len(self._frozen) - 1, shard)

    def decide(self, losses: Sequence[tuple[int, float]]) -> None:
        """Decide a rung, and write down which lanes are frozen from now on.

        Args:
            losses: Number and latest validation loss of every lane that runs, shard by shard.
        """
        if self._halving is None:
            return
        before = set(self._frozen[-1]) if self._frozen else set()
        self._frozen.append(sorted(before | losers(losses, self._setting, self._halving)))
        if self._path is not None:
            files = files_of(self._path.parent)
            files.make_folder(self._path.parent)
            replace(self._path, seal({"halved": self._frozen}), files=files)

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


def running(shard: LaneStates) -> list[tuple[int, float]]:
    """Return number and latest validation loss of every lane of a shard that runs."""
    losses = shard.validated[0]
    return [(shard.lanes[lane].number, float(losses[lane])) for lane in np.flatnonzero(shard.alive)]


def losers(losses: Sequence[tuple[int, float]], setting: Sequence[int], halving: Halving) -> set[int]:
    """Return the numbers of the lanes of all but the best settings.

    Args:
        losses: Number and validation loss of every lane that runs.
        setting: Setting of each lane, by its number.
        halving: How many settings continue.
    """
    by_setting: dict[int, list[float]] = {}
    for lane, loss in losses:
        by_setting.setdefault(setting[lane], []).append(loss)
    means = {number: float(np.mean(values)) for number, values in by_setting.items()}
    order = sorted(means, key=lambda number: means[number] if np.isfinite(means[number]) else np.inf)
    continuing = set(order[: max(halving.at_least, -int(-len(order) // halving.factor))])
    return {lane for lane, _ in losses if setting[lane] not in continuing}
