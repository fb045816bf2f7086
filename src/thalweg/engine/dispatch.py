"""Running a group's training loop chunk by chunk, one dispatch of the compiled loop each.

A chunk is long enough to hide the cost of its dispatch, and short enough to keep progress, stopping and
checkpoints lively. The loop's length is an input of the program, so one program serves chunks of any length.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int

from thalweg.core.compiler import jit
from thalweg.core.lazy import idle_work
from thalweg.engine.compilation import TRACES, compile_once
from thalweg.engine.group import LaneGroup
from thalweg.engine.layout.batched import run_batched
from thalweg.engine.layout.compaction import (
    compact_inputs,
    compact_states,
    expand_chunk,
    expand_states,
    lanes_to_run,
)
from thalweg.engine.layout.mapped import run_mapped
from thalweg.engine.mesh import on_each
from thalweg.engine.program import BATCH, Batches, Inputs, Program
from thalweg.engine.state import Chunk, State
from thalweg.problem.data.split import Split

# A dispatch costs about a millisecond; at a third of a second that is 0.3 %, and progress looks smooth.
CHUNK_SECONDS = 0.3
FIRST_CHUNK = 32
# Seconds of the previous chunk from which on the next one hides deferred work of the host.
LONG_CHUNK = 0.1


class ChunkResult(NamedTuple):
    """The result of one chunk, on the host.

    Args:
        states: The state of every lane after it.
        chunk: What it reports, as NumPy arrays; rows from `done` on are unset.
        start: First step of the chunk.
        steps: How many steps were requested.
        compile_seconds, seconds: Time spent compiling, and running.
    """

    states: State
    chunk: Chunk
    start: int
    steps: int
    compile_seconds: float
    seconds: float


class ChunkLength:
    """How many steps the next chunk has: measured, and of no influence on any result."""

    seconds = 0.0  # of the latest chunk; stays 0 in a length that ignores the clock

    def __init__(self, capacity: int):
        self._capacity = capacity
        self.steps = min(FIRST_CHUNK, capacity)

    def observe(self, steps: int, seconds: float) -> None:
        """Adapt to a chunk's duration; grow at most fourfold, so that one fast reading does not mislead."""
        self.seconds = seconds
        ideal = int(steps * CHUNK_SECONDS / max(seconds, 1e-6))
        self.steps = max(1, min(ideal, 4 * steps if steps >= self.steps else self.steps, self._capacity))


def run_chunks(
    group: LaneGroup, states: State, start: int, stop: int, length: ChunkLength
) -> Iterator[ChunkResult]:
    """Run from step `start` to step `stop`, yielding after every chunk."""
    while start < stop:
        result = next_chunk(group, states, start, stop, length)
        yield result
        states, start = result.states, start + result.steps


def next_chunk(
    group: LaneGroup,
    states: State,
    start: int,
    stop: int,
    length: ChunkLength,
) -> ChunkResult:
    """Run one chunk from step `start`, of the given length but not beyond step `stop`."""
    steps = min(length.steps, stop - start)
    traced, started = TRACES.mine("chunk"), time.perf_counter()
    split, batches = group.feed.dispatch(group.splits, start, steps, group.program.capacity)
    lanes = lanes_to_run(group.program, states)
    inputs = group.inputs if lanes is None else compact_inputs(group.inputs, lanes)
    before = states if lanes is None else compact_states(states, lanes)
    mesh = group.program.mesh
    split = split if split.divided else on_each(mesh, split)
    inputs, *rest = on_each(mesh, (inputs, batches, np.int32(steps), before))
    after, chunk = compile_once(run_chunk, group.program, inputs, split, *rest)
    dispatched = time.perf_counter()
    ahead = (stop if start + steps < stop else group.total) - start - steps
    group.feed.prefetch(start + steps, min(length.steps, ahead))  # while the device works
    if length.seconds >= LONG_CHUNK:
        idle_work()
    chunk = jax.tree.map(lambda leaf: np.asarray(leaf), chunk)
    ended = time.perf_counter()
    if lanes is not None:
        after, chunk = expand_states(states, after, lanes), expand_chunk(chunk, lanes, group.width)
    compiling = dispatched - started if TRACES.mine("chunk") > traced else 0.0
    length.observe(steps, ended - dispatched if compiling else ended - started)
    return ChunkResult(after, chunk, start, steps, compiling, ended - started - compiling)


@partial(jit, static_argnames="program")
def run_chunk(
    program: Program, inputs: Inputs, split: Split, batches: Batches, count: Int[Array, ""], states: State
) -> tuple[State, Chunk]:
    """Run `count` steps of every lane that is not frozen: the compiled training loop.

    Args:
        program, inputs: What is compiled, and what it is called with.
        split: The training split.
        batches: The order of these steps.
        count: How many steps.
        states: The lanes' states, stacked.

    Returns:
        The states after these steps, and what the steps report.
    """
    TRACES.count("chunk")
    run = run_batched if program.layout == BATCH else run_mapped
    return run(program, inputs, split, batches, count, states)
