"""What a watched training shows to rules: losses, gradients, updates, activations, outputs, step by step.

A plain loop in JAX over a `Setup`, as a callback of a framework would see it. Rules that only look
(`rules`) all judge the same trace.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.doctor.programs import Net, Setup
from thalweg.core.tree import roles
from thalweg.insight.doctor.anatomy import Anatomy, opened
from thalweg.recipe import gradient
from thalweg.recipe.schedules.schedule import Clock

# Rows over which activations are looked at.
PROBED = 128


@dataclass(frozen=True)
class Trace:
    """A training, watched. Steps count from 0; before each epoch and after the last it is evaluated.

    Args:
        setup: The program.
        anatomy: Its problem, opened: rows of both splits.
        per_epoch: Steps in an epoch.
        loss: Loss of each step's batch, `step`.
        size: Mean of absolute values of the gradient of each parameter, `step parameter`.
        norm: Norm of it, `step parameter`.
        spread: Distance between its 5th and its 95th percentile, `step parameter`.
        zero: Share of zeros in the whole gradient, `step`.
        update: Norm of the update over that of the parameter, `step parameter`.
        matrices: Which of the parameters are weights and not biases, `parameter`.
        train_loss, held_loss: Loss of all rows of a split, `evaluation`.
        train_score, held_score: The metric (more is better), `evaluation`.
        hidden: What enters the activation of each hidden layer, by evaluation: `row unit`.
    """

    setup: Setup
    anatomy: Anatomy
    per_epoch: int
    loss: np.ndarray
    size: np.ndarray
    norm: np.ndarray
    spread: np.ndarray
    zero: np.ndarray
    update: np.ndarray
    matrices: np.ndarray
    train_loss: np.ndarray
    held_loss: np.ndarray
    train_score: np.ndarray
    held_score: np.ndarray
    hidden: list[list[np.ndarray]]

    @property
    def score(self) -> float:
        """The metric on validation rows at the end."""
        return float(self.held_score[-1])


def traced(setup: Setup, seed: int = 0) -> Trace:
    """Train a program with one seed and record what is seen of it."""
    problem, recipe = setup.program()
    anatomy = opened(problem, recipe)
    split = problem.data.train
    count = split.count()
    size = count if recipe.batch_size == "full" else min(int(recipe.batch_size), count)
    per_epoch, epochs = count // size, recipe.epochs or 1
    params, fixed = eqx.partition(Net(setup, jax.random.key(seed)), eqx.is_inexact_array)
    run = _Run(setup, recipe, problem.objective, split, fixed, per_epoch, epochs)
    state = recipe.update_rule(roles(params)).init(params)
    random, steps, seen = np.random.default_rng(seed), [], [run.evaluated(params, anatomy)]
    for epoch in range(epochs):
        order = np.arange(count) if recipe.shuffle == "none" else random.permutation(count)
        rows = order[: per_epoch * size].reshape(per_epoch, size)
        params, state, each = run.epoch(params, state, rows, epoch * per_epoch, jax.random.key(seed + 1))
        steps.append(each)
        seen.append(run.evaluated(params, anatomy))
    taken = {name: np.concatenate([each[name] for each in steps]) for name in steps[0]}
    matrices = np.array([leaf.ndim > 1 for leaf in jax.tree.leaves(params)])
    names = ("train_loss", "held_loss", "train_score", "held_score")
    evaluated = {name: np.array([each[name] for each in seen]) for name in names}
    hidden = [each["hidden"] for each in seen]
    return Trace(setup, anatomy, per_epoch, matrices=matrices, hidden=hidden, **taken, **evaluated)


class _Run:
    """The compiled parts of a training."""

    def __init__(
        self, setup: Setup, recipe: Any, objective: Any, split: Any, fixed: Any, per_epoch: int, epochs: int
    ):
        self._setup, self._recipe, self._fixed, self._split = setup, recipe, fixed, split
        self._objective, self._per_epoch, self._total = objective, per_epoch, per_epoch * epochs
        self._epoch: Callable = jax.jit(self._steps)
        self._outputs: Callable = jax.jit(self._passed)

    def epoch(self, params: Any, state: Any, rows: Any, first: int, key: Any) -> tuple[Any, Any, dict]:
        """Return parameters and state after an epoch, and what was seen at each of its steps."""
        params, state, seen = self._epoch(params, state, rows, first, key)
        return params, state, {name: np.asarray(value) for name, value in seen.items()}

    def evaluated(self, params: Any, anatomy: Anatomy) -> dict[str, Any]:
        """Return losses and scores of both splits, and what enters the activations."""
        found: dict[str, Any] = {}
        for name, rows in (("train", anatomy.train), ("held", anatomy.held or anatomy.train)):
            loss, outputs, hidden = self._outputs(params, rows.inputs)
            found[f"{name}_loss"] = float(loss)
            passed: Any = SimpleNamespace(loss=loss, outputs=outputs)
            found[f"{name}_score"] = anatomy.scored(passed, rows)
            if name == "train":
                found["hidden"] = [np.asarray(each) for each in hidden]
        return found

    def _steps(self, params: Any, state: Any, rows: Any, first: Any, key: Any) -> Any:
        all_roles = roles(params)

        def step(carried: Any, given: Any) -> Any:
            params, state = carried
            at, chosen = given
            batch, _ = self._split.batch(chosen)
            noise = jax.random.fold_in(key, at)
            loss, grads = jax.value_and_grad(self._loss)(params, batch, noise)
            clipped, _ = gradient.process(grads, params, self._recipe, key=noise, step=at)
            clock = Clock(jnp.float32(at), jnp.float32(self._total), jnp.float32(self._per_epoch))
            rule = self._recipe.update_rule(all_roles, self._recipe.schedule.factor(clock))
            updates, state = rule.update(clipped, state, params, value=loss, grad=clipped)
            seen = _seen(loss, grads, updates, params)
            return (optax.apply_updates(params, updates), state), seen

        steps = first + jnp.arange(self._per_epoch)
        (params, state), seen = jax.lax.scan(step, (params, state), (steps, rows))
        return params, state, seen

    def _loss(self, params: Any, batch: Any, key: Any) -> Any:
        return self._objective.function(eqx.combine(params, self._fixed), batch, key)

    def _passed(self, params: Any, batch: Any) -> Any:
        model = eqx.nn.inference_mode(eqx.combine(params, self._fixed))
        outputs, hidden = jax.vmap(lambda x: _forward(model, x))(batch["x"])
        return self._setup.loss(outputs, batch["y"]), outputs, [each[:PROBED] for each in hidden]


def _forward(model: Net, x: Any) -> tuple[Any, list]:
    """Return the outputs of an example without dropout, and what enters each activation."""
    x, entering = jnp.ravel(x) if model.stem is None else model.stem(x), []
    for at, layer in enumerate(model.layers[:-1]):
        x = layer(x)
        entering.append(model.norms[at](x) if model.norms else x)
        x = model.act(entering[-1])
    return model.out(model.layers[-1](x)), entering


def _seen(loss: Any, grads: Any, updates: Any, params: Any) -> dict[str, Any]:
    leaves, changes, weights = (jax.tree.leaves(tree) for tree in (grads, updates, params))
    quantiles = [jnp.percentile(leaf, jnp.array([5.0, 95.0])) for leaf in leaves]
    total = sum(leaf.size for leaf in leaves)
    return {
        "loss": loss,
        "size": jnp.stack([jnp.abs(leaf).mean() for leaf in leaves]),
        "norm": jnp.stack([jnp.linalg.norm(leaf) for leaf in leaves]),
        "spread": jnp.stack([high - low for low, high in quantiles]),
        "zero": sum(jnp.sum(leaf == 0) for leaf in leaves) / total,
        "update": jnp.stack(
            [
                jnp.linalg.norm(change) / (jnp.linalg.norm(weight) + 1e-9)
                for change, weight in zip(changes, weights, strict=True)
            ]
        ),
    }
