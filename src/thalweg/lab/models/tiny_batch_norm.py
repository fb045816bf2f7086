"""Batch norm in tiny batches."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="From larger batches to batches of 2, batch norm loses more than group and layer norm.",
    source="Wu & He, Group Normalization, 2018; Ioffe, Batch Renormalization, 2017",
    counts="from batch 32 to 2, the validation loss rises more with batch norm than with layer or group "
    "norm, over all seeds",
)
def tiny_batch_norm(lab: Bench) -> None:
    """Train with each norm in batches of 2 and 32, at equal epochs."""
    rise = {}
    for norm in ("batch", "layer", "group"):
        problem = classifier(32, normalisation=norm)
        rates = {"batch 2": (2, 0.01), "batch 32": (32, 0.1)}
        recipes = {
            n: Recipe(SGD(lr=r), batch_size=b, epochs=1, last_batch="drop") for n, (b, r) in rates.items()
        }
        arms = lab.train(problem, recipes, label=f"{norm} norm")
        rise[f"{norm} norm"] = arms.gap("batch 2", "batch 32")
    for other in ("layer norm", "group norm"):
        gap = {s: rise["batch norm"][s] - rise[other][s] for s in lab.seeds}
        lab.above("rise with batch norm minus that with the other", gap, when=f"against {other}")
    lab.intervals("Rise of the validation loss from batch 32 to batch 2", rise, "loss")
