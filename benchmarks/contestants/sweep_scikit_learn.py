"""A sweep with joblib and scikit-learn: as many fits at a time as there are cores."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks.contestants.mnist import images
from benchmarks.contestants.scikit_learn import network


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block in which every process fits one learning rate for `epochs` epochs."""
    x, y = images(setting["folder"], setting.get("rows"))
    count = setting["processes"]
    pool = joblib.Parallel(n_jobs=count)

    def block() -> dict[str, Any]:
        begun = time.perf_counter()
        pool(joblib.delayed(_fit)(setting, rate, x, y) for rate in np.geomspace(1e-3, 1e-2, count))
        examples = count * setting["epochs"] * len(x)
        return {
            "seconds": time.perf_counter() - begun,
            "examples": examples,
            "lane_steps": examples / setting["batch"],
        }

    return block


def _fit(setting: dict[str, Any], rate: float, x: np.ndarray, y: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are what was asked for
        network(setting, float(rate)).fit(x, y)
