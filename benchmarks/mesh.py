"""One run on many devices: what a step communicates, on paper for 1 to 1,024, and here with 1 to 4 processes.

On paper: each device has the batch of the recipe, so that compute stays the same and the gradient is summed
over all devices once a step, in float32. Compute is `tw.cost` for an H100 (a lower bound, by its data sheet).
The sum takes, within a node of 8, `2 (D - 1) / D` of its bytes over NVLink and `2 (D - 1)` hops (a ring:
Patarasuk & Yuan 2009); between nodes, each device sums an eighth over its own port, in two trees of depth
log2 (Sanders, Speck & Traeff 2009). Nothing overlaps with compute, which real programs do, so that the share
is an upper bound of the model, not a measurement.

Here: the bytes that XLA's program for 2, 4 and 8 devices sums, against the bytes of the gradient; and the
seconds of a step in 1, 2 and 4 processes over gloo against those of one process with its share of the rows,
plus one sum of so many bytes. With more processes than cores, compute is shared by the cores.
"""

import math
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import thalweg as tw
from benchmarks.cost import made
from benchmarks.machine import markdown
from thalweg.core.device import usable_cores
from thalweg.engine.dispatch import ChunkLength, next_chunk, run_chunk
from thalweg.engine.group import init_group
from thalweg.engine.mesh import Devices, on_each
from thalweg.problem.models import parse

# Bytes per second of a device in one direction: half of NVLink 4's 900 GB/s (NVIDIA H100 data sheet, 2023);
# a port of 400 Gb/s for each device (ConnectX-7 data sheet, NVIDIA DGX H100). A hop: our assumption.
NVLINK, PORT, HOP = 450e9, 50e9, 5e-6
NODE = 8
COUNTS = (1, 2, 8, 64, 1024)
# Model, kind of data, batch of a device.
MODELS = (
    ("mlp:512", "flat", 128),
    ("cnn", "grey", 128),
    ("lstm", "series", 128),
    ("resnet:20", "rgb", 128),
    ("gpt:layers=6,width=384", "text", 64),
)
PROCESSES = (1, 2, 4)
# The model of the measurement, and the rows of its whole batch.
MODEL, ROWS, STEPS = "mlp:512", 256, 40


def sum_seconds(size: float, devices: int) -> float:
    """Return the seconds in which so many bytes are summed over devices, and are on each of them."""
    inner = min(devices, NODE)
    seconds = 2 * (inner - 1) / inner * size / NVLINK + 2 * (inner - 1) * HOP
    nodes = devices // inner
    if nodes > 1:
        seconds += 2 * (nodes - 1) / nodes * (size / inner) / PORT + 2 * math.ceil(math.log2(nodes)) * HOP
    return seconds


def run(quick: bool) -> dict:
    """Predict, count and measure."""
    counts = [int(word) for word in _workers(1, "count", devices=8)[0].split()]
    return {
        "paper": [_paper(*each) for each in (MODELS[:1] if quick else MODELS)],
        "bytes": dict(zip(("gradient", "2", "4", "8"), counts, strict=True)),
        "here": _here(PROCESSES[:2] if quick else PROCESSES),
        "cores": usable_cores(),
    }


def _paper(model: str, kind: str, batch: int) -> dict[str, Any]:
    problem = tw.Problem(parse(model), made(kind))
    cost = tw.cost(problem, tw.Recipe(batch_size=batch, steps=100), device="H100")
    size = 4 * cost.parameters
    seconds = {str(devices): sum_seconds(size, devices) for devices in COUNTS}
    return {"model": model, "batch": batch, "bytes": size, "compute": cost.step_seconds, "sum": seconds}


