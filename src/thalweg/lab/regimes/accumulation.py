"""Accumulated gradients against the large batch."""

import jax
import jax.numpy as jnp

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Accumulating the gradients of 4 microbatches of 16 gives the update of one batch of 64.",
    source="lecture notes; Goyal et al. 2017, section 3",
    counts="after 8 updates no weight differs by more than 1e-5",
)
def accumulation(lab: Bench) -> None:
    """Train both ways and compare the weights."""
    problem = classifier(16)
    recipes = {
        "batch 64": Recipe(SGD(lr=0.1), batch_size=64, steps=8),
        "4 x 16": Recipe(SGD(lr=0.1), batch_size=64, accumulate=4, steps=8),
    }
    arms = lab.train(problem, recipes, exact=True)
    worst = 0.0
    for one, other in zip(arms.runs("batch 64"), arms.runs("4 x 16"), strict=True):
        pairs = zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True)
        worst = max([worst, *(float(jnp.abs(a - b).max()) for a, b in pairs)])
    lab.equal("largest difference of a weight", worst, 0.0, 1e-5)
    lab.tell("difference of accumulated and large batch", "none", worst, 0.0, 1e-5)
    lab.draw("Loss of each update", arms.series())
