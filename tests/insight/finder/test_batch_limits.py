"""The gradient noise scale: on gradients whose scale is known."""

import dataclasses
import math

import numpy as np
import pytest

from tests.insight.finder import planted
from thalweg.insight.finder.batch_limits import moments, noise_scale, scale_of

BATCHES, ROWS, WIDTH = 16, 8, 40


def grams(places, length, noise, seed=0, rows=ROWS):
    """Return inner products of batch gradients: a true gradient of |G|^2 = length, tr(Sigma) = noise."""
    stream = np.random.default_rng(seed)
    estimates = []
    for _ in range(places):
        true = stream.normal(size=WIDTH)
        true *= math.sqrt(length) / np.linalg.norm(true)
        batches = true + stream.normal(0, math.sqrt(noise / WIDTH / rows), (BATCHES, WIDTH))
        estimates.append(batches @ batches.T)
    return estimates


def test_both_moments_are_unbiased():
    estimates = [moments(gram, ROWS) for gram in grams(400, length=2.0, noise=100.0)]
    # Standard errors over 400 places are 0.09 and 1.2.
    assert np.mean([one.length for one in estimates]) == pytest.approx(2.0, abs=0.3)
    assert np.mean([one.noise for one in estimates]) == pytest.approx(100.0, abs=4)


def test_the_plain_norm_of_a_batch_would_be_biased():
    gram = grams(400, length=2.0, noise=100.0)
    assert np.mean([np.diag(one).mean() for one in gram]) > 10.0  # |G|^2 + tr(Sigma)/b = 14.5


@pytest.mark.parametrize(("length", "noise"), [(2.0, 100.0), (1.0, 8.0)])
def test_the_scale_and_its_interval(length, noise):
    held = 0
    for seed in range(40):
        scale = scale_of(grams(5, length, noise, seed), ROWS, steps=0)
        held += scale.low <= noise / length <= scale.high
    assert held >= 35  # 95 % of 40 would be 38


def test_without_a_gradient_no_batch_is_too_large():
    scale = scale_of(grams(2, length=1e-12, noise=100.0, seed=3), ROWS, steps=0)
    assert math.isinf(scale.high)


def test_more_noise_in_the_labels_is_a_larger_scale():
    recipe = dataclasses.replace(planted.RECIPE, steps=40)
    quiet, noisy = (noise_scale(problem(), recipe) for problem in (planted.blobs, planted.noisy_labels))
    assert noisy.value > 1.5 * quiet.value
    assert quiet.low <= quiet.value <= quiet.high
    assert quiet.steps >= 40
