"""Nesterov's momentum against the heavy ball."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.setups import quadratic
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="At the same high rate and momentum, Nesterov's form oscillates less and is faster than the "
    "heavy ball.",
    source="Nesterov 1983; Sutskever et al., 2013, section 2",
    counts="fewer steps to 1e-4 of the starting loss on ravines of condition 100 and 1,000",
)
def nesterov(lab: Bench) -> None:
    """Count steps on two ravines at rate 1/L."""
    lines = []
    for condition in (100, 1000):
        problem = quadratic((10.0 / condition, 10.0), (9.0, 1.0))
        recipe = {
            name: Recipe(SGD(lr=0.1, momentum=0.95, nesterov=form), batch_size=1, steps=900)
            for name, form in {"heavy ball": False, "Nesterov": True}.items()
        }
        arms = lab.train(problem, recipe, label=f"condition {condition}", noiseless=True)
        limit = float(arms.curve("Nesterov")[0].value[0]) * 1e-4
        lasts = {n: np.flatnonzero(arms.curve(n)[0].value > limit)[-1] + 1 for n in recipe}
        lab.below(
            "steps of Nesterov over those of the heavy ball",
            lasts["Nesterov"] / lasts["heavy ball"],
            1.0,
            f"condition {condition}",
        )
        lab.row(condition=condition, **{n.replace(" ", "_"): int(c) for n, c in lasts.items()})
        lines += [Series(f"{s.name}, {condition}", s.x[:80], s.y[:80]) for s in arms.series()]
    lab.draw("Loss by form and condition number", lines, y="loss", log_y=True)
