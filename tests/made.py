"""Small problems generated from a seed, for tests of the engine and of runs; each takes milliseconds."""

import equinox as eqx
import jax
import numpy as np

from thalweg.problem.data.data import Data
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows
from thalweg.problem.problem import Problem


def blobs(count: int = 300, features: int = 6, classes: int = 3, seed: int = 0) -> Data:
    """Return Gaussian blobs: a classification that a small network learns in seconds."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count).astype(np.int32)
    centres = rng.normal(0, 2, (classes, features))
    inputs = (centres[labels] + rng.normal(0, 1, (count, features))).astype(np.float32)
    cut, end = int(count * 0.7), int(count * 0.85)
    splits = [Rows(inputs[a:b], labels[a:b]) for a, b in ((0, cut), (cut, end), (end, count))]
    preparation = Preparation(
        columns=ArrayInputs.fit(inputs, standardise=False), classes=tuple(range(classes))
    )
    return Data("blobs", "classification", *splits, preparation=preparation, fingerprint=f"{count}-{seed}")


def line(count: int = 200, noise: float = 0.1) -> Data:
    """Return y = 3 x + 2 with noise: a regression with a standardised target."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(0, 1, (count, 1)).astype(np.float32)
    raw = 3 * inputs + 2 + rng.normal(0, noise, (count, 1))
    mean, scale = raw.mean(), raw.std()
    targets = ((raw - mean) / scale).astype(np.float32)
    cut, end = int(count * 0.7), int(count * 0.85)
    splits = [Rows(inputs[a:b], targets[a:b]) for a, b in ((0, cut), (cut, end), (end, count))]
    preparation = Preparation(
        columns=ArrayInputs.fit(inputs, standardise=False),
        target_mean=(float(mean),),
        target_scale=(float(scale),),
    )
    return Data("line", "regression", *splits, preparation=preparation, fingerprint="line")


class Net(eqx.Module):
    """A small Equinox module, as a user would write it."""

    mlp: eqx.nn.MLP

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.mlp(x)


def net(key: jax.Array) -> Net:
    """Return a 6-8-3 network."""
    return Net(eqx.nn.MLP(6, 3, 8, 1, key=key))


def problem() -> Problem:
    """Return the problem of the blobs and the small network."""
    return Problem(net, blobs())
