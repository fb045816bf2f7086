"""Keeping a run's state: when a checkpoint is due, saving it beside training, and finding where to go on."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from thalweg.core.errors import RecipeError, RunFolderError
from thalweg.run.checkpoint.store import Checkpoint, Damaged, Retention, Store
from thalweg.run.checkpoint.writer_thread import Order, Saver
from thalweg.run.folder.log import read_back
from thalweg.run.folder.log_stream import cut, first_rows
from thalweg.run.session import snapshot
from thalweg.run.session.lane_states import LaneStates

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Every(NamedTuple):
    """When checkpoints are due: every so many updates, or every so many seconds; never, where both are None.

    A run that ends or is interrupted saves its state in any case.
    """

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def read(cls, text: str) -> "Every":
        """Read `500` (updates), `60s`, `10m`, `1h`, or `off`.

        Raises:
            RecipeError: It is none of these, or not above zero.
        """
        found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([smh]?)", text.strip())
        if text.strip() == "off":
            return cls()
        if found is None or float(found[1]) <= 0 or (not found[2] and "." in found[1]):
            raise RecipeError(
                "checkpoint-every",
                "must be a number of updates, or a time with s, m or h",
                got=text,
                hint="for example 500, 60s, 10m or off",
            )
        return cls(seconds=float(found[1]) * _UNITS[found[2]]) if found[2] else cls(steps=int(found[1]))


class Found(NamedTuple):
    """Where a run goes on: a checkpoint, and the log's rows up to it."""

    checkpoint: Checkpoint
    rows: dict[str, pa.Table]


@dataclass
class Checkpointer:
    """Keeps the state of one shard of lanes in a folder beside its log.

    Args:
        folder: Where the log and the checkpoints lie.
        run: Identity of the run.
        every: When checkpoints are due.
        last: How many of the last are kept, beside the best.
        note: Told what a person should know.
        about: What checkpoints say of the run, beside the state; called at the first.
        at_end: Whether the state is saved also when the run has come to its end, so that it can be extended.
        at: Go on from the newest checkpoint up to this step; None for the newest.
        again: Whether the run goes on, so that checkpoints are looked for.
    """

    folder: Path
    run: str
    every: Every
    last: int
    note: Callable[[str], None]
    about: Callable[[], dict[str, Any]] = dict
    at_end: bool = True
    at: int | None = None
    again: bool = False
    _saver: Saver | None = None
    _about: dict[str, Any] | None = None
    _saved: int = 0
    _closed: bool = False
    _time: float = field(default_factory=time.monotonic)

    def found(self) -> Found | None:
        """Return where to go on, and say so where it is not the newest; None where there is no checkpoint.

        A checkpoint whose log is damaged counts less than an older one with a sound log; where no log is
        sound the newest checkpoint counts, and what is left of the log.
        """
        if not self.again:
            return None
        rows, without_log = read_back(self.folder), None
        for one in self._store().sound(self.at):
            if isinstance(one, Damaged):
                self.note(f"the checkpoint {one.path.name} is damaged and left out: {one.why}")
                continue
            try:
                marks = one.manifest.facts["log"]
                return self._chosen(Found(one, {name: cut(rows[name], marks[name], name) for name in rows}))
            except RunFolderError as error:
                self.note(f"the log does not fit the checkpoint {one.path.name}: {error.where}: {error.got}")
                without_log = without_log or one
        if without_log is None:
            return None
        self.note("no log is sound: going on from the newest sound checkpoint with what is left of it")
        marks = without_log.manifest.facts["log"]
        left = {name: first_rows(table, marks[name]["rows"]) for name, table in rows.items()}
        return self._chosen(Found(without_log, left))

    def next_stop(self, step: int) -> float:
        """Return the step at which the next checkpoint is due; infinite where the clock decides."""
        if self.every.steps is None:
            return float("inf")
        return (step // self.every.steps + 1) * self.every.steps

    def look(self, course: LaneStates) -> None:
        """Save the state if it is due."""
        steps, seconds = self.every
        by_steps = steps is not None and course.step // steps > self._saved // steps
        by_clock = seconds is not None and time.monotonic() - self._time >= seconds
        if by_steps or by_clock:
            self.save(course)

    def save(self, course: LaneStates) -> None:
        """Have the state saved, beside what goes on here."""
        if self._closed:
            return
        if self._saver is None:
            self._saver = Saver(self._store(), Retention(self.last), self.note)
        arrays, facts = snapshot.taken(course)

        def ready() -> dict[str, Any]:  # in the saving thread: fingerprints of the data take long
            course.log.sync()
            self._about = self._about if self._about is not None else self.about()
            return self._about

        order = Order(course.step, arrays, facts, snapshot.score(course), ready)
        self._saver.submit(order)
        self._saved, self._time = course.step, time.monotonic()

    def settle(self) -> None:
        """Return when what was to be saved is on the disk, or was given up."""
        if self._saver is not None:
            self._saver.settle()

    def close(self) -> None:
        """Finish what was to be saved; nothing is saved any more after this."""
        self._closed = True
        if self._saver is not None:
            self._saver.close()
            self._saver = None

    def _store(self) -> Store:
        return Store(self.folder, self.run)

    def _chosen(self, found: Found) -> Found:
        # Later ones are of a course that is about to be taken again; the disk must not hold two.
        step = found.checkpoint.manifest.step
        self._store().forget_after(step)
        self._saved = step
        return found
