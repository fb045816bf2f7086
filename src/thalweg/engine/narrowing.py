"""Lanes in one product that have stopped are taken out once they are half of all: they would cost as much as
the others.

Widths are powers of two, so that a shard that dies lane by lane is compiled a few times at most.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from thalweg.core.tree import lane as take_lane
from thalweg.engine.chunk import Chunk
from thalweg.engine.program import BATCH, Inputs, Program
from thalweg.engine.state import RUNNING, State


def lanes_to_run(program: Program, states: State) -> np.ndarray | None:
    """Return the lanes that the next dispatch should hold, running ones first; None for all of them."""
    if program.layout != BATCH:
        return None
    running = np.asarray(states.code) == RUNNING
    width = 1 << max(0, int(running.sum()) - 1).bit_length()
    return None if 2 * width > len(running) else np.argsort(~running, kind="stable")[:width].astype(np.int32)


def fewer(inputs: Inputs, which: np.ndarray) -> Inputs:
    """Return the inputs of some lanes."""
    lanes = jnp.asarray(which)
    return dataclasses.replace(
        inputs,
        numbers=take_lane(inputs.numbers, lanes),
        stream=inputs.stream[lanes],
        lanes=jnp.int32(len(which)),
    )


@jax.jit
def taken(states: State, which: Int[Array, " some"]) -> State:
    """Return the states of some lanes."""
    return take_lane(states, which)


@jax.jit
def put_back(states: State, some: State, which: Int[Array, " some"]) -> State:
    """Return the states of all lanes with those of some replaced."""
    return jax.tree.map(lambda all_lanes, rows: all_lanes.at[which].set(rows), states, some)


def widened(told: Chunk, which: np.ndarray, width: int) -> Chunk:
    """Return what a dispatch of some lanes told as one of all lanes; the others made no step."""

    def wide(rows: np.ndarray, fill: float) -> np.ndarray:
        found = np.full((width, *rows.shape[1:]), fill, rows.dtype)
        found[which] = rows
        return found

    def unset(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda rows: wide(rows, np.nan), tree)

    return Chunk(
        info=unset(told.info),
        layers=wide(told.layers, 0),  # type: ignore[arg-type]
        layer_steps=wide(told.layer_steps, -1),  # type: ignore[arg-type]
        done=wide(told.done, 0),  # type: ignore[arg-type]
    )
