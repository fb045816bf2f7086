"""Every rule reaches the minimum of a quadratic, of Rosenbrock's valley and of logistic regression.

Tolerances follow from the gap f - f* that is allowed, and from strong convexity: |w - w*|^2 <= 2 gap / m.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from tests.contracts.minima import PENALTY, PROBLEMS, solution, trained
from thalweg.recipe.optimizers import OPTIMIZERS, SAM, SGD
from thalweg.recipe.schedules import Constant, Cosine, Schedule, WarmupCosine

# Rosenbrock's valley is flat: the smallest curvature at its minimum is 0.4, but the way there is long, and
# rules that
# only ever shrink their step arrive within 1e-3, which is a distance of 0.07. The others are all convex and
# well
# conditioned; 1e-8 is an error of 1.4e-3 in the least determined coefficient of the logistic regression (m =
# 0.01).
ALLOWED_GAP = {"quadratic": 1e-8, "rosenbrock": 1e-3, "logistic": 1e-8}


COSINE = Cosine()


@dataclass(frozen=True)
class Way:
    """The recipe of a rule: rates for the three problems, and what else it needs."""

    quadratic: float = 1.0
    rosenbrock: float = 1.0
    logistic: float = 1.0
    numbers: Any = None
    schedule: Schedule = COSINE
    steps: int = 1500
    valley_steps: int = 10_000


WAYS = {
    "sgd": Way(0.3, 1e-3, 1.0, {"momentum": 0.9}),
    "adagrad": Way(3.0, 1.0, 3.0),
    "rmsprop": Way(0.03, 3e-3, 0.03),
    "adadelta": Way(3.0, 0.3, 3.0, steps=3000),
    "adam": Way(0.3, 0.1, 0.3),
    "adamw": Way(0.3, 0.1, 0.3, {"weight_decay": 0.0}),
    "adamax": Way(1.0, 0.3, 3.0),
    "nadam": Way(0.3, 0.1, 0.3),
    "amsgrad": Way(1.0, 1.0, 1.0),
    # Its first steps are plain momentum, with the whole gradient: they need the warmup.
    "radam": Way(0.3, 0.1, 1.0, schedule=WarmupCosine(warmup=500, unit="steps")),
    "lion": Way(0.01, 1e-3, 0.01, {"weight_decay": 0.0}),
    "lamb": Way(0.03, 0.01, 0.01, {"weight_decay": 0.0}),
    "lars": Way(0.3, 1e-3, 3.0, {"weight_decay": 0.0}),
    "adafactor": Way(0.3, 0.01, 0.3),
    "muon": Way(0.03, 3e-3, 0.03),
    "soap": Way(0.01, 3e-3, 0.01, {"weight_decay": 0.0}),
    "schedule-free-sgd": Way(1.0, 3e-3, 10.0, schedule=Constant(), valley_steps=30_000),
    "schedule-free-adamw": Way(0.1, 0.03, 0.1, schedule=Constant()),
    "prodigy": Way(1.0, 0.1, 1.0),
    "sam": Way(0.1, 1e-3, 0.3, {"base": SGD(momentum=0.9), "rho": 1e-3}),
    "gradient-descent": Way(schedule=Constant(), valley_steps=30_000),
    "l-bfgs": Way(schedule=Constant(), steps=60, valley_steps=60),
}


def optimizer_of(name: str, way: Way, problem: str) -> Any:
    rule = SAM(**way.numbers) if name == "sam" else OPTIMIZERS[name](**(way.numbers or {}))
    if not rule.rates:
        return rule
    rate = getattr(way, problem)

    def rates(tree: Any) -> list:
        return [tree.base.lr] if name == "sam" else [getattr(tree, field) for field in tree.rates]

    return eqx.tree_at(rates, rule, [rate] * len(rule.rates))


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_reaches_the_minimum(name, problem):
    way, given = WAYS[name], PROBLEMS[problem]()
    steps = way.valley_steps if problem == "rosenbrock" else way.steps
    found = trained(optimizer_of(name, way, problem), given, steps, way.schedule)
    with jax.enable_x64(True):
        gap = float(given.loss(found)) - given.least
        first = float(given.loss(given.start)) - given.least
    assert gap < ALLOWED_GAP[problem]
    assert first > 100 * ALLOWED_GAP[problem], "the start must be far from the minimum"
    if problem == "logistic":
        allowed = np.sqrt(2 * ALLOWED_GAP[problem] / PENALTY)
        assert np.linalg.norm(found["matrix"] - solution().coef_) < allowed
