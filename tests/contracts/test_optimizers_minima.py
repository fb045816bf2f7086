"""Every rule reaches the minimum of a quadratic, of Rosenbrock's valley and of logistic regression.

Tolerances follow from the gap f - f* that is allowed, and from strong convexity: |w - w*|^2 <= 2 gap / m.
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from tests.contracts.minima import PENALTY, PROBLEMS, Training, solution, trained
from tests.contracts.rows import MINIMA
from thalweg.recipe.optimizers import OPTIMIZERS, SAM

# Rosenbrock's valley is flat: the smallest curvature at its minimum is 0.4, but the path there is long. Rules
# that only ever shrink their step arrive within 1e-3, which is a distance of 0.07. The others are all convex
# and well conditioned; 1e-8 is an error of 1.4e-3 in the least determined coefficient of the logistic
# regression (m = 0.01).
ALLOWED_GAP = {"quadratic": 1e-8, "rosenbrock": 1e-3, "logistic": 1e-8}


def optimizer_of(name: str, training: Training, problem: str) -> Any:
    rule = SAM(**training.numbers) if name == "sam" else OPTIMIZERS[name](**(training.numbers or {}))
    if not rule.rates:
        return rule
    rate = getattr(training, problem)

    def rates(tree: Any) -> list:
        return [tree.base.lr] if name == "sam" else [getattr(tree, field) for field in tree.rates]

    return eqx.tree_at(rates, rule, [rate] * len(rule.rates))


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_reaches_the_minimum(name, problem):
    training, task = MINIMA[name], PROBLEMS[problem]()
    steps = training.valley_steps if problem == "rosenbrock" else training.steps
    weights = trained(optimizer_of(name, training, problem), task, steps, training.schedule)
    with jax.enable_x64(True):
        gap = float(task.loss(weights)) - task.least
        first = float(task.loss(task.start)) - task.least
    assert gap < ALLOWED_GAP[problem]
    assert first > 100 * ALLOWED_GAP[problem], "the start must be far from the minimum"
    if problem == "logistic":
        allowed = np.sqrt(2 * ALLOWED_GAP[problem] / PENALTY)
        assert np.linalg.norm(weights["matrix"] - solution().coef_) < allowed
