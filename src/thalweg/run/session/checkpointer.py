"""Checkpoints of a shard: what they hold, when one is due, saving while training continues, restoring.

Arrays: parameters, model state, optimizer, schedule, averages, loss scale, key, step, result code and limit
of every lane; the best weights with their losses; the memory of the stop conditions. Facts: the steps done
and judged, why lanes stopped, the seconds spent, the length of the log. The position in the data follows from
the step: the order is a pure function of (seed, epoch).
"""

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.core.caller import either
from thalweg.core.errors import RecipeError, RunFolderError
from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import dotted
from thalweg.engine.state import RUNNING, STOPPED
from thalweg.run.checkpoint.store import Checkpoint, Damaged, Retention, Store
from thalweg.run.checkpoint.writer_thread import Saver, SaveRequest
from thalweg.run.folder.folder import RunFile
from thalweg.run.folder.log import Log, read_back
from thalweg.run.folder.log_stream import FIGURES, cut, first_rows
from thalweg.run.session.lane_states import LaneStates
from thalweg.run.spec import SaveOptions

# Arrays that checkpoints of earlier versions lack; `load_state_arrays` knows what stands for them.
ADDED = frozenset({"best.score"})
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Interval(NamedTuple):
    """When checkpoints are due: every `steps` updates, or every `seconds`; never where both are None."""

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Read `500` (updates), `60s`, `10m`, `1h`, or `off`.

        Raises:
            RecipeError: It is none of these, or not above zero.
        """
        match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([smh]?)", text.strip())
        if text.strip() == "off":
            return cls()
        if match is None or float(match[1]) <= 0 or (not match[2] and "." in match[1]):
            raise RecipeError(
                either("--checkpoint-every", "SaveOptions.every"),
                "must be a number of updates, or a time with s, m or h",
                got=text,
                hint="for example 500, 60s, 10m or off",
            )
        if match[2]:
            return cls(seconds=float(match[1]) * _UNITS[match[2]])
        return cls(steps=int(match[1]))


class ResumePoint(NamedTuple):
    """Where a run resumes: a checkpoint, and the rows of the log up to it."""

    checkpoint: Checkpoint
    rows: dict[str, pa.Table]


class Checkpointer:
    """Saves the state of one shard into a folder, next to its log.

    Args:
        folder: The folder of the log and the checkpoints.
        run: Identity of the run.
        save: When checkpoints are due, and how many are kept.
        note: Receives messages for the user.
        about: Returns facts about the run that every checkpoint holds; called once, for the first checkpoint.
        resumes: Whether the run is resumed, and starts from a checkpoint if there is one.
        at: Resume from the newest checkpoint up to this step; None for the newest of all.
    """

    def __init__(
        self,
        folder: Path,
        run: str,
        save: SaveOptions,
        note: Callable[[str], None],
        about: Callable[[], dict[str, Any]],
        resumes: bool = False,
        at: int | None = None,
    ):
        self._folder, self._store = folder, Store(folder, run)
        self._interval, self._retention = Interval.parse(save.every), Retention(save.last)
        self._note, self._make_about = note, about
        self._resumes, self._at = resumes, at
        self._about: dict[str, Any] | None = None
        self._saver: Saver | None = None
        self._closed = False
        self._saved_step, self._saved_time = 0, time.monotonic()

    def resume_point(self) -> ResumePoint | None:
        """Return where to resume; None for the start. Checkpoints of later steps are removed.

        An older checkpoint with a sound log is preferred to one whose log is damaged. Where no log is sound,
        the newest checkpoint is used, with the rows that are left.
        """
        point = self._find() if self._resumes else None
        if point is not None:
            # Later ones belong to updates that are about to be repeated; the disk must not hold both.
            self._saved_step = point.checkpoint.manifest.step
            self._store.forget_after(self._saved_step)
        return point

    def _find(self) -> ResumePoint | None:
        rows, without_log = read_back(self._folder), None
        for checkpoint in self._store.sound(self._at):
            name = checkpoint.path.name
            if isinstance(checkpoint, Damaged):
                self._note(f"checkpoint {name} is damaged and is skipped: {checkpoint.why}")
                continue
            marks = checkpoint.manifest.facts["log"]
            try:
                tables = {table: cut(rows[table], marks[table], table) for table in _logged(marks, rows)}
                return ResumePoint(checkpoint, tables)
            except RunFolderError as error:
                self._note(f"the log does not match checkpoint {name}: {error.where}: {error.got}")
                without_log = without_log or checkpoint
        if without_log is None:
            return None
        self._note("no log is sound: resuming from the newest sound checkpoint with the rows that are left")
        return ResumePoint(without_log, _rows_up_to(without_log, rows))

    def next_stop(self, step: int) -> float:
        """Return the step at which the next checkpoint is due; infinite where the clock decides."""
        steps = self._interval.steps
        return float("inf") if steps is None else (step // steps + 1) * steps

    def save_if_due(self, lane_states: LaneStates) -> None:
        """Save the state if a checkpoint is due."""
        steps, seconds = self._interval
        by_steps = steps is not None and lane_states.step // steps > self._saved_step // steps
        by_clock = seconds is not None and time.monotonic() - self._saved_time >= seconds
        if by_steps or by_clock:
            self.save(lane_states)

    def save(self, lane_states: LaneStates) -> None:
        """Submit the state to the thread that saves it, and return."""
        if self._closed:
            return
        if self._saver is None:
            self._saver = Saver(self._store, self._retention, self._note)
        arrays, facts = capture(lane_states)
        lane_states.log.rewrite()

        def about() -> dict[str, Any]:  # in the saving thread: fingerprints of the data take time
            lane_states.log.sync()
            self._about = self._about if self._about is not None else self._make_about()
            return self._about

        self._saver.submit(SaveRequest(lane_states.step, arrays, facts, _score(lane_states), about))
        self._saved_step, self._saved_time = lane_states.step, time.monotonic()

    def settle(self) -> None:
        """Wait until every submitted state is on disk, or saving it has failed."""
        if self._saver is not None:
            self._saver.settle()

    def close(self) -> None:
        """Finish saving; nothing is saved after this."""
        self._closed = True
        if self._saver is not None:
            self._saver.close()
            self._saver = None


def capture(lane_states: LaneStates) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a shard by name, on the host, and its facts.

    JAX arrays never change, so none is copied where the device shares the host's memory.
    """
    arrays = dict(_named("state", lane_states.states))
    if lane_states.best.weights is not None:
        arrays |= dict(_named("best.kept", lane_states.best.weights))
    arrays |= {name: np.array(value) for name, value in lane_states.state_arrays().items()}
    facts = {
        "step": lane_states.step,
        "judged": lane_states.last_evaluation,
        "rests": lane_states.rungs,
        "stopped": list(lane_states.stopped),
        "seconds": lane_states.timings.seconds(),
        "seen": {name: value for name, value in lane_states.shown.items() if _is_plain(value)},
        "log": lane_states.log.mark(),
    }
    return arrays, facts


