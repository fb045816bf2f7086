"""Axes: round ticks, everything finite inside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.view.figure.axis import Axis, axis_over, tick_text


@given(low=st.floats(-1e9, 1e9), reach=st.floats(1e-6, 1e9), most=st.integers(3, 8))
def test_linear_ticks_are_few_ascending_and_inside(low, reach, most):
    axis = Axis(low, low + reach + abs(low) * 1e-9)
    ticks = axis.ticks(most)
    slack = 1e-6 * (axis.high - axis.low)
    assert 1 <= len(ticks) <= most
    assert ticks == sorted(ticks)
    assert axis.low - slack <= ticks[0]
    assert ticks[-1] <= axis.high + slack


@given(low=st.floats(-30, 29), reach=st.floats(0.01, 59), most=st.integers(3, 8))
def test_logarithmic_ticks_are_few_ascending_and_inside(low, reach, most):
    axis = Axis(10**low, 10 ** min(low + reach, 30), log=True)
    ticks = axis.ticks(most)
    assert 1 <= len(ticks) <= most
    assert ticks == sorted(ticks)
    assert axis.low * 0.999 <= ticks[0]
    assert ticks[-1] <= axis.high * 1.001


def test_ticks_are_round():
    assert Axis(0, 2110).ticks(5) == [0, 500, 1000, 1500, 2000]
    assert Axis(0.02, 2.5, log=True).ticks(7) == pytest.approx([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2])
    assert [tick_text(t) for t in (0.05, 20_000, 1e-5, 1.5e6, 0.0, -250_000)] == [
        "0.05",
        "20k",
        "1e-05",
        "1.5M",
        "0",
        "-250k",
    ]


def test_places_run_from_zero_to_one_and_the_impossible_has_none():
    np.testing.assert_allclose(Axis(1, 100, log=True).position(np.array([1.0, 10.0, 100.0])), [0, 0.5, 1])
    assert np.isnan(Axis(1, 100, log=True).position(np.array([0.0, -1.0, np.nan]))).all()


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [0.0], [0.0, 0.0], [-1.0, np.inf], [1e300, 1e-300]])
@pytest.mark.parametrize("log", [False, True])
def test_an_axis_can_be_made_over_anything(values, log):
    axis = axis_over(np.array(values, float), log=log)
    assert axis.low < axis.high
    assert axis.ticks()
