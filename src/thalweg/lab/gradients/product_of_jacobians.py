"""The gain of a layer, to the power of the depth."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import gradient_norms, start_of
from thalweg.lab.setups import classifier


@experiment(
    claim="The gradient shrinks by a nearly constant factor a layer, so that it falls exponentially "
    "with depth.",
    source="Bengio, Simard & Frasconi, Learning Long-Term Dependencies is Difficult, 1994",
    counts="log gradient of the first layer against depth is straight (correlation below -0.99), below a "
    "factor of 0.5",
)
def product_of_jacobians(lab: Bench) -> None:
    """Measure the first layer's gradient at depths 2 to 12."""
    depths, logs = np.array([2, 4, 6, 8, 10, 12]), []
    for depth in depths:
        problem = classifier(*[32] * int(depth), activation="sigmoid", initialisation="glorot")
        norms = [next(iter(gradient_norms(problem, start_of(problem, s)).values())) for s in lab.seeds]
        logs.append(np.log(norms))
    curves = np.array(logs)
    factors = np.exp([np.polyfit(depths, curves[:, k], 1)[0] for k in range(curves.shape[1])])
    straight = [float(np.corrcoef(depths, curves[:, k])[0, 1]) for k in range(curves.shape[1])]
    lab.below("correlation of log gradient and depth", straight, -0.99)
    lab.below("factor of a layer", factors, 0.5)
    lab.tell(
        "largest slope of the sigmoid, a bound of the factor", "0.25 times the weights", factors, 0.25, 0.1
    )
    mean, low, high = (np.exp(f(curves, axis=1)) for f in (np.mean, np.min, np.max))
    lab.draw(
        "First layer's gradient by depth, sigmoid",
        [Series("", depths, mean, low, high, dots=True)],
        x="hidden layers",
        y="norm",
        log_y=True,
    )
