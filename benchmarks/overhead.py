"""What `thalweg fit` adds to the bare engine loop: log, progress, report, evaluations, start.

MNIST, 784-512-10, SGD 0.01, batch 128, a validation part of a tenth; the bare loop makes the same number of
updates on as many rows. The goal counts what the run adds between its first update and its end: log,
progress and stopping. Evaluations are work that the loop does not do; they and the start stand beside it.
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
    _fit(1)  # so that its programs lie in the cache
    found: dict = {"steps": steps, "bare": [], "fit": []}
    try:
        for turn in range(1 if quick else ROUNDS):
            found["bare"].append(loop.block()["seconds"])
            found["fit"].append(_fit(epochs))
            print(f"round {turn + 1}: {found['bare'][-1]:.2f} {found['fit'][-1]}", file=sys.stderr)
    finally:
        loop.close()
    return found


def overheads(result: dict) -> list[float]:
    """Return how much longer the run took than the loop, evaluations and compilation apart, as a share."""
    return [_run(fit) / bare - 1 for fit, bare in zip(result["fit"], result["bare"], strict=True)]


def table(result: dict) -> str:
    """Return the table."""
    fits = result["fit"]
    rows = [
        ["the bare engine loop", shown(spread(result["bare"]))],
        ["thalweg fit: the run, without evaluations and compilation", shown(spread(map(_run, fits)))],
        ["its evaluations", shown(spread(fit["evaluate"] for fit in fits))],
        ["its compilation, from the cache", shown(spread(fit["compile"] for fit in fits))],
        ["the whole process, with imports, data and report", shown(spread(fit["process"] for fit in fits))],
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
        begun = time.perf_counter()
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        process = time.perf_counter() - begun
    return json.loads(found.stdout)["seconds"] | {"process": process}