def restore(lane_states: LaneStates, checkpoint: Checkpoint) -> None:
    """Load a checkpoint into a shard that was prepared for the same problem and recipes.

    Raises:
        RunFolderError: The checkpoint's arrays are not those of this problem and these recipes.
    """
    lane_states.states = fill("state", lane_states.states, checkpoint)
    if any(name.startswith("best.kept.") for name in checkpoint.arrays):
        like = (lane_states.states.params, lane_states.states.model_state)
        lane_states.best.weights = fill("best.kept", like, checkpoint)
    lane_states.load_state_arrays(
        {
            name: np.array(_checked(name, value, checkpoint))
            for name, value in lane_states.state_arrays().items()
            if name in checkpoint.arrays or name not in ADDED
        }
    )
    facts = checkpoint.manifest.facts
    lane_states.step, lane_states.last_evaluation = int(facts["step"]), int(facts["judged"])
    lane_states.rungs = int(facts["rests"])
    lane_states.stopped = [None if reason is None else str(reason) for reason in facts["stopped"]]
    lane_states.shown = dict(facts["seen"])
    lane_states.timings.add_earlier(facts["seconds"])
    _revive(lane_states)


def newest_checkpoint(
    folder: Path, run: str | None = None, at: int | None = None, fact: str = "log"
) -> Checkpoint | None:
    """Return a folder's newest sound checkpoint, up to step `at`, that has this fact; None without one."""
    for checkpoint in Store(folder, run).sound(at):
        if isinstance(checkpoint, Checkpoint) and fact in checkpoint.manifest.facts:
            return checkpoint
    return None


