"""The documents' own table: MNIST, 784-512-10, SGD 0.01, batch 1, 32, 128 and 512.

Thalweg's bare engine loop beside a scan written by hand in JAX and Optax (batches gathered in the scan, and
slices of data permuted before), and eager PyTorch (batches by index). Seconds an epoch follow from the time
of a step; compilation and import are apart.
"""

from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, contest, rates, ratios

SIZES = [784, 512, 10]
ROWS = 60_000
ROUNDS = 7
# Steps in a block: about a second of the slowest contestant's time.
STEPS = {1: 2000, 32: 1000, 128: 469, 512: 117}
LABELS = {
    "thalweg": "Thalweg",
    "gather": "JAX scan, gathered",
    "slices": "JAX scan, slices",
    "torch": "PyTorch eager",
}


def run(quick: bool) -> dict:
    """Measure all batch sizes."""
    found = {}
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
        found[str(batch)] = contest(contestants, 2 if quick else ROUNDS)
    return {"rows": found}


def table(result: dict) -> str:
    """Return the table: seconds an epoch, and how many times as long the others take."""
    rows = []
    for batch, found in result["rows"].items():
        for name, shown_as in LABELS.items():
            if "error" in found[name]:
                rows.append([batch, shown_as, found[name]["error"], "", ""])
                continue
            epoch = spread(ROWS / rate for rate in rates(found[name]))
            step = spread(1e6 * int(batch) / rate for rate in rates(found[name]))
            against = spread(ratios(found["thalweg"], found[name]))
            rows.append([batch, shown_as, shown(epoch), shown(step, 0), shown(against)])
    return markdown(
        ["784-512-10, batch", "", "seconds an epoch", "microseconds a step", "times Thalweg's time"], rows
    )
