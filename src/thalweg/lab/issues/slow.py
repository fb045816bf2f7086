"""Training that is slow, and three repairs."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import quadratic
from thalweg.recipe.optimizers import SGD, Adam
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="Slow training on a badly conditioned problem is repaired by momentum, by Adam, or by scaling.",
    source="lecture notes' table of training issues; Goh, Why Momentum Really Works, 2017",
    counts="with this repair the loss of plain descent after 200 updates is reached in less than half of "
    "them",
)
def slow(lab: Bench) -> None:
    """Descend on a quadratic of condition 300, and on the same one scaled."""
    steep, scaled = quadratic((30.0, 0.1), (1.0, 3.0)), quadratic((1.0, 1.0), (5.477, 0.949))
    repairs = {
        "plain": (steep, SGD(lr=0.06)),
        "momentum": (steep, SGD(lr=0.03, momentum=0.9)),
        "Adam": (steep, Adam(lr=0.1)),
        "scaled": (scaled, SGD(lr=0.06)),
    }
    recipes = {n: (p, Recipe(o, batch_size=1, steps=200)) for n, (p, o) in repairs.items()}
    arms = lab.train(steep, recipes, noiseless=True)
    limit = float(arms.curve("plain")[0].value[-1])
    for name in list(repairs)[1:]:
        lab.below(
            "updates to the plain loss", arms.steps_to(name, limit)[lab.seeds[0]] / 200, 0.5, f"with {name}"
        )
    lab.draw("Loss by repair", arms.series(), y="loss", log_y=True)
