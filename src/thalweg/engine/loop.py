"""The compiled loop: one dispatch runs many steps of every lane.

A `while` whose length is an input: one program serves chunks of any length. Per-layer figures are written
every `Inputs.every` steps behind a `cond`, so that they cost nothing at the steps between.
"""

from functools import partial

import jax
from jaxtyping import Array, Int

from thalweg.engine.chunk import Chunk
from thalweg.engine.compiling import TRACES
from thalweg.engine.layout.batched import run_batched
from thalweg.engine.layout.mapped import run_mapped
from thalweg.engine.program import BATCH, Batches, Inputs, Program
from thalweg.engine.state import State
from thalweg.problem.data.split import Split


@partial(jax.jit, static_argnames="program")
def run_chunk(
    program: Program, inputs: Inputs, part: Split, batches: Batches, count: Int[Array, ""], states: State
) -> tuple[State, Chunk]:
    """Run `count` steps of every lane that is not frozen, in the program's layout.

    Args:
        program, inputs: What is compiled, and what it is called with.
        part: The training part.
        batches: The order of these steps.
        count: How many steps.
        states: Where the lanes stand, stacked.

    Returns:
        Where they stand after it, and what the dispatch tells.
    """
    TRACES.count("chunk")
    run = run_batched if program.layout == BATCH else run_mapped
    return run(program, inputs, part, batches, count, states)
