"""scikit-learn's MLPClassifier, plain SGD without momentum.

It tells nobody when an epoch ends, so the check of its inputs (once a `fit`) is part of its seconds.
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
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are what was asked for
            model.fit(x, y)
        return {"seconds": time.perf_counter() - begun, "examples": setting["epochs"] * len(x)}

    return block


def network(setting: dict[str, Any], rate: float) -> MLPClassifier:
    """Return an estimator that trains `epochs` epochs from where it stands."""
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
