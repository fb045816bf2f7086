"""Averaging the weights of noisy descent."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import quadratic
from thalweg.recipe.averaging import EMA, Tail
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="The average of the weights along a noisy run is closer to the minimum than the last weights.",
    source="Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992",
    counts="the loss of the averaged weights is lower over all seeds",
)
def averaged_weights(lab: Bench) -> None:
    """Average the second half of a run at a constant rate."""
    averages = {
        "last weights": None,
        "average of the second half": Tail(start=0.5),
        "moving average": EMA(decay=0.99),
    }
    problem = quadratic((1.0, 0.3, 0.1, 3.0), (2.0, 2.0, 2.0, 2.0), noise=1.0)
    exact = quadratic((1.0, 0.3, 0.1, 3.0), (2.0, 2.0, 2.0, 2.0))
    base = {"optimizer": SGD(lr=0.1), "batch_size": 1, "steps": 2000}
    recipes = {n: Recipe(**base, **({} if a is None else {"averaging": a})) for n, a in averages.items()}
    arms = lab.train(problem, recipes, exact=True)
    curved = np.array([1.0, 0.3, 0.1, 3.0])
    losses = {
        n: {r.recipe.seed: float((curved * np.asarray(r.params.w) ** 2).sum() / 2) for r in arms.runs(n)}
        for n in recipes
    }
    for name in list(averages)[1:]:
        gap = {s: losses[name][s] - losses["last weights"][s] for s in lab.seeds}
        lab.below("loss minus that of the last weights", gap, when=f"with the {name}")
    lab.note(f"The loss is that of {exact.name} without noise, at the weights that each run ends with.")
    lab.intervals("Loss at the end of a noisy run", losses, "loss without noise", log_x=True)
