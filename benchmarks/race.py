"""Races: false alarms and power of their verdicts by simulation; and races repeated with other seeds, which
must agree.

A repeat has other seeds for tuning and for the race, on the same rows. Two verdicts on a pair agree if they
are the same, contradict if each names another winner, and are half-decided if one of them cannot tell.
"""

import sys
from itertools import combinations

import numpy as np
from scipy import stats

import thalweg as tw
from benchmarks.machine import markdown
from thalweg.insight.fit import read_problem
from thalweg.insight.race.race import race
from thalweg.insight.race.verdict import p_value

SEEDS, LEVEL = 20, 0.05
# Effects in units of the noise of a paired difference.
EFFECTS = (0.5, 1.0, 1.5)
TASKS = ("iris", "wine", "breast_cancer", "diabetes", "digits")
MODELS = ("linear", "mlp:32")
OPTIMIZERS = ("adamw", "sgd", "rmsprop")
EPOCHS, BATCH, BUDGET, REPEATS = 10, 32, 30, 2


def run(quick: bool) -> dict:
    """Simulate, and repeat races."""
    simulated = simulate(1000 if quick else 20_000)
    verdicts: dict[str, list[list[str]]] = {}
    tasks, models = (TASKS[:1], MODELS[:1]) if quick else (TASKS, MODELS)
    for task in tasks:
        data = tw.load(task, validation=0.3)
        for model in models:
            problem = read_problem(data, model)
            for repeat in range(REPEATS):
                recipe = tw.Recipe(epochs=EPOCHS, batch_size=BATCH, seed=1_000_000 * (repeat + 1))
                found = race(problem, recipe, optimizers=OPTIMIZERS, budget=BUDGET, progress=False)
                for pair in found.pairs:
                    key = f"{task}, {model}: {pair.first}, {pair.second}"
                    verdicts.setdefault(key, []).append([pair.winner or "cannot tell", str(pair.seeds)])
                print(task, model, repeat, found, file=sys.stderr)
    return {"simulated": simulated, "verdicts": verdicts, "agreement": agreement(verdicts)}


def simulate(races: int) -> dict[str, dict[str, float]]:
    """Return the share of simulated races of two with a verdict, by test and true effect."""
    random = np.random.default_rng(0)
    found: dict[str, dict[str, float]] = {}
    noises = {"normal": random.normal(size=(races, SEEDS))}
    # Skewed noise of mean 0 and variance 1, which the tests do not assume.
    noises["exponential"] = random.exponential(size=(races, SEEDS)) - 1
    for noise, draws in noises.items():
        for effect in (0.0, *EFFECTS):
            sample = draws if effect == 0 else draws[: max(500, races // 10)]
            found[f"{noise}, effect {effect:g}"] = {
                "e-process": _share(sample + effect, lambda each: p_value(each, fast=False)[0]),
                "looks at 5, 10, 20": _share(sample + effect, lambda each: p_value(each, fast=True)[0]),
                "t test after every seed": _naive(sample + effect),
            }
    return found


def agreement(verdicts: dict[str, list[list[str]]]) -> dict[str, int]:
    """Count pairs of verdicts that agree, contradict, or of which one cannot tell."""
    counts = {"agree": 0, "half decided": 0, "contradict": 0}
    for found in verdicts.values():
        for (first, _), (second, _) in combinations(found, 2):
            unsure = (first == "cannot tell") != (second == "cannot tell")
            kind = "half decided" if unsure else "agree" if first == second else "contradict"
            counts[kind] += 1
    return counts


def _share(samples: np.ndarray, p: object) -> float:
    return float(np.mean([p(each.tolist()) <= LEVEL for each in samples]))  # type: ignore[operator]


def _naive(samples: np.ndarray) -> float:
    called = np.zeros(len(samples), bool)
    for seeds in range(3, SEEDS + 1):
        called |= stats.ttest_1samp(samples[:, :seeds], 0, axis=1).pvalue <= LEVEL
    return float(called.mean())


def table(result: dict) -> str:
    """Return both tables."""
    ways = ["e-process", "looks at 5, 10, 20", "t test after every seed"]
    rows = [
        [name, *(f"{100 * shares[way]:.1f} %" for way in ways)]
        for name, shares in result["simulated"].items()
    ]
    simulated = markdown(["noise, effect", *ways], rows)
    verdicts = [
        [name, *(" after ".join(each) for each in found)] for name, found in result["verdicts"].items()
    ]
    columns = ["pair", *(f"race {number + 1}" for number in range(REPEATS))]
    counts = ", ".join(f"{count} {kind}" for kind, count in result["agreement"].items())
    return f"{simulated}\n\n{markdown(columns, verdicts)}\n\nOf the repeated verdicts: {counts}."
