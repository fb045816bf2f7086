"""Driving the loop from the host: chunk after chunk, each long enough to hide the dispatch and short enough
to keep progress, stopping and checkpoints lively."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from thalweg.core.lazy import idle_work
from thalweg.engine.chunk import Chunk
from thalweg.engine.compiling import TRACES, with_one_compilation
from thalweg.engine.group import LaneGroup
from thalweg.engine.layout.compaction import fewer, lanes_to_run, put_back, taken, widened
from thalweg.engine.loop import run_chunk
from thalweg.engine.state import State

# A dispatch costs about a millisecond all told; a third of a second makes that 0.3 %, and a person sees it
# move.
CHUNK_SECONDS = 0.3
FIRST_CHUNK = 32
# Seconds of the previous chunk from which on the next one hides work that the host has postponed.
LONG_CHUNK = 0.1


class Progressed(NamedTuple):
    """One chunk's outcome on the host.

    Args:
        states: Where every lane stands.
        chunk: What it tells, as NumPy arrays; rows from `done` on are unset.
        start: First step of the chunk.
        steps: How many steps were asked for.
        compile_seconds, seconds: Time spent compiling, and running.
    """

    states: State
    chunk: Chunk
    start: int
    steps: int
    compile_seconds: float
    seconds: float


class Pace:
    """How many steps the next dispatch runs: a measured choice that changes no result, only liveliness."""

    def __init__(self, capacity: int):
        self._capacity = capacity
        self.steps = min(FIRST_CHUNK, capacity)
        self.seconds = 0.0  # of the latest chunk

    def observe(self, steps: int, seconds: float) -> None:
        """Take in how long a chunk took; grow at most fourfold, lest one fast reading mislead."""
        self.seconds = seconds
        wanted = int(steps * CHUNK_SECONDS / max(seconds, 1e-6))
        self.steps = max(1, min(wanted, 4 * steps if steps >= self.steps else self.steps, self._capacity))


def chunks(group: LaneGroup, states: State, start: int, stop: int, pace: Pace) -> Iterator[Progressed]:
    """Run from step `start` to step `stop`, yielding after every dispatch."""
    while start < stop:
        moved = chunk(group, states, start, stop, pace)
        yield moved
        states, start = moved.states, start + moved.steps


def chunk(
    group: LaneGroup,
    states: State,
    start: int,
    stop: int,
    pace: Pace,
) -> Progressed:
    """Run one dispatch from step `start`, as long as `pace` says, and not beyond step `stop`."""
    steps = min(pace.steps, stop - start)
    traced, begun = TRACES.mine("chunk"), time.perf_counter()
    part, batches = group.feed.dispatch(group.splits, start, steps, group.program.capacity)
    which = lanes_to_run(group.program, states)
    inputs = group.inputs if which is None else fewer(group.inputs, which)
    some = states if which is None else taken(states, which)
    after, found = with_one_compilation(
        run_chunk, group.program, inputs, part, batches, np.int32(steps), some
    )
    dispatched = time.perf_counter()
    group.feed.prefetch(start + steps)  # while the device works
    if pace.seconds >= LONG_CHUNK:
        idle_work()
    found = jax.tree.map(lambda leaf: np.asarray(leaf), found)
    ended = time.perf_counter()
    if which is not None:
        after, found = put_back(states, after, which), widened(found, which, group.width)
    compiling = dispatched - begun if TRACES.mine("chunk") > traced else 0.0
    pace.observe(steps, ended - dispatched if compiling else ended - begun)
    return Progressed(after, found, start, steps, compiling, ended - begun - compiling)
