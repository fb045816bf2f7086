"""Where warmup is needed."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import classifier
from thalweg.recipe.optimizers import SGD, Adam
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Constant, Warmup

COLD, WARM, STEPS = "no warmup", "warmup of 40 updates", 80


@experiment(
    claim="Warmup prevents a spike of the loss, or divergence, in the first updates.",
    source="Goyal et al. 2017; Vaswani et al., Attention Is All You Need, 2017; Gilmer et al. 2022",
    counts="the highest loss of the first 80 updates is lower with warmup over all seeds",
)
def warm_start(lab: Bench) -> None:
    """Compare peaks with and without warmup: in a deep and a shallow network, at high and moderate rates."""
    deep, shallow = classifier(*[32] * lab.cut(16, 4)), classifier(32, 32)
    large = classifier(32, 32, 32, 32, initialisation="normal(0.5)")
    cases = {
        "in 16 layers, Adam at 0.1": (deep, Adam(lr=0.1)),
        "from weights four times too large, SGD at 0.1": (large, SGD(lr=0.1)),
        "in 2 layers, Adam at 0.1": (shallow, Adam(lr=0.1)),
        "in 2 layers, Adam at 0.001": (shallow, Adam(lr=0.001)),
    }
    for when, (problem, optimizer) in cases.items():
        schedules = {COLD: Constant(), WARM: Warmup(length=40, unit="steps")}
        recipes = {n: Recipe(optimizer, s, batch_size=32, steps=STEPS) for n, s in schedules.items()}
        arms = lab.train(problem, recipes, label=when)
        peaks = {n: np.array([c.value[1:].max() for c in arms.curve(n)]) for n in recipes}
        lost = {n: np.array(list(arms.diverged(n).values())) > 0 for n in recipes}
        peaks = {n: np.where(lost[n], 1e6, np.minimum(peaks[n], 1e6)) for n in recipes}
        ratio = np.log(peaks[WARM] / peaks[COLD])
        lab.below("log of the highest loss with warmup over that without", ratio, when=when)
        lab.draw(f"The first updates {when}", arms.series(), log_y=True)
    lab.note("A lane that diverged counts as a highest loss of a million.")
