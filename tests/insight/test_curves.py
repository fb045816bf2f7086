"""Curves: thinning keeps spikes, smoothing skips values that are not finite; norms of each parameter."""

from dataclasses import replace

import numpy as np
import polars as pl

from tests.insight import made
from thalweg.insight.curves import (
    Curve,
    buckets,
    bulk,
    evaluated,
    layer_history,
    per_step,
    smooth,
    smoothing_window,
)


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


def test_figures_lie_by_parameter_and_time():
    record = made.classification(layers=3)
    history = layer_history(record)
    assert history.paths[:2] == ("layers.0.weight", "layers.0.bias")
    assert history.weight_norm.shape == (6, len(history.step))
    row = record.layers.row(7, named=True)
    place = history.paths.index(row["path"]), list(history.step).index(row["step"])
    assert history.gradient_norm[place] == row["gradient_norm"]


def test_the_models_order_rules_not_the_tables():
    record = made.classification(layers=12)
    shuffled = replace(record, layers=record.layers.sample(fraction=1.0, shuffle=True, seed=0))
    history = layer_history(shuffled)
    assert history.paths == tuple(layer["path"] for layer in record.problem["model"]["layers"])
    np.testing.assert_array_equal(history.weight_norm, layer_history(record).weight_norm)


def test_missing_rows_are_nan():
    record = made.classification()
    history = layer_history(replace(record, layers=record.layers.slice(1)))
    assert np.isnan(history.weight_norm[0, 0])
    assert np.isfinite(history.weight_norm[1, 0])


def test_the_update_ratio_of_zero_weights_is_nan_without_a_warning():
    record = made.classification()
    record = replace(record, layers=record.layers.with_columns(weight_norm=record.layers["weight_norm"] * 0))
    assert np.isnan(layer_history(record).update_ratio).all()


def test_crowded_figures_leave_out_biases():
    record = made.classification(layers=40)
    history = layer_history(record)
    assert len(history.paths) == 80
    assert len(bulk(record, history).paths) == 40
    few = made.classification(layers=4)
    assert bulk(few, layer_history(few)).paths == layer_history(few).paths


def test_nothing_recorded_is_none():
    assert layer_history(made.empty()) is None


def test_only_what_never_moved_is_called_unmoved():
    record = made.classification()
    updates = record.layers["update_norm"].to_numpy().copy()
    updates[0] = 0.0  # once still is not always still
    rows = np.array([path == "layers.1.bias" for path in record.layers["path"]])
    updates[rows] = 0.0
    frozen = replace(record, layers=record.layers.with_columns(update_norm=pl.Series(updates)))
    assert layer_history(frozen).unmoved == ["layers.1.bias"]
