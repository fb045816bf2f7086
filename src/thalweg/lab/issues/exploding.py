"""A loss that explodes, and three repairs."""

import dataclasses

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import unscaled_line
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="An exploding loss is repaired by a lower rate, by clipping, or by normalising the inputs.",
    source="lecture notes' table of training issues; Pascanu et al. 2013",
    counts="the planted run diverges or ends above its start; with this repair it ends below a tenth of "
    "the start",
)
def exploding(lab: Bench) -> None:
    """Plant unscaled inputs and a high rate in a regression."""
    fault = Recipe(SGD(lr=0.1), batch_size=32, steps=150)
    repairs = {
        "planted": (unscaled_line(50.0), fault),
        "a lower rate": (unscaled_line(50.0), Recipe(SGD(lr=1e-4), batch_size=32, steps=150)),
        "clipping at 1": (unscaled_line(50.0), dataclasses.replace(fault, clip_norm=1.0)),
        "normalised inputs": (unscaled_line(1.0), fault),
    }
    arms = lab.train(unscaled_line(1.0), repairs)
    lab.above("share of the planted runs that diverge", arms.diverged("planted"), 0.99)
    for name in list(repairs)[1:]:
        lab.below("loss at the end (1 at the start)", arms.values(name, "train_loss"), 0.1, f"with {name}")
    lab.draw("Loss by repair", [s for s in arms.series(window=3) if s.name != "planted"], log_y=True)
