"""Checkpoints written in a thread while training continues; a failed checkpoint does not end the run."""

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from thalweg.run.checkpoint.store import Retention, Store


class SaveRequest(NamedTuple):
    """A checkpoint to write; arguments as for `Store.commit`. The arrays must no longer change.

    The thread calls `prepare` before it writes: it syncs the files that the checkpoint refers to, and returns
    further facts, which may take a long time to compute.
    """

    step: int
    arrays: Mapping[str, np.ndarray]
    facts: dict[str, Any]
    score: float | None = None
    prepare: Callable[[], dict[str, Any]] = dict


class Saver:
    """Writes checkpoints in a background thread.

    At most one request waits while another is being written, and a newer request replaces it. So a slow disk
    costs checkpoints, but neither memory nor training time. All methods are called from one thread.

    Args:
        store: Where checkpoints are written.
        keep: Which checkpoints are kept.
        warn: Called by the next method for every checkpoint that could not be written. The last sound
            checkpoint is still there.
    """

    def __init__(self, store: Store, keep: Retention, warn: Callable[[str], None]):
        self._store, self._keep, self._warn = store, keep, warn
        self._requests: queue.Queue[SaveRequest | None] = queue.Queue(maxsize=1)
        self._failures: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.saved: int | None = None
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def submit(self, request: SaveRequest) -> None:
        """Schedule a checkpoint to be written; return immediately."""
        with contextlib.suppress(queue.Empty):
            self._requests.get_nowait()  # an older request that is still waiting
            self._requests.task_done()
        self._requests.put(request)
        self._report()

    def settle(self) -> None:
        """Return when every submitted checkpoint is on disk or has failed."""
        self._requests.join()
        self._report()

    def close(self) -> None:
        """Write the submitted checkpoints, and end the thread."""
        self._requests.put(None)
        self._thread.join()
        self._report()

    def _report(self) -> None:
        while not self._failures.empty():
            self._warn(self._failures.get())

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            try:
                facts = request.facts | request.prepare()
                self._store.commit(request.step, request.arrays, facts, request.score, self._keep)
                self.saved = request.step
            except Exception as error:  # no error of a checkpoint may end the training
                reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
                self._failures.put(
                    f"no checkpoint at step {request.step}: {reason}; the previous one is still valid"
                )
            finally:
                self._requests.task_done()
