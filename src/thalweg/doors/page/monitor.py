"""What the live page shows, as messages: the list of runs, the curves of the chosen ones, the machine's load.

One `Monitor` serves all open pages, so that each file is read once however many there are. It looks only when
a page asks, at most once a second, and less often where a look takes long: at rest it costs next to nothing.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.lazy import psutil
from thalweg.core.stop_reason import StopReason
from thalweg.doors.page.local import Refused
from thalweg.insight.live_curves import LiveRun
from thalweg.insight.run_list import RUNNING, RunList, RunSummary, differing, sort_value
from thalweg.insight.wording import NOTHING, clipped, count, figure, seconds, setting
from thalweg.run.folder import stop_request
from thalweg.run.folder.filesystem import plain

# Seconds between two looks, and the share of the time that looking may take: 1 % of a core.
PERIOD, SHARE = 1.0, 0.01
# Runs that can be drawn at once, and lanes of all of them: more curves than anyone can tell apart.
MOST_CHOSEN, MOST_DRAWN = 12, 4_000
MOST_KEPT = 24  # runs whose curves are held in memory
MOST_DIFFERENCES = 60  # rows of the table of recipe differences

STOPPING = "stopping"

Message = tuple[str, dict[str, Any]]


class Monitor:
    """The runs under some folders as they are now, shared by all pages.

    Args:
        folders: Where to look.
        clock: Returns seconds.
        used: Returns the seconds of processor time that this thread has used: on a busy machine a look takes
            long by the clock, and must not come less often for that.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.thread_time,
    ):
        self.folders, self._clock, self._used = [Path(folder) for folder in folders], clock, used
        self._list = RunList(self.folders)
        self.lock = threading.RLock()
        self.runs: dict[str, RunSummary] = {}
        self.version = 0
        self._live: dict[str, LiveRun] = {}
        self._due: dict[str, float] = {}
        self._processes: dict[int, Any] = {}
        self._load: dict[str, Any] = {}

    def hurry(self) -> None:
        """Make every look due at once: the server ends, and pages shall have the last state."""
        with self.lock:
            self._due.clear()

    def look(self) -> None:
        """Bring the list up to date, if that is due."""
        if self._is_due("list"):
            start = self._used()
            before, found = self.runs, self._list.look()
            self.runs = {identify(run.folder): run for run in found}
            if self.runs != before:
                self.version += 1
            self._done("list", self._used() - start)

    def live(self, key: str) -> LiveRun | None:
        """Return the curves of a run, brought up to date if that is due; None for an unknown one."""
        run = self.runs.get(key)
        if run is None:
            return None
        live = self._live.pop(key, None) or LiveRun(run.folder)
        self._live[key] = live  # the last one used is the last one dropped
        while len(self._live) > MOST_KEPT:
            self._live.pop(next(iter(self._live)))
        if self._is_due(key):
            start = self._used()
            changed = live.refresh()
            # A look that found something was worth its time.
            self._done(key, 0.0 if changed else self._used() - start)
        return live

    def load(self) -> dict[str, Any]:
        """Return what the machine and the running processes use now."""
        if self._is_due("load"):
            memory = psutil.virtual_memory()
            self._load = {
                "cores": psutil.cpu_percent(percpu=True),
                "memory": memory.total - memory.available,
                "memory_total": memory.total,
                "processes": {
                    key: used
                    for key, run in self.runs.items()
                    if run.process and (used := self._process(run.process))
                },
            }
            self._done("load", 2 * PERIOD * SHARE)
        return self._load

    def stop(self, key: Any, lanes: Any) -> None:
        """Ask a run, or lanes of a sweep, to stop.

        Raises:
            Refused: There is no such run or lane, it does not run, or its folder cannot be written.
        """
        self.look()
        run = self.runs.get(key) if isinstance(key, str) else None
        if run is None or run.state != RUNNING:
            raise Refused("this run is not running" if run else "there is no such run")
        if lanes is not None:
            if not isinstance(lanes, list) or not lanes or not run.is_sweep:
                raise Refused("only a sweep has lanes to stop")
            if not all(type(lane) is int and 0 <= lane < run.lanes for lane in lanes):
                raise Refused(f"lanes are numbers from 0 to {run.lanes - 1}")
        try:
            stop_request.ask(run.folder, lanes)
        except OSError as error:
            raise Refused(f"its folder cannot be written: {error.strerror}") from error

    def _process(self, number: int) -> dict[str, float] | None:
        try:
            process = self._processes.setdefault(number, psutil.Process(number))
            return {"cores": process.cpu_percent() / 100, "memory": process.memory_info().rss}
        except psutil.Error:
            self._processes.pop(number, None)
            return None

    def _is_due(self, what: str) -> bool:
        return self._clock() >= self._due.get(what, 0.0)

    def _done(self, what: str, spent: float) -> None:
        # A little less than the period of a page, which must not find every second look too early.
        self._due[what] = self._clock() + max(0.9 * PERIOD, spent / SHARE)


