"""How activations keep their size through depth."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import hidden, start_of
from thalweg.lab.setups import classifier


@experiment(
    claim="Xavier keeps the size of tanh activations, and He that of ReLU, through many layers; weights "
    "of 0.02 lose it.",
    source="Glorot & Bengio 2010; He et al. 2015",
    counts="the size in layer 10 over that in layer 1 is within 0.2 to 5 for both, and below 1e-3 for "
    "N(0, 0.02^2)",
)
def initial_variance(lab: Bench) -> None:
    """Follow the root mean square of the activations."""
    kinds = {
        "tanh, Xavier": ("tanh", "glorot"),
        "ReLU, He": ("relu", "he"),
        "ReLU, N(0, 0.02^2)": ("relu", "normal"),
    }
    lines, ratio = [], {}
    for name, (activation, start) in kinds.items():
        problem = classifier(*[64] * 10, activation=activation, initialisation=start, bias="off")
        sizes = np.array(
            [[np.sqrt((h**2).mean()) for h in hidden(problem, start_of(problem, s))] for s in lab.seeds]
        )
        ratio[name] = sizes[:, -1] / sizes[:, 0]
        lines.append(
            Series(
                name, np.arange(1, 11), sizes.mean(axis=0), sizes.min(axis=0), sizes.max(axis=0), dots=True
            )
        )
    for name in ("tanh, Xavier", "ReLU, He"):
        lab.above(f"size in layer 10 over layer 1, {name}", ratio[name], 0.2)
        lab.below(f"size in layer 10 over layer 1, {name}", ratio[name], 5.0)
    lab.below("size in layer 10 over layer 1, N(0, 0.02^2)", ratio["ReLU, N(0, 0.02^2)"], 1e-3)
    lab.draw("Root mean square of activations", lines, x="layer", y="size", log_y=True)
