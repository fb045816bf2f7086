"""Gradients through depth, by activation and initialisation."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import gradient_norms, start_of
from thalweg.lab.setups import classifier


@experiment(
    claim="With sigmoids the gradient of the first layer vanishes with depth; with ReLU and He's "
    "initialisation it does not.",
    source="Hochreiter 1991; Glorot & Bengio 2010; He et al., Delving Deep into Rectifiers, 2015",
    counts="at depth 16, the first layer's gradient over the last one's is below 1e-6 for sigmoid, above "
    "0.01 for ReLU",
)
def vanishing(lab: Bench) -> None:
    """Measure the gradient of each layer at the start, on digits."""
    kinds = {
        "sigmoid, Xavier": ("sigmoid", "glorot"),
        "tanh, Xavier": ("tanh", "glorot"),
        "ReLU, He": ("relu", "he"),
    }
    ratios, lines = {}, []
    for name, (activation, start) in kinds.items():
        problem = classifier(*[32] * 15, activation=activation, initialisation=start)
        norms = np.array([list(gradient_norms(problem, start_of(problem, s)).values()) for s in lab.seeds])
        ratios[name] = norms[:, 0] / norms[:, -1]
        mean, low, high = np.exp(np.log(norms + 1e-30).mean(axis=0)), norms.min(axis=0), norms.max(axis=0)
        lines.append(Series(name, np.arange(1, 17), mean, low, high, dots=True))
        lab.row(network=name, first_over_last=float(ratios[name].mean()))
    lab.below("first over last gradient, sigmoid", ratios["sigmoid, Xavier"], 1e-6)
    lab.above("first over last gradient, ReLU with He", ratios["ReLU, He"], 0.01)
    lab.draw(
        "Gradient norm of each layer, 16 layers, before training", lines, x="layer", y="norm", log_y=True
    )
