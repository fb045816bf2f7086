"""Batch norm and the learning rate."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Batch norm makes the choice of the learning rate matter less.",
    source="Ioffe & Szegedy, Batch Normalization, 2015; Santurkar et al. 2018",
    counts="with batch norm more of the grid's rates reach a loss below 0.5, over all seeds",
)
def batch_norm_rates(lab: Bench) -> None:
    """Train a deep network with a grid of rates, with and without."""
    rates = np.geomspace(0.001, 10.0, lab.cut(7, 2))
    good, lines = {}, []
    for name, norm in (("no norm", "none"), ("batch norm", "batch")):
        problem = classifier(32, 32, 32, normalisation=norm)
        recipe = Recipe(SGD(), batch_size=64, steps=100)
        arms = lab.train(problem, {f"{r:.3g}": recipe.vary(lr=[float(r)])[0] for r in rates}, label=name)
        losses = np.array([list(arms.values(n).values()) for n in arms.names])
        good[name] = (losses < 0.5).sum(axis=0)
        lines.append(Series(name, rates, np.minimum(losses, 10).mean(axis=1), dots=True))
    lab.above("good rates with batch norm minus without", good["batch norm"] - good["no norm"])
    lab.draw(
        "Validation loss after 100 updates", lines, x="rate", y="validation loss", log_x=True, log_y=True
    )
