"""Batch norm and rows sorted by class."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier, sorted_digits
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Under a fixed order sorted by class, batch norm is biased: its statistics are those of "
    "single classes.",
    source="lecture notes on shuffling; Ioffe & Szegedy, Batch Normalization, 2015 (which needs shuffled "
    "batches)",
    counts="sorting costs more accuracy with batch norm than with layer norm, over all seeds",
)
def batch_norm_order(lab: Bench) -> None:
    """Train on sorted and shuffled rows with batch norm and with layer norm."""
    loss = {}
    for norm in ("batch", "layer"):
        problem = classifier(32, data=sorted_digits(), normalisation=norm)
        orders = {"shuffled": "reshuffle", "sorted": "none"}
        recipes = {n: Recipe(SGD(lr=0.1), batch_size=32, epochs=5, shuffle=o) for n, o in orders.items()}
        arms = lab.train(problem, recipes, label=f"{norm} norm")
        loss[f"{norm} norm"] = arms.gap("shuffled", "sorted", "test_metric")
    lab.above(
        "accuracy lost by sorting, batch norm minus layer norm",
        {s: loss["batch norm"][s] - loss["layer norm"][s] for s in lab.seeds},
    )
    lab.intervals("Test accuracy lost by sorting the rows", loss, "accuracy lost")
