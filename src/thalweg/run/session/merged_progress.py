"""One listener for many shards: their statuses, told from several threads, become one."""

import statistics
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.run.progress import LaneStatus, Progress, Status

SECONDS_BETWEEN = 0.1  # a person sees no more, and a listener should not become the work


class MergedProgress:
    """Gathers the statuses of shards and tells the listener of the whole.

    Args:
        progress: Who is told.
        labels: Number and label of every lane.
        totals: Updates planned, by lane.
        batch_sizes: Examples in an update, by lane.
    """

    def __init__(
        self, progress: Progress, labels: list[tuple[int, str]], totals: list[int], batch_sizes: list[int]
    ):
        self._progress = progress
        self._lanes = {number: LaneStatus(number, label) for number, label in labels}
        self._totals, self._batch_sizes = np.array(totals), np.array(batch_sizes)
        self._lock = threading.Lock()
        self._begun, self._told = time.perf_counter(), 0.0
        self._metric_name: str | None = None

    def start(self, plan: Any) -> None:
        """Nothing: the whole was announced already."""

    def note(self, text: str) -> None:
        """Pass a line on."""
        with self._lock:
            self._progress.note(text)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Nothing: the whole is not over when a shard is."""

    def update(self, status: Status) -> None:
        """Take in where a shard's lanes stand."""
        with self._lock:
            ended = any(lane.state != self._lanes[lane.lane].state for lane in status.lanes)
            self._lanes |= {lane.lane: lane for lane in status.lanes}
            self._metric_name = status.metric_name or self._metric_name
            now = time.perf_counter()
            if ended or now - self._told >= SECONDS_BETWEEN:
                self._told = now
                self._progress.update(self._whole(status, now - self._begun))

    def _whole(self, latest: Status, seconds: float) -> Status:
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
    known = [value for value in values if value == value]
    return statistics.median(known) if known else None
