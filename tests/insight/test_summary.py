"""Summaries: every sentence follows from figures of the record."""

from dataclasses import replace

import polars as pl
import pytest

from tests.insight import made
from thalweg.insight.summary import summarise


def text_of(record, kind: str) -> str:
    return " ".join(statement.text for statement in summarise(record).statements if statement.kind == kind)


def with_result(record, **result):
    return replace(record, result=record.result | result)


def with_validation(record, losses):
    rows = [(0, 10 * k, float(k), "validation", loss, 0.5, 1.0) for k, loss in enumerate(losses, start=1)]
    return replace(record, evaluations=pl.DataFrame(rows, schema=record.evaluations.schema, orient="row"))


def test_a_good_run_names_metric_interval_and_baseline():
    summary = summarise(made.classification())
    assert summary.level == "good"
    assert summary.headline == "mlp:512 on mnist: 95.25 % test accuracy"
    text = summary.statements[0].text
    assert "95.25 % (95 % interval 94.23 to 96.10 %)" in text
    assert "10.9 %" in text


def test_a_run_within_the_baselines_interval_is_not_called_good():
    record = made.classification(accuracy=0.11)
    assert summarise(record).level == "unclear"
    assert "cannot distinguish the two" in text_of(record, "metric")


def test_a_run_below_the_baseline_is_bad():
    record = made.classification(accuracy=0.3)
    worse = with_result(record, baseline={"name": "accuracy", "value": 0.6})
    assert summarise(worse).level == "bad"
    assert "The network is worse than this baseline" in text_of(worse, "metric")


def test_lower_is_better_for_errors():
    assert summarise(made.regression()).level == "good"
    worse = with_result(made.regression(), baseline={"name": "rmse", "value": 1.0})
    assert summarise(worse).level == "bad"


def test_a_metric_without_a_direction_is_not_judged():
    record = with_result(
        made.classification(),
        test_metric={"name": "mine", "value": 3.0},
        baseline={"name": "mine", "value": 2.0},
    )
    assert summarise(record).level == "unclear"


def test_a_baseline_in_another_metric_is_met_by_the_runs_figure_in_it():
    record = with_result(made.regression(), test_metric={"name": "mae", "value": 40_000.0})
    text = text_of(record, "metric")
    assert "rmse" in text
    assert "58,044" in text
    assert summarise(record).level == "good"


def test_a_diverged_run_says_when_and_how_the_loss_moved():
    summary = summarise(made.diverged(37))
    assert summary.level == "bad"
    assert summary.headline == "mlp:512 on mnist: diverged at step 37"
    assert "step 36" in text_of(made.diverged(37), "divergence")
    assert "NaN" in text_of(made.diverged(37), "stopped")


def test_early_stopping_names_its_patience():
    record = replace(made.classification(), recipe=made.RECIPE | {"patience": 4})
    record = with_result(record, stopped="patience", stopped_at={})
    assert "no better validation loss in 4 evaluations" in text_of(record, "stopped")


def test_a_rising_validation_loss_is_pointed_out_with_both_figures():
    text = text_of(with_validation(made.classification(steps=60), [0.9, 0.5, 0.6, 0.75]), "trend")
    assert "rose from 0.5000 to 0.7500 (50.0 % higher)" in text


def test_a_falling_validation_loss_is_said_to_fall():
    text = text_of(with_validation(made.classification(steps=60), [0.9, 0.8, 0.6, 0.3]), "trend")
    assert "still falling at the end: by 50.0 %" in text


def test_one_worse_evaluation_is_no_trend():
    assert text_of(with_validation(made.classification(steps=60), [0.9, 0.8, 0.3, 0.4]), "trend") == ""


def test_classes_never_predicted_are_named():
    record = made.classification(classes=3, names=["cat", "dog", "eel"])
    record = replace(record, test=record.test.with_columns(prediction=record.test["prediction"].clip(0, 1)))
    assert text_of(record, "classes") == "Class never predicted on the test split: eel."


def test_the_class_with_the_lowest_recall_is_named():
    assert "Lowest recall: class 3, 92.02 % of its 188 test examples." in text_of(
        made.classification(), "classes"
    )


