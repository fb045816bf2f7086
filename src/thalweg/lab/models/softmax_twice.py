"""Probabilities where logits belong."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, second_softmax
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Feeding softmax outputs to a loss that takes logits (softmax twice) slows training and "
    "bounds the loss away from 0.",
    source="a classic mistake of lecture notes and forums; Karpathy, A Recipe for Training Neural "
    "Networks, 2019",
    counts="the loss stays above log(1 + 9/e) = 1.4612, its lowest possible value for 10 classes; "
    "accuracy is lower",
)
def softmax_twice(lab: Bench) -> None:
    """Train digits with and without the extra softmax."""
    right = classifier(32)
    recipe = Recipe(SGD(lr=0.1), batch_size=32, epochs=5)
    twice = Problem(right.model, right.data, second_softmax, outputs="logits")
    arms = lab.train(right, {"logits": recipe, "probabilities": (twice, recipe)})
    floor = float(np.log(1 + 9 / np.e))
    lab.equal("the lowest loss possible with softmax twice", floor, 1.46115, 1e-4)
    lab.above("loss with softmax twice", arms.values("probabilities", "train_loss"), floor)
    lab.below("accuracy minus that with logits", arms.gap("probabilities", "logits", "metric"))
    lab.tell("lowest loss of softmax twice, 10 classes", "1.4612", floor, 1.4612, 1e-4)
    lab.note(
        "Thalweg refuses a model that ends in a softmax where a loss takes logits; here the loss hides it."
    )
    lab.draw("Loss of each batch", arms.series(window=9))
