"""Momentum in a ravine."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import quadratic
from thalweg.problem.surfaces import surface
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="In a ravine, momentum reaches the bottom in far fewer steps than plain gradient descent at "
    "its best rate.",
    source="Polyak, Some Methods of Speeding up the Convergence, 1964; Goh, Why Momentum Really Works, 2017",
    counts="the steps to a loss of 1e-4 of the start are fewer than a third, each at the best rate of a grid",
)
def momentum_ravine(lab: Bench) -> None:
    """Count steps on a ravine of condition number 100."""
    problem = quadratic((0.1, 10.0), (-9.0, 1.0))
    rates = np.geomspace(0.005, 0.39, 8)
    counts = {}
    for name, optimizer in {"plain": SGD(), "momentum 0.9": SGD(momentum=0.9)}.items():
        recipe = Recipe(optimizer, batch_size=1, steps=600)
        arms = lab.train(
            problem, {f"{r:.3g}": recipe.vary(lr=[float(r)])[0] for r in rates}, label=name, noiseless=True
        )
        reached = [arms.steps_to(each, 9.05e-4)[lab.seeds[0]] for each in arms.names]
        counts[name] = min(reached)
        lab.row(rule=name, steps=counts[name], rate=float(rates[int(np.argmin(reached))]))
    lab.below("steps with momentum over steps without", counts["momentum 0.9"] / counts["plain"], 1 / 3)
    ravine = {
        "plain, 0.19": Recipe(SGD(lr=0.19), batch_size=1, steps=60),
        "momentum 0.9, 0.05": Recipe(SGD(lr=0.05, momentum=0.9), batch_size=1, steps=60),
    }
    lab.surface("Sixty steps in the ravine", lab.descend(surface("ravine"), ravine, side=lab.cut(61, 11)))
