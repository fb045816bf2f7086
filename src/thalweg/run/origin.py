"""What the run or lane in a folder was started with: of a lane, run.json of its sweep says it."""

from pathlib import Path
from typing import NamedTuple

from thalweg.core.errors import RunFolderError
from thalweg.engine.plan import Shard
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.filesystem import LANES, files_of
from thalweg.run.folder.folder import RUN_FILE, RunFile
from thalweg.run.folder.sweep_record import is_sweep, lane_folder
from thalweg.run.folder.sweep_record import read as read_sweep
from thalweg.run.spec import RunSpec


class Origin(NamedTuple):
    """What a single run or a lane of a sweep was started with.

    Args:
        run: Its `run`, by which its checkpoints are known.
        spec: Of the run, or of the whole sweep.
        lane: Its number among the recipes of `spec`.
    """

    run: str
    spec: RunSpec
    lane: int

    @property
    def recipe(self) -> Recipe:
        """How it trained."""
        return self.spec.recipes[self.lane]

    @property
    def shard(self) -> Shard:
        """Which lanes it was computed with."""
        return next(shard for shard in self.spec.plan.shards if self.lane in shard.lanes)

    def own(self, whole: Problem) -> Problem:
        """Return its own part of the problem: of lanes on folds, the problem on the lane's fold."""
        return whole.of_fold(self.spec.folds[self.lane]) if self.spec.folds else whole


def origin_of(folder: Path, who: str) -> Origin:
    """Return what the run or lane in a folder was started with.

    Args:
        folder: The folder of a run, or of a lane of a sweep.
        who: What asks, for messages.

    Raises:
        RunFolderError: It is a sweep, or nothing says what the run was started with.
    """
    if is_sweep(folder):
        hint = f"name one of its lanes: {_first_lane(folder)}"
        raise RunFolderError(who, "takes a run or a lane, not a sweep", got=str(folder), hint=hint)
    run, lane = RunFile.read(folder), 0
    if run.origin:
        return Origin(run.run, RunSpec.from_dict(run.origin, folder / RUN_FILE), lane)
    if folder.absolute().parent.name == LANES and folder.absolute().name.isdigit():
        sweep = folder.absolute().parents[1]
        if files_of(sweep).is_there(sweep / RUN_FILE):
            run, lane = RunFile.read(sweep), int(folder.absolute().name)
            return Origin(run.run, RunSpec.from_dict(run.origin, sweep / RUN_FILE), lane)
    rule, hint = "must say what the run was started with", "use a lane in the folder of its sweep"
    raise RunFolderError("run", rule, got="no origin", where=folder / RUN_FILE, hint=hint)


def _first_lane(sweep: Path) -> Path:
    """Return a lane for a hint; of a sweep over several models each has lanes of its own."""
    try:
        return read_sweep(sweep, unverified=True).lanes[0]
    except (RunFolderError, IndexError):
        return lane_folder(sweep, 0)
