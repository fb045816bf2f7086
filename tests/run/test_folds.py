"""Folds are lanes: each has the bits of a run on that fold alone, its own preparation and its own files."""

import dataclasses

import jax
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import f1_score

import thalweg as tw
from tests.run.test_resume import BreakOff, BrokenOff
from thalweg.insight.intervals import estimate_mean
from thalweg.insight.ranking import ranking_of
from thalweg.problem.models import parse

RANDOM = np.random.default_rng(0)
ROWS = 103  # folds of different sizes


def table():
    """Return a table in which a category is so rare that the training rows of one fold lack it."""
    x, kind = RANDOM.normal(3, 2, ROWS), np.array(["a", "b", "c"])[RANDOM.integers(0, 3, ROWS)]
    kind[:2] = "rare"
    value = np.where(kind == "a", 1.0, -1.0) * x + RANDOM.normal(size=ROWS)
    return pl.DataFrame({"x": x, "kind": kind, "value": value * 40 + 7})


def arrays():
    x = RANDOM.normal(2, 3, (ROWS, 5)).astype(np.float32)
    return x, (x[:, 0] > x[:, 1]).astype(int)


def pictures():
    """Return pictures of which a few are bright, so that the mean brightness of each fold differs."""
    dark = RANDOM.integers(0, 20, (ROWS, 8, 8)).astype(np.uint8)
    dark[::12] += 200
    return dark, np.arange(ROWS) % 2


CASES = {
    "arrays": lambda: tw.load(arrays(), folds=4),
    "pictures": lambda: tw.load(pictures(), folds=4),
    "table": lambda: tw.load(table(), target="value", folds=4),
}
NAMES = ("train_loss", "validation_loss", "test_loss", "test_metric", "test_metrics", "baseline", "best")
BASE = tw.Recipe(tw.AdamW(lr=1e-2), batch_size=16, epochs=8)
RECIPES = [BASE, dataclasses.replace(BASE, seed=1)]


@pytest.fixture(scope="module", params=CASES)
def trained(request):
    problem = tw.Problem(parse("mlp:8"), CASES[request.param]())
    return problem, tw.train(problem, RECIPES, strict=True, progress=False)


