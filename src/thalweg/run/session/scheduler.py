"""Many journeys at once: threads that always move the one which is least far, until all are over."""

import heapq
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

# A journey yields how far it is, 0 to 1, after every short piece of work; or REST, when it waits until all
# the others rest too.
REST = -1.0
WAKING_SECONDS = 0.2  # how often the main thread looks up, so that Ctrl-C is heard


def together(journeys: Sequence[Iterator[float]], workers: int, rested: Callable[[], None]) -> None:
    """Run all journeys to their ends.

    Every journey is moved by one thread at a time, though not always by the same one. One worker works in the
    calling thread. When a journey raises, the others end at their next piece of work, and it is raised here.

    Args:
        journeys: Each yields how far it is, or `REST`.
        workers: Threads.
        rested: Called when every journey that is not over rests; then all go on.
    """
    shared = _Shared(journeys, rested)
    if workers == 1:
        shared.work()
    else:
        settings: Any = jax.config  # its settings are attributes that type checkers do not know
        x64, device = settings.jax_enable_x64, settings.jax_default_device
        threads = [
            threading.Thread(target=_worker, args=(shared, x64, device), daemon=True) for _ in range(workers)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(WAKING_SECONDS)
        except BaseException:  # a second Ctrl-C
            shared.fail(None)
            raise
    if shared.failure is not None:
        raise shared.failure


def _worker(shared: "_Shared", x64: bool, device: object) -> None:
    # JAX's settings may have been made for the calling thread alone; the work must find the same ones.
    with jax.enable_x64(x64), jax.default_device(device):  # type: ignore[arg-type]
        shared.work()


class _Shared:
    """What the workers share: who waits, least far first."""

    def __init__(self, journeys: Sequence[Iterator[float]], rested: Callable[[], None]):
        self._journeys, self._rested = journeys, rested
        self._waiting = [(0.0, index) for index in range(len(journeys))]
        self._resting: list[int] = []
        self._moving = 0
        self._over = False
        self._changed = threading.Condition()
        self.failure: BaseException | None = None

    def work(self) -> None:
        """Move journeys until none is left."""
        while (index := self._next()) is not None:
            try:
                at = next(self._journeys[index], None)
            except BaseException as error:
                self.fail(error)
                return
            self._back(index, at)

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
                    self._moving += 1
                    return heapq.heappop(self._waiting)[1]
                if not self._moving and not self._resting:
                    self._over = True
                    self._changed.notify_all()
                    break
                if not self._moving:
                    self._wake()
                    continue
                self._changed.wait()
            return None

    def _wake(self) -> None:
        try:
            self._rested()
        except BaseException as error:
            self.failure, self._over = self.failure or error, True
        self._waiting = [(0.0, index) for index in self._resting]
        self._resting = []
        self._changed.notify_all()

    def _back(self, index: int, at: float | None) -> None:
        with self._changed:
            self._moving -= 1
            if at == REST:
                self._resting.append(index)
            elif at is not None:
                heapq.heappush(self._waiting, (at, index))
            self._changed.notify_all()
