"""Noise and the way out of saddles, plateaus and shallow minima."""

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment
from thalweg.problem.surfaces import surface
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe


@experiment(
    claim="The noise of stochastic gradients lets descent escape from saddles, plateaus and shallow minima.",
    source="Ge et al., Escaping from Saddle Points, 2015; Goodfellow et al., 2016, section 8.2",
    counts="the share of seeds that escape is above 0.6 with noise, and 0 without, under each condition",
)
def escaping(lab: Bench) -> None:
    """Start where the exact gradient leads nowhere."""
    places = {
        "from a saddle": ("saddle", (2.0, 0.0), 0.3, -0.5, 0.05),
        "from a plateau": ("plateau", (3.2, 2.5), 0.6, 0.5, 0.3),
        "from a shallow minimum": ("bumps", (2.0, 0.0), 2.0, 0.3, 0.15),
    }
    shares = {}
    for when, (name, start, noise, low, rate) in places.items():
        problems = {
            kind: surface(name, start=start, noise=n) for kind, n in (("exact", 0.0), ("noisy", noise))
        }
        recipe = Recipe(SGD(lr=rate), batch_size=1, steps=250)
        arms = lab.train(
            problems["exact"], {k: (p, recipe) for k, p in problems.items()}, label=when, exact=True
        )
        escaped = {k: {s: float(h < low) for s, h in arms.values(k).items()} for k in problems}
        lab.above("share of seeds that escape with noise", escaped["noisy"], 0.6, when)
        lab.below("share of seeds that escape without", escaped["exact"], 0.01, when)
        shares |= {f"{when}, {kind}": values for kind, values in escaped.items()}
    lab.intervals("Seeds that escape (1) or not (0)", shares, "escaped")
    noisy = lab.descend(
        surface("saddle", start=(2.0, 0.0), noise=0.3),
        {"noisy": Recipe(SGD(lr=0.05), batch_size=1, steps=250)},
        lab.cut(61, 11),
    )
    lab.surface("From the saddle's ridge, with noise", noisy)
