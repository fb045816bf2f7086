"""A sweep in which a third of the lanes diverge, compared with the surviving lanes alone.

784-32-10, batch 32, plain SGD, MNIST without a validation split: 16 learning rates that train, interleaved
with 8 that diverge within a few updates. `tw.train` runs with all 24 and with the 16 alone, in turn, in one
process. A diverged lane costs the steps until its divergence is noticed, its initial weights and its last
evaluations; the goal is 1.1 times the time of the 16. For comparison, 24 lanes that all survive show what the
diverged lanes would cost if they ran to the end.
"""

import sys

import numpy as np

import thalweg as tw
from benchmarks.machine import data_folder, markdown, shown, spread

RATES, DEADLY = np.geomspace(1e-3, 0.1, 16), np.geomspace(1e3, 1e5, 8)
EPOCHS, BATCH, ROUNDS = 3, 32, 5


def run(quick: bool) -> dict:
    """Measure the sweeps in turn."""
    problem = tw.Problem(tw.MLP([784, 32, 10]), tw.load("mnist", folder=data_folder(), validation=0.0))
    interleaved = [rate for pair in zip(RATES[::2], RATES[1::2], DEADLY, strict=True) for rate in pair]
    sweeps = {
        "a third diverges": interleaved,
        "the others alone": RATES,
        "all survive": np.geomspace(1e-3, 0.1, 24),
    }
    for rates in sweeps.values():
        _train(problem, rates, 1)  # compiles
    sweep_runs: dict = {name: [] for name in sweeps}
    for number in range(1 if quick else ROUNDS):
        for name, rates in sweeps.items():
            sweep_runs[name].append(_train(problem, rates, 1 if quick else EPOCHS))
        print(
            f"round {number + 1}: { ({name: runs[-1] for name, runs in sweep_runs.items()}) }",
            file=sys.stderr,
        )
    return {"found": sweep_runs}


def ratios(result: dict) -> list[float]:
    """Return the time of all lanes relative to that of the survivors alone, round by round."""
    sweep_runs = result["found"]
    pairs = zip(sweep_runs["a third diverges"], sweep_runs["the others alone"], strict=True)
    return [all_lanes["seconds"] / survivors["seconds"] for all_lanes, survivors in pairs]


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    for name, runs in result["found"].items():
        seconds = spread(run["seconds"] for run in runs)
        rows.append([name, str(runs[0]["lanes"]), str(runs[0]["diverged"]), shown(seconds)])
    rows.append(["time relative to the survivors alone", "", "", shown(spread(ratios(result)))])
    return markdown(["784-32-10, batch 32", "lanes", "diverged", "seconds"], rows)


def _train(problem: tw.Problem, rates: np.ndarray | list[float], epochs: int) -> dict:
    recipes = tw.Recipe(tw.SGD(), batch_size=BATCH, epochs=epochs).vary(lr=rates)
    result = tw.train(problem, recipes).result
    diverged = result["stopped"].get("diverged", 0)
    return {"seconds": result["seconds"]["total"], "lanes": len(recipes), "diverged": diverged}
