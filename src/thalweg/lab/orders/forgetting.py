"""Forgetting class by class within an epoch."""

import jax.numpy as jnp
import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import end_of, logits, rows_of
from thalweg.lab.setups import classifier, sorted_digits
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="On rows sorted by class, a network forgets the first classes by the end of an epoch.",
    source="lecture notes on shuffling; McCloskey & Cohen, Catastrophic Interference, 1989",
    counts="the accuracy on the first class is lower than on the last one over all seeds",
)
def forgetting(lab: Bench) -> None:
    """Train one epoch class by class, and test each class."""
    problem = classifier(32, data=sorted_digits())
    orders = {"sorted by class": "none", "shuffled": "reshuffle"}
    arms = lab.train(
        problem, {n: Recipe(SGD(lr=0.1), batch_size=32, epochs=1, shuffle=o) for n, o in orders.items()}
    )
    inputs, labels = (np.asarray(each) for each in rows_of(problem, 600, "test"))
    lines = []
    for name in orders:
        right = [logits(end_of(run), jnp.asarray(inputs)).argmax(axis=1) == labels for run in arms.runs(name)]
        found = np.array([[each[labels == k].mean() for k in range(10)] for each in right])
        low, high = found.min(axis=0), found.max(axis=0)
        lines.append(Series(name, np.arange(10), found.mean(axis=0), low, high, dots=True))
        if name == "sorted by class":
            lab.below("accuracy on class 0 minus that on class 9", found[:, 0] - found[:, 9])
    lab.draw(
        "Test accuracy of each class after one epoch",
        lines,
        x="class, in the order of training",
        y="accuracy",
    )
