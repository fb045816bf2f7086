"""Mini-batches against the full batch."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="For the same number of epochs, mini-batches reach a far lower loss than the full batch.",
    source="Goodfellow et al., Deep Learning, 2016, section 8.1.3; Bottou, Large-Scale Machine Learning, "
    "2010",
    counts="the training loss with batches of 32 is lower than with the full batch over all seeds",
)
def mini_batch(lab: Bench) -> None:
    """Train digits for the same epochs, each with the best of three rates."""
    sizes = {"batch 1": 1, "batch 32": 32, "full batch": "full"}
    for when, epochs in (("at equal epochs", 3),):
        recipes = {
            f"{name}, rate {r:g}": Recipe(SGD(lr=r), batch_size=size, epochs=epochs)
            for name, size in sizes.items()
            for r in (0.01, 0.1, 0.5)
        }
        arms = lab.train(classifier(32), recipes, label=when)
    best = {}
    for name in sizes:
        own = [arms.values(each, "train_loss") for each in recipes if each.startswith(name)]
        best[name] = {seed: min(values[seed] for values in own) for seed in lab.seeds}
    gap = {seed: best["batch 32"][seed] - best["full batch"][seed] for seed in lab.seeds}
    lab.below("loss at batch 32 minus that of the full batch, each at its best rate", gap)
    lab.intervals("Training loss after 3 epochs, each at its best rate", best, "training loss", log_x=True)
