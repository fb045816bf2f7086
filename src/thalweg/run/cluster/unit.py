"""A unit of work: one shard of a sweep, trained by whichever worker comes first.

A unit is idempotent. One that has finished is skipped, one that was interrupted resumes from its checkpoint,
and of two workers on one unit the lock decides. All that it is sent is the path of the sweep and a number;
what it returns is the path of the shard, whose `unit.json` says the rest. The problem is rebuilt from
run.json, once in each process: data by name and fingerprint, or from the folder that keeps them.
"""

import contextlib
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from threading import Lock as ThreadLock
from typing import Any, NamedTuple

import jax

from thalweg.core.errors import RunFolderError
from thalweg.core.imports import allowing
from thalweg.core.stop_reason import StopReason
from thalweg.problem.problem import Problem
from thalweg.run.folder import kept_data, stop_request
from thalweg.run.folder.describe import environment
from thalweg.run.folder.filesystem import files_of, read_json
from thalweg.run.folder.folder import RunFile
from thalweg.run.folder.lock import Lock, holder
from thalweg.run.progress import Silent, Status
from thalweg.run.session.halving import running
from thalweg.run.session.session import BITS, Session
from thalweg.run.session.shard import ShardTrainer
from thalweg.run.session.unit_record import (
    AT_RUNG,
    FINISHED,
    PAUSED,
    RUNNING,
    UnitRecord,
    lane_rows,
    place_of,
    read,
)
from thalweg.run.spec import RunSpec

# Seconds between two records of a unit that trains, for the live table.
PULSE_SECONDS = 3.0
_opening = ThreadLock()


class _Opened(NamedTuple):
    """A sweep as a worker holds it, for all of its units."""

    spec: RunSpec
    problem: Problem


class _WaitsAtRung(Exception):
    """The unit has saved its state and waits for a decision of the halving."""


def train_unit(sweep: str, number: int, allow_import: bool = False, x64: bool = False) -> str:
    """Train a shard of a sweep to its end or its next rung, unless another worker does or has.

    Args:
        sweep: The sweep's folder, as this machine reaches it.
        number: The shard's number in the plan.
        allow_import: Whether the user's functions that the sweep names may be imported.
        x64: JAX's setting `jax_enable_x64` where the sweep was started.

    Returns:
        The folder of the shard; its `unit.json` says how far the unit is.

    Raises:
        RunFolderError: The sweep cannot be read, or the folder cannot be written.
        DataError: The data are not those that the sweep was started with.
    """
    folder = Path(sweep)
    place, run_file = place_of(folder, number), RunFile.read(folder)
    # Asked to stop, a worker that has not begun returns at once; few executors tell whether it has.
    if run_file.ended or stop_request.read(folder).run:
        return str(place)
    files_of(place).make_folder(place)
    with ExitStack() as stack:
        try:
            stack.enter_context(Lock(place))
        except RunFolderError:
            if holder(place) is None:
                raise
            return str(place)
        done = read(place, run_file.run)
        if done is None or done.state != FINISHED:
            stack.enter_context(allowing(allow_import))
            stack.enter_context(jax.enable_x64(x64))
            with _opening:
                opened = _opened(folder, run_file.run)
            _train(opened, folder, number, run_file)
    return str(place)


@lru_cache(maxsize=2)
def _opened(folder: Path, run: str) -> _Opened:
    """Return a sweep's specification and problem; `run` tells one in a folder from a later one."""
    spec = RunSpec.from_dict(RunFile.read(folder).origin, folder)
    kept = (lambda: kept_data.read(folder)) if kept_data.is_kept(folder) else None
    return _Opened(spec, spec.rebuild_problem(kept=kept))


class _Notes(Silent):
    """Collects messages for the user, who reads them where the sweep was started."""

    def __init__(self, notes: list[str]):
        self.notes = notes

    def note(self, text: str) -> None:
        """Keep the message."""
        self.notes.append(text)


def _train(opened: _Opened, folder: Path, number: int, run_file: RunFile) -> None:
    place = place_of(folder, number)
    latest: Status | None = None
    notes = _other_machine(folder)
    session = Session(opened.problem, opened.spec, _Notes(notes), resumed=run_file)
    held: list[ShardTrainer] = []

    def record(state: str, **more: Any) -> UnitRecord:
        return UnitRecord(run_file.run, state, lane_rows(latest), notes=tuple(notes), **more)

    def at_rung(trainer: ShardTrainer) -> None:
        trainer.save()
        held.append(trainer)
        raise _WaitsAtRung

    training, written = session.stream_shard(folder, number, at_rung), time.monotonic()
    with session.interrupt, contextlib.closing(training):
        try:
            while True:
                latest = next(training)
                if time.monotonic() - written > PULSE_SECONDS:
                    written = time.monotonic()
                    with contextlib.suppress(OSError):  # a disk that is full for the moment
                        record(RUNNING).write(place)
        except _WaitsAtRung:
            states = held[0].lane_states
            assert states is not None
            losses = [[lane, loss if loss - loss == 0 else None] for lane, loss in running(states)]
            record(AT_RUNG, rung=states.rungs - 1, losses=losses).write(place)
        except StopIteration as end:
            _finish(end.value, record, place, run_file.run)


def _finish(trainer: ShardTrainer, record: Any, place: Path, run: str) -> None:
    """Seal the lanes and then the unit; one that was interrupted will be resumed."""
    reasons = [each.result["stopped"] for each in trainer.runs]
    if StopReason.INTERRUPTED in reasons:
        record(PAUSED).write(place)
        return
    for lane in trainer.lanes:
        assert lane.folder.folder is not None
        RunFile(run).write_end(lane.folder.folder, True)
    seconds = trainer.timings.seconds()
    finished: UnitRecord = record(FINISHED, seconds=seconds)
    if not finished.lanes:  # it had nothing left to train
        lanes = [
            [lane.number, each.result["steps"]]
            for lane, each in zip(trainer.lanes, trainer.runs, strict=True)
        ]
        rows = [[*lane, None, None, None, reason] for lane, reason in zip(lanes, reasons, strict=True)]
        finished = record(FINISHED, seconds=seconds, lanes=rows)
    finished.write(place)


def _other_machine(folder: Path) -> list[str]:
    """Return a message where this machine may compute other bits than the one that started the sweep."""
    before: Mapping[str, Any] = read_json(folder / "environment.json")
    now = environment()
    changed = [f"{name} {now.get(name)}" for name in BITS if name in before and before[name] != now.get(name)]
    return [f"a worker may compute other bits than where the sweep was started: {'; '.join(changed)}"] * bool(
        changed
    )
