"""Momentum through small bumps."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.problem.surfaces import surface
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Momentum carries descent through shallow minima in which plain gradient descent stops.",
    source="lecture notes' picture of the rolling ball; Sutskever et al., On the Importance of Momentum, "
    "2013",
    counts="the height reached is lower with momentum over all seeds of the gradient's noise",
)
def momentum_bumps(lab: Bench) -> None:
    """Descend over bumps with and without momentum."""
    problem = surface("bumps", noise=0.2)
    recipes = {
        "plain": Recipe(SGD(lr=0.1), batch_size=1, steps=120),
        "momentum 0.9": Recipe(SGD(lr=0.1, momentum=0.9), batch_size=1, steps=120),
    }
    arms = lab.train(problem, recipes, exact=True)
    lab.below("height with momentum minus height without", arms.gap("momentum 0.9", "plain"))
    lab.below("height with momentum", arms.values("momentum 0.9"), 0.5)
    lab.surface("Paths over the bumps", lab.descend(problem, recipes, side=lab.cut(81, 11)))
