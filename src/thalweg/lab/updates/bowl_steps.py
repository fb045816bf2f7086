"""Thirty steps on the bowl w0^2 + 4 w1^2."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.problem.surfaces import surface
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="From (3, 2) on the bowl w0^2 + 4 w1^2, rate 0.15 multiplies w0 by 0.7 and w1 by -0.2 in each "
    "of 30 steps.",
    source="a worked example of lecture notes",
    counts="the weights after 30 steps are 3 x 0.7^30 and 2 x (-0.2)^30 within 1e-4 of themselves",
)
def bowl_steps(lab: Bench) -> None:
    """Descend from (3, 2) and draw the path."""
    bowl = surface("bowl")
    arms = lab.train(bowl, {"rate 0.15": Recipe(SGD(lr=0.15), batch_size=1, steps=30)}, noiseless=True)
    end = np.asarray(arms.runs("rate 0.15")[0].params.w)
    lab.equal("w0 after 30 steps, over 3 x 0.7^30", end[0] / (3 * 0.7**30), 1.0, 1e-4)
    lab.equal("w1 after 30 steps, over 2 x 0.2^30", end[1] / (2 * 0.2**30), 1.0, 1e-4)
    lab.tell("w0 after 30 steps from (3, 2)", "3 x 0.7^30 = 6.76e-05", float(end[0]), 3 * 0.7**30, 1e-7)
    rates = {f"rate {r}": Recipe(SGD(lr=r), batch_size=1, steps=30) for r in (0.15, 0.05, 0.24)}
    lab.surface("Paths on the bowl from (3, 2)", lab.descend(bowl, rates, side=lab.cut(61, 11)))
