"""A loss that does not decrease."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="A loss that does not fall at all points to a rate that is far too low or a gradient that is zero.",
    source="lecture notes' table of training issues; Karpathy, A Recipe for Training Neural Networks, 2019",
    counts="with each planted fault the loss falls by less than 5 % in 100 updates; repaired, by more "
    "than half",
)
def not_decreasing(lab: Bench) -> None:
    """Plant both faults."""
    recipe = Recipe(SGD(lr=0.1), batch_size=32, steps=100)
    slow = Recipe(SGD(lr=1e-6), batch_size=32, steps=100)
    arms = lab.train(classifier(32), {"healthy": recipe, "rate 1e-6": slow})
    dead = lab.train(classifier(32, initialisation="zeros", bias="off"), {"zero weights": recipe})
    falls = {}
    for name, of in (("healthy", arms), ("rate 1e-6", arms), ("zero weights", dead)):
        losses = [np.mean(c.value[-9:]) / np.mean(c.value[:9]) for c in of.curve(name)]
        falls[name] = [1 - float(loss) for loss in losses]
        lab.below("share by which the loss falls", falls[name], 0.05) if name != "healthy" else None
    lab.above("share by which the healthy loss falls", falls["healthy"], 0.5)
    lab.draw("Three runs", [*arms.series(window=5), *dead.series(window=5)])
