"""scikit-learn's MLPClassifier, plain SGD without momentum.

It has no callback at the end of an epoch, so its time includes its input checks (once per `fit`).
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.contestants.mnist import images


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `epochs` more epochs."""
    x, y = images(setting["folder"], setting.get("rows"))
    model = network(setting, 0.01)

    def block() -> dict[str, Any]:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # too few epochs to converge is intended
            model.fit(x, y)
        return {"seconds": time.perf_counter() - start, "examples": setting["epochs"] * len(x)}

    return block


def network(setting: dict[str, Any], rate: float) -> MLPClassifier:
    """Return an estimator whose `fit` trains `epochs` more epochs."""
    return MLPClassifier(
        tuple(setting["sizes"][1:-1]),
        solver="sgd",
        alpha=0.0,
        batch_size=setting["batch"],
        learning_rate_init=rate,
        momentum=0.0,
        nesterovs_momentum=False,
        max_iter=setting["epochs"],
        n_iter_no_change=10**6,
        random_state=0,
        warm_start=True,
    )
