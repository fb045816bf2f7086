"""What many devices compute, on a CPU that XLA divides into eight; `test_mesh.py` runs this as a process.

It prints facts as JSON. Every case is compared with one device: in float64, where any other difference than
the order of summation would show, or bit by bit.
"""

import json
import os
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

import jax
import numpy as np

from tests.made import blobs
from thalweg.core.errors import BadInput
from thalweg.engine.dispatch import ChunkLength, next_chunk, run_chunk
from thalweg.engine.group import init_group
from thalweg.engine.mesh import Devices, on_each
from thalweg.problem.data.load import load
from thalweg.problem.models import CNN, MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.resume import resume
from thalweg.run.run import Run
from thalweg.run.spec import RunSpec, SaveOptions
from thalweg.run.train import plan, stream_train, train

QUIET: dict[str, Any] = {"progress": False}
BASE = Recipe(SGD(lr=0.1, momentum=0.9), batch_size=16, steps=60)


def noisy() -> Problem:
    """Return a problem whose batch has statistics and whose rows have noise; 210 rows leave a short batch."""
    return Problem(MLP([6, 8, 3], normalisation="batch", dropout=0.3), blobs())


def numbers(run: Run) -> dict[str, np.ndarray]:
    """Return all that a run computed: weights, statistics, the log and the evaluations."""
    leaves = jax.tree.leaves((run.params, run.model_state))
    weights = {f"weights {at}": np.asarray(leaf) for at, leaf in enumerate(leaves)}
    losses = {name: run.record.steps[name].to_numpy() for name in ("loss", "gradient_norm")}
    table = run.record.evaluations
    return weights | losses | {name: table[name].to_numpy() for name in ("loss", "metric")}


def distance(one: Run, other: Run) -> float:
    """Return the largest difference of any number, relative to the largest of its kind."""
    first, second = numbers(one), numbers(other)
    weight = max(np.abs(values).max() for name, values in first.items() if name.startswith("weights"))
    return max(
        float(np.nanmax(np.abs(values - second[name])))
        / float(weight if name.startswith("weights") else np.nanmax(np.abs(values)))
        for name, values in first.items()
    )


def same(one: Run, other: Run) -> bool:
    """Return whether all numbers of two runs have the same bits."""
    first, second = numbers(one), numbers(other)
    return all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)


def lanes_over_devices() -> dict[str, Any]:
    recipes = BASE.vary(seed=range(4))
    one = train(noisy(), recipes, strict=True, **QUIET)
    shared = train(noisy(), recipes, devices=2, strict=True, **QUIET)
    where = [next(iter(jax.tree.leaves(run.params)[0].devices())).id for run in shared]
    return {
        "bits": [same(a, b) for a, b in zip(one, shared, strict=True)],
        "differ": not same(shared[0], shared[1]),
        "where": where,
        "plan": shared.result["plan"]["workers"],
    }


def rows_over_devices() -> dict[str, Any]:
    """Compare in float64: batch norm, dropout, clipping; with microbatches; with augmented images."""
    with jax.enable_x64(True):
        clipped = replace(BASE, precision="f64", clip_norm=0.5)
        one = train(noisy(), clipped, **QUIET)
        four = train(noisy(), clipped, devices=4, **QUIET)
        both = train(noisy(), [clipped, replace(clipped, seed=1)], devices="lanes:2,data:4", **QUIET)
        parts = replace(clipped, accumulate=2, steps=30)
        images = Problem(CNN([2]), load("digits", validation=0.1))
        seen = replace(parts, accumulate=1, steps=8, batch_size=32, augment="crop-flip")
        return {
            "clipped": float((one.record.steps["gradient_norm"] > 0.5).mean()),
            "all": distance(one, four),
            "both": distance(one, both[0]),
            "microbatches": distance(
                train(noisy(), parts, **QUIET), train(noisy(), parts, devices=4, **QUIET)
            ),
            "images": distance(train(images, seen, **QUIET), train(images, seen, devices=4, **QUIET)),
        }


def one_step() -> dict[str, Any]:
    """Return the difference after one step in float32, and its bound (docs/lanes.md), per weight."""
    problem = Problem(MLP([6, 8, 3]), blobs())
    recipe = Recipe(SGD(lr=0.1), batch_size=32, steps=5)
    mesh = Devices(1, 4).places()[0].mesh
    group, states = init_group(problem, [recipe], mesh=mesh)
    many = next_chunk(group, states, 0, 1, ChunkLength(1)).states.params
    alone, first = init_group(problem, [recipe])
    one = next_chunk(alone, first, 0, 1, ChunkLength(1)).states.params
    leaves = [[np.asarray(leaf) for leaf in jax.tree.leaves(tree)] for tree in (first.params, one, many)]
    moved = max(np.abs(before - after).max() for before, after in zip(leaves[0], leaves[1], strict=True))
    weight = max(np.abs(leaf).max() for leaf in leaves[0])
    gap = max(np.abs(a - b).max() for a, b in zip(leaves[1], leaves[2], strict=True))
    u = 2.0**-24
    return {"gap": float(gap), "bound": float(2 * 600 * u * moved + 2 * u * weight), "moved": float(moved)}


