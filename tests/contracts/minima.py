"""Three problems with a known minimum: quadratic, Rosenbrock's valley, regularised logistic regression."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from thalweg.recipe.schedules import Clock, Cosine, Schedule

PENALTY = 0.01
COSINE = Cosine()


@dataclass(frozen=True)
class Problem:
    """A loss over named arrays, its start, and its minimum value."""

    loss: Callable
    start: dict[str, np.ndarray]
    least: float


@dataclass(frozen=True)
class Training:
    """How an optimizer reaches the known minima: its rate for each problem, and other settings."""

    quadratic: float = 1.0
    rosenbrock: float = 1.0
    logistic: float = 1.0
    numbers: Any = None
    schedule: Schedule = COSINE
    steps: int = 1500
    valley_steps: int = 10_000


@cache
def quadratic() -> Problem:
    random = np.random.default_rng(3)
    shapes = {"matrix": (3, 4), "bias": (4,)}
    curvature = {name: random.uniform(0.3, 3.0, shape) for name, shape in shapes.items()}
    minimum = {name: random.normal(size=shape) for name, shape in shapes.items()}

    def loss(params: Any) -> Any:
        return sum((curvature[name] * (w - minimum[name]) ** 2).sum() / 2 for name, w in params.items())

    return Problem(loss, {name: random.normal(size=shape) for name, shape in shapes.items()}, 0.0)


@cache
def rosenbrock() -> Problem:
    def loss(params: Any) -> Any:
        x, y = params["bias"]
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    return Problem(loss, {"bias": np.array([-1.2, 1.0])}, 0.0)


@cache
def iris() -> tuple[np.ndarray, np.ndarray]:
    features, classes = load_iris(return_X_y=True)
    return (features - features.mean(0)) / features.std(0), classes


@cache
def solution() -> LogisticRegression:
    features, classes = iris()
    model = LogisticRegression(C=1 / (PENALTY * len(classes)), tol=1e-12, max_iter=10_000)
    return model.fit(features, classes)


@cache
def logistic() -> Problem:
    features, classes = iris()

    def loss(params: Any) -> Any:
        logits = features @ params["matrix"].T + params["bias"]
        picked = jnp.take_along_axis(logits, classes[:, None], axis=1)[:, 0]
        misfit = (jax.nn.logsumexp(logits, axis=1) - picked).mean()
        return misfit + PENALTY / 2 * (params["matrix"] ** 2).sum()

    model = solution()
    with jax.enable_x64(True):
        least = float(loss({"matrix": jnp.asarray(model.coef_), "bias": jnp.asarray(model.intercept_)}))
    # Zero would be a saddle point for rules that scale by the weights.
    random = np.random.default_rng(4)
    return Problem(loss, {"matrix": 0.1 * random.normal(size=(3, 4)), "bias": np.full(3, 0.1)}, least)


PROBLEMS = {"quadratic": quadratic, "rosenbrock": rosenbrock, "logistic": logistic}


def trained(
    optimizer: Any, problem: Problem, steps: int, schedule: Schedule | None = None
) -> dict[str, np.ndarray]:
    """Return the weights to evaluate after `steps` steps on the whole problem."""
    schedule = COSINE if schedule is None else schedule
    roles = {name: name for name in problem.start}

    def advance(optimizer: Any, carry: Any, t: Any) -> Any:
        params, state = carry
        loss, grads = jax.value_and_grad(problem.loss)(params)
        at = Clock(t.astype(float), jnp.asarray(float(steps)), jnp.asarray(1.0))
        rule = optimizer.scaled(schedule.factor(at)).transform(roles)
        updates, state = rule.update(grads, state, params, value=loss, grad=grads, value_fn=problem.loss)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    def run(optimizer: Any, params: Any) -> Any:
        state = optimizer.transform(roles).init(params)
        (params, state), _ = jax.lax.scan(partial(advance, optimizer), (params, state), jnp.arange(steps))
        return optimizer.evaluated(state, params)

    with jax.enable_x64(True):
        weights = run(
            jax.tree.map(jnp.float64, optimizer), {n: jnp.asarray(w) for n, w in problem.start.items()}
        )
        return {name: np.asarray(w) for name, w in weights.items()}
