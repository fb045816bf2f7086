"""Healthy programs: tasks, networks and losses as users write them, from which faults are planted.

A `Setup` says how a program is made: task, network, loss, recipe. Faults replace parts of it (`faults`). Half
of the programs have modules of their own, and losses of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from sklearn import datasets

import thalweg as tw

CLASSES, BINARY, VALUES = "classes", "binary", "values"


class Net(eqx.Module):
    """Affine maps with activations between them, a function at the end, and maybe a part before them."""

    stem: Any
    layers: list
    norms: list
    drop: Any
    act: Callable = eqx.field(static=True)
    out: Callable = eqx.field(static=True)

    def __init__(self, setup: "Setup", key: Any):
        keys = jax.random.split(key, len(setup.sizes))
        made = [eqx.nn.Linear(*pair, key=k) for pair, k in zip(pairwise(setup.sizes), keys, strict=False)]

        def changed(leaf: Any) -> Any:
            if not eqx.is_inexact_array(leaf):
                return leaf
            return leaf * setup.gain + (setup.bias if leaf.ndim == 1 else 0.0)

        self.layers = jax.tree.map(changed, made)
        stem = None if setup.stem is None else setup.stem(jax.random.fold_in(key, 1), setup.act)
        self.stem = jax.tree.map(changed, stem)
        self.norms = [eqx.nn.LayerNorm(width) for width in setup.sizes[1:-1]] if setup.norm else []
        self.drop = eqx.nn.Dropout(setup.dropout) if setup.dropout else None
        self.act, self.out = setup.act, setup.out

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Return the outputs of one example."""
        x = jnp.ravel(x) if self.stem is None else self.stem(x)
        for at, layer in enumerate(self.layers[:-1]):
            x = layer(x)
            x = self.act(self.norms[at](x) if self.norms else x)
            if self.drop is not None:
                x = self.drop(
                    x, key=None if key is None else jax.random.fold_in(key, at), inference=key is None
                )
        return self.out(self.layers[-1](x))


@dataclass(frozen=True)
class Setup:
    """How a program is made.

    Args:
        task: Name of the task; `kind`, `x`, `y` are its data.
        sizes: Widths of the affine layers.
        stem: `(key, act) -> module`, which turns an example into the first of these widths; None: as it is.
        unfit: Causes that make no sense here, or no difference.
        act, out: Functions between and after the layers.
        gain, bias: Initial numbers are multiplied by the first; biases are shifted by the second.
        norm, dropout: Layer norm, and share of dropped units.
        loss: `(outputs, targets)` of a batch -> mean loss.
        recipe: The recipe.
        validation: Share of the rows held out.
        held: Changes the inputs of validation rows.
    """

    task: str
    kind: str
    x: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)
    sizes: tuple[int, ...]
    act: Callable
    out: Callable
    loss: Callable
    recipe: tw.Recipe
    gain: float = 1.0
    bias: float = 0.0
    norm: bool = False
    dropout: float = 0.0
    validation: float = 0.2
    stem: Callable | None = None
    unfit: tuple[str, ...] = ()

    def program(self) -> tuple[tw.Problem, tw.Recipe]:
        """Return the problem, as an objective over raw arrays, and the recipe."""
        loss, noisy = self.loss, self.dropout > 0

        def objective(model: Any, batch: Any, key: Any) -> Any:
            if noisy:
                outputs = jax.vmap(model)(batch["x"], key=jax.random.split(key, len(batch["y"])))
            else:
                outputs = jax.vmap(model)(batch["x"])
            return loss(outputs, batch["y"])

        data = tw.examples({"x": self.x, "y": self.y}, validation=self.validation, test=0.0, name=self.task)
        return tw.Problem(lambda key: Net(self, key), data, objective=objective), self.recipe

    def changed(self, **changes: Any) -> "Setup":
        """Return a setup with other parts."""
        return replace(self, **changes)