def _here(processes: tuple[int, ...]) -> list[dict[str, Any]]:
    cores, shares = usable_cores(), {}
    for count in processes:  # one process with the rows that each of `count` has
        shares[count] = float(_workers(1, "step", str(ROWS // count))[0].split()[0])
    rows = []
    for count in processes:
        measured = [[float(word) for word in line.split()] for line in _workers(count, "step", str(ROWS))]
        step, summed = (max(column) for column in zip(*measured, strict=True))
        predicted = shares[count] * max(1.0, count / cores) + (summed if count > 1 else 0.0)
        rows.append({"processes": count, "step": step, "sum": summed, "predicted": predicted})
    return rows


def table(result: dict) -> str:
    """Return the tables."""
    header = ["model, batch of a device", "compute, ms", "gradient, MB"]
    header += [f"sum over {devices}, ms (share)" for devices in COUNTS[1:]]
    paper = [
        [f"{row['model']}, {row['batch']}", f"{1e3 * row['compute']:.3g}", f"{row['bytes'] / 1e6:.3g}"]
        + [_share(row["sum"][str(devices)], row["compute"]) for devices in COUNTS[1:]]
        for row in result["paper"]
    ]
    counted = result["bytes"]
    words = [f"{counted[devices]:,} on {devices} devices" for devices in ("2", "4", "8")]
    here = [
        [str(row["processes"]), *(f"{1e3 * row[name]:.3g}" for name in ("step", "sum", "predicted"))]
        for row in result["here"]
    ]
    return "\n\n".join(
        (
            markdown(header, paper),
            f"bytes summed in a step of {MODEL}: {', '.join(words)}; its gradient: {counted['gradient']:,}",
            markdown(["processes", "step, ms", "a sum of the gradient, ms", "predicted step, ms"], here),
            f"{result['cores']} cores",
        )
    )


def _share(seconds: float, compute: float) -> str:
    return f"{1e3 * seconds:.2g} ({100 * seconds / (seconds + compute):.0f} %)"


def _workers(count: int, *arguments: str, devices: int = 1) -> list[str]:
    """Run this module in processes that know each other; return the last line of each."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    command = [sys.executable, "-m", "benchmarks.mesh", str(port), str(count)]
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "env": environment}
    workers = [subprocess.Popen([*command, str(number), *arguments], **piped) for number in range(count)]
    said = [worker.communicate(timeout=900)[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise RuntimeError(f"a worker failed: {said}")
    return [output.splitlines()[-1] for output in said]


def _problem() -> tw.Problem:
    return tw.Problem(parse(MODEL), made("flat"))


def count_bytes() -> str:
    """Return the bytes of the gradient, and those that the programs for 2, 4 and 8 devices sum in a step."""
    recipe, found = tw.Recipe(batch_size=ROWS, steps=STEPS, last_batch="drop"), []
    for devices in (2, 4, 8):
        mesh = Devices(1, devices).places()[0].mesh
        group, states = init_group(_problem(), [recipe], mesh=mesh)
        split, batches = group.feed.dispatch(group.splits, 0, 8, group.program.capacity)
        arguments = on_each(mesh, (group.inputs, split, batches, np.int32(8), states))
        text = run_chunk.lower(group.program, *arguments).compile().as_text()
        sums = [line.partition(" all-reduce(")[0] for line in text.splitlines() if " all-reduce(" in line]
        shapes = [shape for line in sums for shape in re.findall(r"f32\[([\d,]*)\]", line)]
        found.append(sum(4 * math.prod(int(size) for size in shape.split(",") if size) for shape in shapes))
        gradient = sum(leaf.nbytes for leaf in jax.tree.leaves(states.params))
    return " ".join(str(number) for number in (gradient, *found))


def step_seconds(count: int, rows: int) -> str:
    """Return the median seconds of a step, and of a sum of its gradient over the processes."""
    recipe = tw.Recipe(batch_size=rows, steps=10 * STEPS, last_batch="drop")
    mesh = Devices(1, count).places()[0].mesh
    group, states = init_group(_problem(), [recipe], mesh=mesh)
    times, start = [], 0
    for _ in range(6):
        pace = ChunkLength(group.program.capacity)
        pace.steps = STEPS
        result = next_chunk(group, states, start, start + STEPS, pace)
        states, start = result.states, start + STEPS
        times.append(result.seconds / STEPS)
    size = sum(leaf.size for leaf in jax.tree.leaves(states.params))
    return f"{statistics.median(times[1:])} {_sum_of(size, count)}"


def _sum_of(size: int, count: int) -> float:
    if count == 1:
        return 0.0
    mesh = Mesh(np.array(jax.devices()), ("data",))
    own = NamedSharding(mesh, PartitionSpec("data"))
    each = jax.make_array_from_callback((count, size), own, lambda _: np.ones((1, size), np.float32))
    everywhere = NamedSharding(mesh, PartitionSpec())
    summed = jax.jit(lambda rows: rows.sum(axis=0), out_shardings=everywhere)
    return _median(lambda: jax.block_until_ready(summed(each)))


def _median(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(12):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def main() -> None:
    """Do the work of one process."""
    port, count, number, what, *rest = sys.argv[1:]
    if int(count) > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"localhost:{port}", int(count), int(number))
    print(count_bytes() if what == "count" else step_seconds(int(count), int(rest[0])), flush=True)


if __name__ == "__main__":
    main()
