"""Lanczos against dense eigenvalues of planted matrices: values, bounds, quadrature."""

import numpy as np
import pytest

from thalweg.insight.landscape.lanczos import lanczos, largest_settled, signs


def planted(values, seed=0):
    random = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(random.normal(size=(len(values), len(values))))
    return axes @ np.diag(values) @ axes.T


SPECTRUM = np.concatenate([[10.0, 8.0, 7.9, 5.0], np.linspace(-1, 1, 196)])


@pytest.fixture(scope="module")
def matrix():
    return planted(SPECTRUM)


def test_the_largest_eigenvalues_and_their_bounds(matrix):
    start = np.random.default_rng(1).normal(size=200)
    found = lanczos(lambda v: matrix @ v, start, 60)
    np.testing.assert_allclose(found.values[::-1][:4], [10.0, 8.0, 7.9, 5.0], rtol=1e-6)
    nearest = np.abs(found.values[:, None] - SPECTRUM).min(axis=1)
    assert (nearest <= found.bounds + 1e-9).all()
    np.testing.assert_allclose(matrix @ found.top, 10.0 * found.top, atol=1e-5)


def test_it_stops_when_settled_and_when_the_space_is_exhausted(matrix):
    start = np.random.default_rng(1).normal(size=200)
    early = lanczos(lambda v: matrix @ v, start, 200, largest_settled)
    assert early.products < 30 and abs(early.values[-1] - 10.0) <= 0.05
    vector = np.linalg.eigh(matrix)[1][:, -1]
    assert lanczos(lambda v: matrix @ v, vector, 200).products == 1


def test_the_quadrature_gives_traces_of_functions(matrix):
    random = np.random.default_rng(2)
    probes = [lanczos(lambda v: matrix @ v, signs(random, 200), 40) for _ in range(30)]
    for function in (lambda x: x, lambda x: x**2, np.exp):
        estimates = [200 * (probe.weights @ function(probe.values)) for probe in probes]
        error = 3 * np.std(estimates) / np.sqrt(len(estimates))
        assert abs(np.mean(estimates) - function(SPECTRUM).sum()) <= error
