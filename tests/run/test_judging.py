"""How outputs are judged, wired into runs: several metrics, weights of examples and classes, new losses."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from tests.test_examples import assert_equal
from thalweg.core.errors import BadInput, DataError, ModelError
from thalweg.problem.data.examples import examples
from thalweg.problem.data.load import load
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers.sgd import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.problem_record import check_same, describe_problem, unnamed
from thalweg.run.restore import restore
from thalweg.run.resume import Change, resume
from thalweg.run.train import train

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 3)).astype(np.float32)
Y = np.where(X[:, 0] + 0.5 * rng.normal(size=120) > 0.5, "yes", "no")
VALUES = 50 + 10 * X[:, 1] + rng.normal(size=120)
COUNTS = rng.poisson(np.exp(1 + 0.5 * X[:, 0])).astype(float)
SHORT = Recipe(SGD(lr=0.1), batch_size=32, epochs=4)
FULL = Recipe(SGD(lr=0.3), batch_size="full", epochs=15)
METRICS = ["roc_auc", "accuracy", "f1:yes", "log_loss"]


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    frame = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "heavy": np.where(X[:, 2] > 0, 3, 1), "y": Y})
    path = tmp_path_factory.mktemp("table") / "table.csv"
    frame.write_csv(path)
    data = load(path, target="y", weights="heavy")
    problem = Problem(MLP([2, 8, 2]), data, metric=METRICS, class_weight={"yes": 2})
    return train(problem, SHORT, keep=path.parent / "run")


def test_test_figures_are_those_of_scikit_learn_with_the_weights_of_the_column(judged):
    result, data = judged.result, judged.problem.data
    test, rows = data.test, data.rows["test"]
    weights = np.where(X[rows, 2] > 0, 3, 1)
    outputs = judged.outputs(test.inputs)
    share = np.asarray(jax.nn.softmax(outputs))[:, 1]
    y = np.asarray(test.targets)
    assert "heavy" not in [rule.column for rule in data.preparation.columns.rules]
    assert result["test_metric"]["name"] == "roc_auc"
    assert result["test_metric"]["value"] == pytest.approx(sk.roc_auc_score(y, share, sample_weight=weights))
    right = sk.accuracy_score(y, share > 0.5, sample_weight=weights)
    assert result["test_metrics"]["accuracy"] == pytest.approx(right, rel=1e-6)
    assert result["test_metrics"]["f1:yes"] == pytest.approx(
        sk.f1_score(y, share > 0.5, sample_weight=weights)
    )
    entropy = sk.log_loss(y, share, sample_weight=weights)
    assert result["test_metrics"]["log_loss"] == pytest.approx(entropy, rel=1e-5)
    commonest = np.bincount(y, weights).max() / weights.sum()
    assert result["baseline"]["value"] == pytest.approx(commonest)


def test_every_evaluation_records_every_metric(judged):
    figures = judged.record.figures
    evaluations = judged.record.evaluations
    for part in ("validation", "test"):
        own = figures.filter(pl.col("part") == part)
        assert sorted(own["name"].unique()) == ["accuracy", "f1:yes", "log_loss"]
        assert own.height == 3 * evaluations.filter(pl.col("part") == part).height


def test_the_first_metric_selects(judged):
    evaluations = judged.record.evaluations.filter(pl.col("part") == "validation")
    assert judged.result["best"]["validation_metric"] == evaluations["metric"].max()


def test_a_run_is_resumed_from_its_folder_with_its_metrics_and_weights(judged):
    longer = resume(judged.folder, change=Change(epochs=5))
    assert longer.result["test_metrics"].keys() == judged.result["test_metrics"].keys()
    assert longer.problem.class_weight == {"yes": 2.0}
    assert longer.problem.loss == judged.problem.loss
    with pytest.raises(ModelError, match="weights of the classes"):
        resume(judged.folder, dataclasses.replace(judged.problem, class_weight="balanced"))


KINDS = {
    "poisson": lambda: Problem(MLP([3, 8, 1]), load((X, COUNTS), task="regression"), loss="poisson"),
    "quantile": lambda: Problem(MLP([3, 8, 3]), load((X, VALUES)), loss="quantile:0.1,0.5,0.9"),
    "ordinal": lambda: Problem(MLP([3, 8, 2]), load((X, GRADES)), loss="ordinal:low,some,high"),
    "weighted": lambda: Problem(
        MLP([3, 8, 2]),
        load((X, Y), weights=np.arange(120)),
        metric=["roc_auc", "brier"],
        class_weight="balanced",
    ),
    "heads": lambda: Problem(
        _Heads, ({"a": X, "b": X[:, :1]}, {"kind": Y, "price": VALUES}), metric=["price.r2", "kind.roc_auc"]
    ),
}
GRADES = np.array(["low", "some", "high"])[np.digitize(X[:, 0], [-0.5, 0.5])]


class _Heads(eqx.Module):
    body: eqx.nn.MLP

    def __init__(self, key):
        self.body = eqx.nn.MLP(4, 3, 8, 1, key=key)

    def __call__(self, given):
        z = self.body(jnp.concatenate([given["a"], given["b"]]))
        return {"kind": z[:2], "price": z[2:]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {name: train(make(), SHORT, keep=folder / name) for name, make in KINDS.items()}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_loss_in_lanes_is_as_alone(runs, name):
    lanes = train(runs[name].problem, [dataclasses.replace(SHORT, seed=3), SHORT], strict=True)
    assert_equal(runs[name], lanes[1])


def test_predictions_are_in_the_unit_of_the_target(runs):
    rates = runs["poisson"].predict(X)["prediction"]
    assert rates.min() > 0 and COUNTS.mean() / 2 < rates.mean() < 2 * COUNTS.mean()
    answers = runs["quantile"].predict(X)
    np.testing.assert_array_equal(answers["prediction"], answers["quantile_0.5"])
    assert (answers["quantile_0.1"] <= answers["quantile_0.9"]).all()
    assert abs(answers["prediction"].mean() - 50) < 10
    run = runs["quantile"]
    rows, ready = run.problem.data.rows["test"], run.problem.data.preparation
    target = run.problem.data.test.targets[:, 0] * ready.target_scale + ready.target_mean
    own = run.predict(X[rows])
    each = [sk.mean_pinball_loss(target, own[f"quantile_{q}"], alpha=q) for q in (0.1, 0.5, 0.9)]
    assert run.result["test_metric"]["value"] == pytest.approx(np.mean(each), rel=1e-4)
    assert runs["quantile"].result["baseline"]["of"] == "the training quantiles"


def test_ordered_classes_keep_their_order(runs):
    run = runs["ordinal"]
    assert run.problem.data.preparation.classes == ("low", "some", "high")
    train = run.problem.data.train  # not the order of their names, nor its inverse
    ends = [
        (train.inputs[train.targets == code, 0].min(), train.inputs[train.targets == code, 0].max())
        for code in range(3)
    ]
    assert ends[0][1] < ends[1][0] and ends[1][1] < ends[2][0]
    answers = run.predict(X)
    shares = np.stack([answers[f"probability_{name}"] for name in ("low", "some", "high")], axis=1)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(
        answers["prediction"], np.array(["low", "some", "high"])[shares.argmax(axis=1)]
    )
    with pytest.raises(DataError, match="order of the classes"):
        Problem(MLP([3, 8, 2]), load((X, GRADES)), loss="ordinal")


def test_weights_are_repetitions_of_rows():
    times = rng.integers(0, 4, 120)
    codes = (Y == "yes").astype(int)
    options = {"test": 0.0, "validation": 0.0}
    weighted = Problem(MLP([3, 8, 2]), load((X, codes), weights=times, **options), metric=METRICS[:2])
    # Copies stay together, so there is one split.
    repeated = Problem(
        MLP([3, 8, 2]), load((X.repeat(times, 0), codes.repeat(times)), **options), metric=METRICS[:2]
    )
    prepared = dataclasses.replace(repeated.data.preparation, **vars_of(weighted))
    inputs = weighted.data.train.inputs.repeat(times, 0)
    train_split = dataclasses.replace(repeated.data.train, inputs=inputs)
    data = dataclasses.replace(repeated.data, train=train_split, preparation=prepared)
    first, second = train(weighted, FULL), train(dataclasses.replace(repeated, data=data), FULL)
    assert first.result["train_loss"] == pytest.approx(second.result["train_loss"], rel=1e-4)
    for one, other in zip(jax.tree.leaves(first.params), jax.tree.leaves(second.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-5)
    assert first.result["train_metric"]["value"] == pytest.approx(
        second.result["train_metric"]["value"], rel=1e-3
    )


def vars_of(problem):
    ready = problem.data.preparation
    return {"columns": ready.columns, "input_shift": ready.input_shift, "input_scale": ready.input_scale}


def test_weights_of_classes_are_weights_of_their_rows_in_the_loss_alone():
    codes = (Y == "yes").astype(int)
    options = {"test": 0.0, "validation": 0.0}
    by_class = Problem(MLP([3, 8, 2]), load((X, codes), **options), class_weight={1: 3})
    by_row = Problem(MLP([3, 8, 2]), load((X, codes), weights=1 + 2 * codes, **options))
    first, second = train(by_class, FULL), train(by_row, FULL)
    for one, other in zip(jax.tree.leaves(first.params), jax.tree.leaves(second.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-5)
    assert first.result["train_loss"] == pytest.approx(second.result["train_loss"], rel=1e-4)
    assert first.result["train_metric"]["value"] != second.result["train_metric"]["value"]
    balanced = Problem(MLP([3, 8, 2]), by_class.data, class_weight="balanced")
    counts = np.bincount(np.asarray(balanced.data.train.targets))
    np.testing.assert_allclose(balanced.loss.weights, counts.sum() / (2 * counts))


@pytest.mark.parametrize(
    ("weights", "rule"),
    [
        (-np.ones(120), "at least 0"),
        (np.zeros(120), "not all be 0"),
        (np.ones(3), "120 numbers"),
        ("w", "array"),
    ],
)
def test_weights_that_are_none_are_refused(weights, rule):
    with pytest.raises(DataError, match=rule):
        load((X, Y), weights=weights)
    if not isinstance(weights, str):
        with pytest.raises(DataError, match=rule):
            examples({"x": X}, targets=Y, weights=weights)


@pytest.mark.parametrize(
    "options",
    [
        {"metric": "rmse"},
        {"metric": ["accuracy", "r2"]},
        {"class_weight": {"maybe": 2}},
        {"class_weight": {"yes": -1}},
        {"class_weight": {"yes": 0, "no": 0}},
        {"class_weight": ["yes"]},
        {"loss": "poisson"},
        {"select": "best"},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_anything_is_compiled(options):
    with pytest.raises(BadInput):
        Problem(MLP([3, 8, 2]), load((X, Y)), **options)


def test_counts_below_0_are_refused():
    with pytest.raises(DataError, match="at least 0"):
        Problem(MLP([3, 8, 1]), load((X, VALUES - 60)), loss="poisson")


def test_heads_answer_each_in_its_own_way(runs):
    run = runs["heads"]
    answers = run.predict({"a": X, "b": X[:, :1]})
    assert set(answers) == {
        "prediction_kind",
        "probability_no_kind",
        "probability_yes_kind",
        "prediction_price",
    }
    assert abs(answers["prediction_price"].mean() - 50) < 10
    assert list(run.result["test_metrics"]) == ["kind.roc_auc"]
    again = restore(run.folder, model=_Heads)
    predicted = again.preparation.answers(
        {name: np.asarray(value) for name, value in run.outputs({"a": X, "b": X[:, :1]}).items()},
        "heads",
        again.record.problem["outputs"],
    )
    np.testing.assert_array_equal(predicted["prediction_price"], answers["prediction_price"])


def test_of_a_metric_of_which_less_is_better_the_least_selects():
    problem = Problem(MLP([3, 8, 1]), load((X, VALUES)), metric=["mae"])
    run = train(problem, Recipe(SGD(lr=0.3), batch_size=8, epochs=60))
    evaluations = run.record.evaluations.filter(pl.col("part") == "validation")
    metrics, best = evaluations["metric"], run.result["best"]
    assert best["validation_metric"] == metrics.min() > 0
    assert best["step"] == evaluations["step"][int(metrics.arg_min())]
    assert metrics.arg_min() not in (0, metrics.arg_max())


def test_a_head_counts_by_its_factor():
    given = {"a": X, "b": X[:, :1]}, {"kind": Y, "price": VALUES}
    problem = Problem(_Heads, given, loss={"price": ("mse", 0.25)})
    outputs, targets = {"kind": jnp.array([[2.0, 0.0]]), "price": jnp.array([[3.0]])}, (0, 1.0)
    named = {"kind": jnp.array([targets[0]]), "price": jnp.array([[targets[1]]])}
    entropy = float(jnp.log1p(jnp.exp(-2.0)))
    assert float(problem.loss(outputs, named)[0]) == pytest.approx(entropy + 0.25 * 4, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "noun"),
    [
        ("spec", "model"),
        ("loss", "loss"),
        ("metric", "metric"),
        ("meaning", "outputs"),
        ("select", "selection"),
    ],
)
def test_what_a_run_was_started_with_is_not_changed(judged, name, noun):
    given = judged.problem
    before = describe_problem(given)
    check_same(before, given, {})
    with pytest.raises(ModelError, match=f"must have the {noun} that the run was started with"):
        check_same(before | {name: "another"}, given, {})


def test_a_loss_of_ones_own_is_not_rebuilt_as_the_librarys_of_its_name():
    def mse(outputs, targets):
        return jnp.abs(outputs - targets).mean(axis=-1)

    given = Problem(MLP([3, 4, 1]), load((X, VALUES)), loss=mse)
    before = describe_problem(given)
    assert before["loss"] == "mse" and unnamed(before, keeps_data=True) == "loss"
    named = describe_problem(Problem(MLP([3, 4, 1]), load((X, VALUES)), loss="mse"))
    assert unnamed(named, keeps_data=True) is None
