"""The figures in the statements about a run, each from the right column of its record."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.insight import made
from tests.insight.test_directions import of_values
from tests.insight.test_summary import text_of, with_result, with_validation
from thalweg.insight.answers import metric_interval
from thalweg.insight.intervals import bootstrap
from thalweg.insight.outcome import outcome
from thalweg.insight.summary import summarise


def statement(record, kind: str):
    (found,) = (each for each in summarise(record).statements if each.kind == kind)
    return found


def test_the_gain_is_a_share_of_the_baselines_error():
    record = made.classification(examples=4000)
    value = record.result["test_metric"]["value"]
    record = with_result(record, baseline={"name": "accuracy", "value": 0.5})
    gain = f"{100 * (1 - (1 - value) / 0.5):.3g}"
    assert f"Error rate {gain} % lower than the baseline's." in text_of(record, "metric")
    values = with_result(made.regression(), test_metric={"name": "rmse", "value": 30.0})
    values = with_result(values, baseline={"name": "rmse", "value": 40.0})
    assert "RMSE 25 % lower than the baseline's." in text_of(replace(values, test=pl.DataFrame()), "metric")


@pytest.mark.parametrize(
    ("test", "level", "words"),
    [(0.2, "good", "(test is 2"), (0.19, "good", "(test is 90.0 % higher)"), (0.5, "unclear", "(test is 5")],
)
def test_the_gap_is_the_test_loss_over_the_training_loss(test, level, words):
    found = statement(with_result(made.classification(), train_loss=0.1, test_loss=test), "gap")
    assert words in found.text and found.text.startswith(f"Test loss {test}")
    assert found.level == ("unclear" if test >= 0.2 else level)


def test_a_class_without_test_examples_is_not_called_never_predicted():
    record = made.classification(classes=3, names=["cat", "dog", "eel"])
    seen = record.test.filter((pl.col("target") < 2) & (pl.col("prediction") < 2))
    text = text_of(replace(record, test=seen), "classes")
    assert "never predicted" not in text and text.startswith("Lowest recall: class ")


def test_the_lowest_loss_before_divergence_is_the_lowest():
    record = made.diverged(5)
    losses = [2.0, 0.5, 0.75, 4.0, float("nan")]
    steps = record.steps.head(5).with_columns(
        pl.Series("loss", losses, pl.Float32), pl.Series("step", [1, 2, 3, 4, 5])
    )
    text = text_of(replace(record, steps=steps), "divergence")
    assert "The last finite loss was 4" in text and "the lowest 0.5000 (step 2)" in text


@pytest.mark.parametrize("falls", [True, False])
def test_the_training_loss_beside_a_rising_validation_loss(falls):
    record = with_validation(made.classification(steps=60), [0.9, 0.5, 0.6, 0.75])
    losses = np.linspace(1.0, 0.1, 60) if falls else np.linspace(0.1, 1.0, 60)
    record = replace(record, steps=record.steps.with_columns(pl.Series("loss", losses, pl.Float32)))
    assert ("while the training loss fell from " in text_of(record, "trend")) is falls
    endless = record.steps.with_columns(pl.Series("loss", [*losses[:-1], -np.inf], pl.Float32))
    assert "training loss" not in text_of(replace(record, steps=endless), "trend")


def test_the_interval_of_an_absolute_error_is_not_that_of_its_square():
    random = np.random.default_rng(0)
    target = random.normal(size=100)
    prediction = target + random.normal(size=100) ** 3
    low, high = metric_interval(of_values(prediction, target, "mae"))
    assert (low, high) == bootstrap(np.abs(prediction - target)[:, None], lambda means: means[:, 0])
    assert low < np.abs(prediction - target).mean() < high


def test_the_best_loss_is_that_of_the_best_evaluation():
    record = with_result(
        made.classification(), validation_loss=0.4, best={"step": 7, "epoch": 1.5, "validation_loss": 0.25}
    )
    found = outcome(record)
    assert (found.best_loss, found.best_step, found.best_epoch) == (0.25, 7, 1.5)
    assert found.validation_loss == 0.4


@pytest.mark.parametrize(("loss", "metric"), [(float("nan"), 0.9), (0.1, float("inf")), (float("inf"), 0.9)])
def test_a_single_figure_that_is_not_finite_fails_the_test(loss, metric):
    record = with_result(
        made.classification(), test_loss=loss, test_metric={"name": "accuracy", "value": metric}
    )
    assert outcome(record).failed and summarise(record).level == "bad"
