"""Planes: filter norms, principal components of a planted path, three points; and what spans no plane."""

import equinox as eqx
import jax
import numpy as np
import pytest

import thalweg as tw
from thalweg.core.errors import ModelError
from thalweg.insight.landscape.plane import path_plane, random_plane, runs_plane
from thalweg.problem.models.adapter import build

PARAMS = build(tw.MLP([4, 5, 3], normalisation="layer"), jax.random.key(0)).params


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def moved(tree, direction, amount):
    return jax.tree.map(lambda leaf, along: np.asarray(leaf + amount * along), tree, direction)


def test_every_filter_of_a_random_direction_has_the_norm_of_the_weights():
    plane = random_plane(PARAMS, seed=3)
    for direction in plane.directions:
        for along, leaf in zip(jax.tree.leaves(direction), jax.tree.leaves(PARAMS), strict=True):
            if leaf.ndim == 2:
                norms = np.linalg.norm(along, axis=1), np.linalg.norm(leaf, axis=1)
                np.testing.assert_allclose(*norms, rtol=1e-5)
            else:
                assert not np.any(along)
    assert not np.allclose(flat(plane.directions[0]), flat(plane.directions[1]))
    assert np.array_equal(flat(random_plane(PARAMS, seed=3).directions[0]), flat(plane.directions[0]))


def test_a_planted_path_is_found_with_its_shares():
    random = np.random.default_rng(0)
    one, two = (jax.tree.map(lambda leaf: random.normal(size=leaf.shape), PARAMS) for _ in range(2))
    times = np.linspace(0, 1, 12)
    weights = [moved(moved(PARAMS, one, 3 * (1 - t)), two, np.sin(3 * t) * (1 - t)) for t in times]
    plane = path_plane(weights, weights[-1])
    assert sum(plane.explained) == pytest.approx(1.0, abs=1e-6)
    assert (plane.distances(weights[:-1]) < 1e-5).all()
    rebuilt = [
        moved(moved(plane.origin, plane.directions[0], a), plane.directions[1], b)
        for a, b in plane.coordinates(weights)
    ]
    for found, given in zip(rebuilt, weights, strict=True):
        np.testing.assert_allclose(flat(found), flat(given), atol=1e-4)
    low_x, high_x, low_y, high_y = plane.window
    at = plane.coordinates(weights)
    assert (at[:, 0] > low_x).all() and (at[:, 0] < high_x).all()
    assert (at[:, 1] > low_y).all() and (at[:, 1] < high_y).all()
    assert high_x - low_x == pytest.approx(high_y - low_y)


def test_three_points_lie_on_their_plane_in_units_of_distance():
    random = np.random.default_rng(1)
    weights = [
        jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), PARAMS) for _ in range(3)
    ]
    at = runs_plane(weights).coordinates(weights)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        distance = np.linalg.norm(flat(weights[i]) - flat(weights[j]))
        assert np.linalg.norm(at[i] - at[j]) == pytest.approx(distance, rel=1e-5)
    assert at[0] == pytest.approx([0, 0], abs=1e-5) and at[1][1] == pytest.approx(0, abs=1e-5)


class Vector(eqx.Module):
    w: jax.Array


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: random_plane(Vector(jax.numpy.ones(2))), "matrices or kernels"),
        (lambda: runs_plane([PARAMS, PARAMS, moved(PARAMS, PARAMS, 1.0)]), "on a line"),
        (lambda: runs_plane([PARAMS, moved(PARAMS, PARAMS, 1.0), moved(PARAMS, PARAMS, 0.5)]), "on a line"),
        (lambda: path_plane([PARAMS, moved(PARAMS, PARAMS, 1.0)], PARAMS), "two directions"),
    ],
)
def test_what_spans_no_plane_is_refused(call, says):
    with pytest.raises(ModelError, match=says):
        call()