def test_parameters_that_never_move_are_named():
    record = made.classification()
    frozen = pl.when(pl.col("path") == "layers.0.bias").then(0.0).otherwise(pl.col("update_norm"))
    record = replace(record, layers=record.layers.with_columns(update_norm=frozen.cast(pl.Float32)))
    assert text_of(record, "layers") == "No recorded update changed layers.0.bias."
    assert text_of(made.classification(), "layers") == ""


def test_clipping_is_counted():
    record = made.classification()
    share = (record.steps["gradient_norm"] > 1.0).mean()
    assert f"{100 * share:.1f} %" in text_of(record, "clipping")
    assert text_of(replace(record, recipe={}), "clipping") == ""


@pytest.mark.parametrize("stopped", ["epochs", "patience", "interrupted", "seconds", None])
def test_every_stop_reason_has_words(stopped):
    assert text_of(with_result(made.classification(), stopped=stopped), "stopped")


def test_an_empty_record_has_a_summary_too():
    summary = summarise(made.empty())
    assert summary.level == "unclear"
    assert "no result recorded" in summary.headline


def test_every_key_may_be_missing():
    record = made.classification()
    for key in record.result:
        summarise(replace(record, result={k: v for k, v in record.result.items() if k != key}))
    for key in record.problem:
        summarise(replace(record, problem={k: v for k, v in record.problem.items() if k != key}))


def test_a_fall_too_small_to_be_shown_is_not_said():
    record = made.classification()
    validation = record.evaluations.filter(record.evaluations["part"] == "validation").head(3)
    for last, said in ((0.49999, False), (0.45, True)):
        losses = pl.Series("loss", [0.6, 0.5, last])
        falling = replace(record, evaluations=validation.with_columns(losses))
        assert ("trend" in {s.kind for s in summarise(falling).statements}) == said


def test_no_class_is_recognised_least_where_all_are_alike():
    perfect = made.classification(accuracy=1.0)
    assert "classes" not in {s.kind for s in summarise(perfect).statements}


def test_the_classes_of_one_lowest_recall_are_named_together():
    record = made.classification(classes=3, names=["cat", "dog", "fox"])
    test = pl.DataFrame({"target": [0, 0, 1, 1, 2, 2], "prediction": [0, 1, 1, 0, 2, 2]})
    assert text_of(replace(record, test=test), "classes") == (
        "Lowest recall: classes cat and dog, 50.0 % of the test examples of each."
    )


def test_a_run_with_a_training_loss_alone_has_a_result():
    record = made.classification()
    gone = ("test_metric", "test_loss", "validation_loss")
    result = {name: value for name, value in record.result.items() if name not in gone} | {"train_loss": 0.25}
    assert summarise(replace(record, result=result)).headline.endswith("training loss 0.2500, no test split")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_test_figures_that_are_not_finite_are_bad(value):
    record = made.regression()
    broken = with_result(record, test_metric={"name": "rmse", "value": value}, test_loss=value)
    summary = summarise(broken)
    assert summary.level == "bad" and summary.headline.endswith("the test figures are not finite numbers")


def test_the_baseline_is_the_one_that_the_result_has():
    record = made.regression()
    series = with_result(record, baseline={"name": "rmse", "value": 9e9, "of": "the last known value"})
    assert "; predicting the last known value gives" in text_of(series, "metric")
    older = with_result(record, baseline={"name": "rmse", "value": 9e9})
    assert "; the baseline gives" in text_of(older, "metric")


@pytest.mark.parametrize("count", [1, 3])
def test_few_test_values_are_said_and_not_judged(count):
    record = made.regression(examples=count)
    better = with_result(record, baseline={"name": "rmse", "value": 1e9})
    noun = "test value" if count == 1 else "test values"
    assert f"({count} {noun}: too few for an interval)" in text_of(better, "metric")
    assert "95 % interval" not in text_of(better, "metric")
    worse = with_result(record, baseline={"name": "rmse", "value": 0.0})
    for judged in (better, worse):
        assert summarise(judged).level == "unclear" and "The network is" not in text_of(judged, "metric")
