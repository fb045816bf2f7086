"""A sweep in which a third of the lanes diverge, beside the lanes that survive, alone.

784-32-10, batch 32, plain SGD, MNIST without a validation part: 16 learning rates that train and 8 that blow
up within a few updates, dealt among them. `tw.train` with all 24 and with the 16 alone, in turn, in one
process. A dead lane costs what it did until it was noticed, its first weights and its last evaluations; the
goal is 1.1 times the time of the 16. Beside it 24 lanes that all survive, which is what the dead would cost
if they were run to the end.
"""

import sys

import numpy as np

import thalweg as tw
from benchmarks.machine import data_folder, markdown, shown, spread

RATES, DEADLY = np.geomspace(1e-3, 0.1, 16), np.geomspace(1e3, 1e5, 8)
EPOCHS, BATCH, ROUNDS = 3, 32, 5


def run(quick: bool) -> dict:
    """Measure in turn."""
    problem = tw.Problem(tw.MLP([784, 32, 10]), tw.load("mnist", folder=data_folder(), validation=0.0))
    dealt = [rate for pair in zip(RATES[::2], RATES[1::2], DEADLY, strict=True) for rate in pair]
    sweeps = {
        "a third diverges": dealt,
        "the others alone": RATES,
        "all survive": np.geomspace(1e-3, 0.1, 24),
    }
    for rates in sweeps.values():
        _train(problem, rates, 1)  # compiles
    found: dict = {name: [] for name in sweeps}
    for turn in range(1 if quick else ROUNDS):
        for name, rates in sweeps.items():
            found[name].append(_train(problem, rates, 1 if quick else EPOCHS))
        print(f"round {turn + 1}: { ({name: one[-1] for name, one in found.items()}) }", file=sys.stderr)
    return {"found": found}


def ratios(result: dict) -> list[float]:
    """Return how many times as long all took as the survivors alone, round by round."""
    found = result["found"]
    pairs = zip(found["a third diverges"], found["the others alone"], strict=True)
    return [both["seconds"] / alone["seconds"] for both, alone in pairs]


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    for name, runs in result["found"].items():
        seconds = spread(one["seconds"] for one in runs)
        rows.append([name, str(runs[0]["lanes"]), str(runs[0]["diverged"]), shown(seconds)])
    rows.append(["times the survivors' seconds", "", "", shown(spread(ratios(result)))])
    return markdown(["784-32-10, batch 32", "lanes", "diverged", "seconds"], rows)


def _train(problem: tw.Problem, rates: np.ndarray | list[float], epochs: int) -> dict:
    recipes = tw.Recipe(tw.SGD(), batch_size=BATCH, epochs=epochs).vary(lr=rates)
    result = tw.train(problem, recipes).result
    lost = result["stopped"].get("diverged", 0)
    return {"seconds": result["seconds"]["total"], "lanes": len(recipes), "diverged": lost}