def program() -> dict[str, Any]:
    """Return the sums over devices in the compiled loop, and the rows of its products."""
    problem = Problem(MLP([6, 8, 3]), blobs())
    mesh = Devices(1, 4).places()[0].mesh
    group, states = init_group(problem, [BASE], mesh=mesh)
    split, batches = group.feed.dispatch(group.splits, 0, 8, group.program.capacity)
    arguments = on_each(mesh, (group.inputs, split, batches, np.int32(8), states))
    text = run_chunk.lower(group.program, *arguments).compile().as_text()
    lines = [line.partition(" all-reduce(")[0] for line in text.splitlines() if " all-reduce(" in line]
    of_arrays = [line for line in lines if re.search(r"f32\[\d", line)]
    moves = re.findall(r" (?:all-gather|all-to-all|collective-permute|reduce-scatter)\(", text)
    forward = [int(rows) for rows in re.findall(r"= f32\[(\d+),8\]\S* dot\(", text)]
    return {"sums": len(of_arrays), "shapes": of_arrays[0], "moves": len(moves), "rows": sorted(set(forward))}


def resumed(folder: Path) -> dict[str, Any]:
    """Return what becomes of a run that is cut off, on the same devices and on others."""
    with jax.enable_x64(True):
        recipe = replace(BASE, precision="f64", clip_norm=0.5, steps=80)
        whole = train(noisy(), recipe, devices=4, **QUIET)
        facts: dict[str, Any] = {}
        for name, devices in (("same", None), ("two", 2), ("one", 1)):
            place = folder / name
            stream = stream_train(noisy(), recipe, keep=SaveOptions(place, every="20"), devices=4, every=10)
            for status in stream:
                if status.step >= 50:
                    break
            stream.close()  # as a kill would
            mesh = json.loads((place / "run.json").read_text())["origin"]["devices"]
            notes: list[str] = []
            run = resume(place, noisy(), devices=devices, progress=Notes(notes))
            after = json.loads((place / "run.json").read_text())["origin"]["devices"]
            environment = json.loads((place / "environment.json").read_text())
            facts[name] = {
                "before": mesh,
                "after": after,
                "mesh": environment.get("mesh"),
                "notes": [note for note in notes if "bits" in note],
                "bits": same(run, whole),
                "distance": distance(run, whole),
            }
        return facts


class Notes:
    """A listener that keeps what it is told."""

    def __init__(self, notes: list[str]):
        self.note = notes.append

    def start(self, plan: Any) -> None: ...
    def update(self, status: Any) -> None: ...
    def finish(self, result: Any) -> None: ...


def refusals(folder: Path) -> dict[str, str]:
    """Return the message of each refusal."""

    def message(call: Any) -> str:
        try:
            call()
        except BadInput as error:
            return str(error)
        return "accepted"

    one, many = BASE, BASE.vary(seed=[0, 1])
    gone = replace(RunSpec.of(noisy(), [one], False, plan(noisy(), [one])), devices=Devices(1, 16))
    return {
        "uneven": message(lambda: train(noisy(), replace(one, batch_size=15), devices=4, **QUIET)),
        "microbatches": message(lambda: train(noisy(), replace(one, accumulate=3), devices=4, **QUIET)),
        "too many": message(lambda: train(noisy(), one, devices=9, **QUIET)),
        "words": message(lambda: train(noisy(), one, devices="rows:2", **QUIET)),
        "none": message(lambda: train(noisy(), one, devices=0, **QUIET)),
        "no lanes": message(lambda: train(noisy(), one, devices="lanes:2", **QUIET)),
        "executor": message(
            lambda: train(noisy(), many, devices=2, executor=Workers(), keep=folder / "on", **QUIET)
        ),
        "folder": str((folder / "on").exists()),
        "gone": message(lambda: gone.places(noisy())),  # recorded on a larger machine
    }


class Workers:
    """Has what an executor must have."""

    def submit(self, *_: Any) -> None: ...


def main() -> None:
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        cases: dict[str, Any] = {
            "lanes": lanes_over_devices,
            "rows": rows_over_devices,
            "step": one_step,
            "program": program,
            "resumed": lambda: resumed(Path(name)),
            "refusals": lambda: refusals(Path(name)),
        }
        print(json.dumps({case: run() for case, run in cases.items() if not wanted or case in wanted}))


if __name__ == "__main__":
    main()
