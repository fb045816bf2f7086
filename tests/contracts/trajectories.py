"""One trajectory for every rule: 200 steps with noisy gradients and a varying learning rate, in float64.

The loss is `sum c/2 (w-a)^2 + d/4 (w-a)^4 + noise_t . w`, so its gradient is one line of NumPy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from thalweg.recipe.optimizers import Optimizer

STEPS = 200
SHAPES = {"matrix": (4, 3), "kernel": (3, 2, 2, 1), "embedding": (2, 3), "bias": (4,), "scale": (3,)}
SQUARE = {"matrix": (4, 4), "bias": (4,)}
ROLES = {name: name for name in SHAPES}
# Arrays that weight decay applies to.
WEIGHTS = ("matrix", "kernel", "embedding")


def roles_of(shapes: dict) -> dict:
    return {name: ROLES[name] for name in shapes}


def start(shapes: dict) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {name: random.normal(size=shape) for name, shape in shapes.items()}


class Landscape:
    """The loss in JAX, and its gradient written separately in NumPy."""

    def __init__(self, shapes: dict, noise: float = 0.3) -> None:
        random = np.random.default_rng(2)
        self.curvature = {name: random.uniform(0.5, 3.0, shape) for name, shape in shapes.items()}
        self.minimum = {name: random.normal(size=shape) for name, shape in shapes.items()}
        self.noise = {name: noise * random.normal(size=(STEPS, *shape)) for name, shape in shapes.items()}

    def loss(self, params: Any, t: Any) -> Any:
        total = 0.0
        for name, w in params.items():
            away = w - self.minimum[name]
            total += (self.curvature[name] * away**2 / 2 + 0.05 * away**4).sum()
            total += (jnp.asarray(self.noise[name])[t] * w).sum()
        return total

    def value(self, params: dict[str, np.ndarray]) -> float:
        """The loss without noise, in NumPy."""
        away = {name: w - self.minimum[name] for name, w in params.items()}
        return sum((self.curvature[n] * d**2 / 2 + 0.05 * d**4).sum() for n, d in away.items())

    def gradient(self, params: dict[str, np.ndarray], t: int) -> dict[str, np.ndarray]:
        away = {name: w - self.minimum[name] for name, w in params.items()}
        return {n: self.curvature[n] * d + 0.2 * d**3 + self.noise[n][t] for n, d in away.items()}


def factor(t: int) -> float:
    """The factor of the learning rate. It varies, because conventions of momentum differ only then."""
    return (1 + 0.5 * np.sin(t / 7)) / (1 + 0.01 * t)


def ours(
    optimizer: Any, landscape: Landscape, shapes: dict, steps: int = STEPS
) -> list[dict[str, np.ndarray]]:
    """Return the parameters after every step of our rule, and at the end the evaluated ones."""
    roles = roles_of(shapes)
    factors = jnp.asarray([factor(t) for t in range(steps)])

    def advance(optimizer: Any, carry: Any, t: Any) -> Any:
        params, state = carry
        loss_of = lambda p: landscape.loss(p, t)  # noqa: E731
        loss, grads = jax.value_and_grad(loss_of)(params)
        rule = optimizer.scaled(factors[t]).transform(roles)
        updates, state = rule.update(grads, state, params, value=loss, grad=grads, value_fn=loss_of)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    @jax.jit
    def run(optimizer: Any, params: Any) -> Any:
        state = optimizer.transform(roles).init(params)
        (params, state), path = jax.lax.scan(partial(advance, optimizer), (params, state), jnp.arange(steps))
        return path, optimizer.evaluated(state, params)

    traced = jax.tree.map(jnp.float64, optimizer)  # as in a run, numbers are inputs of the program
    path, evaluated = run(traced, {name: jnp.asarray(w) for name, w in start(shapes).items()})
    walked = [{name: np.asarray(leaf[t]) for name, leaf in path.items()} for t in range(steps)]
    return [*walked, {name: np.asarray(leaf) for name, leaf in evaluated.items()}]


def published(step: Callable, landscape: Landscape, shapes: dict) -> list[dict[str, np.ndarray]]:
    """Return the same of a reference: `step(params, grads, t, factor, memory) -> params`.

    The reference may store the evaluated parameters in `memory["evaluated"]`.
    """
    params, memory = start(shapes), {}
    path = []
    for t in range(STEPS):
        memory["gradient_at"] = lambda p, t=t: landscape.gradient(p, t)
        params = step(params, landscape.gradient(params, t), t, factor(t), memory)
        path.append(params)
    return [*path, memory.get("evaluated", params)]


def relative_error(ours_path: list, reference_path: list) -> float:
    """Largest difference of any weight at any step, relative to the largest weight of its array."""
    errors = []
    for mine, theirs in zip(ours_path, reference_path, strict=True):
        for name in theirs:
            scale = np.abs(theirs[name]).max()
            errors.append(np.abs(mine[name] - theirs[name]).max() / scale)
    return float(np.max(errors))  # NaN where any is


@dataclass(frozen=True)
class Row:
    """An optimizer under test.

    Args:
        optimizer: With unusual numbers, so that no default of 0 or 1 hides a mistake.
        reference: The published step.
        convention: Our choice where libraries differ.
        torch: Arguments of the same torch.optim rule, with its name under `rule`; None without one.
        shapes: Arrays that are trained.
    """

    optimizer: Optimizer
    reference: Callable
    convention: str
    torch: dict[str, Any] | None = None
    shapes: Any = None

    @property
    def id(self) -> str:
        options = [value for value in self.optimizer.to_dict().values() if isinstance(value, bool | str)]
        return "-".join([self.optimizer.name, *map(str, options)])


def landscape(row: Row) -> Landscape:
    return Landscape(row.shapes)


def each(equation: Callable, rate: str = "lr", decays: Any = WEIGHTS) -> Callable:
    """Make a step over all arrays from one equation; weight decay spares biases and scales."""

    def of(optimizer: Optimizer) -> Callable:
        def step(params, grads, t, factor, memory):
            lr = factor * getattr(optimizer, rate)
            return {
                name: equation(w, grads[name], memory.setdefault(name, {}), t, lr, optimizer, name in decays)
                for name, w in params.items()
            }

        return step

    return of


def schedule_free(equation: Callable) -> Callable:
    """Defazio et al. 2024: z steps from the gradient at y; x averages z by (largest rate so far)^2."""

    def of(optimizer: Any) -> Callable:
        b = optimizer.b1

        def step(params, grads, t, factor, memory):
            lr = factor * optimizer.lr
            memory["top"] = max(memory.get("top", 0.0), lr)
            memory["sum"] = memory.get("sum", 0.0) + memory["top"] ** 2
            share = memory["top"] ** 2 / memory["sum"]
            after, evaluated = {}, {}
            for name, y in params.items():
                held = memory.setdefault(name, {"z": y, "x": y})
                moved = equation(y, grads[name], held, t, lr, optimizer, name in WEIGHTS)
                held["z"] = held["z"] + (moved - y)
                held["x"] = (1 - share) * held["x"] + share * held["z"]
                after[name] = (1 - b) * held["z"] + b * held["x"]
                evaluated[name] = held["x"]
            memory["evaluated"] = evaluated
            return after

        return step

    return of
