"""Where the best rate lies: valleys whose bottom is known."""

import numpy as np
import pytest

from thalweg.insight.finder.valley import DRIFTS, OWN_LENGTH, RungLosses, heights, locate

BOUNDS = (-8.0, 12.0)


def rung(bottom, octaves, share=1.0, seeds=(0,), noise=0.0, lowest=0.1, width=2.0, stream=None):
    """Return lanes of a valley: the loss doubles `width` octaves from the bottom; it ends at 2.3."""
    random = stream or np.random.default_rng(0)
    places = np.repeat(octaves, len(seeds))
    luck = np.tile(random.normal(0, 0.1, len(seeds)), len(octaves))  # of a seed, the same at every rate
    above = np.log(2) * ((places - bottom) / width) ** 2 + luck + noise * random.normal(size=len(places))
    return RungLosses(share, places, np.tile(seeds, len(octaves)), np.minimum(lowest * np.exp(above), 2.3))


@pytest.mark.parametrize("bottom", [-3.3, 0.0, 4.6])
def test_the_bottom_is_found_between_the_rates(bottom):
    valley = locate([rung(bottom, np.arange(-8.0, 9.0, 1.0))], 2.3, BOUNDS)
    assert valley.best == pytest.approx(bottom, abs=0.25)
    low, high = valley.within(0.95)
    assert low < bottom < high and high - low < 5


def test_noise_widens_the_interval_and_it_holds_the_bottom():
    stream = np.random.default_rng(1)
    held, widths = 0, []
    for _ in range(40):
        bottom = stream.uniform(-2, 2)
        valley = locate([rung(bottom, np.arange(-4.0, 5.0, 1.0), noise=0.2, stream=stream)], 2.3, BOUNDS)
        low, high = valley.within(0.95)
        held += low <= bottom <= high
        widths.append(high - low)
    quiet = locate([rung(0.0, np.arange(-4.0, 5.0, 1.0))], 2.3, BOUNDS).within(0.95)
    assert held >= 36  # 95 % of 40 would be 38; two standard errors below
    assert np.mean(widths) > quiet[1] - quiet[0]


def test_a_seeds_luck_is_paired_away():
    lanes = rung(1.0, np.arange(-2.0, 5.0, 1.0), seeds=(0, 1))
    unlucky = np.where(lanes.seeds == 1, 3 * lanes.losses, lanes.losses)
    there = locate([RungLosses(1.0, lanes.octaves, lanes.seeds, lanes.losses)], 2.3, BOUNDS).best
    assert locate(
        [RungLosses(1.0, lanes.octaves, lanes.seeds, np.minimum(unlucky, 2.3))], 2.3, BOUNDS
    ).best == (pytest.approx(there, abs=0.75))


def test_a_drift_between_rungs_is_extrapolated_to_the_whole_run():
    rates = np.arange(-4.0, 9.0, 1.0)
    rungs = [
        rung(6.0, rates, 1 / 64),
        rung(4.0, rates, 1 / 16),
        rung(2.0, rates, 1 / 4),
    ]  # an octave an octave
    assert locate(rungs, 2.3, BOUNDS, OWN_LENGTH).best == pytest.approx(0.0, abs=0.75)
    still = [rung(2.0, rates, share) for share in (1 / 64, 1 / 16, 1 / 4)]
    assert locate(still, 2.3, BOUNDS, DRIFTS).best == pytest.approx(2.0, abs=0.75)


def test_short_lanes_leave_more_open():
    lanes = np.arange(-4.0, 9.0, 1.0)
    short, whole = (locate([rung(2.0, lanes, share)], 2.3, BOUNDS).within(0.95) for share in (1 / 100, 1.0))
    assert short[1] - short[0] > 1.5 * (whole[1] - whole[0])


def test_lanes_that_diverged_stand_at_the_top():
    lanes = rung(1.0, np.arange(-2.0, 6.0, 1.0))
    losses = np.where(lanes.octaves >= 3, np.inf, lanes.losses)
    valley = locate([RungLosses(1.0, lanes.octaves, lanes.seeds, losses)], 2.3, BOUNDS)
    assert (heights(RungLosses(1.0, lanes.octaves, lanes.seeds, losses), 2.3)[lanes.octaves >= 3] == 1).all()
    assert valley.best == pytest.approx(1.0, abs=0.5)


def test_losses_below_zero_have_a_valley_too():
    lanes = rung(1.0, np.arange(-4.0, 7.0, 1.0))
    below = RungLosses(1.0, lanes.octaves, lanes.seeds, lanes.losses - 5.0)
    assert locate([below], 2.3 - 5.0, BOUNDS).best == pytest.approx(1.0, abs=0.75)


def test_the_chance_of_a_better_rate_is_high_where_it_is_clear():
    valley = locate([rung(4.0, np.arange(-4.0, 9.0, 1.0))], 2.3, BOUNDS)
    assert valley.chance(valley.best, 0.0) > 0.95
    assert valley.chance(0.0, valley.best) < 0.05
    assert 0.3 < valley.chance(3.5, 4.5) < 0.7
