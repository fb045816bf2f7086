"""Many shards at once: threads that run the shard with the least progress next, Ctrl-C, a merged status."""

import signal
import statistics
import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Self

import jax
import numpy as np

from thalweg.run.progress import LaneStatus, Status
from thalweg.run.spec import Lane

WAKING_SECONDS = 0.2  # how often the main thread wakes up, so that it reacts to Ctrl-C
SECONDS_BETWEEN = 0.1  # between merged statuses: more are not visible, and merging must stay cheap


@dataclass(frozen=True)
class Advanced:
    """A shard has finished a short piece of work.

    Args:
        fraction: How far it is in its run, 0 to 1.
        status: The status of its lanes; None where there is nothing new.
    """

    fraction: float
    status: Status | None = None


@dataclass(frozen=True)
class AtBarrier:
    """A shard waits until every other shard has ended or waits as well."""


Event = Advanced | AtBarrier


def run_shards(shards: Sequence[Iterator[Event]], workers: int, at_barrier: Callable[[], None]) -> None:
    """Run all shards to their ends; arguments and errors are those of `stream_shards`."""
    for _ in stream_shards(shards, workers, at_barrier):
        pass


def stream_shards(
    shards: Sequence[Iterator[Event]],
    workers: int,
    at_barrier: Callable[[], None],
    sites: Sequence[Hashable] | None = None,
) -> Generator[Status, None, None]:
    """Run all shards to their ends, and yield every status in the calling thread.

    One thread at a time runs a shard, but not always the same one. A single worker is the calling thread. A
    shard does not continue before the caller has taken its status and asks for the next one, so that what
    the caller decides on it holds from the shard's next piece of work. When a shard raises, the others end
    after their current piece of work, and the error is raised here; likewise when the caller closes the
    iterator.

    Args:
        shards: Each yields an event after every short piece of work.
        workers: Number of threads.
        at_barrier: Called when all shards that have not ended wait at the barrier; then all continue.
        sites: Where each shard computes; of those at one site, one runs at a time. None: there is room for
            all.
    """
    queue = _Queue(shards, at_barrier, sites)
    yield from queue.work() if workers == 1 else _in_threads(queue, workers)
    if queue.failure is not None:
        raise queue.failure


def _in_threads(queue: "_Queue", workers: int) -> Iterator[Status]:
    settings: Any = jax.config  # its settings are attributes that type checkers do not know
    x64, device = settings.jax_enable_x64, settings.jax_default_device
    mail: SimpleQueue[_Mail | None] = SimpleQueue()
    threads = [
        threading.Thread(target=copy_context().run, args=(_worker, queue, mail, x64, device), daemon=True)
        for _ in range(workers)
    ]
    for thread in threads:
        thread.start()
    running = workers
    try:
        while running:
            try:
                letter = mail.get(timeout=WAKING_SECONDS)
            except Empty:
                continue
            if letter is None:
                running -= 1
                continue
            yield letter.status
            letter.taken.set()
    except GeneratorExit:
        queue.fail(None)
        for thread in threads:  # the shards' files are closed next
            thread.join()
        raise
    except BaseException:  # a second Ctrl-C
        queue.fail(None)
        raise


def _worker(queue: "_Queue", mail: "SimpleQueue[_Mail | None]", x64: bool, device: object) -> None:
    # JAX's settings may have been made for the calling thread only; the workers need the same ones. Those of
    # our compiler are in the context.
    with jax.enable_x64(x64), jax.default_device(device):  # type: ignore[arg-type]
        for status in queue.work():
            letter = _Mail(status)
            mail.put(letter)
            while not letter.taken.wait(WAKING_SECONDS) and not queue.over:
                pass
    mail.put(None)


@dataclass(frozen=True)
class _Mail:
    """A status on its way from a worker to the caller, who confirms that it was taken."""

    status: Status
    taken: threading.Event = field(default_factory=threading.Event)


