"""One update of a layer, weight by weight and as one array operation."""

import timeit
from collections.abc import Callable

import numpy as np

from thalweg.lab.bench import Bench
from thalweg.lab.experiment import experiment


@experiment(
    claim="Updating a layer as one array operation is at least ten times as fast as a loop over its weights.",
    source="lecture notes on vectorisation; van der Walt et al., The NumPy Array, 2011",
    counts="the ratio of times is above 10, a log10 of 1, over repeated measurements",
)
def vectorised(lab: Bench) -> None:
    """Time both on a layer of 784 x 32 weights."""
    random = np.random.default_rng(0)
    weights, gradient = random.normal(size=(2, 784 * 32))
    one, other = weights.tolist(), gradient.tolist()

    def quickest(task: Callable[[], object], often: int) -> float:
        return min(timeit.repeat(task, number=often, repeat=5)) / often

    looped, whole = [], []
    for _ in range(lab.cut(7, 3)):
        looped.append(quickest(lambda: [w - 0.01 * g for w, g in zip(one, other, strict=True)], 1))
        whole.append(quickest(lambda: weights - 0.01 * gradient, 20))
    logs = np.log10(np.array(looped) / np.array(whole))
    lab.above("log10 of the loop's time over the array operation's", logs, 1.0)
    lab.row(weights=784 * 32, loop_seconds=min(looped), array_seconds=min(whole))
    times = {"weight by weight": looped, "as one array": whole}
    lab.intervals("Seconds of one update of 25,088 weights", times, "seconds", log_x=True)
