"""Recomputing activations instead of keeping them."""

import dataclasses

import jax
import jax.numpy as jnp

from thalweg.insight.cost.cost import cost
from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Recomputing saves activation memory for at most one more forward pass, with the same gradients.",
    source="Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016",
    counts="fewer bytes of activations; at most a third more operations in products; equal weights after "
    "5 updates, within 1e-5",
)
def recomputing(lab: Bench) -> None:
    """Train a deep perceptron with and without."""
    problem = classifier(*[64] * 6)
    plain = Recipe(SGD(lr=0.05), batch_size=256, steps=5)
    recipes = {"kept": plain, "recomputed": dataclasses.replace(plain, recompute="sqrt")}
    counted = {name: cost(problem, recipe, measure=False) for name, recipe in recipes.items()}
    kept = {name: each.memory.activations for name, each in counted.items()}
    work = {n: c.forward.products + c.backward.products for n, c in counted.items()}
    lab.below("activations recomputed over kept", kept["recomputed"] / kept["kept"], 0.8)
    lab.below("operations in products, recomputed over kept", work["recomputed"] / work["kept"], 1.34)
    lab.note("The operations of the backward pass include those done again.")
    arms = lab.train(problem, recipes, exact=True)
    leaves = zip(*(jax.tree.leaves(arms.runs(n)[0].params) for n in recipes), strict=True)
    lab.equal(
        "largest difference of a weight", max(float(jnp.abs(a - b).max()) for a, b in leaves), 0.0, 1e-5
    )
    shares = {
        "activations": [kept["recomputed"] / kept["kept"]],
        "operations": [work["recomputed"] / work["kept"]],
    }
    lab.intervals("Recomputed, over kept", shares, "ratio", marks={"as without": 1.0})
