"""A model with a single number, whose training follows from a formula of a few lines.

The model answers with its number w whatever the input, and the loss is (w - y)^2. All targets of a split
are equal. So the gradient is 2 (w - y), whatever the batches are, and every figure of a run (losses, rates,
norms, averages, the best weights, where it stops) is known without the library.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from thalweg.problem.data.data import Data
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows
from thalweg.problem.problem import Problem

# Targets of each split: on the way from 0 to the training target the model passes that of the validation.
TRAIN, VALIDATION, TEST = 1.0, 0.7, 0.25
# Mean and unit of the target, in which it is reported.
MEAN, UNIT = 2.0, 3.0
# Updates between two evaluations: an epoch of 100 rows in batches of two.
EPOCH = 50
RATE = 0.006


class Number(eqx.Module):
    """w, whatever the input, unless the input is not a number."""

    w: Array

    def __call__(self, x: Array) -> Array:
        return self.w + 0 * x


def rows_of(target: float, count: int = 100) -> Rows:
    """Return rows with one target."""
    return Rows(np.zeros((count, 1), np.float32), np.full((count, 1), target, np.float32))


def problem(train: Rows | None = None, loss: Any = None, metric: Any = None) -> Problem:
    """Return the problem; `train` are other training rows, `loss` and `metric` others than usual."""
    splits = (train or rows_of(TRAIN), rows_of(VALIDATION), rows_of(TEST))
    columns = ArrayInputs.fit(np.zeros((2, 1), np.float32), standardise=False)
    preparation = Preparation(columns, target_mean=(MEAN,), target_scale=(UNIT,))
    data = Data("number", "regression", *splits, preparation=preparation, fingerprint="number")
    return Problem(Number(jnp.zeros(1)), data, loss=loss, metric=metric)


def path(steps: int, rate: Callable[[int], float], target: float = TRAIN) -> np.ndarray:
    """Return w before each update of plain gradient descent, and after the last: `steps + 1` numbers.

    Args:
        steps: Updates.
        rate: The rate of update t = 0, 1, ...
        target: The training target.
    """
    w = [0.0]
    for t in range(steps):
        w.append(w[-1] - rate(t) * 2 * (w[-1] - target))
    return np.array(w)
