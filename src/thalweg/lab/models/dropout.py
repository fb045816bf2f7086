"""Dropout on few data."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, few_digits, noisy_digits
from thalweg.recipe.optimizers import Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Dropout of 0.5 reduces overfitting: the validation loss is lower although the training loss "
    "is higher.",
    source="Srivastava et al., Dropout, 2014",
    counts="at the end of training, validation loss lower and training loss higher than without, over all "
    "seeds",
)
def dropout(lab: Bench) -> None:
    """Train a wide network on 300 digits, a third of them with wrong labels, and on 150 with their own."""
    recipe, shown = Recipe(Adam(lr=1e-3), batch_size=16, epochs=80), {}
    for when, data in (
        ("where a third of the labels are wrong", noisy_digits()),
        ("on clean labels", few_digits()),
    ):
        ends = {}
        for share in (0.0, 0.5):
            arms = lab.train(
                classifier(128, data=data, dropout=share), {f"dropout {share:g}": recipe}, label=when
            )
            (name,) = arms.names
            ends[share] = {
                "validation": np.array([c.value[-1] for c in arms.curve(name, "loss", "validation")]),
                "training": np.array([c.value[-30:].mean() for c in arms.curve(name)]),
            }
            shown |= {f"{name}, {what}, {when}": values for what, values in ends[share].items()}
        gap = {what: ends[0.5][what] - ends[0.0][what] for what in ends[0.5]}
        lab.below("validation loss with dropout minus without", gap["validation"], when=when)
        lab.above("training loss with dropout minus without", gap["training"], when=when)
    lab.note("The training loss is that of the last 30 updates, with dropout as in training.")
    lab.intervals("Losses after 80 epochs", shown, "loss", log_x=True)
