"""Predictions on the test split."""

import numpy as np
import polars as pl
import pytest

from tests.insight import made
from thalweg.insight.answers import confusion, metric_interval, residuals, rows_too_few
from thalweg.insight.intervals import wilson


def with_test(target, prediction, record=None):
    record = record or made.classification(classes=3)
    return made.replace(record, test=pl.DataFrame({"target": target, "prediction": prediction}))


def test_counts_recall_and_precision():
    counted = confusion(with_test([0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 0, 2]))
    np.testing.assert_array_equal(counted.counts, [[1, 2, 0], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(counted.recall, [1 / 3, 1 / 2, 1])
    np.testing.assert_allclose(counted.precision, [1 / 2, 1 / 3, 1])


def test_mistakes_are_sorted_and_never_the_diagonal():
    counted = confusion(with_test([0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 0, 2]))
    found = [(pair.target, pair.prediction, pair.count) for pair in counted.mistakes()]
    assert found == [(0, 1, 2), (1, 0, 1)]


def test_classes_without_examples_or_answers_are_nan_not_zero():
    counted = confusion(with_test([0, 0], [0, 1]))
    assert np.isnan(counted.recall[1])
    assert np.isnan(counted.precision[2])


def test_more_indices_than_names_still_count():
    counted = confusion(with_test([0, 4], [4, 4]))
    assert counted.classes == ("0", "1", "2", "3", "4")


def test_rows_that_are_no_class_are_left_out():
    counted = confusion(with_test([0, -1, 1], [0, 0, 1]))
    assert counted.counts.sum() == 2


@pytest.mark.parametrize("record", [made.empty(), made.diverged(), made.regression()])
def test_no_confusion_where_there_is_none(record):
    assert confusion(record) is None


def test_residuals_in_the_targets_unit():
    record = with_test([1.0, 2.0, 3.0], [2.0, 2.0, 5.0], made.regression())
    numeric = residuals(record)
    np.testing.assert_allclose(numeric.error, [1, 0, 2])
    assert numeric.rmse == pytest.approx(np.sqrt(5 / 3))
    assert numeric.r2 == pytest.approx(1 - 5 / 2)


def test_several_target_values_follow_each_other():
    record = with_test([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 6.0]], made.regression())
    np.testing.assert_allclose(residuals(record).error, [0, 0, 0, 2])


def test_the_interval_of_accuracy_is_wilsons():
    record = made.classification()
    right = int((record.test["target"] == record.test["prediction"]).sum())
    assert metric_interval(record) == wilson(right, record.test.height)


def test_the_interval_of_rmse_holds_the_rmse():
    record = made.regression()
    low, high = metric_interval(record)
    assert low < record.result["test_metric"]["value"] < high


@pytest.mark.parametrize("name", ["rmse", "mae"])
def test_few_errors_get_no_interval_and_no_verdict(name):
    for count in (1, 2, 9, 10):
        record = made.regression(examples=count, seed=1)
        score = {"test_metric": {"name": name, "value": 1.0}}
        record = made.replace(record, result=record.result | score)
        interval = metric_interval(record)
        assert (interval is None) == (count < 10) and rows_too_few(record) == (count if count < 10 else None)
        assert interval is None or interval[0] < interval[1]


def test_errors_that_do_not_vary_give_no_interval():
    ones = [1.0] * 30
    assert metric_interval(with_test(ones, [2.0] * 30, made.regression())) is None


@pytest.mark.parametrize(("right", "count"), [(1, 1), (0, 1), (3, 3), (0, 3)])
def test_an_accuracy_of_few_rows_has_an_interval_with_a_width(right, count):
    record = with_test([0] * count, [0] * right + [1] * (count - right), made.classification(classes=2))
    low, high = metric_interval(record)
    assert high - low > 0.5 and low <= right / count <= high
