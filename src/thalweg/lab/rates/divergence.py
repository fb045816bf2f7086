"""Rates beyond the edge on a regression."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import rows_of
from thalweg.lab.setups import toy_line
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="A rate that is too high first makes the loss oscillate, and a little higher makes it diverge "
    "to infinity or NaN.",
    source="lecture notes; LeCun et al., Efficient BackProp, 1998",
    counts="at 0.9 of the edge the loss ends low; at 1.5 times the edge every seed diverges",
)
def divergence(lab: Bench) -> None:
    """Train a linear regression below and above its edge."""
    problem = toy_line()
    shares = {"0.5 of the edge": 0.5, "0.95 of the edge": 0.95, "1.5 of the edge": 1.5}
    inputs, _ = rows_of(problem)
    ones = np.column_stack([inputs, np.ones(len(inputs))])
    edge = 2 / np.linalg.eigvalsh(2 * ones.T @ ones / len(ones))[-1]
    recipes = {n: Recipe(SGD(lr=s * float(edge)), batch_size="full", steps=400) for n, s in shares.items()}
    arms = lab.train(problem, recipes, exact=True)
    lab.below("loss at 0.95 of the edge", arms.values("0.95 of the edge", "train_loss"), 1.0)
    lab.above("share of seeds that diverge at 1.5", arms.diverged("1.5 of the edge"), 0.99)
    lines = arms.series()
    ends = [Series(s.name, s.x[:60], s.y[:60]) for s in lines]
    lab.draw("Loss of a linear regression, full batch", ends, log_y=True)
