"""Which of two figures is better, and which of two settings comes first: the direction of comparisons."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.insight import made
from tests.insight.swept import row, table
from thalweg.insight.compare import compare
from thalweg.insight.compare import test_sets as sets_of
from thalweg.insight.curves import Curve, buckets
from thalweg.insight.outcome import Score
from thalweg.insight.ranking import rank


def of_values(prediction, target, metric: str, fingerprint: str = "ab", **result):
    """Return the record of a regression with these predictions."""
    record = made.regression(steps=40)
    error = np.asarray(prediction) - np.asarray(target)
    value = float(np.mean(np.abs(error)) if metric == "mae" else np.sqrt(np.mean(error**2)))
    data = record.problem["data"] | {"fingerprint": fingerprint}
    return replace(
        record,
        problem=record.problem | {"data": data},
        result=record.result | {"test_metric": {"name": metric, "value": value}, "test_metrics": {}} | result,
        test=pl.DataFrame({"target": target, "prediction": prediction}),
    )


def test_the_lower_loss_and_the_better_metric_are_marked():
    random = np.random.default_rng(0)
    target = random.normal(size=200)
    near, far = (target + scale * random.normal(size=200) for scale in (0.1, 0.9))
    good = of_values(near, target, "rmse", test_loss=0.02)
    poor = replace(of_values(far, target, "rmse", test_loss=0.9), folder=Path("runs/made-2"))
    for first, second, better in ((good, poor, 1), (poor, good, 2)):
        comparison = compare(first, second)
        marked = {figure.name: figure.better for figure in comparison.figures}
        assert marked["test loss"] == marked["test rmse"] == comparison.paired.better == better
        assert marked["training speed"] is None


@pytest.mark.parametrize(("metric", "power"), [("mae", 1), ("rmse", 2)])
def test_the_compared_error_is_that_of_the_metric(metric, power):
    target = np.arange(40.0)
    errors = np.where(target % 4 == 0, 8.0, 1.0), np.full(40, 3.0)
    runs = [of_values(target + error, target, metric) for error in errors]
    paired = compare(*runs).paired
    means = [np.mean(error**power) ** (1 / power) for error in errors]
    assert (paired.metric, paired.first, paired.second) == (metric, *map(pytest.approx, means))
    assert paired.difference == pytest.approx(means[1] - means[0])
    assert paired.low < paired.difference < paired.high


def test_few_distinct_targets_do_not_prove_that_examples_are_the_same():
    many, few = np.arange(60.0), np.arange(60.0) % 5
    for target, comparable in ((many, True), (few, False)):
        runs = [of_values(target + 0.1, target, "rmse", fingerprint) for fingerprint in ("ab", "cd")]
        assert sets_of(*runs).comparable is comparable


def test_scores_of_two_metrics_cannot_be_compared():
    assert Score("rmse", 1.0).better_than(Score("rmse", 2.0)) is True
    assert Score("r2", 1.0).better_than(Score("r2", 2.0)) is False
    assert Score("accuracy", 1.0).better_than(Score("f1", 0.5)) is None
    assert Score("own", 1.0).better_than(Score("own", 0.5)) is None


@pytest.mark.parametrize(("points", "most", "width"), [(1001, 400, 3), (400, 400, 1), (801, 400, 3)])
def test_a_thinned_curve_has_at_most_so_many_buckets(points, most, width):
    thinned = buckets(Curve(np.arange(float(points)), np.ones(points)), most)
    assert thinned.width == width and len(thinned.step) == -(-points // width) <= most


def test_frozen_settings_come_before_those_that_diverged_in_part():
    lanes = {0.1: [0.5, 0.6], 0.2: [0.1, 0.2], 0.3: [0.05, None], 0.4: [0.4, 0.3]}
    rows = [
        row(2 * number + seed, loss, **{"optimizer.lr": rate, "seed": seed})
        for number, (rate, losses) in enumerate(lanes.items())
        for seed, loss in enumerate(losses)
    ]
    rows[2]["stopped"] = "halved"  # one seed of 0.2
    for halved in rows[6:8]:  # both of 0.4, later
        halved["stopped"] = "halved"
    rows[6]["steps"] = rows[7]["steps"] = 500
    rows[2]["steps"] = 300
    ranking = rank(table(rows), ["optimizer.lr", "seed"])
    found = [(entry.setting["optimizer.lr"], entry.status) for entry in ranking.entries]
    assert found == [(0.1, "best"), (0.4, "frozen"), (0.2, "frozen"), (0.3, "diverged in part")]
