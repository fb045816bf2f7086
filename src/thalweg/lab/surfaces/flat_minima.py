"""Sharpness and the batch."""

import dataclasses

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import end_of, sharpness
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Large batches end in sharper minima than small ones.",
    source="Keskar et al., On Large-Batch Training for Deep Learning, 2017",
    counts="the largest eigenvalue of the Hessian is higher after training with the large batch, over "
    "all seeds",
)
def flat_minima(lab: Bench) -> None:
    """Train with batch 8 and full batch at equal rate, to equal epochs and to equal updates."""
    problem = classifier(16)
    found = {}
    lengths = {"at equal epochs": {"epochs": 12}, "at equal updates": {"steps": 800}}
    for when, size in lengths.items():
        recipes = {
            n: dataclasses.replace(Recipe(SGD(lr=0.1), batch_size=b), **size)
            for n, b in (("batch 8", 8), ("full batch", "full"))
        }
        arms = lab.train(problem, recipes, label=when)
        edge = {n: {r.recipe.seed: sharpness(problem, end_of(r)) for r in arms.runs(n)} for n in recipes}
        gap = {s: edge["full batch"][s] - edge["batch 8"][s] for s in lab.seeds}
        lab.above("sharpness of the full batch minus that of batch 8", gap, when=when)
        found |= {f"{n}, {when[3:]}": v for n, v in edge.items()}
    lab.intervals("Largest eigenvalue of the Hessian after training", found, "sharpness")
