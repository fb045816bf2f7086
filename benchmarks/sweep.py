"""A sweep: 32 learning rates, 3 epochs of MNIST, 784-32-10, batch 32, plain SGD, all with one seed (paired).

Thalweg is the whole call `tw.train(problem, recipes)`, run in full, with every lane's history and its last
evaluation of the training and the test part, which the peers do not make. The peers run a part of the work in
each round, and their time for all of it is extrapolated from their updates per second: a loop of equal
updates has nothing that would change that.
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
    """Measure all."""
    given = {"folder": str(data_folder())} | WORK
    cores = os.cpu_count() or 1
    part = 10 if quick else 1
    contestants = [
        Contestant(CALL, "lanes_train", given | {"epochs": EPOCHS} | ({"rows": 3200} if quick else {})),
        Contestant("Thalweg, lanes without a run", "lanes", given | {"steps": 1500 // part}),
        Contestant("Thalweg, one after another", "engine", given | {"steps": 20_000 // part}),
        Contestant(
            "PyTorch, one single-threaded process per core, fused",
            "sweep_pytorch",
            given | {"processes": cores, "steps": 4000 // part},
        ),
        Contestant(
            "scikit-learn with joblib, one process per core",
            "sweep_scikit_learn",
            given | {"processes": cores, "epochs": 1} | ({"rows": 6400} if quick else {}),
        ),
        Contestant("PyTorch, one after another", "pytorch", given | {"steps": 3000 // part}),
        Contestant("torch.func.vmap", "sweep_vmap", given | {"steps": 200 // part}),
    ]
    return {"found": contest(contestants, 2 if quick else ROUNDS)}


def table(result: dict) -> str:
    """Return the table."""
    found = result["found"]
    rows = []
    for name, of_name in found.items():
        if "error" in of_name:
            rows.append([name, of_name["error"], "", ""])
            continue
        steps = [
            block["seconds"] / block.get("lane_steps", block.get("steps")) for block in of_name["blocks"]
        ]
        rows.append(
            [
                name,
                shown(spread(LANE_STEPS * step for step in steps), 1),
                shown(spread(1e6 * step for step in steps), 0),
                shown(spread(ratios(found[CALL], of_name)), 1),
            ]
        )
    header = [
        "32 learning rates, 3 epochs, 784-32-10, batch 32",
        "seconds",
        "microseconds an update",
        "times Thalweg's time",
    ]
    return markdown(header, rows)
