"""`Workers`: has the units of a sweep trained by an executor, through the deaths of its workers.

Nothing here schedules or transports: an executor of `concurrent.futures` does. Units are submitted all at
once. One whose worker died, or that another worker holds, is submitted again; one that fails is, a few times.
Everything that a unit does is in the sweep's folder, so that this process may die as well: `resume` continues
the sweep, with other workers or none.
"""

import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass
from typing import Any

import jax

from thalweg.core.caller import argument, either, option
from thalweg.core.errors import BadInput, DataError, ModelError, RunFolderError, ThalwegError
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.cluster.unit import train_unit
from thalweg.run.folder import kept_data, stop_request
from thalweg.run.folder.folder import LARGEST_FILE
from thalweg.run.problem_record import describe_problem, unnamed
from thalweg.run.progress import Status
from thalweg.run.session.unit_record import (
    AT_RUNG,
    FILE,
    FINISHED,
    PAUSED,
    UnitRecord,
    UnitSweep,
    forget_unit,
    place_of,
    read,
)
from thalweg.run.spec import recipes_as_text

# Seconds between two looks at the units, before a unit that another worker holds is tried again, and for
# workers to save their states after an interrupt.
POLL_SECONDS, BUSY_SECONDS, GRACE_SECONDS = 0.25, 2.0, 60.0
# A unit may fail so often with an error of its own, and so often lose its worker, without any progress. The
# pauses before it is tried again double, so that a disk may recover and a healthy worker may take it.
MOST_FAILURES, MOST_LOSSES = 5, 20
# What executors raise for a unit whose worker died, where that is no BrokenExecutor: Dask's, Ray's, and
# submitit's, also at the time limit of a job.
LOST_WORKER = frozenset({"KilledWorker", "FutureCancelledError", "WorkerCrashedError", "UncompletedJobError"})


@dataclass
class _Unit:
    """A unit as the coordinating process knows it."""

    number: int
    future: Future[Any] | None = None
    due: float = 0.0
    record: UnitRecord | None = None
    finished: bool = False
    failures: int = 0
    losses: int = 0
    step: int = 0
    seen: int = 0  # of its record: when it was written

    def waits_at(self, rung: int) -> bool:
        """Whether it waits for the decision of a rung."""
        record = self.record
        return self.future is None and record is not None and record.state == AT_RUNG and record.rung == rung


def check_executor(executor: Any) -> None:
    """Reject what is no executor.

    Raises:
        BadInput: It has no `submit`.
    """
    if not callable(getattr(executor, "submit", None)) or isinstance(executor, type):
        hint = "with tw.executor('processes:4') as workers: train(..., executor=workers)"
        rule = "must be an executor of concurrent.futures, or have its submit"
        raise BadInput(argument("executor"), rule, got=executor, hint=hint)


def reject_both(devices: Any, executor: Any) -> None:
    """Reject devices of this process together with workers that have their own.

    Raises:
        BadInput: Both are given.
    """
    if devices is not None and executor is not None:
        rule = "are those of this process, while workers have their own"
        got = f"{option('devices', devices)} and {either('--on', 'executor')}"
        raise BadInput(argument("devices"), rule, got=got, hint="leave one of the two out")


def check_sendable(problem: Problem, recipes: Sequence[Recipe], keeps_data: bool) -> None:
    """Reject a problem or a recipe that a worker cannot build again from what the sweep's folder says.

    Args:
        problem, recipes: What is trained, and how.
        keeps_data: Whether data from memory may be kept in the folder.

    Raises:
        DataError: The data are a stream, or in memory and may not be kept.
        ModelError: The model, the loss, a metric or a rule is the user's own, and has no import path.
    """

    keeps = keeps_data and kept_data.pack(problem.data, LARGEST_FILE) is not None
    missing = unnamed(describe_problem(problem), keeps)
    if missing == "data":
        rule = "must be read from a file by name, or be arrays that the sweep's folder keeps"
        hint = "write them to a file and load that, so that each worker can"
        raise DataError("data", rule, got=problem.data.name, hint=hint)
    unknown = re.search(r"[\w.]+:[\w.<>]+#[0-9a-f]{8}", "\n".join(recipes_as_text(recipes)))
    if missing is not None or unknown is not None:
        rule = "workers must be able to import a model, loss, metric or rule of your own"
        got = unknown[0] if unknown is not None else problem.model_spec if missing == "model" else missing
        hint = "define it as a function of a module of its own (a model: as a function that makes it)"
        raise ModelError(missing or "recipe", rule, got=got, hint=hint)


