"""Many shards at once: threads that run the shard with the least progress next, Ctrl-C, merged progress."""

import heapq
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FrameType, TracebackType
from typing import Any, Self

import jax
import numpy as np

from thalweg.run.progress import LaneStatus, Progress, Status, TrainingPlan
from thalweg.run.spec import Lane

WAKING_SECONDS = 0.2  # how often the main thread wakes up, so that it reacts to Ctrl-C
SECONDS_BETWEEN = 0.1  # between merged statuses: more are not visible, and merging must stay cheap


@dataclass(frozen=True)
class Advanced:
    """A shard has finished a short piece of work, and is at this fraction of its run, 0 to 1."""

    fraction: float


@dataclass(frozen=True)
class AtBarrier:
    """A shard waits until every other shard has ended or waits as well."""


Event = Advanced | AtBarrier


def run_shards(shards: Sequence[Iterator[Event]], workers: int, at_barrier: Callable[[], None]) -> None:
    """Run all shards to their ends.

    One thread at a time runs a shard, but not always the same one. A single worker is the calling thread.
    When a shard raises, the others end after their current piece of work, and the error is raised here.

    Args:
        shards: Each yields an event after every short piece of work.
        workers: Number of threads.
        at_barrier: Called when all shards that have not ended wait at the barrier; then all continue.
    """
    queue = _Queue(shards, at_barrier)
    if workers == 1:
        queue.work()
    else:
        settings: Any = jax.config  # its settings are attributes that type checkers do not know
        x64, device = settings.jax_enable_x64, settings.jax_default_device
        threads = [
            threading.Thread(target=_worker, args=(queue, x64, device), daemon=True) for _ in range(workers)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(WAKING_SECONDS)
        except BaseException:  # a second Ctrl-C
            queue.fail(None)
            raise
    if queue.failure is not None:
        raise queue.failure


def _worker(queue: "_Queue", x64: bool, device: object) -> None:
    # JAX's settings may have been made for the calling thread only; the workers need the same ones.
    with jax.enable_x64(x64), jax.default_device(device):  # type: ignore[arg-type]
        queue.work()


class _Queue:
    """The shards that wait for a worker, the one with the least progress first; shared by the workers."""

    def __init__(self, shards: Sequence[Iterator[Event]], at_barrier: Callable[[], None]):
        self._shards, self._at_barrier = shards, at_barrier
        self._waiting = [(0.0, index) for index in range(len(shards))]
        self._held: list[int] = []  # at the barrier
        self._running = 0
        self._over = False
        self._changed = threading.Condition()
        self.failure: BaseException | None = None

    def work(self) -> None:
        """Run shards until none is left."""
        while (index := self._next()) is not None:
            try:
                event = next(self._shards[index], None)
            except BaseException as error:
                self.fail(error)
                return
            self._put_back(index, event)

    def fail(self, error: BaseException | None) -> None:
        """End all work; the first error counts."""
        with self._changed:
            self.failure = self.failure or error
            self._over = True
            self._changed.notify_all()

    def _next(self) -> int | None:
        with self._changed:
            while not self._over:
                if self._waiting:
                    self._running += 1
                    return heapq.heappop(self._waiting)[1]
                if not self._running and not self._held:
                    self._over = True
                    self._changed.notify_all()
                    break
                if not self._running:
                    self._release()
                    continue
                self._changed.wait()
            return None

    def _release(self) -> None:
        try:
            self._at_barrier()
        except BaseException as error:
            self.failure, self._over = self.failure or error, True
        self._waiting = [(0.0, index) for index in self._held]
        self._held = []
        self._changed.notify_all()

    def _put_back(self, index: int, event: Event | None) -> None:
        with self._changed:
            self._running -= 1
            if isinstance(event, AtBarrier):
                self._held.append(index)
            elif event is not None:
                heapq.heappush(self._waiting, (event.fraction, index))
            self._changed.notify_all()


class Interrupt:
    """A context in which Ctrl-C stops a run cleanly.

    The first SIGINT or SIGTERM only sets `requested`; a further one raises `KeyboardInterrupt`. Outside of
    the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


class MergedProgress:
    """Merges the statuses of shards, which arrive from several threads, into one for the listener.

    Args:
        progress: The listener.
        lanes: All lanes.
        totals: Planned updates, by lane.
        batch_sizes: Examples in an update, by lane.
    """

    def __init__(self, progress: Progress, lanes: Sequence[Lane], totals: list[int], batch_sizes: list[int]):
        self._progress = progress
        self._lanes = {lane.number: LaneStatus(lane.number, lane.label) for lane in lanes}
        self._totals, self._batch_sizes = np.array(totals), np.array(batch_sizes)
        self._lock = threading.Lock()
        self._start, self._last_update = time.perf_counter(), 0.0
        self._metric_name: str | None = None

    def start(self, plan: TrainingPlan) -> None:
        """Do nothing: the session has announced the plan of all lanes."""

    def note(self, text: str) -> None:
        """Forward a message."""
        with self._lock:
            self._progress.note(text)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Do nothing: the session announces the end."""

    def update(self, status: Status) -> None:
        """Merge the status of one shard's lanes."""
        with self._lock:
            changed = any(lane.state != self._lanes[lane.lane].state for lane in status.lanes)
            self._lanes |= {lane.lane: lane for lane in status.lanes}
            self._metric_name = status.metric_name or self._metric_name
            now = time.perf_counter()
            if changed or now - self._last_update >= SECONDS_BETWEEN:
                self._last_update = now
                self._progress.update(self._merged(status, now - self._start))

    def _merged(self, latest: Status, seconds: float) -> Status:
        lanes = [self._lanes[number] for number in sorted(self._lanes)]
        steps = np.array([lane.step for lane in lanes])
        running = np.array([lane.state in ("running", "waiting") for lane in lanes])
        examples = float((steps * self._batch_sizes).sum())
        speed = examples / max(seconds, 1e-9)
        left = float(((self._totals - steps) * self._batch_sizes)[running].sum())
        return replace(
            latest,
            step=int(steps.mean()),
            epoch=None,
            loss=_median([lane.loss for lane in lanes]),
            learning_rate=None,
            validation_loss=_median([lane.validation_loss for lane in lanes]),
            metric=_median([lane.metric for lane in lanes]),
            metric_name=self._metric_name,
            examples_per_second=speed,
            seconds_left=left / speed if speed else None,
            lanes=tuple(lanes),
        )


def _median(values: list[float]) -> float | None:
    numbers = [value for value in values if value == value]
    return statistics.median(numbers) if numbers else None
