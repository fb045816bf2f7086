"""Gradients of single examples against their mean."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import end_of, example_gradients, rows_of, start_of
from thalweg.lab.setups import classifier, toy_line
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


def share(gradients: np.ndarray) -> float:
    """Return the norm of the mean over the mean norm; 128 random directions would give 0.09."""
    return float(np.linalg.norm(gradients.mean(axis=0)) / np.linalg.norm(gradients, axis=1).mean())


@experiment(
    claim="Gradients of single examples cancel: after training, their mean is far shorter than they are.",
    source="lecture notes on stochastic gradients; Bottou, Large-Scale Machine Learning, 2010",
    counts="the norm of the mean over the mean norm is below 0.1 after training",
)
def cancelling(lab: Bench) -> None:
    """Compare the mean gradient with single ones, on data that noise keeps from fitting and on others."""
    noisy, shares = toy_line(), {}
    line = lab.train(noisy, {"line": Recipe(SGD(lr=0.2), batch_size=32, epochs=10)}, label="line", exact=True)
    x = np.asarray(rows_of(noisy)[0])
    for run in line.runs("line"):
        error = run.outputs(x).ravel() - np.asarray(rows_of(noisy)[1]).ravel()
        gradients = error[:, None] * np.column_stack([x, np.ones(len(x))])
        shares.setdefault("noisy line", {})[run.recipe.seed] = share(gradients)
    problem = classifier(16)
    arms = lab.train(problem, {"network": Recipe(SGD(lr=0.1), batch_size=32, epochs=10)}, label="network")
    for run in arms.runs("network"):
        for name, model in (
            ("network, untrained", start_of(problem, run.recipe.seed)),
            ("network", end_of(run)),
        ):
            shares.setdefault(name, {})[run.recipe.seed] = share(example_gradients(problem, model))
    lab.below(
        "norm of the mean over mean norm",
        shares["noisy line"],
        0.1,
        "for a line that noise keeps from fitting",
    )
    lab.below("norm of the mean over mean norm", shares["network"], 0.1, "for a network that fits its data")
    lab.intervals("Norm of the mean gradient over the mean norm of single ones", shares, "share")
