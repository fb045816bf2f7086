"""Heights, and pictures from few evaluations: the error that is stated is the error that is there."""

import numpy as np
import pytest

from thalweg.insight.landscape.heights import MOST_EVALUATIONS, Scale, adaptive

AXIS = np.linspace(-1.0, 1.0, 51)


def bowl(at):
    return at[:, 0] ** 2 + 4 * at[:, 1] ** 2


def valley(at):
    x, y = 2 * at[:, 0], 2 * at[:, 1] + 1
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def bumps(at):
    return np.exp(np.sin(4 * at[:, 0]) + np.cos(5 * at[:, 1]) + at[:, 0] * at[:, 1])


def cliff(at):
    return np.where(at[:, 0] + at[:, 1] > 1.2, np.nan, bowl(at))


@pytest.mark.parametrize("surface", [bowl, valley, bumps])
def test_few_evaluations_give_the_contours(surface):
    asked = []

    def evaluate(at):
        asked.append(len(at))
        return surface(at)

    filled = adaptive(evaluate, AXIS, AXIS)
    whole = surface(np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)).reshape(51, 51)
    assert sum(asked) == filled.evaluated.sum() <= MOST_EVALUATIONS
    np.testing.assert_array_equal(filled.loss[filled.evaluated], whole[filled.evaluated])
    scale = Scale.of(whole)
    heights = [np.clip(scale.height(losses), 0, 1) for losses in (filled.loss, whole)]
    error = np.sqrt(np.mean((heights[0] - heights[1]) ** 2))
    assert error <= 0.02
    assert error <= max(2 * filled.error, 0.002)


def test_a_surface_of_jumps_says_that_it_is_not_known_well():
    random = np.random.default_rng(0)
    jumps = random.normal(size=(51, 51))

    def evaluate(at):
        return jumps[tuple(np.searchsorted(AXIS, at[:, axis]) for axis in (1, 0))]

    filled = adaptive(evaluate, AXIS, AXIS)
    assert filled.error > 0.1 and filled.evaluated.sum() == MOST_EVALUATIONS


def test_points_without_a_finite_loss_are_the_top():
    filled = adaptive(cliff, AXIS, AXIS)
    assert np.isfinite(filled.error) and np.isnan(filled.loss[-1, -1])


@pytest.mark.parametrize(
    "losses", [[0.0, 0.1, 0.2, 50.0, 1e4], [1.0, 2.0, 3.0], [5.0, 5.0], [np.nan, np.inf]]
)
def test_heights_and_losses_are_inverse(losses):
    scale = Scale.of(np.array(losses))
    for height in (0.0, 0.3, 1.0):
        assert scale.height(np.array([scale.loss(height)]))[0] == pytest.approx(height, abs=1e-9)
    assert scale.height(np.array([np.nan]))[0] == 2.0