def assert_equal(first, second):
    for one, other in zip(*[jax.tree.leaves(run.params) for run in (first, second)], strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    results = [{name: run.result.get(name) for name in NAMES} for run in (first, second)]
    assert results[0] == results[1]
    assert first.record.test.equals(second.record.test)


def test_a_fold_among_lanes_equals_the_fold_alone(trained):
    problem, runs = trained
    assert runs.table["fold"].to_list() == [0, 1, 2, 3, 0, 1, 2, 3]
    sizes = {problem.of_fold(fold).data.train.count() for fold in range(4)}
    assert len(sizes) == 2  # so that rows beyond the end of a smaller fold would show
    shards = runs.result["plan"]["shards"]
    assert any(len({lane % 4 for lane in shard}) > 1 for shard in shards)  # folds in one program
    for lane in (0, 2, 3, 5):
        assert_equal(runs[lane], tw.train(problem.of_fold(lane % 4), RECIPES[lane // 4], progress=False))


def test_every_row_is_held_out_once(trained):
    problem, runs = trained
    rows = [np.asarray(run.record.test["row"]) for run in runs[:4]]
    assert sorted(np.concatenate(rows)) == list(range(ROWS))
    for fold in problem.data.folds:
        used = np.concatenate([fold.rows[name] for name in ("train", "validation", "test")])
        assert sorted(used) == list(range(ROWS))


def test_batched_lanes_of_folds_agree_with_mapped_ones(trained):
    problem, runs = trained
    batched = tw.train(problem, RECIPES, progress=False)
    assert set(batched.result["plan"]["layouts"]) == {"batch"}
    np.testing.assert_allclose(batched.table["test_loss"], runs.table["test_loss"], rtol=1e-3)


def test_batched_lanes_of_one_seed_read_the_batches_of_their_fold(trained):
    problem, _ = trained
    recipes = BASE.vary(lr=[1e-3, 3e-3, 1e-2, 3e-2])
    batched = tw.train(problem, recipes, progress=False)
    plan = batched.result["plan"]
    assert set(plan["layouts"]) == {"batch"}
    # A lane's number is 4 * recipe + fold.
    assert all(len({lane % 4 for lane in shard}) == 1 for shard in plan["shards"])
    mapped = tw.train(problem, recipes, strict=True, progress=False)
    np.testing.assert_allclose(batched.table["test_loss"], mapped.table["test_loss"], rtol=1e-3)


def test_folds_are_resumed_and_read_back(tmp_path):
    data = table()
    data.write_csv(tmp_path / "data.csv")
    loaded = tw.load(tmp_path / "data.csv", target="value", folds=3)
    shapes = {fold.input_shape for fold in loaded.folds}
    padding = [fold.preparation.columns.padding for fold in loaded.folds]
    assert len(shapes) == 1 and max(padding) > 0 == min(padding)
    problem, recipe = tw.Problem(parse("mlp:8"), loaded), RECIPES[0]
    whole = tw.train(problem, recipe, progress=False, keep=tmp_path / "whole")
    with pytest.raises(BrokenOff):
        keep = tw.SaveOptions(tmp_path / "broken", every="8")
        tw.train(problem, recipe, keep=keep, progress=BreakOff(20))
    resumed = tw.resume(tmp_path / "broken", progress=False)
    for one, other in zip(whole, resumed, strict=True):
        assert_equal(one, other)
    lane = padding.index(max(padding))
    trained = tw.restore(tmp_path / "whole" / "lanes" / f"{lane:03d}")
    held_out = loaded.folds[lane].rows["test"]
    answers = trained.answers(data[held_out.tolist()])
    np.testing.assert_allclose(
        np.ravel(answers["prediction"]), whole[lane].record.test["prediction"], rtol=1e-4, atol=1e-4
    )


def test_the_interval_over_folds_counts_that_their_training_rows_overlap(trained):
    _, runs = trained
    ranking = ranking_of(runs)
    values = runs.table["test_metric"].to_list()
    assert ranking.over == "seeds and folds" and ranking.test_metric == estimate_mean(values, 1 / 3)
    assert ranking.test_metric.half > estimate_mean(values).half


def test_a_metric_of_the_whole_split_is_of_the_rows_of_each_fold():
    problem = tw.Problem(parse("mlp:4"), tw.load(arrays(), folds=4), metric="macro_f1")
    runs = tw.train(problem, tw.Recipe(tw.AdamW(lr=1e-2), batch_size=16, epochs=2), progress=False)
    for run in runs:
        figure = f1_score(run.record.test["target"], run.record.test["prediction"], average="macro")
        assert run.result["test_metric"]["value"] == pytest.approx(figure, abs=1e-6)


def test_more_folds_than_rows_of_a_class_still_give_each_fold_rows():
    x = RANDOM.normal(size=(12, 2))
    data = tw.load((x, np.arange(12) % 3), folds=4, validation=0)
    assert [fold.test.count() for fold in data.folds] == [3] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "at least 2"),
        ({"folds": 2.5}, "folds"),
        ({"folds": 3, "test": 0.2}, "each in turn"),
        ({"folds": 3, "split": "time"}, "order in time"),
        ({"folds": 90}, "must each have rows"),
    ],
)
def test_folds_that_cannot_be_dealt_are_refused(options, message):
    x = np.concatenate([np.zeros((50, 2)), np.arange(100).reshape(50, 2)])
    with pytest.raises(tw.BadInput, match=message):
        tw.load((x, np.arange(100) % 2), **options)


def test_trials_on_folds_are_refused():
    problem = tw.Problem(parse("mlp:8"), tw.load(arrays(), folds=2))
    with pytest.raises(tw.BadInput, match="of_fold"):
        tw.find_lr(problem)