def newest_facts(folder: Path, run: str) -> dict[str, Any]:
    """Return the facts of the newest checkpoint whose manifest is readable, without reading its arrays."""
    store = Store(folder, run)
    for name in store.names():
        with contextlib.suppress(RunFolderError):
            return store.manifest(name).facts
    return {}


def fork(checkpoint: Checkpoint, source: Path, target: Path, run: RunFile) -> None:
    """Start the run in `target` from a checkpoint of the run in `source`, and its log up to there."""
    facts = checkpoint.manifest.facts | {"origin": run.origin}
    rows = _rows_up_to(checkpoint, read_back(source))
    Log(target, [], len(facts["stopped"]), before=rows).close(keep=True)
    manifest = checkpoint.manifest
    Store(target, run.run).commit(manifest.step, checkpoint.arrays, facts, manifest.score)


def _rows_up_to(checkpoint: Checkpoint, rows: dict[str, pa.Table]) -> dict[str, pa.Table]:
    marks = checkpoint.manifest.facts["log"]
    return {name: first_rows(rows[name], marks[name]["rows"]) for name in _logged(marks, rows)}


def _logged(marks: dict[str, Any], rows: dict[str, pa.Table]) -> list[str]:
    """Return the names of the tables that a run has."""
    return [name for name in rows if name != FIGURES or name in marks]


def _score(lane_states: LaneStates) -> float | None:
    """Return the lowest of the lanes' latest validation losses; None before the first."""
    losses = lane_states.validated[0][lane_states.used]
    finite = losses[np.isfinite(losses)]
    return float(finite.min()) if len(finite) else None


def _revive(lane_states: LaneStates) -> None:
    """Let lanes that had reached their planned end continue where the plan is longer now."""
    if lane_states.step >= lane_states.group.total:
        return
    which = np.array([StopReason.facts_of(reason).planned for reason in lane_states.stopped])
    lane_states.stopped = [
        None if revived else reason for revived, reason in zip(which, lane_states.stopped, strict=True)
    ]
    states = lane_states.states
    codes = jnp.where(jnp.asarray(which) & (states.code == STOPPED), RUNNING, states.code)
    lane_states.states = eqx.tree_at(lambda states: states.code, states, codes)


def _named(prefix: str, tree: PyTree) -> Iterator[tuple[str, np.ndarray]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    for path, leaf in flat:
        if eqx.is_array(leaf):
            yield f"{prefix}.{dotted(path)}", np.asarray(keys.plain(leaf))


def fill(prefix: str, tree: PyTree, checkpoint: Checkpoint) -> PyTree:
    """Return the tree with every array taken from the checkpoint by its path.

    Args:
        prefix: `state` for the states of the lanes.
        tree: As prepared for the same problem and recipes.
        checkpoint: The checkpoint.

    Raises:
        RunFolderError: It has no such array, or one of another shape.
    """

    def filled(path: Any, leaf: Any) -> Any:
        if not eqx.is_array(leaf):
            return leaf
        stored = _checked(f"{prefix}.{dotted(path)}", keys.plain(leaf), checkpoint)
        return keys.as_before(jnp.array(stored), leaf)

    return jax.tree_util.tree_map_with_path(filled, tree)


def _checked(name: str, like: Any, checkpoint: Checkpoint) -> np.ndarray:
    stored = checkpoint.arrays.get(name)
    if stored is None or stored.shape != like.shape or stored.dtype != like.dtype:
        raise RunFolderError(
            "checkpoint",
            "must fit the problem and the recipe that resume from it",
            got="no such array" if stored is None else f"{stored.dtype}{list(stored.shape)}",
            where=f"{name}, expected {like.dtype}{list(like.shape)}, in {checkpoint.path}",
            hint="numbers of a recipe may change on resuming; its choices, the model and the data may not",
        )
    return stored


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, (int, float)) and math.isfinite(value))
