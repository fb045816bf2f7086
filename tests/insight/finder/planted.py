"""Problems with trouble planted in them, for tests of the finder: a search of one takes a second."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tests import made
from thalweg.problem.data.data import Data
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD, Adam
from thalweg.recipe.recipe import Recipe

RECIPE = Recipe(Adam(lr=1e-3), batch_size=32, steps=120)
DESCENT = Recipe(SGD(lr=0.01), batch_size="full", steps=120)


def blobs(model: object = None, **changes: object) -> Problem:
    """Return the blobs, with a small network unless another model is given."""
    return Problem(model or MLP([6, 8, 3]), made.blobs(**changes))


def regression(scale: float = 1.0, count: int = 300, features: int = 4) -> Data:
    """Return a linear regression whose targets, in units of `scale`, are not standardised."""
    stream = np.random.default_rng(3)
    inputs = stream.normal(0, 1, (count, features)).astype(np.float32)
    weights = stream.normal(0, 1, (features, 1))
    targets = (scale * (inputs @ weights + 1 + 0.1 * stream.normal(0, 1, (count, 1)))).astype(np.float32)
    cut, end = int(count * 0.7), int(count * 0.85)
    parts = [Rows(inputs[a:b], targets[a:b]) for a, b in ((0, cut), (cut, end), (end, count))]
    ready = Preparation(
        columns=ArrayInputs.fit(inputs, standardise=False), target_mean=(0.0,), target_scale=(1.0,)
    )
    return Data("regression", "regression", *parts, preparation=ready, fingerprint=f"{scale}")


def with_train(data: Data, inputs: np.ndarray, targets: np.ndarray) -> Data:
    """Return data with another training part."""
    return dataclasses.replace(data, train=Rows(inputs, targets), fingerprint="planted")


def odd_first_batch() -> Problem:
    """Return blobs whose first batch, in the data's own order, is a hundred times as large as the rest."""
    data = made.blobs()
    inputs = np.array(data.train.inputs)
    inputs[:32] *= 100
    return Problem(MLP([6, 8, 3]), with_train(data, inputs, np.asarray(data.train.targets)))


def noisy_labels() -> Problem:
    """Return blobs of which a third of the training labels are drawn anew."""
    data, stream = made.blobs(), np.random.default_rng(5)
    targets = np.array(data.train.targets)
    wrong = stream.random(len(targets)) < 1 / 3
    targets[wrong] = stream.integers(0, 3, int(wrong.sum()))
    return Problem(MLP([6, 8, 3]), with_train(data, np.asarray(data.train.inputs), targets))


def with_nan() -> Problem:
    """Return blobs with a number missing in every batch: no loss is finite."""
    data = made.blobs()
    inputs = np.array(data.train.inputs)
    inputs[::4, 0] = np.nan
    return Problem(MLP([6, 8, 3]), with_train(data, inputs, np.asarray(data.train.targets)))


class Cliff(eqx.Module):
    """A line that answers NaN once its weight has left [-2, 2]: only a rate too large meets it."""

    weight: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        safe = jnp.abs(self.weight) < 2.0
        return jnp.where(safe, self.weight, jnp.nan) * x


def cliff() -> Problem:
    """Return a line with a slope of 1 to learn by `Cliff`, beginning at 0."""
    return Problem(lambda key: Cliff(jnp.zeros(1)), straight())


class Blocked(eqx.Module):
    """A network whose answer lets no gradient through."""

    mlp: eqx.nn.MLP

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.lax.stop_gradient(self.mlp(x))


def blocked() -> Problem:
    """Return blobs with a model that has no gradient."""
    return Problem(lambda key: Blocked(eqx.nn.MLP(6, 3, 8, 1, key=key)), made.blobs())


def constant_loss() -> Problem:
    """Return blobs with a loss that is one whatever is answered."""

    def one(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.ones(targets.shape[0]) + 0.0 * outputs.sum(-1)

    return Problem(MLP([6, 8, 3]), made.blobs(), loss=one, outputs="logits")


class Solved(eqx.Module):
    """A line that begins where the answer is."""

    weight: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.weight * x


def solved() -> Problem:
    """Return noise to be learned by a model that begins at the best: every step only adds noise."""
    stream = np.random.default_rng(4)
    inputs = stream.normal(0, 1, (400, 1)).astype(np.float32)
    targets = stream.normal(0, 1, (400, 1)).astype(np.float32)
    targets -= inputs * (inputs * targets).sum() / (inputs**2).sum()
    # All three parts alike, so that the best of one is the best of all.
    part = Rows(inputs, targets)
    ready = Preparation(
        columns=ArrayInputs.fit(inputs, standardise=False), target_mean=(0.0,), target_scale=(1.0,)
    )
    data = Data("solved", "regression", part, part, part, preparation=ready, fingerprint="solved")
    return Problem(lambda key: Solved(jnp.zeros(1)), data)


def explosive() -> Problem:
    """Return a line whose loss is so steep that every rate above 1e-20 diverges."""

    def steep(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return 1e15 * ((outputs - targets) ** 2).sum(-1)

    return Problem(lambda key: Solved(jnp.zeros(1)), straight(), loss=steep)


def straight() -> Data:
    """Return y = x."""
    stream = np.random.default_rng(2)
    inputs = stream.normal(0, 1, (200, 1)).astype(np.float32)
    parts = [Rows(inputs[a:b], inputs[a:b]) for a, b in ((0, 140), (140, 170), (170, 200))]
    ready = Preparation(
        columns=ArrayInputs.fit(inputs, standardise=False), target_mean=(0.0,), target_scale=(1.0,)
    )
    return Data("line", "regression", *parts, preparation=ready, fingerprint="line-1")
