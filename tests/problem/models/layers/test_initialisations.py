"""Initial weights have the variance and the shape of their papers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.problem.models.layers.convolution import Convolution
from thalweg.problem.models.layers.initialisations import ALIASES, INITIALISATIONS, Fans, initialisation
from thalweg.problem.models.layers.linear import Linear

IN, OUT = 300, 200
VARIANCES = {
    "he_normal": 2 / IN,
    "he_uniform": 2 / IN,
    "glorot_normal": 2 / (IN + OUT),
    "glorot_uniform": 2 / (IN + OUT),
    "lecun_normal": 1 / IN,
    "lecun_uniform": 1 / IN,
    "normal": 0.02**2,
    "normal(0.3)": 0.3**2,
    "truncated(0.3)": 0.3**2 * (1 - 4 * 0.0539909665 / 0.9544997361),
    "constant(0.0)": 0.0,
    "torch": 1 / (3 * IN),
    "orthogonal": 1 / IN,
    "zeros": 0.0,
}


def test_every_initialisation_has_a_row():
    assert set(INITIALISATIONS) <= set(VARIANCES)
    assert set(ALIASES.values()) <= set(INITIALISATIONS)


@pytest.mark.parametrize("name", VARIANCES)
def test_variance_and_mean(name):
    weights = np.asarray(initialisation(name).sample(jax.random.key(0), (OUT, IN), Fans(IN, OUT)), np.float64)
    # 60,000 draws: the standard deviation of a sample variance is var sqrt(2/n) for a normal, less for a
    # uniform.
    margin = 5 * math.sqrt(2 / weights.size)
    assert weights.var() == pytest.approx(VARIANCES[name], rel=margin)
    assert abs(weights.mean()) <= 5 * math.sqrt(VARIANCES[name] / weights.size)
    if name.endswith("uniform") or name == "torch":
        assert np.abs(weights).max() <= math.sqrt(3 * VARIANCES[name])
    elif name.startswith(("he", "glorot", "lecun", "normal")):
        assert np.abs(weights).max() > 3 * math.sqrt(VARIANCES[name])


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (8, 3, 3, 4), (40, 1, 1, 4)])
def test_orthogonal_weights_have_orthonormal_rows_or_columns(shape):
    weights = initialisation("orthogonal").sample(jax.random.key(0), shape, Fans(1, 1))
    flat = np.asarray(weights).reshape(shape[0], -1)
    gram = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)


def test_only_torch_draws_biases():
    key = jax.random.key(0)
    assert not np.any(Linear(9, 50, key=key).bias)
    weights = np.asarray(Linear(9, 50, key=key, start="torch").bias)
    assert 0.25 < np.abs(weights).max() <= 1 / 3


def test_the_fan_in_of_a_kernel_includes_its_area():
    weight = np.asarray(Convolution((32, 64), 3, key=jax.random.key(0)).weight)
    assert weight.shape == (64, 3, 3, 32)
    assert weight.var() == pytest.approx(2 / (9 * 32), rel=5 * math.sqrt(2 / weight.size))


def test_the_dtype_follows_the_precision():
    with jax.enable_x64(True):
        layer = Linear(3, 2, key=jax.random.key(0))
        assert {leaf.dtype for leaf in jax.tree.leaves(layer)} == {jnp.dtype(jnp.float64)}
