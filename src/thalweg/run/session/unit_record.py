"""`unit.json`: how far a shard is that a worker trains, in the folder of the shard; and its finished runs.

A shard that is trained by another process is a *unit*. Its record is sealed and written last: one that says
`finished` has complete lane folders, with checksums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from thalweg.core.disk import remove_if_there, replace
from thalweg.core.errors import RunFolderError
from thalweg.problem.models.adapter import build_as_trained
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder import weights as files
from thalweg.run.folder.filesystem import SEALED_LIMIT, SHARDS, files_of, read_file, seal, unseal_object
from thalweg.run.folder.record import read as read_record
from thalweg.run.progress import CallerStops, LaneStatus, Status
from thalweg.run.run import Run
from thalweg.run.session.halving import Halver
from thalweg.run.session.scheduler import Interrupt
from thalweg.run.spec import Lane, RunSpec

FILE, SCHEMA = "unit.json", 1
RUNNING, AT_RUNG, PAUSED, FINISHED = "running", "rung", "paused", "finished"
_TYPES = {
    "run": (str,),
    "state": (str,),
    "lanes": (list,),
    "rung": (int,),
    "losses": (list,),
    "seconds": (dict,),
    "notes": (list,),
}


@dataclass(frozen=True)
class UnitRecord:
    """The content of unit.json.

    Args:
        run: Identity of the sweep.
        state: `running`, `rung` (it waits for a decision of a halving), `paused` or `finished`.
        lanes: For each lane number, step, loss, validation loss, metric and state, as in `LaneStatus`.
        rung: Number of the rung that it waits at.
        losses: At a rung: number and validation loss of every lane that runs; None where it is not finite.
        seconds: Spent so far, by activity.
        notes: Messages for the user.
    """

    run: str
    state: str
    lanes: Sequence[Sequence[Any]] = ()
    rung: int = 0
    losses: Sequence[Sequence[Any]] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def step(self) -> int:
        """Updates of the lane that is furthest."""
        return max((int(lane[1]) for lane in self.lanes), default=0)

    def write(self, place: Path) -> None:
        """Write the record into the shard's folder; that of a finished unit is on disk when this returns."""
        content = seal({"schema": SCHEMA} | asdict(self))
        replace(place / FILE, content, durable=self.state != RUNNING, files=files_of(place))

    def statuses(self, lanes: Sequence[Lane]) -> tuple[LaneStatus, ...]:
        """Return the status of the unit's lanes, of which `lanes` are all of the sweep."""
        return tuple(
            LaneStatus(number, lanes[number].label, step, *map(_number, figures), state=state)
            for number, step, *figures, state in self.lanes
        )


def lane_rows(status: Status | None) -> list[list[Any]]:
    """Return the entry `lanes` of a record."""
    return [
        [lane.lane, lane.step, *map(_plain, (lane.loss, lane.validation_loss, lane.metric)), lane.state]
        for lane in (status.lanes if status is not None else ())
    ]


def place_of(sweep: Path, number: int) -> Path:
    """Return the folder of a shard while it trains."""
    return sweep / SHARDS / f"{number:03d}"


def read(place: Path, run: str) -> UnitRecord | None:
    """Return the record of a unit of this sweep; None where there is none, or it is damaged."""
    try:
        return _read(place, run)
    except (OSError, RunFolderError):
        return None


def _read(place: Path, run: str) -> UnitRecord | None:
    record = UnitRecord(**unseal_object(read_file(place / FILE, SEALED_LIMIT), SCHEMA, _TYPES, place / FILE))
    return record if record.run == run else None


@dataclass(frozen=True)
class UnitSweep:
    """A sweep whose units are about to be trained, as whoever distributes them needs it.

    Args:
        folder: Its folder, which all workers reach under this path.
        run: Its identity.
        spec: Its specification.
        lanes: All lanes.
        halver: Decides which lanes are frozen at rungs.
        note: Receives messages for the user.
        interrupt, requests: What a signal and the caller want stopped.
        finished: Numbers of the units that have finished.
        take: Takes over the runs of a unit that has finished.
    """

    folder: Path
    run: str
    spec: RunSpec
    lanes: Sequence[Lane]
    halver: Halver
    note: Callable[[str], None]
    interrupt: Interrupt
    requests: CallerStops
    finished: frozenset[int]
    take: Callable[[int, UnitRecord], None]


class Spread(Protocol):
    """Has the units of a sweep trained, and yields statuses of their lanes."""

    def stream(self, sweep: UnitSweep) -> Iterator[Status]:
        """Train every unit that has not finished."""
        ...


def forget_unit(place: Path) -> None:
    """Remove the record of a unit, so that the next worker trains it."""
    remove_if_there(files_of(place), place / FILE)


def read_runs(problem: Problem, lanes: Sequence[Lane], at: int | None = None) -> list[Run]:
    """Return the finished runs of some lanes, from their folders.

    Args:
        problem: What is learned.
        lanes: The lanes.
        at: A step that none of them may have passed; None for any.

    Raises:
        RunFolderError: A folder is incomplete or damaged, or holds a run of another recipe.
    """
    like = build_as_trained(problem.model, lanes[0].recipe.seed)
    runs = []
    for lane in lanes:
        assert lane.folder.folder is not None
        record = read_record(lane.folder.folder)
        same = toml.write(Recipe.from_dict(record.recipe)) == toml.write(lane.recipe)
        if not same or (at is not None and record.result["steps"] > at):
            rule, hint = "must be of this recipe, and not beyond the step", "train it again"
            raise RunFolderError("run", rule, got=record.result["steps"], where=record.folder, hint=hint)
        arrays = files.load(lane.folder.folder / f"{record.result['weights']}.safetensors")
        params = files.load_into(like.params, arrays)
        model_state = files.load_into(like.model_state, arrays, prefix=files.STATE)
        runs.append(Run(problem.of_fold(lane.fold), lane.recipe, params, model_state, record))
    return runs


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
