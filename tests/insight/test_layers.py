"""Figures per parameter."""

from dataclasses import replace

import numpy as np
import polars as pl

from tests.insight import made
from thalweg.insight.layers import bulk, layer_history


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
