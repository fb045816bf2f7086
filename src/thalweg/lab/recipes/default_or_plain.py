"""Thalweg's default recipe against the texts' plain one."""

import dataclasses

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.book import default_recipe
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="A default recipe with AdamW and a falling rate beats plain SGD at 0.01 with batches of 128.",
    source="Thalweg's own default for images; the plain recipe of lecture notes",
    counts="the validation loss is lower at equal epochs over all seeds",
)
def default_or_plain(lab: Bench) -> None:
    """Train digits for ten epochs with both."""
    default = dataclasses.replace(
        default_recipe("classification", 1258), epochs=10, steps=None, patience=None
    )
    recipes = {"default": default, "plain SGD": Recipe(SGD(lr=0.01), batch_size=128, epochs=10)}
    arms = lab.train(classifier(64), recipes)
    lab.below("validation loss of the default minus plain", arms.gap("default", "plain SGD"))
    lab.above("accuracy of the default minus plain", arms.gap("default", "plain SGD", "metric"))
    lab.draw("Loss of each batch", arms.series(window=5), log_y=True)
