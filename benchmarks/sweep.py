"""A sweep: 32 learning rates, 3 epochs of MNIST, 784-32-10, batch 32, plain SGD, all with one seed (paired).

Thalweg is the complete call `tw.train(problem, recipes)`, with the history of every lane and its last
evaluation of the training and test splits, which the peers do not make. The peers do a fraction of the work
in each round; their time for all of it is extrapolated from their updates per second, since all updates cost
the same.
"""

import os

from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, contest, ratios

LANES, EPOCHS, ROWS = 32, 3, 60_000
WORK = {"sizes": [784, 32, 10], "batch": 32, "lanes": LANES}
LANE_STEPS = LANES * EPOCHS * ROWS // 32
ROUNDS = 5
CALL = "Thalweg, tw.train"


def run(quick: bool) -> dict:
    """Measure every contestant."""
    base = {"folder": str(data_folder())} | WORK
    cores = os.cpu_count() or 1
    fraction = 10 if quick else 1
    contestants = [
        Contestant(CALL, "lanes_train", base | {"epochs": EPOCHS} | ({"rows": 3200} if quick else {})),
        Contestant("Thalweg, lanes without a run", "lanes", base | {"steps": 1500 // fraction}),
        Contestant("Thalweg, one after another", "engine", base | {"steps": 20_000 // fraction}),
        Contestant(
            "PyTorch, one single-threaded process per core, fused",
            "sweep_pytorch",
            base | {"processes": cores, "steps": 4000 // fraction},
        ),
        Contestant(
            "scikit-learn with joblib, one process per core",
            "sweep_scikit_learn",
            base | {"processes": cores, "epochs": 1} | ({"rows": 6400} if quick else {}),
        ),
        Contestant("PyTorch, one after another", "pytorch", base | {"steps": 3000 // fraction}),
        Contestant("torch.func.vmap", "sweep_vmap", base | {"steps": 200 // fraction}),
    ]
    return {"found": contest(contestants, 2 if quick else ROUNDS)}


def table(result: dict) -> str:
    """Return the table."""
    contestants = result["found"]
    rows = []
    for name, contestant in contestants.items():
        if "error" in contestant:
            rows.append([name, contestant["error"], "", ""])
            continue
        steps = [
            block["seconds"] / block.get("lane_steps", block.get("steps")) for block in contestant["blocks"]
        ]
        rows.append(
            [
                name,
                shown(spread(LANE_STEPS * step for step in steps), 1),
                shown(spread(1e6 * step for step in steps), 0),
                shown(spread(ratios(contestants[CALL], contestant)), 1),
            ]
        )
    header = [
        "32 learning rates, 3 epochs, 784-32-10, batch 32",
        "seconds",
        "microseconds per update",
        "time relative to Thalweg",
    ]
    return markdown(header, rows)
