"""A tenth of the rate for ten times as long."""

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, few_digits
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="A rate ten times smaller needs ten times as many updates to the same loss.",
    source="lecture notes; the continuous limit of gradient descent, Robbins & Monro 1951",
    counts="the losses agree within 10 % at n and 10 n updates",
)
def ten_times_longer(lab: Bench) -> None:
    """Compare pairs of rates far below the stable edge, and near it."""
    for when, high, steps in (("far below the edge", 0.01, 60), ("at a rate near the edge", 0.8, 60)):
        recipes = {
            "rate": Recipe(SGD(lr=high), batch_size="full", steps=steps),
            "rate / 10, 10 x updates": Recipe(SGD(lr=high / 10), batch_size="full", steps=10 * steps),
        }
        arms = lab.train(classifier(16, data=few_digits()), recipes, label=when)
        ratio = arms.ratio("rate", "rate / 10, 10 x updates", "train_loss")
        lab.above("ratio of the losses", ratio, 0.9, when)
        lab.below("ratio of the losses", ratio, 1.1, when)
        lines = arms.series()
        lines[1] = Series(lines[1].name, lines[1].x / 10, lines[1].y, lines[1].low, lines[1].high)
        title = f"{when.capitalize()}: rates {high:g} and {high / 10:g}"
        lab.draw(title, lines, x="updates (of the smaller rate: / 10)", log_y=True)