class _Queue:
    """The shards that wait for a worker, the one with the least progress first; shared by the workers."""

    def __init__(
        self,
        shards: Sequence[Iterator[Event]],
        at_barrier: Callable[[], None],
        sites: Sequence[Hashable] | None,
    ):
        self._shards, self._at_barrier = shards, at_barrier
        self._sites, self._busy = sites or range(len(shards)), set()
        self._waiting = [(0.0, index) for index in range(len(shards))]
        self._held: list[int] = []  # at the barrier
        self._running = 0
        self.over = False
        self._changed = threading.Condition()
        self.failure: BaseException | None = None

    def work(self) -> Iterator[Status]:
        """Run shards until none is left; one whose status is yielded waits until the next is asked for."""
        while (index := self._next()) is not None:
            try:
                event = next(self._shards[index], None)
            except BaseException as error:
                self.fail(error)
                return
            if isinstance(event, Advanced) and event.status is not None:
                yield event.status
            self._put_back(index, event)

    def fail(self, error: BaseException | None) -> None:
        """End all work; the first error counts."""
        with self._changed:
            self.failure = self.failure or error
            self.over = True
            self._changed.notify_all()

    def _next(self) -> int | None:
        with self._changed:
            while not self.over:
                ready = [each for each in self._waiting if self._sites[each[1]] not in self._busy]
                if ready:
                    self._running += 1
                    self._waiting.remove(first := min(ready))
                    self._busy.add(self._sites[first[1]])
                    return first[1]
                if not self._running and not self._held:
                    self.over = True
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
            self.failure, self.over = self.failure or error, True
        self._waiting = [(0.0, index) for index in self._held]
        self._held = []
        self._changed.notify_all()

    def _put_back(self, index: int, event: Event | None) -> None:
        with self._changed:
            self._running -= 1
            self._busy.discard(self._sites[index])
            if isinstance(event, AtBarrier):
                self._held.append(index)
            elif event is not None:
                self._waiting.append((event.fraction, index))
            self._changed.notify_all()


class Interrupt:
    """A context in which Ctrl-C stops a run cleanly.

    The first SIGINT or SIGTERM only sets `requested`; a further one raises `KeyboardInterrupt`. Outside of
    the main thread, where Python delivers no signals, it does nothing. It can be entered again after it was
    left; a request remains.
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
        self._handlers = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


class MergedStatus:
    """Merges the statuses of shards into one of all lanes.

    Args:
        lanes: All lanes.
        totals: Planned updates, by lane.
        batch_sizes: Examples in an update, by lane.
        every: Statuses at multiples of so many updates are never left out; None for no such rule.
    """

    def __init__(
        self, lanes: Sequence[Lane], totals: list[int], batch_sizes: list[int], every: int | None = None
    ):
        self._every = every
        self._lanes = {lane.number: LaneStatus(lane.number, lane.label) for lane in lanes}
        self._totals, self._batch_sizes = np.array(totals), np.array(batch_sizes)
        self._start, self._last_update = time.perf_counter(), 0.0
        self._metric_name: str | None = None

    def update(self, status: Status) -> Status | None:
        """Record the status of one shard's lanes; return that of all, or None if the last one is recent.

        What is left out is not lost: the next status has it. Evaluations and ends of lanes are never left
        out.
        """
        due = status.evaluated or (self._every is not None and status.step % self._every == 0)
        due = due or any(lane.state != self._lanes[lane.lane].state for lane in status.lanes)
        self._lanes |= {lane.lane: lane for lane in status.lanes}
        self._metric_name = status.metric_name or self._metric_name
        now = time.perf_counter()
        if not due and now - self._last_update < SECONDS_BETWEEN:
            return None
        self._last_update = now
        return self._merged(status, now - self._start)

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
            total_steps=int(self._totals.max()),
            examples_per_second=speed,
            seconds_left=left / speed if speed else None,
            lanes=tuple(lanes),
        )


def _median(values: list[float]) -> float | None:
    numbers = [value for value in values if value == value]
    return statistics.median(numbers) if numbers else None
