"""The classic picture of three learning rates."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Of the rates 0.1, 0.01 and 0.0001, the smallest is far too slow: the larger the rate, the "
    "lower the loss.",
    source="lecture notes; Karpathy, CS231n Neural Networks Part 3, 2015",
    counts="after 10 epochs the loss falls with the rate over all seeds",
)
def three_rates(lab: Bench) -> None:
    """Train digits with the three rates."""
    rates = {f"rate {r:g}": Recipe(SGD(lr=r), batch_size=32, epochs=10) for r in (0.1, 0.01, 0.0001)}
    arms = lab.train(classifier(32), rates)
    lab.above("loss at 0.01 minus loss at 0.1", arms.gap("rate 0.01", "rate 0.1"))
    lab.above("loss at 0.0001 minus loss at 0.01", arms.gap("rate 0.0001", "rate 0.01"))
    lab.draw("Training loss by rate, SGD, batch 32", arms.series(window=9), log_y=True)
