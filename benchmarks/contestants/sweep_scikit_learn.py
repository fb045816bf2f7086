"""A sweep with scikit-learn and joblib: one fit per core at a time."""

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
        start = time.perf_counter()
        pool(joblib.delayed(_fit)(setting, rate, x, y) for rate in np.geomspace(1e-3, 1e-2, count))
        examples = count * setting["epochs"] * len(x)
        return {
            "seconds": time.perf_counter() - start,
            "examples": examples,
            "lane_steps": examples / setting["batch"],
        }

    return block


def _fit(setting: dict[str, Any], rate: float, x: np.ndarray, y: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # too few epochs to converge is intended
        network(setting, float(rate)).fit(x, y)
