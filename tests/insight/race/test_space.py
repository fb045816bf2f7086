"""The search space of a contestant: its reach and its settings, written out."""

from dataclasses import replace

import numpy as np
import pytest

import thalweg as tw
from thalweg.insight.race.space import MOST_MOMENTUM, Space


def near(space, point, best=0):
    (found,) = space.near(space.rates(5)[best], np.array([point]))
    return found.optimizer


def test_the_second_stage_lies_around_the_best_rate_and_moves_momentum_and_decay():
    space = Space.of(tw.Recipe(tw.SGD(lr=0.1, momentum=0.9, weight_decay=1e-3)))
    centre = near(space, [0.5, 0.5, 0.5], best=0)
    assert centre.lr == pytest.approx(0.1 / 32, rel=1e-3)  # the lowest of five rates over five octaves
    assert (centre.momentum, centre.weight_decay) == (0.9, 1e-3)
    high = near(space, [1.0, 1.0, 1.0], best=2)
    assert high.lr == pytest.approx(0.4, rel=1e-3)  # two octaves up
    assert high.momentum == pytest.approx(0.6)  # 1 - 0.1 * 2^2
    assert high.weight_decay == pytest.approx(1e-3 * 16)
    low = near(space, [0.0, 0.0, 0.0], best=2)
    assert low.momentum == pytest.approx(0.975) and low.weight_decay == pytest.approx(1e-3 / 16)


def test_momentum_stays_below_one():
    space = Space.of(tw.Recipe(tw.SGD(lr=0.1, momentum=0.999)))
    assert near(space, [0.5, 0.0, 0.5]).momentum == MOST_MOMENTUM


def test_a_factor_of_an_estimated_rate_is_searched_less_far():
    space = Space.of(tw.Recipe(tw.Prodigy()))
    rates = [each.optimizer.first_rate() for each in space.rates(3)]
    assert rates[-1] / rates[0] == pytest.approx(16)
    assert space.rates(1)[0] == replace(space.recipe)
