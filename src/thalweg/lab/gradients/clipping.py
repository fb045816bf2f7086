"""Clipping the norm of exploding gradients."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import remembering
from thalweg.problem.models import RNN
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe

RATES = (1.0, 3.0, 10.0)
LIMITS = {"no clipping": None, "clip 5": 5.0, "clip 1": 1.0}


@experiment(
    claim="Clipping the gradient norm at 1 or 5 keeps a recurrent network stable at a rate at which it "
    "would explode.",
    source="Pascanu, Mikolov & Bengio, On the Difficulty of Training Recurrent Neural Networks, 2013",
    counts="more of three high rates end below a loss of 0.1 than without clipping, over all seeds",
)
def clipping(lab: Bench) -> None:
    """Train an RNN to remember over 30 steps at high rates, with and without clipping."""
    problem = Problem(RNN(width=24), remembering(30))
    recipes = {
        f"{name}, rate {rate:g}": Recipe(SGD(lr=rate), batch_size=50, steps=100, clip_norm=limit)
        for name, limit in LIMITS.items()
        for rate in RATES
    }
    arms = lab.train(problem, recipes)

    def ends(name: str) -> np.ndarray:
        """Return the mean loss of the last 20 updates by seed; infinite where the lane diverged."""
        lost = arms.diverged(name).values()
        curves = zip(arms.curve(name), lost, strict=True)
        return np.array([np.inf if gone else curve.value[-20:].mean() for curve, gone in curves])

    good = {
        name: np.sum([ends(f"{name}, rate {rate:g}") < 0.1 for rate in RATES], axis=0).astype(float)
        for name in LIMITS
    }
    for name in ("clip 5", "clip 1"):
        lab.above(
            "rates that end low minus those without", good[name] - good["no clipping"], when=f"with {name}"
        )
    lab.note("The state of a tanh unit is bounded, so that what explodes is the gradient, not the output.")
    drawn = [f"{name}, rate 3" for name in LIMITS]
    lab.draw("An RNN at rate 3", arms.series(window=3, names=drawn), log_y=True)
    lab.intervals(f"Rates of {', '.join(f'{r:g}' for r in RATES)} that end below 0.1", good, "rates")
