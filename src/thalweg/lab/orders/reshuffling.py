"""Shuffled once against each epoch."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="A new order each epoch is better than one random order for all epochs.",
    source="Bengio, Practical Recommendations, 2012, section 3.1; Shamir, Without-Replacement Sampling, 2016",
    counts="the training loss with a new order each epoch is lower over all seeds",
)
def reshuffling(lab: Bench) -> None:
    """Compare three ways to draw batches."""
    orders = {"each epoch": "reshuffle", "once": "once", "with replacement": "replacement"}
    recipes = {n: Recipe(SGD(lr=0.1), batch_size=16, epochs=10, shuffle=o) for n, o in orders.items()}
    arms = lab.train(classifier(32), recipes)
    gap = arms.gap("once", "each epoch", "train_loss")
    lab.above("loss with one order minus that with new ones", gap, when="against one order")
    drawn = arms.gap("with replacement", "each epoch", "train_loss")
    lab.above("loss with replacement minus that without", drawn, when="against drawing with replacement")
    values = {n: arms.values(n, "train_loss") for n in orders}
    lab.intervals("Training loss after 10 epochs", values, "training loss")
