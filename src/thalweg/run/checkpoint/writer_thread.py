"""Checkpoints written in a thread while training continues; a failed checkpoint does not end the run."""

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from thalweg.run.checkpoint.store import Retention, Store


class Order(NamedTuple):
    """A checkpoint to write; arguments as for `Store.commit`. The arrays must not change any more.

    The thread calls `prepare` before it writes: it syncs the files that the checkpoint refers to, and returns
    further facts, which may take long to compute.
    """

    step: int
    arrays: Mapping[str, np.ndarray]
    facts: dict[str, Any]
    score: float | None = None
    prepare: Callable[[], dict[str, Any]] = dict


class Saver:
    """Writes checkpoints in a thread of its own.

    At most one order waits while another is being written, and a newer order replaces it. So a slow disk
    costs checkpoints, but neither memory nor training time. All methods are called from one thread.

    Args:
        store: Where checkpoints are written.
        keep: Which checkpoints are kept.
        warn: Called by the next method for every checkpoint that could not be written. The last sound
            checkpoint is still there.
    """

    def __init__(self, store: Store, keep: Retention, warn: Callable[[str], None]):
        self._store, self._keep, self._warn = store, keep, warn
        self._orders: queue.Queue[Order | None] = queue.Queue(maxsize=1)
        self._failures: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.saved: int | None = None
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def submit(self, order: Order) -> None:
        """Have a checkpoint written; return at once."""
        with contextlib.suppress(queue.Empty):
            self._orders.get_nowait()  # an older one that still waits
            self._orders.task_done()
        self._orders.put(order)
        self._report()

    def settle(self) -> None:
        """Return when every submitted checkpoint is on disk or has failed."""
        self._orders.join()
        self._report()

    def close(self) -> None:
        """Write what was submitted, and end the thread."""
        self._orders.put(None)
        self._thread.join()
        self._report()

    def _report(self) -> None:
        while not self._failures.empty():
            self._warn(self._failures.get())

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            try:
                facts = order.facts | order.prepare()
                self._store.commit(order.step, order.arrays, facts, order.score, self._keep)
                self.saved = order.step
            except Exception as error:  # no error of a checkpoint may end the training
                reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
                self._failures.put(
                    f"no checkpoint at step {order.step}: {reason}; the previous one is still valid"
                )
            finally:
                self._orders.task_done()
