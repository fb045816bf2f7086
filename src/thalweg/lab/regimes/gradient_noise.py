"""The variance of a mini-batch's gradient."""

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.chart import Series
from thalweg.lab.experiment import experiment
from thalweg.lab.probes import example_gradients, start_of
from thalweg.lab.setups import classifier


@experiment(
    claim="The variance of the gradient of a mini-batch falls as one over its size, its standard "
    "deviation as one over the root.",
    source="Goodfellow et al., Deep Learning, 2016, section 8.1.3; Bottou 2010",
    counts="the slope of log variance over log batch size is within 0.1 of -1",
)
def gradient_noise(lab: Bench) -> None:
    """Draw batches with replacement from the gradients of single examples."""
    problem, sizes = classifier(16), np.array([1, 2, 4, 8, 16, 32, 64])
    slopes, curves = [], []
    for seed in lab.seeds:
        gradients = example_gradients(problem, start_of(problem, seed))
        random = np.random.default_rng(seed)
        mean, variances = gradients.mean(axis=0), []
        for size in sizes:
            drawn = gradients[random.integers(0, len(gradients), (lab.cut(400, 200), size))].mean(axis=1)
            variances.append(((drawn - mean) ** 2).sum(axis=1).mean())
        slopes.append(np.polyfit(np.log(sizes), np.log(variances), 1)[0])
        curves.append(variances)
    lab.above("slope of log variance over log batch size", slopes, -1.1)
    lab.below("slope of log variance over log batch size", slopes, -0.9)
    lab.tell("slope of log variance over log batch size", "-1", slopes, -1.0, 0.1)
    low, high = np.min(curves, axis=0), np.max(curves, axis=0)
    lines = [
        Series("measured", sizes, np.mean(curves, axis=0), low, high, dots=True),
        Series("1 / batch", sizes, np.mean(curves, axis=0)[0] / sizes),
    ]
    lab.draw("Variance of the gradient by batch size", lines, x="batch", y="variance", log_x=True, log_y=True)
