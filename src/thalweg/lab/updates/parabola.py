"""Descent on x^2 from -6 with two rates."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import function
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="On f(x) = x^2 from -6, rate 0.5 reaches the minimum in one step, and rate 1.2 jumps ever "
    "farther away.",
    source="lecture notes' example of overshooting; LeCun et al., Efficient BackProp, 1998, section 4.1",
    counts="one step at 0.5 gives 0; at 1.2 each step multiplies x by 1 - 2 x 1.2 = -1.4",
)
def parabola(lab: Bench) -> None:
    """Descend with both rates."""
    problem = function(lambda w: w[0] ** 2, (-6.0,))
    rates = {"rate 0.5": 0.5, "rate 0.1": 0.1, "rate 1.2": 1.2}
    one = lab.train(
        problem, {n: Recipe(SGD(lr=r), batch_size=1, steps=1) for n, r in rates.items()}, noiseless=True
    )
    many = lab.train(
        problem, {n: Recipe(SGD(lr=r), batch_size=1, steps=8) for n, r in rates.items()}, noiseless=True
    )
    lab.equal("x after one step at 0.5", float(one.runs("rate 0.5")[0].params.w[0]), 0.0)
    after = float(one.runs("rate 1.2")[0].params.w[0])
    lab.equal("x after one step at 1.2", after, 8.4, 1e-5)
    losses = many.curve("rate 1.2")[0].value
    lab.equal("growth of |x| in a step at 1.2", float(np.sqrt(losses[5] / losses[4])), 1.4, 1e-4)
    lab.tell("x^2 from -6 after one step at 1.2", "8.4", after, 8.4, 1e-5)
    lab.draw("f(x) = x^2 from x = -6", many.series(), y="x^2", log_y=True)
