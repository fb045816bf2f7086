"""Curves: thinning keeps what matters, smoothing is blind to what is not finite."""

import numpy as np

from tests.insight import made
from thalweg.insight.curves import Curve, buckets, evaluated, per_step, smooth, smoothing_window


def ramp(n: int) -> Curve:
    return Curve(np.arange(n, dtype=float), np.arange(n, dtype=float))


def test_a_single_spike_among_200_000_steps_survives_thinning():
    values = np.full(200_000, 0.1)
    values[123_456] = 99.0
    thinned = buckets(Curve(np.arange(200_000.0), values), 400)
    assert len(thinned.step) <= 400
    assert np.nanmax(thinned.high) == 99.0
    assert abs(thinned.step[np.argmax(thinned.high)] - 123_456) < thinned.width


def test_buckets_hold_lowest_mean_and_highest():
    thinned = buckets(ramp(100), 10)
    assert thinned.width == 10
    np.testing.assert_allclose(thinned.low, np.arange(0, 100, 10))
    np.testing.assert_allclose(thinned.mean, np.arange(4.5, 100, 10))
    np.testing.assert_allclose(thinned.high, np.arange(9, 100, 10))


def test_what_is_not_finite_is_left_out_of_a_bucket_and_an_empty_one_is_nan():
    values = np.array([1.0, np.inf, np.nan, np.nan])
    thinned = buckets(Curve(np.arange(4.0), values), 2)
    np.testing.assert_array_equal(thinned.mean, [1.0, np.nan])


def test_nothing_in_nothing_out():
    empty = Curve(np.zeros(0), np.zeros(0))
    assert len(buckets(empty).step) == 0
    assert len(smooth(empty, 5)) == 0


def test_smoothing_is_a_centred_mean_with_short_ends():
    smoothed = smooth(ramp(10), 3)
    np.testing.assert_allclose(smoothed.value, [0.5, 1, 2, 3, 4, 5, 6, 7, 8, 8.5])


def test_smoothing_skips_nan_and_shows_it():
    smoothed = smooth(Curve(np.arange(5.0), np.array([1.0, np.nan, 3.0, 5.0, 7.0])), 3)
    np.testing.assert_allclose(smoothed.value, [1.0, np.nan, 4.0, 5.0, 6.0])


def test_short_runs_are_not_smoothed_and_windows_are_odd():
    assert smoothing_window(59) == 1
    assert smoothing_window(2110) == 43
    assert smoothing_window(200_000) % 2 == 1


def test_only_the_first_lane_and_the_last_row_of_a_step_are_read():
    record = made.classification(steps=10)
    doubled = record.steps.vstack(
        record.steps.with_columns(lane=record.steps["lane"] + 1, loss=-record.steps["loss"])
    )
    curve = per_step(made.replace(record, steps=doubled), "loss")
    assert len(curve) == 10
    assert (curve.value > 0).all()
    again = record.evaluations.tail(1).with_columns(loss=record.evaluations.tail(1)["loss"] * 0 + 7.0)
    curve = evaluated(
        made.replace(record, evaluations=record.evaluations.vstack(again)), "validation", "loss"
    )
    assert len(curve) == 10
    assert curve.value[-1] == 7.0


def test_missing_columns_and_tables_are_empty_curves():
    assert len(per_step(made.empty(), "loss")) == 0
    assert len(evaluated(made.empty(), "validation", "metric")) == 0
    record = made.classification()
    assert len(per_step(made.replace(record, steps=record.steps.drop("loss")), "loss")) == 0
