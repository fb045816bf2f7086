"""The bare training loop: MNIST, 784-512-10, SGD 0.01, batch 1, 32, 128 and 512.

Compares Thalweg's bare engine loop with a hand-written scan in JAX and Optax (batches gathered in the scan,
or slices of data permuted beforehand) and with eager PyTorch (batches by index). Seconds per epoch are
derived from the time of a step; compilation and import are not included.
"""

from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, contest, rates, ratios

SIZES = [784, 512, 10]
ROWS = 60_000
ROUNDS = 7
# Steps per block: about a second for the slowest contestant.
STEPS = {1: 2000, 32: 1000, 128: 469, 512: 117}
LABELS = {
    "thalweg": "Thalweg",
    "gather": "JAX scan, gathered",
    "slices": "JAX scan, slices",
    "torch": "PyTorch eager",
}


def run(quick: bool) -> dict:
    """Measure every batch size."""
    rows = {}
    for batch, steps in STEPS.items():
        setting = {
            "folder": str(data_folder()),
            "sizes": SIZES,
            "batch": batch,
            "steps": max(20, steps // 10) if quick else steps,
        }
        contestants = [
            Contestant("thalweg", "engine", setting),
            Contestant("gather", "scan", setting | {"form": "gather"}),
            Contestant("slices", "scan", setting | {"form": "slices"}),
            Contestant("torch", "pytorch", setting),
        ]
        rows[str(batch)] = contest(contestants, 2 if quick else ROUNDS)
    return {"rows": rows}


def table(result: dict) -> str:
    """Return the table: seconds per epoch, and times relative to Thalweg."""
    rows = []
    for batch, contestants in result["rows"].items():
        for name, label in LABELS.items():
            if "error" in contestants[name]:
                rows.append([batch, label, contestants[name]["error"], "", ""])
                continue
            epoch = spread(ROWS / rate for rate in rates(contestants[name]))
            step = spread(1e6 * int(batch) / rate for rate in rates(contestants[name]))
            relative = spread(ratios(contestants["thalweg"], contestants[name]))
            rows.append([batch, label, shown(epoch), shown(step, 0), shown(relative)])
    return markdown(
        ["784-512-10, batch", "", "seconds per epoch", "microseconds per step", "time relative to Thalweg"],
        rows,
    )