class Workers:
    """The workers of an executor, for `Session`.

    Args:
        executor: Anything with the `submit` of `concurrent.futures.Executor`.
        allow_import: Whether workers may import the user's functions that the sweep names.
    """

    def __init__(self, executor: Any, allow_import: bool = False):
        self._executor, self._allow_import = executor, allow_import

    def stream(self, sweep: UnitSweep) -> Iterator[Status]:
        """Train every unit that has not finished; yield the lanes' statuses as they become known.

        Raises:
            RunFolderError: A unit failed again and again, or the executor accepts no work any more.
            KeyboardInterrupt: The sweep was interrupted; workers have saved their states.
        """
        numbers = range(len(sweep.spec.plan.shards))
        units = [_Unit(number) for number in numbers if number not in sweep.finished]
        try:
            yield from _Coordinator(self._executor, self._allow_import, sweep, units).work()
        finally:
            for unit in units:
                if unit.future is not None:
                    unit.future.cancel()


class _Coordinator:
    """Submits the units of one sweep, follows them, and decides rungs; arguments as for `Workers`."""

    def __init__(self, executor: Any, allow_import: bool, sweep: UnitSweep, units: list[_Unit]):
        self._executor, self._sweep, self._units = executor, sweep, units
        x64: bool = jax.config.jax_enable_x64  # type: ignore[attr-defined]
        self._settings = {"allow_import": allow_import, "x64": x64}
        self._rung, self._said, self._stopped = 0, set[str](), frozenset[int]()
        while sweep.halver.decided(self._rung):
            self._rung += 1

    def work(self) -> Iterator[Status]:
        """Work until every unit has finished."""
        while units := [unit for unit in self._units if not unit.finished]:
            self._heed(units)
            if all(unit.waits_at(self._rung) for unit in units):
                self._decide(units)
            for unit in units:
                if unit.future is None and not unit.waits_at(self._rung) and unit.due <= time.monotonic():
                    self._submit(unit)
            self._wait(units)
            for unit in units:
                if unit.future is not None and unit.future.done():
                    self._ended(unit)
                if self._has_news(unit):
                    yield self._status(unit)

    def _submit(self, unit: _Unit) -> None:
        try:
            unit.future = self._executor.submit(
                train_unit, str(self._sweep.folder), unit.number, **self._settings
            )
        except Exception as error:  # each executor has its own words for being closed
            raise self._failed("the executor must accept work", _words(error)) from error
        if not isinstance(unit.future, Future):
            got = type(unit.future).__name__
            unit.future = None
            raise self._failed("submit must return a concurrent.futures.Future", got)

    def _wait(self, units: list[_Unit]) -> None:
        futures = [unit.future for unit in units if unit.future is not None]
        if futures:
            wait(futures, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        else:
            time.sleep(POLL_SECONDS)

    def _ended(self, unit: _Unit) -> None:
        """Take over what a worker did, or find out why it did not, and when the unit is tried again."""
        future, unit.future = unit.future, None
        assert future is not None
        try:
            future.result(timeout=0)
        except (BrokenExecutor, CancelledError) as error:
            self._lost(unit, _words(error))
        except RunFolderError as error:
            self._failure(unit, error)
        except ThalwegError:
            raise  # a problem that no other worker solves
        except Exception as error:  # what a worker raises: of the user's code, of XLA, of the executor
            if type(error).__name__ in LOST_WORKER:
                self._lost(unit, _words(error))
            else:
                self._failure(unit, error)
        else:
            self._returned(unit)

    def _returned(self, unit: _Unit) -> None:
        record = unit.record = self._read(unit)
        for note in record.notes if record is not None else ():
            if note not in self._said:
                self._said.add(note)
                self._sweep.note(note)
        if record is not None and record.state == FINISHED:
            try:
                self._sweep.take(unit.number, record)
                unit.finished = True
            except RunFolderError as error:
                place = place_of(self._sweep.folder, unit.number)
                forget_unit(place)  # else the next worker would skip it
                self._failure(unit, error)
        elif not unit.waits_at(self._rung) and (record is None or record.state != PAUSED):
            unit.due = time.monotonic() + BUSY_SECONDS  # another worker holds it

    def _lost(self, unit: _Unit, words: str) -> None:
        unit.losses += 1
        self._look(unit)
        if unit.losses > MOST_LOSSES:
            got = f"unit {unit.number} lost its worker {unit.losses} times without progress; last: {words}"
            raise self._failed("a unit must not end its worker again and again", got)

    def _failure(self, unit: _Unit, error: Exception) -> None:
        unit.failures += 1
        self._look(unit)
        if unit.failures >= MOST_FAILURES:
            got = f"unit {unit.number} failed {unit.failures} times without progress; last: {_words(error)}"
            raise self._failed("every unit must end", got) from error
        self._sweep.note(f"unit {unit.number} failed and is tried again: {_words(error)}")
        unit.due = time.monotonic() + BUSY_SECONDS * 2 ** (unit.failures - 1)

    def _look(self, unit: _Unit) -> None:
        """Forget earlier failures of a unit that has made progress since."""
        unit.record = self._read(unit) or unit.record
        if unit.record is not None and unit.record.step > unit.step:
            unit.step, unit.failures, unit.losses = unit.record.step, 0, 0

    def _read(self, unit: _Unit) -> UnitRecord | None:
        return read(place_of(self._sweep.folder, unit.number), self._sweep.run)

    def _has_news(self, unit: _Unit) -> bool:
        try:
            written = (place_of(self._sweep.folder, unit.number) / FILE).stat().st_mtime_ns
        except OSError:
            return False
        news, unit.seen = written != unit.seen, written
        if news:
            unit.record = self._read(unit) or unit.record
        return news and unit.record is not None

    def _status(self, unit: _Unit) -> Status:
        assert unit.record is not None
        lanes = unit.record.statuses(self._sweep.lanes)
        return Status(unit.record.step, lanes=lanes, evaluated=unit.finished)

    def _decide(self, units: list[_Unit]) -> None:
        """Decide a rung, which every unit that has not finished waits at, from all lanes that run."""
        losses = [
            (int(lane), float("nan") if loss is None else float(loss))
            for unit in units
            if unit.record is not None
            for lane, loss in unit.record.losses
        ]
        self._sweep.halver.decide(losses)
        self._rung += 1

    def _heed(self, units: list[_Unit]) -> None:
        """Pass on through the folder what the caller wants stopped; raise if that is everything."""
        requests = self._sweep.requests
        if requests.lanes > self._stopped:
            self._stopped = frozenset(requests.lanes)
            stop_request.ask(self._sweep.folder, self._stopped)
        interrupted = self._sweep.interrupt.requested or stop_request.read(self._sweep.folder).run
        if not (interrupted or requests.everything):
            return
        stop_request.ask(self._sweep.folder)
        # Not cancelled: the futures of Dask and Ray give way although their units run.
        wait([unit.future for unit in units if unit.future is not None], timeout=GRACE_SECONDS)
        done = len(self._sweep.spec.plan.shards) - len(units)
        folder = self._sweep.folder
        self._sweep.note(f"stopped with {done} of {done + len(units)} units done: {_resume(folder)}")
        raise KeyboardInterrupt

    def _failed(self, rule: str, got: str) -> RunFolderError:
        folder = self._sweep.folder
        return RunFolderError(
            "sweep", rule, got=got, where=folder, hint=f"what is done is kept: {_resume(folder)}"
        )


def _resume(folder: object) -> str:
    again = either(f"thalweg resume {folder}", f"resume({str(folder)!r})")
    return f"{again} continues it, with workers ({either('--on', 'executor=...')}) or without"


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
