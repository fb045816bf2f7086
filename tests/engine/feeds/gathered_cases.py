"""Training rows on the host for many devices, and for two processes; `test_gathered_mesh.py` runs this.

It prints facts as JSON. Runs are compared in float64 with those of resident data on the same devices.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + f" --xla_force_host_platform_device_count={1 if len(sys.argv) > 1 else 8}"
)

import jax
import numpy as np

from tests.made import blobs
from thalweg.engine.dispatch import run_chunk
from thalweg.engine.group import init_group
from thalweg.engine.mesh import Devices, on_each
from thalweg.problem.data.split import Rows
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.run import Run
from thalweg.run.train import train

# 210 training rows leave a short batch; as many are read once more, for the figures of the finished run.
ROWS, BATCH, STEPS = 210, 16, 40
BASE = Recipe(SGD(lr=0.1, momentum=0.9), batch_size=BATCH, steps=STEPS, precision="f64", clip_norm=0.5)


def noisy() -> Problem:
    return Problem(MLP([6, 8, 3], normalisation="batch", dropout=0.3), blobs())


def trained(recipe: Recipe | list[Recipe], devices: Any, place: str) -> Any:
    return train(noisy(), recipe, devices=devices, data_on=place, progress=False)


def distance(one: Run, other: Run) -> float:
    """Return the largest difference of any weight, loss or figure of the two runs."""
    pairs = zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True)
    gaps = [np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in pairs]
    gaps.append(np.abs(one.record.steps["loss"].to_numpy() - other.record.steps["loss"].to_numpy()).max())
    return float(max(*gaps, abs(one.result["train_loss"] - other.result["train_loss"])))


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the rows that this process reads from the training split."""
    sizes: list[int] = []
    gather = Rows.gather

    def counting(self: Rows, indices: np.ndarray) -> Any:
        sizes.append(len(indices))
        return gather(self, indices)

    Rows.gather = counting
    try:
        yield sizes
    finally:
        Rows.gather = gather


def program(layout: str, seeds: range, **changes: Any) -> dict[str, Any]:
    """Return what moves between devices in the compiled loop, and the rows that each of them holds."""
    mesh, recipe = Devices(1, 4).places()[0].mesh, replace(BASE, precision="f32", **changes)
    recipes = recipe.vary(seed=seeds)
    group, states = init_group(noisy(), recipes, mesh=mesh, data_on="host", layout=layout)
    split, batches = group.feed.dispatch(group.splits, 0, 8, group.program.capacity)
    inputs, *rest = on_each(mesh, (group.inputs, batches, np.int32(8), states))
    text = run_chunk.lower(group.program, inputs, split, *rest).compile().as_text()
    moves = [word for word in ("all-gather", "all-to-all", "collective-permute") if f" {word}(" in text]
    held = {shard.data.shape[1] for leaf in jax.tree.leaves(split) for shard in leaf.addressable_shards}
    sums = set(re.findall(r"(\w+)\[[\d,]*\]\S* all-reduce\(", text))
    return {"moves": moves, "sums": sorted(sums), "held": sorted(held)}


def mesh_facts() -> dict[str, Any]:
    with jax.enable_x64(True):
        facts: dict[str, Any] = {}
        for name, recipe in (("rows", BASE), ("microbatches", replace(BASE, accumulate=2))):
            facts[name] = distance(trained(recipe, 4, "device"), trained(recipe, 4, "host"))
        lanes = [BASE, replace(BASE, seed=1)]
        both = (trained(lanes, "lanes:2,data:4", place) for place in ("device", "host"))
        facts["lanes"] = max(distance(one, other) for one, other in zip(*both, strict=True))
        facts["seeds"] = distance(trained(BASE, 4, "host"), trained(lanes[1], 4, "host"))
    facts["program"] = program("map", range(1))
    facts["several"] = [program(layout, range(2)) for layout in ("map", "batch")]
    facts["divided"] = program("map", range(1), accumulate=2)
    return facts


def peer_facts() -> dict[str, Any]:
    port, count, number = sys.argv[1:]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", int(count), int(number))
    with jax.enable_x64(True):
        resident = trained(BASE, "all", "device")
        with counted() as sizes:
            host = trained(BASE, "all", "host")
        return {"distance": distance(resident, host), "read": sum(sizes)}


if __name__ == "__main__":
    print(json.dumps(peer_facts() if len(sys.argv) > 1 else mesh_facts()), flush=True)
