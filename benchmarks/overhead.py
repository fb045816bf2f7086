"""What `thalweg fit` adds to the bare engine loop: log, progress, report, evaluations, start-up.

MNIST, 784-512-10, SGD 0.01, batch 128, a validation split of a tenth; the bare loop makes the same number of
updates on as many rows. The goal counts what the run adds between its first update and its end: log, progress
and stopping. Evaluations are work that the loop does not do; they and the start-up are shown separately.
"""

import json
import subprocess
import sys
import tempfile
import time

from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, Process

ROWS, BATCH, EPOCHS = 54_000, 128, 45  # more than 10 s
ROUNDS = 5


def run(quick: bool) -> dict:
    """Measure both in turn."""
    epochs = 1 if quick else EPOCHS
    steps = epochs * -(-ROWS // BATCH)
    setting = {
        "folder": str(data_folder()),
        "sizes": [784, 512, 10],
        "batch": BATCH,
        "rows": ROWS,
        "steps": steps,
    }
    loop = Process(Contestant("bare loop", "engine", setting))
    _fit(1)  # fills the cache of compiled programs
    times: dict = {"steps": steps, "bare": [], "fit": []}
    try:
        for number in range(1 if quick else ROUNDS):
            times["bare"].append(loop.block()["seconds"])
            times["fit"].append(_fit(epochs))
            print(f"round {number + 1}: {times['bare'][-1]:.2f} {times['fit'][-1]}", file=sys.stderr)
    finally:
        loop.close()
    return times


def overheads(result: dict) -> list[float]:
    """Return the extra time of the run, without evaluations and compilation, as a share of the loop's."""
    return [_run(fit) / bare - 1 for fit, bare in zip(result["fit"], result["bare"], strict=True)]


def table(result: dict) -> str:
    """Return the table."""
    fits = result["fit"]
    rows = [
        ["the bare engine loop", shown(spread(result["bare"]))],
        ["thalweg fit: the run, without evaluations and compilation", shown(spread(map(_run, fits)))],
        ["its evaluations", shown(spread(fit["evaluate"] for fit in fits))],
        ["its compilation, from the cache", shown(spread(fit["compile"] for fit in fits))],
        [
            "the whole process, including imports, data and report",
            shown(spread(fit["process"] for fit in fits)),
        ],
        ["the run over the loop, %", shown(spread(100 * share for share in overheads(result)), 1)],
    ]
    return markdown([f"784-512-10, batch 128, {result['steps']} updates", "seconds"], rows)


def _run(fit: dict) -> float:
    return fit["total"] - fit["compile"] - fit["evaluate"]


def _fit(epochs: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "thalweg", "fit", "mnist", "--model", "mlp:512", "--json"]
        command += ["--set", "optimizer=sgd", "--set", "optimizer.lr=0.01", "--set", f"batch_size={BATCH}"]
        command += ["--epochs", str(epochs), "--folder", str(data_folder()), "--out", f"{folder}/run"]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        process = time.perf_counter() - start
    return json.loads(done.stdout)["seconds"] | {"process": process}
