"""Memory of the compiled loop with long chunks: temporaries must not grow with the number of steps per chunk.

Read from the compiled program, not measured: 784-512-10, batch 32, AdamW, chunks of 8 to 2048 steps. Only the
stacked outputs (loss, rate and norm of each step, per-layer rows) and the order passed in may grow.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp

import thalweg as tw
from benchmarks.machine import data_folder, markdown
from thalweg.engine.dispatch import run_chunk
from thalweg.engine.group import TELEMETRY_STEPS, init_group

CAPACITIES = (8, 128, 2048)
# XLA aligns buffers to this many bytes, so temporaries may be larger by up to that.
ALIGNED = 64


def run(quick: bool) -> dict:
    """Compile the loop for every chunk length."""
    data = tw.load("mnist", folder=data_folder(), validation=0.0)
    problem = tw.Problem(tw.MLP([784, 512, 10]), data)
    recipe = tw.Recipe(tw.AdamW(), batch_size=32, steps=100)
    return {"rows": {str(capacity): sizes(problem, recipe, capacity) for capacity in CAPACITIES}}


def sizes(problem: tw.Problem, recipe: tw.Recipe, capacity: int) -> dict[str, int]:
    """Return bytes of the compiled loop that holds `capacity` steps: temporaries, outputs, parameters."""
    group, states = init_group(problem, [recipe])
    program = dataclasses.replace(
        group.program, capacity=capacity, statistics=capacity // TELEMETRY_STEPS[0] + 1
    )
    part, batches = group.feed.dispatch(group.splits, 0, 8, capacity)
    lowered = run_chunk.lower(program, group.inputs, part, batches, jnp.int32(8), states)
    found: Any = lowered.compile().memory_analysis()
    return {"temporaries": found.temp_size_in_bytes, "outputs": found.output_size_in_bytes}


def growth(result: dict) -> float:
    """Return by how many bytes temporaries grow per step of a chunk, beyond the growth of the outputs.

    The stacked outputs are written step by step, so the loop holds them among its temporaries too.
    """
    counts = [int(steps) for steps in result["rows"]]
    shortest, longest = result["rows"][str(counts[0])], result["rows"][str(counts[-1])]
    grown = {name: longest[name] - shortest[name] for name in shortest}
    return max(0, grown["temporaries"] - grown["outputs"] - ALIGNED) / (counts[-1] - counts[0])


def table(result: dict) -> str:
    """Return the table."""
    rows = [
        [steps, f"{row['temporaries'] / 2**20:.2f}", f"{row['outputs'] / 2**20:.2f}"]
        for steps, row in result["rows"].items()
    ]
    return markdown(["steps in a chunk", "temporaries, MiB", "outputs, MiB"], rows)
