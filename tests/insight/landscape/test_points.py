"""Losses at other weights: those of a plain evaluation, with statistics frozen or recomputed."""

import jax
import numpy as np
import pytest

import thalweg as tw
from tests.insight.landscape.made import first, plain_loss
from thalweg.core.errors import BadInput
from thalweg.insight.landscape.plane import random_plane
from thalweg.insight.landscape.points import FROZEN, RECOMPUTED, Points
from thalweg.insight.landscape.surface import over


@pytest.fixture(scope="module")
def network():
    return first(tw.MLP([6, 8, 3]))


@pytest.fixture(scope="module")
def normed():
    return first(tw.MLP([6, 8, 3], normalisation="batch"))


def at(plane, x, y):
    mixed = zip(*map(jax.tree.leaves, (plane.origin, *plane.directions)), strict=True)
    leaves = [origin + np.float32(x) * one + np.float32(y) * two for origin, one, two in mixed]
    return jax.tree.unflatten(jax.tree.structure(plane.origin), leaves)


def test_every_point_of_a_plane_is_a_plain_evaluation(network):
    plane = random_plane(network.params)
    shown = over(Points(network), plane, side=5)
    assert shown.loss.shape == (5, 5) and shown.evaluations == 25
    loss = jax.jit(lambda params: plain_loss(network, params))
    for row, y in enumerate(shown.y):
        for column, x in enumerate(shown.x):
            expected = float(loss(at(plane, x, y)))
            assert shown.loss[row, column] == pytest.approx(expected, abs=1e-6, rel=1e-6)


def test_a_point_among_many_has_the_bits_of_the_point_alone(network):
    points, plane = Points(network), random_plane(network.params)
    places = np.random.default_rng(0).uniform(-1, 1, (70, 2))  # more than a stack holds
    together = points.combined(plane.origin, plane.directions, places)
    for index in (0, 33, 69):
        alone = points.combined(plane.origin, plane.directions, places[index : index + 1])
        assert together.loss[index] == alone.loss[0] and together.metric[index] == alone.metric[0]


def test_fewer_examples_are_every_nth(network):
    few = Points(network, rows=50)
    assert (few.stride, few.examples) == (5, 42)
    whole = np.asarray(network.problem.data.train.inputs)[::5]
    assert len(whole) == few.examples


def test_recomputed_statistics_are_those_of_the_training_split(normed):
    frozen, fresh = (Points(normed, batch_norm=policy) for policy in (FROZEN, RECOMPUTED))
    assert frozen.has_statistics and fresh.recomputes and not frozen.recomputes
    losses = [points.at([normed.params]).loss[0] for points in (frozen, fresh)]
    assert losses[0] == pytest.approx(float(plain_loss(normed, normed.params)), rel=1e-5)
    data = normed.problem.data
    inputs = np.asarray(data.preparation.scale(data.train.inputs), np.float64)
    weights = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(normed.params)]
    shapes = {leaf.shape: leaf for leaf in weights if leaf.ndim == 2}
    layers = normed.params.layers
    hidden = inputs @ shapes[(8, 6)].T
    if layers[0].bias is not None:
        hidden = hidden + np.asarray(layers[0].bias, np.float64)
    norm = normed.params.norms[0]
    normal = (hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0, ddof=1) + 1e-5)
    active = np.maximum(normal * np.asarray(norm.scale) + np.asarray(norm.shift), 0)
    logits = active @ shapes[(3, 8)].T + np.asarray(layers[1].bias)
    shifted = logits - logits.max(axis=1, keepdims=True)
    shares = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    expected = -shares[np.arange(len(logits)), np.asarray(data.train.targets)].mean()
    assert losses[1] == pytest.approx(expected, rel=1e-5)
    assert losses[0] != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("option", "says"), [({"split": "tset"}, "test"), ({"batch_norm": "froze"}, "frozen")]
)
def test_unknown_choices_are_refused(network, option, says):
    with pytest.raises(BadInput, match=says):
        Points(network, **option)
