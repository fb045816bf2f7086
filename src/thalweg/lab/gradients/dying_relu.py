"""Dead units."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import end_of, hidden
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="A high rate kills ReLU units; leaky ReLU keeps them alive.",
    source="lecture notes CS231n, Neural Networks Part 1; Maas et al., Rectifier Nonlinearities, 2013",
    counts="after a few updates at a high rate, the share of dead ReLU units is above 0.1; of leaky ones "
    "it is 0",
)
def dying_relu(lab: Bench) -> None:
    """Count units that are off for all examples after 30 updates."""
    shares = {}
    for name, activation in (("ReLU", "relu"), ("leaky ReLU", "leaky_relu")):
        problem = classifier(64, 64, activation=activation)
        recipes = {f"{name}, rate {r:g}": Recipe(SGD(lr=r), batch_size=32, steps=30) for r in (0.05, 2.0)}
        arms = lab.train(problem, recipes, label=name)
        for each in recipes:
            layers = [hidden(problem, end_of(run)) for run in arms.runs(each)]
            flat = [np.mean([(np.abs(h).max(axis=0) == 0).mean() for h in found]) for found in layers]
            shares[each] = dict(zip(lab.seeds, map(float, flat), strict=True))
    lab.above("share of dead ReLU units at rate 2", shares["ReLU, rate 2"], 0.1)
    lab.below("share of dead leaky units at rate 2", shares["leaky ReLU, rate 2"], 0.01)
    lab.note("A unit is dead if it is off for each of 256 training examples.")
    lab.intervals("Share of hidden units that are off for all examples", shares, "share")