def log_loss(p: Any, y: Any) -> Any:
    """Cross-entropy of probabilities of the second class, by hand."""
    p = p.reshape(len(y))
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


def class_loss(p: Any, y: Any) -> Any:
    """Cross-entropy of probabilities, by hand."""
    return -jnp.mean(jnp.log(p[jnp.arange(len(y)), y.astype(int)]))


def logit_loss(z: Any, y: Any) -> Any:
    """Cross-entropy of logits."""
    return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(y)), y.astype(int)])


def binary_logit_loss(z: Any, y: Any) -> Any:
    """Binary cross-entropy of logits."""
    z = z.reshape(len(y))
    return jnp.mean(jax.nn.softplus(z) - y * z)


def squared(z: Any, y: Any) -> Any:
    """Mean squared error."""
    return jnp.mean((z.reshape(len(y)) - y) ** 2)


def identity(z: Any) -> Any:
    """Return z."""
    return z


def tasks(seed: int = 0) -> dict[str, Setup]:
    """Return the healthy setups by name."""
    random = np.random.default_rng(seed)
    adam = tw.Recipe(tw.Adam(lr=5e-3), batch_size=32, epochs=30)
    plane = random.normal(size=(500, 2)).astype(np.float32)
    angle, radius = random.uniform(0, 2 * np.pi, 500), random.choice([0.5, 1.5], 500)
    rings = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) + random.normal(
        0, 0.1, (500, 2)
    )
    centres, group = 2 * random.normal(size=(5, 6)), random.integers(0, 5, 600)
    blobs = (centres[group] + random.normal(size=(600, 6))).astype(np.float32)
    waves = random.normal(size=(600, 3)).astype(np.float32)
    series = np.cumsum(random.normal(size=700)) * 0.05 + np.sin(np.arange(700) / 5)
    windows = np.lib.stride_tricks.sliding_window_view(series, 13).astype(np.float32)
    digits, cancer, diabetes = datasets.load_digits(), datasets.load_breast_cancer(), datasets.load_diabetes()
    two = {"act": jnp.tanh, "out": jax.nn.sigmoid, "loss": log_loss, "recipe": adam}
    many = {"act": jax.nn.relu, "out": identity, "loss": logit_loss, "recipe": adam}
    real = {"act": jax.nn.relu, "out": identity, "loss": squared, "recipe": adam}
    sign = (plane[:, 0] * plane[:, 1] > 0).astype(np.float32)
    found = [
        Setup("crossed", BINARY, plane, sign, (2, 16, 16, 1), **two),
        Setup("rings", BINARY, rings.astype(np.float32), (radius > 1).astype(np.float32), (2, 16, 1), **two),
        Setup("cancer", BINARY, _unit(cancer.data), cancer.target.astype(np.float32), (30, 16, 1), **two),
        Setup("blobs", CLASSES, blobs, group.astype(np.int32), (6, 32, 5), **many),
        Setup(
            "digits",
            CLASSES,
            (digits.data / 16).astype(np.float32)[:900],
            digits.target.astype(np.int32)[:900],
            (64, 48, 10),
            **many,
        ),
        Setup(
            "waves",
            VALUES,
            waves,
            (np.sin(2 * waves[:, 0]) + waves[:, 1] * waves[:, 2]),
            (3, 48, 48, 1),
            **real,
        ),
        Setup("series", VALUES, _unit(windows[:, :-1]), _unit(windows[:, -1:])[:, 0], (12, 32, 1), **real),
        Setup(
            "diabetes",
            VALUES,
            _unit(diabetes.data),
            _unit(diabetes.target[:, None])[:, 0],
            (10, 16, 1),
            **real,
        ),
    ]
    return {
        setup.task: setup.changed(y=setup.y.astype(np.float32) if setup.kind == VALUES else setup.y)
        for setup in found
    }


def _unit(values: np.ndarray) -> np.ndarray:
    return ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32)
