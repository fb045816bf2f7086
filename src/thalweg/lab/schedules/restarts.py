"""Cosine with restarts against one cosine."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Cosine, CosineRestarts

ONE, SEVERAL = "one cosine", "restarts after epochs 1 and 3"


@experiment(
    claim="Warm restarts (SGDR) reach a lower loss than a single cosine of the same length.",
    source="Loshchilov & Hutter, SGDR, 2017, whose point is the anytime performance",
    counts="the validation loss is lower when training is stopped there, over all seeds",
)
def restarts(lab: Bench) -> None:
    """Train with and without restarts for 7 epochs, and look at the end of each period."""
    kinds = {ONE: Cosine(), SEVERAL: CosineRestarts(period=1, growth=2, unit="epochs")}
    optimizer = SGD(lr=0.1, momentum=0.9)
    arms = lab.train(
        classifier(32), {n: Recipe(optimizer, s, batch_size=16, epochs=7) for n, s in kinds.items()}
    )
    curves = {n: arms.curve(n, "loss", "validation") for n in kinds}
    for epoch in (1, 3, 7):
        at = min(epoch, len(curves[ONE][0])) - 1
        gap = [np.log(s.value[at] / o.value[at]) for s, o in zip(curves[SEVERAL], curves[ONE], strict=True)]
        when = f"when stopped after {epoch} of 7 epochs" if epoch < 7 else "trained to the end"
        lab.below("log of the validation loss over that of one cosine", gap, when=when)
    lab.note("At the end of a period the rate is near 0, and the weights can be used; one cosine is high.")
    lab.draw("The rate", arms.series("learning_rate"), y="rate")
    lab.draw("Validation loss", arms.series("loss", "validation"), y="validation loss", log_y=True)
