"""The rule of thumb "start at 0.01"."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD, Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Starting at a rate of 0.01 is close to the best rate.",
    source="Bengio, Practical Recommendations for Gradient-Based Training, 2012, section 3.1",
    counts="the loss at 0.01 is at most 1.5 times the lowest of a grid from 0.0001 to 1, over all seeds",
)
def rule_of_thumb(lab: Bench) -> None:
    """Try a grid of rates with three optimizers."""
    rates = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    kinds = {"plain SGD": SGD(), "SGD with momentum 0.9": SGD(momentum=0.9), "Adam": Adam()}
    lines = []
    for when, optimizer in kinds.items():
        recipe = Recipe(optimizer, batch_size=32, epochs=4)
        arms = lab.train(classifier(32), {f"{r:g}": recipe.vary(lr=[r])[0] for r in rates}, label=when)
        losses = np.array([[arms.values(f"{r:g}", "train_loss")[s] for r in rates] for s in lab.seeds])
        lab.below("loss at 0.01 over the lowest", losses[:, 2] / losses.min(axis=1), 1.5, f"with {when}")
        lines.append(Series(when, np.array(rates), np.minimum(losses, 10).mean(axis=0), dots=True))
    lab.draw("Training loss after 4 epochs", lines, x="rate", log_x=True, log_y=True)
