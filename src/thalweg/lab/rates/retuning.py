"""The best rate after a change of the batch or the optimizer."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD, Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="The rate must be tuned again when the batch size or the optimizer changes.",
    source="Bengio 2012; Smith et al., Don't Decay the Learning Rate, Increase the Batch Size, 2018",
    counts="the best rate of the grid changes at least twofold, in the geometric mean over seeds",
)
def retuning(lab: Bench) -> None:
    """Find the best rate of a grid for each set-up."""
    rates = np.geomspace(0.0005, 2.0, lab.cut(7, 3))
    setups = {"SGD, batch 8": (SGD(), 8), "SGD, batch 128": (SGD(), 128), "Adam, batch 8": (Adam(), 8)}
    best, lines = {}, []
    for name, (optimizer, batch) in setups.items():
        recipe = Recipe(optimizer, batch_size=batch, epochs=2)
        arms = lab.train(
            classifier(32), {f"{r:.4g}": recipe.vary(lr=[float(r)])[0] for r in rates}, label=name
        )
        losses = np.array([list(arms.values(f"{r:.4g}").values()) for r in rates])
        best[name] = np.log2(rates[losses.argmin(axis=0)])
        lines.append(Series(name, rates, np.minimum(losses, 10).mean(axis=1), dots=True))
    lab.above(
        "doublings of the best rate, batch 8 to 128",
        best["SGD, batch 128"] - best["SGD, batch 8"],
        1.0,
        "for the batch",
    )
    lab.above(
        "doublings of the best rate, Adam to SGD",
        best["SGD, batch 8"] - best["Adam, batch 8"],
        1.0,
        "for the optimizer",
    )
    lab.draw("Validation loss after 2 epochs", lines, x="rate", y="validation loss", log_x=True, log_y=True)
