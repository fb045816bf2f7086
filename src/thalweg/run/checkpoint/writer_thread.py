"""Saving beside training: a thread commits, the training goes on, and a failure is a warning, not an end."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from thalweg.run.checkpoint.store import Retention, Store


class Order(NamedTuple):
    """What is to be saved; as `Store.commit` takes it. The arrays must not change any more.

    `ready` is called in the saving thread before: it brings to the disk what the checkpoint speaks of, and
    returns further facts, which may take long to find.
    """

    step: int
    arrays: Mapping[str, np.ndarray]
    facts: dict[str, Any]
    score: float | None = None
    ready: Callable[[], dict[str, Any]] = dict


class Saver:
    """Commits checkpoints in a thread of its own.

    At most one order waits while another is being written: a newer one takes its place, so that a slow disk
    costs checkpoints and never memory or time of training.

    Args:
        store: Where to.
        keep: Which ones to keep.
        warn: Told, in the thread that calls `submit` or `close`, of every checkpoint that could not be
            written; the last sound one still lies there.
    """

    def __init__(self, store: Store, keep: Retention, warn: Callable[[str], None]):
        self._store, self._keep, self._warn = store, keep, warn
        self._state = threading.Condition()
        self._waiting: Order | None = None
        self._busy, self._ended = False, False
        self._failures: list[str] = []
        self.saved: int | None = None
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def submit(self, order: Order) -> None:
        """Have a checkpoint written, and return at once."""
        with self._state:
            self._waiting = order
            self._state.notify_all()
        self._tell()

    def settle(self) -> None:
        """Return when all that was submitted is on the disk or was given up."""
        with self._state:
            self._state.wait_for(lambda: self._waiting is None and not self._busy)
        self._tell()

    def close(self) -> None:
        """Finish what was submitted, and end the thread."""
        with self._state:
            self._ended = True
            self._state.notify_all()
        self._thread.join()
        self._tell()

    def _tell(self) -> None:
        with self._state:
            failures, self._failures = self._failures, []
        for text in failures:
            self._warn(text)

    def _work(self) -> None:
        while (order := self._next()) is not None:
            failure = self._committed(order)
            with self._state:
                self._busy = False
                if failure is None:
                    self.saved = order.step
                else:
                    self._failures.append(failure)
                self._state.notify_all()

    def _next(self) -> Order | None:
        with self._state:
            self._state.wait_for(lambda: self._waiting is not None or self._ended)
            order, self._waiting = self._waiting, None
            self._busy = order is not None
            return order

    def _committed(self, order: Order) -> str | None:
        try:
            facts = order.facts | order.ready()
            self._store.commit(order.step, order.arrays, facts, order.score, self._keep)
        except Exception as error:  # whatever it is, training must not end by it
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            return f"no checkpoint at step {order.step}: {reason}; the last one before it still counts"
        return None
