"""Replay a run in memory up to the update at which it failed, from a checkpoint or from its start.

Order of the data, noise and updates are functions of the seed and the step, so the same updates are computed
again, bit for bit: of a lane of a sweep, too, unless it was computed in one product with others. A stream is
read again from the batch that the replay begins with. Nothing is written: the folder stays as it is.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from thalweg.core.caller import either
from thalweg.core.errors import BadInput, RunFolderError
from thalweg.core.stop_reason import StopReason
from thalweg.engine import dispatch
from thalweg.engine.group import LaneGroup, init_group, observe
from thalweg.engine.program import BATCH, MAP
from thalweg.engine.state import DIVERGED, RUNNING, State
from thalweg.problem.data.stream import Streamed
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.checkpoint.store import Checkpoint, Store
from thalweg.run.folder.pretrained import InitialWeights
from thalweg.run.folder.record import Record, read
from thalweg.run.origin import Origin, origin_of
from thalweg.run.session.checkpointer import fill
from thalweg.run.spec import RunSpec

# Updates between two looks at the weights. A look costs a dispatch, about a millisecond.
STRIDE = 64


class Saved(NamedTuple):
    """The folder of a run, or of a lane of a sweep, as far as replaying needs it.

    Args:
        record: The run or lane as plain data.
        origin: What it was started with.
        problem: What it trained on: of lanes on folds, its own fold.
    """

    record: Record
    origin: Origin
    problem: Problem

    @property
    def recipe(self) -> Recipe:
        """How it trained."""
        return self.origin.recipe

    @property
    def alone(self) -> bool:
        """Whether it was computed by itself, so that a replay has its bits; batched lanes share products."""
        shard = self.origin.shard
        return shard.layout != BATCH or len(shard.lanes) == 1


class Replay(NamedTuple):
    """A run just before the update that failed.

    Args:
        problem: What was trained.
        group: The compiled program and its inputs, of one lane.
        states: The lane's state before the update, with a lane axis.
        step: Number of the update, from 0.
        start: The update that the replay began with: that of a checkpoint, or 0.
        reason: `loss` if the update's loss failed; `weights` if its result has NaN or infinities.
        limit: Loss above which the run counts as diverged.
        loss: The loss at which the run stopped.
    """

    problem: Problem
    group: LaneGroup
    states: State
    step: int
    start: int
    reason: str
    limit: float
    loss: float


def saved_run(
    folder: Path | str, problem: Problem | None = None, data: Any = None, unverified: bool = False
) -> Saved:
    """Read the folder of a single run or of a lane of a sweep, and rebuild its problem.

    Args:
        folder: The folder.
        problem: The problem, where it cannot be rebuilt from names.
        data: Where the data are now, if they moved.
        unverified: Whether to read a folder without checksums nevertheless.

    Raises:
        RunFolderError: There is no run, or it is a sweep.
        DataError, ModelError: The problem cannot be rebuilt; see `resume`.
    """
    path = Path(folder)
    origin = origin_of(path, "tape")
    record = read(path, unverified=unverified)
    return Saved(record, origin, origin.own(_problem(origin.spec, path, problem, data)))


def _problem(spec: RunSpec, path: Path, problem: Problem | None, data: Any) -> Problem:
    try:
        return spec.rebuild_problem(problem, {}, data)
    except BadInput as error:
        if problem is not None or "resume(folder, problem)" not in error.hint:
            raise
        script = either(f"thalweg tape {path} --script train.py", "tape(run, problem=problem)")
        hint = f"pass the problem: {script}"
        rule = error.rule.replace("resumed", "rebuilt")
        raise type(error)(error.who, rule, got=error.got, where=error.where, hint=hint) from None


def replay(saved: Saved) -> Replay:
    """Run a diverged run again up to the update that failed.

    It starts from the newest checkpoint before the failure whose weights are finite, so that at most two
    intervals between checkpoints are computed again; without one, from the start.

    Raises:
        RunFolderError: The run did not diverge, or does not when it is replayed.
        DataError: Its stream can be read only once.
    """
    folder, result = saved.record.folder, saved.record.result
    assert folder is not None
    if result.get("stopped") != StopReason.DIVERGED:
        stopped = result.get("stopped") or "no end"
        hint = either(f"thalweg tape {folder}", "tape(folder)") + " shows the forward and backward pass"
        raise RunFolderError("tape", "only a run that diverged has a failing update", got=stopped, hint=hint)
    group, states = _prepared(saved)
    start, states = _start(saved, states, int(result["steps"]))
    return _failing(saved, group, states, start)


def _prepared(saved: Saved) -> tuple[LaneGroup, State]:
    """Return the program and the first state, as the run had them; of a lane, those of the lane alone."""
    spec, problem = saved.origin.spec, saved.problem
    initial = (
        None if spec.init is None else InitialWeights(Path(spec.init), problem.shapes.params, spec.init_names)
    )
    shard = saved.origin.shard
    width, layout = (1, MAP) if spec.many else (shard.width, shard.layout)
    group, states = init_group(problem, [saved.recipe], initial, width=width, layout=layout)
    if spec.schedule_total is not None:
        planned = jnp.asarray(spec.schedule_total, group.inputs.total.dtype)
        inputs = eqx.tree_at(lambda inputs: inputs.total, group.inputs, planned)
        group = replace(group, inputs=inputs)
    return group, states


def _start(saved: Saved, states: State, failed: int) -> tuple[int, State]:
    folder = saved.record.folder
    assert folder is not None
    if saved.origin.spec.many:  # a sweep's checkpoints hold all lanes of a shard, and go when it has ended
        return 0, states
    for checkpoint in Store(folder, saved.origin.run).sound(failed):
        if isinstance(checkpoint, Checkpoint):
            filled = fill("state", states, checkpoint)
            if int(filled.code[0]) == RUNNING and _is_finite(filled):
                return checkpoint.manifest.step, filled
    return 0, states


def _failing(saved: Saved, group: LaneGroup, states: State, start: int) -> Replay:
    """Advance until the loss fails or the weights are no longer finite, and go back to just before that."""
    losses = _validation_losses(saved.record)
    before, step, after, limit, loss = states, start, states, float(states.limit[0]), float("nan")
    while step < group.total:
        end = min(step + STRIDE, group.total, *(at for at in losses if at > step))
        after, last = _advanced(group, before, step, end)
        loss, limit = (last if last is not None else loss), float(after.limit[0])
        if int(after.code[0]) == DIVERGED or not _is_finite(after):
            break
        before, step = observe(group, after, losses[end]) if end in losses else after, end
    else:
        raise RunFolderError(
            "tape", "the run does not diverge when it is replayed", got="finite", hint=_why_not(saved)
        )
    before, at = _bisected(group, before, step, after)
    result, _ = _advanced(group, before, at, at + 1)
    reason = "loss" if int(result.code[0]) == DIVERGED else "weights"
    return Replay(saved.problem, group, before, at, start, reason, limit, loss)


def _why_not(saved: Saved) -> str:
    """Say what may differ from the run."""
    if not saved.alone:
        return "its sweep computed several lanes in one product, which rounds differently; train it alone"
    if isinstance(saved.problem.data.train, Streamed):
        return "its stream must give the same batches each time, or versions differ; see environment.json"
    return "versions or the processor differ from those of the run; see environment.json"


def _bisected(group: LaneGroup, before: State, step: int, after: State) -> tuple[State, int]:
    """Return the state just before the first failing update between two states, and that update."""
    last = int(after.step[0])  # the failing update is among step .. last - 1
    while last - step > 1:
        middle = (step + last) // 2
        half, _ = _advanced(group, before, step, middle)
        if int(half.code[0]) == DIVERGED or not _is_finite(half):
            last = middle
        else:
            before, step = half, middle
    return before, step


def _advanced(group: LaneGroup, states: State, start: int, stop: int) -> tuple[State, float | None]:
    """Run some updates; return the state, and the last loss that was computed."""
    length, last = dispatch.ChunkLength(group.program.capacity), None
    length.steps = min(STRIDE, group.program.capacity)
    while start < stop and int(states.code[0]) == RUNNING:
        result = dispatch.next_chunk(group, states, start, stop, length)
        done = int(result.chunk.done[0])
        if done:
            last = float(np.asarray(result.chunk.info.loss)[0, done - 1])
        states, start = result.states, start + result.steps
    return states, last


def _validation_losses(record: Record) -> Mapping[int, np.ndarray]:
    """Return the validation loss at each evaluation, which schedules may watch, as one lane."""
    table = record.evaluations
    rows = table.filter(table["part"] == "validation").iter_rows(named=True)
    return {int(row["step"]): np.array([row["loss"]]) for row in rows}


def _is_finite(states: State) -> bool:
    return _all_finite((states.params, states.model_state))


def _all_finite(tree: PyTree) -> bool:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if eqx.is_inexact_array(leaf)]
    return all(bool(np.isfinite(np.asarray(leaf, np.float32)).all()) for leaf in leaves)
