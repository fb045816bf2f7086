"""Outlines of regions: closed, of the right area, with holes; saddles and noise do not tear them."""

import numpy as np
import pytest

from thalweg.view.figure.contours import outlines

AXIS = np.linspace(-1, 1, 81)
X, Y = np.meshgrid(AXIS, AXIS)


def enclosed(found):
    """Return the area inside of outlines; those of holes run the other way round."""
    areas = []
    for at in found:
        x, y = at[:, 0], at[:, 1]
        areas.append(0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)))
    return abs(sum(areas)) / 40**2


@pytest.mark.parametrize(("level", "area"), [(0.5, np.pi * 0.5), (0.0, np.pi)])
def test_a_disc_has_its_area(level, area):
    found = outlines(1 - X**2 - Y**2, level)
    assert enclosed(found) == pytest.approx(area, rel=2e-3)


def test_a_hole_is_an_outline_of_its_own():
    found = outlines(X**2 + Y**2, 0.5)
    assert len(found) == 2 and enclosed(found) == pytest.approx(4 - np.pi * 0.5, rel=2e-3)


def test_all_and_nothing():
    assert enclosed(outlines(np.ones((81, 81)), 0.5)) == pytest.approx(4.0)
    assert outlines(np.zeros((81, 81)), 0.5) == []


@pytest.mark.parametrize("seed", range(5))
def test_noise_full_of_saddles_has_the_area_of_its_cells(seed):
    values = np.random.default_rng(seed).choice([0.0, 1.0], size=(30, 30))
    found = outlines(values, 0.5)
    assert all(len(at) >= 3 for at in found)
    inside = values.astype(bool)
    corners = inside[:-1, :-1].astype(int) + inside[:-1, 1:] + inside[1:, 1:] + inside[1:, :-1]
    opposite = (corners == 2) & (inside[:-1, :-1] == inside[1:, 1:])
    shares = np.array([0.0, 1 / 8, 1 / 2, 7 / 8, 1.0])[corners]
    shares[opposite] = 6 / 8  # the middle is at the level: both corners belong together
    assert enclosed(found) * 40**2 == pytest.approx(shares.sum(), rel=1e-6)
