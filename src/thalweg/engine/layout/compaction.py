"""Compaction: batched lanes that have stopped are taken out of the program once they are a quarter of all.

Their share of every product would be computed and discarded. Widths are multiples of four, so that a shard
whose lanes stop one by one is compiled a few times at most.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from thalweg.core.compiler import jit
from thalweg.core.tree import lane as take_lane
from thalweg.engine.program import BATCH, Inputs, Program
from thalweg.engine.state import RUNNING, Chunk, State

# Widths of batched programs are multiples of this; below it, powers of two.
WIDTH_MULTIPLE = 4
# A narrower program is used from this share of the width on: it has to be compiled once.
COMPACTION_SHARE = 0.75


def width_for(lanes: int, layout: str) -> int:
    """Return the width of the program for this many lanes: one of few, so that few programs are compiled.

    Mapped programs have widths that are powers of two, as unused lanes cost nothing there; batched ones are
    kept closer to the number of lanes.
    """
    if layout != BATCH or lanes <= WIDTH_MULTIPLE:
        return 1 << max(0, lanes - 1).bit_length()
    return -(-lanes // WIDTH_MULTIPLE) * WIDTH_MULTIPLE


def lanes_to_run(program: Program, states: State) -> np.ndarray | None:
    """Return the lanes that the next dispatch should contain, running ones first; None for all of them."""
    if program.layout != BATCH:
        return None
    running = np.asarray(states.code) == RUNNING
    width = width_for(int(running.sum()), BATCH)
    if width > COMPACTION_SHARE * len(running):
        return None
    return np.argsort(~running, kind="stable")[:width].astype(np.int32)


def compact_inputs(inputs: Inputs, lanes: np.ndarray) -> Inputs:
    """Return the inputs of some lanes."""
    indices = jnp.asarray(lanes)
    return dataclasses.replace(
        inputs,
        numbers=take_lane(inputs.numbers, indices),
        stream=inputs.stream[indices],
        fold=None if inputs.fold is None else inputs.fold[indices],
        lanes=jnp.int32(len(lanes)),
    )


@jit
def compact_states(states: State, lanes: Int[Array | np.ndarray, " some"]) -> State:
    """Return the states of some lanes."""
    return take_lane(states, lanes)


@jit
def expand_states(states: State, some: State, lanes: Int[Array | np.ndarray, " some"]) -> State:
    """Return the states of all lanes, with those of some lanes replaced."""
    return jax.tree.map(lambda all_lanes, rows: all_lanes.at[lanes].set(rows), states, some)


def expand_chunk(chunk: Chunk, lanes: np.ndarray, width: int) -> Chunk:
    """Return the chunk of some lanes as one of all lanes, in which the others made no step."""

    def expand(rows: np.ndarray, fill: float) -> np.ndarray:
        expanded = np.full((width, *rows.shape[1:]), fill, rows.dtype)
        expanded[lanes] = rows
        return expanded

    def expand_info(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda rows: expand(rows, np.nan), tree)

    return Chunk(
        info=expand_info(chunk.info),
        layers=expand(chunk.layers, 0),  # type: ignore[arg-type]
        layer_steps=expand(chunk.layer_steps, -1),  # type: ignore[arg-type]
        done=expand(chunk.done, 0),  # type: ignore[arg-type]
    )
