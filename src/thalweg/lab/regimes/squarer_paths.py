"""Which path crosses the contours at right angles."""

import dataclasses

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.problem.surfaces import surface
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.trajectory import trajectories


@experiment(
    claim="The full batch crosses contours at right angles; the noise of small batches turns single "
    "steps away from the gradient.",
    source="lecture notes' picture of batch, mini-batch and stochastic paths",
    counts="the mean cosine between step and exact gradient is 1 for the full batch and lower with noise",
)
def squarer_paths(lab: Bench) -> None:
    """Descend on the bowl with exact and with noisy gradients."""
    paths = {}
    for name, noise in (("full batch", 0.0), ("mini-batch", 2.0), ("one example", 8.0)):
        bowl = surface("bowl", noise=noise)
        recipes = [Recipe(SGD(lr=0.05), batch_size=1, steps=25, seed=seed) for seed in lab.seeds]
        cosines = {}
        for seed, path in zip(lab.seeds, trajectories(bowl, recipes, points=60), strict=True):
            at = np.array([np.asarray(weights.w) for weights in path.weights])
            step, slope = -np.diff(at, axis=0), at[:-1] * np.array([2.0, 8.0])
            lengths = np.linalg.norm(step, axis=1) * np.linalg.norm(slope, axis=1)
            cosines[seed] = float(((step * slope).sum(axis=1) / (lengths + 1e-12))[:15].mean())
        paths[name] = cosines
    lab.above("mean cosine, full batch", paths["full batch"], 0.9999)
    lab.below("mean cosine, mini-batch", paths["mini-batch"], 0.99)
    lab.below("mean cosine, one example", paths["one example"], 0.9)
    lab.intervals("Cosine between the step and the exact gradient", paths, "cosine")
    noisy = lab.descend(surface("bowl", noise=8.0), {"one example": recipes[0]}, side=lab.cut(61, 11))
    exact = lab.descend(surface("bowl"), {"full batch": recipes[0]}, side=lab.cut(61, 11))
    both = dataclasses.replace(exact, trails=(*exact.trails, *noisy.trails))
    lab.surface("Two paths on the bowl", both)
