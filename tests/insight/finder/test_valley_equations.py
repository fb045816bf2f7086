"""The equations in the docstring of `valley`, written out in loops, against the module."""

import itertools

import numpy as np
import pytest

from thalweg.insight.finder import valley
from thalweg.insight.finder.valley import RungLosses, Valley, heights, locate

START = 2.3
WIDTHS, NOISES, SLACK, LUCK, WANDER, MISLED = (1.0, 3.0), (0.1, 0.3), 0.2, 0.7, 0.2, 0.04


def height(x: float, bottom: float, left: float, right: float) -> float:
    return min(1.0, ((x - bottom) / (left if x < bottom else right)) ** 2)


def likelihood(rung: RungLosses, bottom: float, left: float, right: float) -> float:
    """Return the likelihood of a bottom and a shape, up to a common factor; the level of a seed is free."""
    measured, total = heights(rung, START), 0.0
    for noise in NOISES:
        log = 0.0
        for seed in np.unique(rung.seeds):
            model = [height(x, bottom, left, right) for x in rung.octaves[rung.seeds == seed]]
            over = measured[rung.seeds == seed] - model
            weight = 1 / (noise**2 + (SLACK * np.array(model)) ** 2)
            level = np.average(over, weights=weight)
            # The level is integrated out: a factor of 1 / sqrt(sum of the weights).
            log += -0.5 * np.sum(weight * (over - level) ** 2)
            log += 0.5 * np.sum(np.log(weight)) - 0.5 * np.log(weight.sum())
        total += np.exp(log)
    return total


def written_out(rungs, bounds, step, drifts):
    """Return candidate rates, the probability of each, and the expected heights."""
    octaves = np.arange(bounds[1], bounds[0] - step, -step)[::-1]
    shapes = list(itertools.product(WIDTHS, WIDTHS))
    tables = [[[likelihood(rung, m, *shape) for shape in shapes] for m in octaves] for rung in rungs]
    posterior = np.zeros(len(octaves))
    for drift, prior in drifts.items():
        product = np.full(len(octaves), prior)
        for rung, table in zip(rungs, tables, strict=True):
            t, own = np.log2(rung.share), np.sum(table, axis=1)
            spread = np.sqrt(LUCK**2 + (WANDER * t) ** 2)
            whole = np.array(
                [np.sum(own * np.exp(-0.5 * ((octaves - (m0 - drift * t)) / spread) ** 2)) for m0 in octaves]
            )
            product *= (1 - MISLED) * whole / whole.sum() + MISLED / len(octaves)
        posterior += product
    posterior /= posterior.sum()
    of_shape = np.sum(tables[-1], axis=0) / np.sum(tables[-1])
    expected = [
        sum(
            p * share * height(x, m, *shape)
            for m, p in zip(octaves, posterior, strict=True)
            for shape, share in zip(shapes, of_shape, strict=True)
        )
        for x in octaves
    ]
    return octaves, posterior, np.array(expected)


def test_locate_is_what_the_equations_say(monkeypatch):
    for name, value in {"WIDTHS": WIDTHS, "NOISES": NOISES, "STEP": 0.5}.items():
        monkeypatch.setattr(valley, name, value)
    random, rungs = np.random.default_rng(3), []
    for share, bottom in ((1 / 16, 3.0), (1 / 4, 1.8)):
        places = np.repeat(np.arange(-2.0, 6.0, 1.5), 2)
        seeds = np.tile([0, 1], len(places) // 2)
        above = np.log(2) * np.array([height(x, bottom, 1.0, 3.0) for x in places]) + 0.3 * seeds
        losses = 0.1 * np.exp(above + 0.05 * random.normal(size=len(places)))
        losses[-1] = np.inf  # diverged
        rungs.append(RungLosses(share, places, seeds, losses))
    drifts = {0.0: 0.7, 0.5: 0.2, 1.0: 0.1}
    found = locate(rungs, START, (-3.0, 5.0), drifts)
    octaves, posterior, expected = written_out(rungs, (-3.0, 5.0), 0.5, drifts)
    np.testing.assert_allclose(found.octaves, octaves)
    np.testing.assert_allclose(found.lowest, posterior, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.expected, expected, rtol=1e-6)
    assert found.best == octaves[np.argmin(expected)]


def test_what_is_read_off_a_distribution():
    # The bottom is at 0, 1, 2 or 3 octaves; a rate above the bottom costs less than one below it.
    octaves, lowest = np.arange(4.0), np.array([0.04, 0.06, 0.6, 0.3])
    above = octaves[None, :] - octaves[:, None]
    found = Valley(octaves, lowest, np.where(above < 0, -above, 0.1 * above))
    assert found.expected[0] == pytest.approx(0.06 * 1 + 0.6 * 2 + 0.3 * 3)
    assert found.expected[3] == pytest.approx(0.1 * (0.04 * 3 + 0.06 * 2 + 0.6 * 1))
    assert found.within(0.8) == (1.0, 3.0) and found.within(0.1) == (2.0, 2.0)
    assert found.chance(3.0, 1.0) == pytest.approx(0.9)  # unless the bottom is at 0 or 1
    assert found.chance(1.0, 3.0) == pytest.approx(0.1)
