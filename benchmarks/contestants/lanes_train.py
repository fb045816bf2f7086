"""A sweep as users run it: `tw.train(problem, recipes)`, with every lane's history and last evaluation."""

import time
from collections.abc import Callable
from typing import Any

import thalweg as tw
from benchmarks.contestants.lanes import recipes
from benchmarks.contestants.task import problem


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block that is the whole sweep: every lane for `epochs` epochs."""
    mnist = problem(setting)
    lanes = recipes(setting, epochs=setting["epochs"])
    steps = -(-mnist.data.train.count() // setting["batch"]) * setting["epochs"]

    def block() -> dict[str, Any]:
        start = time.perf_counter()
        runs = tw.train(mnist, lanes)
        return {
            "seconds": time.perf_counter() - start,
            "examples": setting["lanes"] * steps * setting["batch"],
            "lane_steps": setting["lanes"] * steps,
            "spent": runs.result["seconds"],
        }

    return block
