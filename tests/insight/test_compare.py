"""Two runs: what differs, whether they are comparable, and what the paired comparison shows."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.insight import made
from thalweg.insight.compare import compare
from thalweg.insight.compare import test_sets as sets_of


def changed(record, name="made-2", **recipe):
    settings = {**record.recipe, **recipe}
    return replace(record, recipe=settings, folder=Path("runs") / name)


def with_data(record, **data):
    return replace(record, problem={**record.problem, "data": {**record.problem["data"], **data}})


def test_settings_that_differ_are_listed_and_no_others():
    first = made.classification()
    second = changed(first, optimizer={**first.recipe["optimizer"], "lr": 3e-4})
    comparison = compare(first, second)
    assert [(d.group, d.key, d.first, d.second) for d in comparison.differences] == [
        ("recipe", "optimizer.lr", "0.001", "0.0003")
    ]
    assert "Only one thing differs: optimizer.lr." in comparison.sentences


def test_another_optimizer_is_one_difference_with_the_settings_it_brings():
    first = made.classification()
    second = changed(first, optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9}, seed=1)
    comparison = compare(first, second)
    keys = [d.key for d in comparison.differences]
    assert "optimizer" in keys
    assert "optimizer.momentum" in keys
    assert any(
        sentence.startswith("2 things differ (optimizer and seed)") for sentence in comparison.sentences
    )


def test_another_path_to_the_same_data_is_no_difference():
    first = with_data(made.classification(), source={"from": "people.csv", "options": {}}, fingerprint="a")
    second = with_data(first, source={"from": "/data/people.csv", "options": {}})
    assert compare(first, second).differences == ()
    other = compare(first, with_data(second, fingerprint="b"))
    assert {d.key for d in other.differences} == {"source.from", "fingerprint"}


def test_models_of_the_same_name_differ_by_their_layers():
    first = made.classification()
    second = made.classification()
    second.problem["model"]["layers"][0]["shape"] = [256, 784]
    assert [d.key for d in compare(first, second).differences] == ["layers.0.weight"]


def test_the_same_run_says_so():
    comparison = compare(made.classification(), made.classification())
    assert comparison.differences == ()
    assert comparison.paired.identical
    assert comparison.paired.better is None
    assert "Both runs predict the same on all 2,000 test examples." in comparison.sentences
    assert "Recipe, model and data are the same, as far as they are recorded." in comparison.sentences


def test_a_clear_difference_on_the_same_examples_names_the_better_run():
    comparison = compare(made.classification(accuracy=0.9), changed(made.classification(accuracy=0.97)))
    assert comparison.paired.better == 2
    assert comparison.paired.low > 0
    assert comparison.paired.p_value < 1e-6
    assert any("made-2 is better on this test set" in sentence for sentence in comparison.sentences)
    assert any("luck of the seed" in sentence for sentence in comparison.sentences)


def test_too_small_a_difference_cannot_be_told():
    first = made.classification(examples=200)
    answers = first.test.with_row_index()
    # Two examples change hands, one in each direction: nothing can follow from that.
    flipped = answers.with_columns(
        prediction=pl.when(pl.col("index") == 0)
        .then((pl.col("target") + 1) % 10)
        .otherwise(pl.col("prediction"))
    )
    comparison = compare(first, replace(changed(first), test=flipped.drop("index")))
    assert comparison.paired.better is None
    assert any("cannot tell which is better" in sentence for sentence in comparison.sentences)


def test_errors_in_numbers_are_compared_by_a_paired_bootstrap():
    comparison = compare(made.regression(noise=0.4), changed(made.regression(noise=0.3)))
    assert comparison.paired.metric == "rmse"
    assert comparison.paired.better == 2
    assert comparison.paired.high < 0
    assert comparison.paired.p_value is None


def test_other_test_examples_are_not_compared():
    comparison = compare(made.classification(), changed(made.classification(seed=1)))
    assert comparison.test_sets.same is False
    assert comparison.paired is None
    assert "The test sets differ: test figures cannot be compared." in comparison.sentences
    assert all(figure.better is None for figure in comparison.figures)


def test_equal_labels_with_another_fingerprint_are_no_proof_of_equal_examples():
    first = made.classification()
    other = with_data(changed(first), fingerprint="cd" * 32)
    assert sets_of(first, other).same is None
    assert compare(first, other).paired is None


def test_equal_numeric_targets_with_another_fingerprint_are():
    first = made.regression()
    other = with_data(changed(made.regression(noise=0.2)), fingerprint="cd" * 32)
    assert sets_of(first, other).comparable
    assert compare(first, other).paired is not None


def test_another_task_has_no_common_figures():
    comparison = compare(made.classification(), made.regression())
    assert comparison.test_sets.comparable is False
    assert comparison.paired is None


@pytest.mark.parametrize("other", [made.empty(), made.diverged()])
def test_broken_records_are_compared_as_far_as_they_go(other):
    comparison = compare(made.classification(), other)
    assert comparison.paired is None
    assert comparison.sentences


def test_figures_stand_side_by_side():
    comparison = compare(made.classification(accuracy=0.9), changed(made.classification(accuracy=0.97)))
    rows = {figure.name: figure for figure in comparison.figures}
    assert rows["test accuracy"].better == 2
    assert rows["time"].first == "14.2 s"
    assert rows["steps"].first == "2,110"


def test_few_errors_do_not_tell_which_run_is_better():
    first = made.regression(examples=3)
    second = replace(first, test=first.test.with_columns(prediction=pl.col("prediction") * 1.5))
    comparison = compare(first, second)
    assert comparison.paired is None
    assert any("3 test values are too few to tell" in sentence for sentence in comparison.sentences)
