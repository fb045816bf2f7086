"""Lanes in one product that have stopped are taken out once they are a quarter of all: their share of the
product would be computed and thrown away.

Widths are multiples of four, so that a shard that dies lane by lane is compiled a few times at most.
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

# Lanes in one product come in so many; fewer than that in powers of two.
EVEN = 4
# A narrower program is taken from this share of the width on: it has to be compiled once.
WORTH_TAKING = 0.75


def width_for(lanes: int, layout: str) -> int:
    """Return how wide the program for so many lanes is: of few widths, for few compilations.

    Mapped lanes beyond those that run cost nothing, so that powers of two do; in one product they cost.
    """
    if layout != BATCH or lanes <= EVEN:
        return 1 << max(0, lanes - 1).bit_length()
    return -(-lanes // EVEN) * EVEN


def lanes_to_run(program: Program, states: State) -> np.ndarray | None:
    """Return the lanes that the next dispatch should hold, running ones first; None for all of them."""
    if program.layout != BATCH:
        return None
    running = np.asarray(states.code) == RUNNING
    width = width_for(int(running.sum()), BATCH)
    if width > WORTH_TAKING * len(running):
        return None
    return np.argsort(~running, kind="stable")[:width].astype(np.int32)


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
