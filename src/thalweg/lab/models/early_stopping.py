"""Overfitting and when to stop."""

import dataclasses

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, noisy_digits
from thalweg.recipe.optimizers import Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Trained for long on few data, the validation loss falls and then rises: stopping early is better.",
    source="Prechelt, Early Stopping - But When?, 1998; Goodfellow et al., 2016, section 7.8",
    counts="the lowest validation loss is at least 5 % below the last one, over all seeds",
)
def early_stopping(lab: Bench) -> None:
    """Train a wide network on noisy labels for long."""
    problem = classifier(64, data=noisy_digits())
    arms = lab.train(problem, {"adam": Recipe(Adam(lr=3e-3), batch_size=16, epochs=40)})
    curves = arms.curve("adam", split="validation")
    ratio = [float(c.value.min() / c.value[-1]) for c in curves]
    lab.below("lowest over last validation loss", ratio, 0.95)
    lab.draw(
        "Loss while training, a third of the labels wrong",
        [
            *(dataclasses.replace(s, name="validation") for s in arms.series(split="validation")),
            *(dataclasses.replace(s, name="training batches") for s in arms.series(window=9)),
        ],
        y="loss",
        log_y=True,
    )
