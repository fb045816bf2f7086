"""The training loop of one shard of lanes: from its first parameters to its finished runs."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import paths
from thalweg.engine import dispatch
from thalweg.engine.compilation import TRACES
from thalweg.engine.group import LaneGroup, init_group
from thalweg.engine.plan import Shard
from thalweg.engine.state import State
from thalweg.problem.data.split import Split
from thalweg.problem.problem import Problem
from thalweg.run.folder.describe import Descriptions
from thalweg.run.folder.log import Log
from thalweg.run.progress import Progress
from thalweg.run.run import Run
from thalweg.run.session.checkpointer import Checkpointer, restore
from thalweg.run.session.finalize import finalize
from thalweg.run.session.halving import Halver
from thalweg.run.session.lane_states import LaneStates, Timings
from thalweg.run.session.scheduler import Advanced, AtBarrier, Event, Interrupt
from thalweg.run.spec import Lane, RunSpec


@dataclass(frozen=True)
class Context:
    """What the shards of a session share.

    Args:
        problem: What is learned.
        spec: The specification of the run.
        splits: The problem's data, on the device.
        descriptions: What was written before the first step.
        initial_weights: Changes the first parameters, for fine-tuning; None leaves them.
        progress, interrupt: The listener, and the request to stop.
        halver: Decides which lanes are frozen at rungs.
    """

    problem: Problem
    spec: RunSpec
    splits: dict[str, Split]
    descriptions: Descriptions
    initial_weights: Callable[[PyTree], PyTree] | None
    progress: Progress
    interrupt: Interrupt
    halver: Halver


class ShardTrainer:
    """Trains one shard of lanes.

    Args:
        context: What all shards share.
        shard: Layout and width of the program.
        lanes: The shard's lanes.
        folder: Folder of the log and the checkpoints while the shard trains; None for memory only.
        checkpointer: Saves the state; None where nothing is saved.
        timings: Seconds spent.

    Attributes:
        runs: One for each lane, once the shard has ended.
        lane_states: The lanes as they are now; None before the first step and after the end.
    """

    def __init__(
        self,
        context: Context,
        shard: Shard,
        lanes: Sequence[Lane],
        folder: Path | None,
        checkpointer: Checkpointer | None,
        timings: Timings,
    ):
        self._context, self._shard, self.lanes, self._folder = context, shard, tuple(lanes), folder
        self._checkpointer, self.timings = checkpointer, timings
        self.runs: list[Run] = []
        self.lane_states: LaneStates | None = None

    def run(self) -> Iterator[Event]:
        """Train until every lane has stopped, then finish the runs; yield after every short piece of work."""
        group, states = self._prepared()
        lane_states = self._first_or_resumed(group, states)
        yield from self._train(lane_states)
        interrupted = StopReason.INTERRUPTED in lane_states.stopped
        checkpointer, many = self._checkpointer, self._context.spec.many
        if checkpointer is not None and not many and not interrupted:
            checkpointer.save(lane_states)  # so that the run can be extended; a finished sweep cannot
        self.runs = finalize(self._context.problem, lane_states, self._context.descriptions)
        if checkpointer is not None:
            checkpointer.close()
        # Files that resuming needs stay until the whole sweep has ended.
        lane_states.log.close(keep=interrupted or (checkpointer is not None and many))
        self.lane_states = None

    def close(self) -> None:
        """Finish saving, also after an error."""
        if self._checkpointer is not None:
            self._checkpointer.close()
        if self.lane_states is not None:
            self.lane_states.log.close(keep=True)

    def _prepared(self) -> tuple[LaneGroup, State]:
        """Return the compiled group and the first states of its lanes."""
        traced, start = TRACES.mine("start"), time.perf_counter()
        group, states = init_group(
            self._context.problem,
            [lane.recipe for lane in self.lanes],
            self._context.initial_weights,
            splits=self._context.splits,
            width=self._shard.width,
            layout=self._shard.layout,
        )
        if TRACES.mine("start") > traced:
            self.timings.compile += time.perf_counter() - start
        total = self._context.spec.schedule_total
        if total is not None:
            inputs = eqx.tree_at(lambda inputs: inputs.total, group.inputs, jnp.float32(total))
            group = replace(group, inputs=inputs)
        return group, states

    def _first_or_resumed(self, group: LaneGroup, states: State) -> LaneStates:
        """Return the lanes at their first step, or as a checkpoint captured them."""
        progress = self._context.progress
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        point = None if self._checkpointer is None else self._checkpointer.resume_point()
        rows = None if point is None else point.rows
        log = Log(self._folder, paths(states.params), group.width, before=rows, warn=progress.note)
        lane_states = LaneStates(group, self.lanes, states, log, progress, self.timings)
        self.lane_states = lane_states
        if point is not None:
            restore(lane_states, point.checkpoint)
            progress.update(lane_states.status())
        return lane_states

    def _train(self, lane_states: LaneStates) -> Iterator[Event]:
        """Train until every lane has stopped: chunks up to the next evaluation, evaluate, continue.

        A rung is the first evaluation at or after its fraction of the run: an additional evaluation would
        make a lane differ from the same lane alone.
        """
        pace, total = dispatch.ChunkLength(lane_states.group.program.capacity), lane_states.group.total
        checkpointer = self._checkpointer
        while not lane_states.over:
            stop = lane_states.next_stop
            while lane_states.step < stop:
                if self._interrupted(lane_states):
                    return
                step = lane_states.step
                end = stop if checkpointer is None else int(min(stop, checkpointer.next_stop(step)))
                lane_states.take(dispatch.next_chunk(lane_states.group, lane_states.states, step, end, pace))
                if lane_states.over:
                    return
                if checkpointer is not None and lane_states.step < stop:
                    checkpointer.save_if_due(lane_states)
                yield Advanced(lane_states.step / total)
            if self._interrupted(lane_states):
                return
            yield from self._evaluate(lane_states)
            if checkpointer is not None and not lane_states.over:
                checkpointer.save_if_due(lane_states)

    def _evaluate(self, lane_states: LaneStates) -> Iterator[Event]:
        """Evaluate, and stop the lanes at the end of the run; at a rung, wait for the other shards."""
        total = lane_states.group.total
        ahead = [rung for rung in self._context.halver.rungs if rung * total > lane_states.last_evaluation]
        lane_states.validate()
        if lane_states.step >= total:
            counts_steps = lane_states.group.recipes[0].steps is not None
            lane_states.stop(lane_states.alive, StopReason.STEPS if counts_steps else StopReason.EPOCHS)
        elif ahead and lane_states.step >= ahead[0] * total:
            yield from self._wait_at_rung(lane_states)

    def _interrupted(self, lane_states: LaneStates) -> bool:
        """Save the state and stop the lanes if an interrupt was requested."""
        if not self._context.interrupt.requested:
            return False
        if self._checkpointer is not None:
            self._checkpointer.save(lane_states)
            self._checkpointer.settle()
        lane_states.stop(lane_states.alive, StopReason.INTERRUPTED)
        return True

    def _wait_at_rung(self, lane_states: LaneStates) -> Iterator[Event]:
        """Wait for the other shards and the decision, which may have been made before the run was killed."""
        rung, lane_states.rungs = lane_states.rungs, lane_states.rungs + 1
        if self._context.halver.decided(rung):
            self._context.halver.freeze(rung, lane_states)
        else:
            yield AtBarrier()
