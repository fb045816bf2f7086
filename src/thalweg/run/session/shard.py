"""The training loop of one shard of lanes: from its first parameters to its finished runs."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import paths
from thalweg.engine import dispatch
from thalweg.engine.compilation import TRACES
from thalweg.engine.feeds import resident
from thalweg.engine.group import LaneGroup, init_group
from thalweg.engine.mesh import Place, here, on_each
from thalweg.engine.plan import Shard
from thalweg.engine.state import State
from thalweg.problem.data.split import Split
from thalweg.problem.problem import Problem
from thalweg.run.folder.describe import Descriptions
from thalweg.run.folder.filesystem import files_of
from thalweg.run.folder.log import Log
from thalweg.run.folder.stop_request import StopRequests
from thalweg.run.progress import CallerStops
from thalweg.run.run import Run
from thalweg.run.session.checkpointer import Checkpointer, restore
from thalweg.run.session.finalize import finalize
from thalweg.run.session.halving import Halver
from thalweg.run.session.lane_states import LaneStates, Timings
from thalweg.run.session.peers import agreed, alone, anywhere, share_state
from thalweg.run.session.scheduler import Advanced, AtBarrier, Event, Interrupt
from thalweg.run.spec import Lane, RunSpec


class Site(NamedTuple):
    """Where shards train: a place on the mesh (None: the device that JAX chooses), and the data there."""

    place: Place | None
    splits: dict[str, Split]

    @classmethod
    def at(cls, place: Place | None, problem: Problem, data_on: str) -> Self:
        """Put the data of a problem at a place; the training split only if it is to be on the device."""
        with here(place):
            return cls(place, resident(problem.data, None if place is None else place.mesh, data_on))


@dataclass(frozen=True)
class Context:
    """What the shards of a session share.

    Args:
        problem: What is learned.
        spec: The specification of the run.
        sites: Where shards train, which take them in turn.
        descriptions: What was written before the first step, by fold; by None without folds.
        initial_weights: Changes the first parameters, for fine-tuning; None leaves them.
        note: Receives messages for the user.
        interrupt, requests, asked: What a signal, the caller, and someone through the folder want stopped.
        every: A status is due at each multiple of so many updates, at the latest; None for no such rule.
        observe: Called with the lanes before the first step and after each chunk, in the thread that trains;
            None for nothing.
        halver: Decides which lanes are frozen at rungs.
    """

    problem: Problem
    spec: RunSpec
    sites: Sequence[Site]
    descriptions: dict[int | None, Descriptions]
    initial_weights: Callable[[PyTree], PyTree] | None
    note: Callable[[str], None]
    interrupt: Interrupt
    requests: CallerStops
    asked: StopRequests
    every: int | None
    observe: "Callable[[LaneStates], None] | None"
    halver: Halver


class ShardTrainer:
    """Trains one shard of lanes.

    Args:
        context: What all shards share.
        number: The shard's number in the plan; shards take the sites in turn.
        shard: Layout and width of the program.
        lanes: The shard's lanes.
        folder: Folder of the log and the checkpoints while the shard trains; None for memory only.
        checkpointer: Saves the state; None where nothing is saved.
        timings: Seconds spent.

    Attributes:
        site: Where the shard trains.
        runs: One for each lane, once the shard has ended.
        lane_states: The lanes as they are now; None before the first step and after the end.
    """

    def __init__(
        self,
        context: Context,
        number: int,
        shard: Shard,
        lanes: Sequence[Lane],
        folder: Path | None,
        checkpointer: Checkpointer | None,
        timings: Timings,
    ):
        self._context, self._shard, self.lanes, self._folder = context, shard, tuple(lanes), folder
        self.site = context.sites[number % len(context.sites)]
        self._checkpointer, self.timings = checkpointer, timings
        self.runs: list[Run] = []
        self.lane_states: LaneStates | None = None
        self._paused = False  # whether the run was stopped in a state from which it resumes

    def run(self) -> Iterator[Event]:
        """Train until every lane has stopped, then finish the runs; yield after every short piece of work."""
        events = self._events()
        while True:
            with here(self.site.place):  # a thread may have another shard, elsewhere, between two pieces
                event = next(events, None)
            if event is None:
                return
            yield event

    def _events(self) -> Iterator[Event]:
        group, states = self._prepared()
        lane_states = self._first_or_resumed(group, states)
        self._observe(lane_states)
        if lane_states.step:
            yield self._advanced(lane_states)
        yield from self._at_last_rung(lane_states)
        yield from self._train(lane_states)
        checkpointer, many = self._checkpointer, self._context.spec.many
        if checkpointer is not None and not many and not self._paused:
            checkpointer.save(lane_states)  # so that the run can be extended; a finished sweep cannot
        self.runs = finalize(self._context.problem, lane_states, self._context.descriptions)
        if checkpointer is not None:
            checkpointer.close()
        # Files that resuming needs stay until the whole sweep has ended.
        lane_states.log.close(keep=self._paused or (checkpointer is not None and many))
        self.lane_states = None

    def save(self) -> None:
        """Save the state as it is, and wait until it is on disk."""
        if self._checkpointer is not None and self.lane_states is not None:
            self._checkpointer.save(self.lane_states)
            self._checkpointer.settle()

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
            splits=self.site.splits,
            mesh=None if self.site.place is None else self.site.place.mesh,
            width=self._shard.width,
            layout=self._shard.layout,
            folds=[lane.fold for lane in self.lanes if lane.fold is not None],
            data_on=self._context.spec.data_on,
        )
        if TRACES.mine("start") > traced:
            self.timings.compile += time.perf_counter() - start
        total = self._context.spec.schedule_total
        if total is not None:
            planned = jnp.asarray(total, group.inputs.total.dtype)
            inputs = eqx.tree_at(lambda inputs: inputs.total, group.inputs, planned)
            group = replace(group, inputs=inputs)
        return group, states

    def _first_or_resumed(self, group: LaneGroup, states: State) -> LaneStates:
        """Return the lanes at their first step, or as a checkpoint captured them."""
        if self._folder is not None:
            files_of(self._folder).make_folder(self._folder)
        point = None if self._checkpointer is None else self._checkpointer.resume_point()
        rows = None if point is None else point.rows
        note, figures = self._context.note, group.program.figures
        more = bool(group.program.more)
        log = Log(self._folder, paths(states.params), group.width, rows, note, figures, more)
        lane_states = LaneStates(group, self.lanes, states, log, self.timings)
        self.lane_states = lane_states
        if point is not None:
            restore(lane_states, point.checkpoint)
        share_state(lane_states)
        mesh = group.program.mesh
        lane_states.states = on_each(mesh, lane_states.states)
        lane_states.best.weights = on_each(mesh, lane_states.best.weights)
        return lane_states

    def _train(self, lane_states: LaneStates) -> Iterator[Event]:
        """Train until every lane has stopped: chunks up to the next evaluation, evaluate, continue.

        A rung is the first evaluation at or after its fraction of the run: an additional evaluation would
        make a lane differ from the same lane alone.
        """
        pace = dispatch.ChunkLength(lane_states.group.program.capacity)
        checkpointer = self._checkpointer
        while not lane_states.over:
            stop = lane_states.next_stop
            while lane_states.step < stop:
                if self._stopped(lane_states):
                    yield from self._ended_early(lane_states)
                    return
                step = lane_states.step
                end = stop if checkpointer is None else int(min(stop, checkpointer.next_stop(step)))
                if (every := self._context.every) is not None:
                    end = min(end, (step // every + 1) * every)
                lane_states.take(self._chunk(lane_states, end, pace))
                self._observe(lane_states)
                yield self._advanced(lane_states)
                if lane_states.over:
                    return
                if checkpointer is not None and lane_states.step < stop:
                    checkpointer.save_if_due(lane_states)
            if self._stopped(lane_states):
                yield from self._ended_early(lane_states)
                return
            yield from self._evaluate(lane_states)
            if checkpointer is not None and not lane_states.over:
                checkpointer.save_if_due(lane_states)

    def _chunk(self, lane_states: LaneStates, end: int, pace: dispatch.ChunkLength) -> dispatch.ChunkResult:
        """Run the next chunk: with other processes, the same as theirs."""
        group, states, step = lane_states.group, lane_states.states, lane_states.step
        if alone(group.program.mesh):
            return dispatch.next_chunk(group, states, step, end, pace)
        more, pace.steps = (int(number) for number in agreed(end - step, pace.steps))
        result = dispatch.next_chunk(group, states, step, step + more, pace)
        return result._replace(seconds=agreed(result.seconds)[0])

    def _observe(self, lane_states: LaneStates) -> None:
        if self._context.observe is not None:
            self._context.observe(lane_states)

    def _evaluate(self, lane_states: LaneStates) -> Iterator[Event]:
        """Evaluate, and stop the lanes at the end of the run; at a rung, wait for the other shards."""
        total = lane_states.group.total
        ahead = [rung for rung in self._context.halver.rungs if rung * total > lane_states.last_evaluation]
        lane_states.validate()
        ends = lane_states.step >= total
        if ends:
            counts_steps = lane_states.group.recipes[0].steps is not None
            lane_states.stop(lane_states.alive, StopReason.STEPS if counts_steps else StopReason.EPOCHS)
        yield self._advanced(lane_states, evaluated="validation" in lane_states.group.splits)
        if not ends and ahead and lane_states.step >= ahead[0] * total:
            yield from self._wait_at_rung(lane_states)

    def _advanced(self, lane_states: LaneStates, evaluated: bool = False) -> Advanced:
        status = replace(lane_states.status(), evaluated=evaluated)
        return Advanced(lane_states.step / lane_states.group.total, status)

    def _ended_early(self, lane_states: LaneStates) -> Iterator[Event]:
        """Show how the lanes stand, unless the user is waiting for the run to end."""
        if not self._context.interrupt.requested:
            yield self._advanced(lane_states)

    def _stopped(self, lane_states: LaneStates) -> bool:
        """Stop what a signal, the caller or someone through the folder wants stopped.

        The state is saved before the whole run stops, so that it can be resumed, and after a lane has
        stopped, so that a resumed run leaves it stopped.

        Returns:
            Whether no lane runs on.
        """
        requests, asked, checkpointer = self._context.requests, self._context.asked.read(), self._checkpointer
        self._context.interrupt.requested |= asked.run
        which = lane_states.alive & lane_states.numbered(requests.lanes)
        asked_lanes = lane_states.alive & lane_states.numbered(asked.lanes)
        interrupted, everything = self._context.interrupt.requested, requests.everything
        if not alone(lane_states.group.program.mesh):  # a run of one lane
            flags = anywhere(interrupted, everything, which.any(), asked_lanes.any())
            interrupted, everything = flags[:2]
            which, asked_lanes = (lane_states.alive & flag for flag in flags[2:])
        lane_states.stop(asked_lanes, StopReason.REQUESTED)
        if (interrupted or everything) and not lane_states.over:
            self._paused = True
            if checkpointer is not None:
                checkpointer.save(lane_states)
                checkpointer.settle()
            lane_states.stop(lane_states.alive, StopReason.INTERRUPTED if interrupted else StopReason.CALLER)
            return True
        if which.any():
            lane_states.stop(which, StopReason.CALLER)
            if checkpointer is not None:
                checkpointer.save(lane_states)
        return lane_states.over

    def _wait_at_rung(self, lane_states: LaneStates) -> Iterator[Event]:
        """Wait for the other shards and the decision, which may have been made before the run was killed."""
        rung, lane_states.rungs = lane_states.rungs, lane_states.rungs + 1
        if self._context.halver.decided(rung):
            self._context.halver.freeze(rung, lane_states)
        else:
            yield AtBarrier()

    def _at_last_rung(self, lane_states: LaneStates) -> Iterator[Event]:
        """Where a resumed shard had waited at a rung, wait again or follow what was decided since."""
        if lane_states.rungs and not lane_states.over:
            lane_states.rungs -= 1
            yield from self._wait_at_rung(lane_states)