class Page:
    """One open page: what it has seen, and what is new for it.

    Args:
        monitor: The runs.
        chosen: Keys of the runs whose curves it draws.
    """

    def __init__(self, monitor: Monitor, chosen: Sequence[str]):
        self._monitor, self._chosen = monitor, list(dict.fromkeys(chosen))[:MOST_CHOSEN]
        self._list_version = -1
        self._seen: dict[str, tuple[int, int]] = {}
        self._progress: dict[str, Any] | None = None
        self._lanes: dict[str, Any] = {}
        self._load: dict[str, Any] | None = None

    def news(self) -> list[Message]:
        """Return the messages for everything that is new since the last call."""
        with self._monitor.lock:
            self._monitor.look()
            messages: list[Message] = []
            if self._monitor.version != self._list_version:
                self._list_version = self._monitor.version
                messages.append(("runs", self._runs()))
            messages += self._curves()
            messages += self._running()
            load = self._monitor.load()
            if load is not self._load:
                self._load = load
                messages.append(("load", load))
        return messages

    def _runs(self) -> dict[str, Any]:
        runs = self._monitor.runs
        chosen = [key for key in self._chosen if key in runs]
        columns = differing([runs[key] for key in chosen]) if len(chosen) > 1 else {}
        return {
            "folders": [str(folder) for folder in self._monitor.folders],
            "runs": [_row(key, run) for key, run in runs.items()],
            "differences": {
                "runs": chosen,
                "rows": [
                    [path, *((NOTHING if value is None else clipped(setting(value), 60)) for value in values)]
                    for path, values in list(columns.items())[:MOST_DIFFERENCES]
                ],
            },
        }

    def _curves(self) -> list[Message]:
        messages, drawn = [], 0
        for key in self._chosen:
            live = self._monitor.live(key)
            if live is None or drawn + len(live.lanes) > MOST_DRAWN:
                continue
            drawn += len(live.lanes)
            generation, version = self._seen.get(key, (-1, 0))
            if (live.generation, live.version) != (generation, version):
                is_new = live.generation != generation
                messages.append(("curves", _curves(key, live, 0 if is_new else version, is_new)))
                self._seen[key] = live.generation, live.version
            states = _lane_states(self._monitor.runs[key], live)
            if states != self._lanes.get(key):
                self._lanes[key] = states
                messages.append(("lanes", {"run": key, "states": states}))
        return messages

    def _running(self) -> list[Message]:
        """Say how far the running runs are, also those that are not drawn."""
        running = [key for key, run in self._monitor.runs.items() if run.state == RUNNING][:MOST_CHOSEN]
        progress = {key: _progress(live) for key in running if (live := self._monitor.live(key))}
        if progress == self._progress:
            return []
        self._progress = progress
        return [("progress", progress)]


def identify(folder: Path) -> str:
    """Return the key of a run: a page never names a path."""
    return hashlib.sha256(str(folder.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _row(key: str, run: RunSummary) -> dict[str, Any]:
    return plain(
        {
            "key": key,
            "name": run.name,
            "state": run.state,
            "why": run.why,
            "data": run.data,
            "model": run.model,
            "is_sweep": run.is_sweep,
            "lanes": run.lanes,
            "varied": list(run.varied),
            "metric": None if run.metric is None else run.metric.name,
            "score": None if run.metric is None else run.metric.text,
            "rank": sort_value(run.metric),
            "loss": None if run.validation_loss is None else figure(run.validation_loss),
            "loss_value": run.validation_loss,
            "epochs": run.epochs,
            "steps": None if run.steps is None else count(run.steps),
            "planned": run.planned,
            "time": None if run.seconds is None else seconds(run.seconds),
            "seconds": run.seconds,
            "started": run.started,
        }
    )


def _curves(key: str, live: LiveRun, version: int, is_new: bool) -> dict[str, Any]:
    """Return what changed in the curves of a run after a version; with `is_new` also what they are."""
    series = {}
    for name, curves in live.curves.items():
        cells, values = curves.since(version)
        if len(cells) or is_new:
            series[name] = {
                "width": curves.width,
                "buckets": curves.buckets,
                "x": _packed(curves.x, np.float32),
                "cells": _packed(cells, np.int32),
                "values": _packed(values, np.float32),
            }
    message = {
        "run": key,
        "generation": live.generation,
        "epoch_steps": live.epoch_steps,
        "series": series,
    }
    if is_new:
        message |= {
            "lanes": [clipped(text, 80) for text in live.lanes],
            "metric": live.metric,
            "varied": live.varied,
            "values": plain(live.values),
        }
    return message


def _packed(values: np.ndarray, kind: type) -> str:
    return base64.b64encode(np.asarray(values, np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def _progress(live: LiveRun) -> dict[str, Any]:
    """Return how far a run is; of a sweep, its median lane."""
    losses, steps = live.curves["loss"], live.curves["loss"].step
    step = float(np.median(steps[steps >= 0])) + 1 if (steps >= 0).any() else 0.0
    finite = losses.last[np.isfinite(losses.last)]
    return {
        "step": step,
        "epoch": None if not live.epoch_steps else step / live.epoch_steps,
        "loss": figure(float(np.median(finite))) if len(finite) else None,
    }


def _lane_states(run: RunSummary, live: LiveRun) -> list[str]:
    """Return for each lane of a sweep whether it runs, or why it stopped; an empty list for a single run."""
    if not run.is_sweep:
        return []
    if run.state != RUNNING:
        return [StopReason.facts_of(why).label if why else run.state for why in live.stopped]
    asked, last = stop_request.read(run.folder).lanes, live.curves["loss"].last
    return [_lane_state(lane in asked, bool(halted), last[lane]) for lane, halted in enumerate(live.halted)]


def _lane_state(is_asked: bool, is_halted: bool, loss: float) -> str:
    """Return the state of a lane of a running sweep; why it stopped is written only when its shard ends."""
    if not is_halted:
        return STOPPING if is_asked else RUNNING
    if not np.isfinite(loss):
        return StopReason.DIVERGED.facts.label
    return StopReason.REQUESTED.facts.label if is_asked else "stopped"
