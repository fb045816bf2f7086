"""Activation memory by batch size."""

import numpy as np

from thalweg.insight.cost.cost import cost
from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="The memory of activations grows in proportion to the batch, that of weights does not.",
    source="lecture notes; Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016",
    counts="eight times the batch keeps eight times the activations and the same weights",
)
def memory_by_batch(lab: Bench) -> None:
    """Count both for batches of 16 to 1,024."""
    sizes = np.array([16, 32, 64, 128, 256, 512, 1024])
    held = [
        cost(classifier(256, 256), Recipe(Adam(), batch_size=int(s), epochs=1), measure=False).memory
        for s in sizes
    ]
    kept = np.array([each.activations for each in held], float)
    weights = np.array([each.inputs["weights"] for each in held], float)
    lab.equal("activations at 1,024 over those at 128", kept[-1] / kept[3], 8.0, 0.1)
    lab.equal("weights at 1,024 over those at 128", weights[-1] / weights[3], 1.0)
    lab.tell("activations at 8 times the batch", "8 times", kept[-1] / kept[3], 8.0, 0.1)
    lines = [
        Series("activations", sizes, kept / 1e6, dots=True),
        Series("weights", sizes, weights / 1e6, dots=True),
    ]
    lab.draw("Memory of an MLP 256-256", lines, x="batch", y="megabytes", log_x=True, log_y=True)
