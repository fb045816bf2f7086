"""References in `fit`: what they reach is what scikit-learn reaches, within the time, and said plainly."""

from dataclasses import replace

import jax
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import thalweg as tw
from tests.insight import made
from thalweg.insight import rivals
from thalweg.insight.fit import fit
from thalweg.insight.intervals import bootstrap
from thalweg.insight.judging import resume
from thalweg.insight.rivals import rmse_difference
from thalweg.insight.standing import standing
from thalweg.insight.summary import summarise
from thalweg.view.report.page import render

OPTIONS = {"recipe": "sgd", "steps": 20, "seed": 3, "settings": ["batch_size=16"], "progress": False}


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(400, 4)).astype(np.float32)
    labels = (inputs @ [1, -1, 2, 0] + random.normal(size=400) > 0).astype(int)
    return tw.load((inputs, labels), test=0.25)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return fit(data, "linear", keep=tmp_path_factory.mktemp("runs") / "run", **OPTIONS)


def scores(run):
    return {each["name"]: each for each in run.result["references"]["scores"]}


def test_a_reference_reaches_what_scikit_learn_reaches_on_these_rows(run, data):
    train, test = data.train, data.test
    scaler = StandardScaler().fit(train.inputs)
    model = LogisticRegression(max_iter=200).fit(scaler.transform(train.inputs), train.targets)
    right = model.predict(scaler.transform(test.inputs)) == np.asarray(test.targets)
    found = scores(run)["logistic regression"]
    assert found["value"] == pytest.approx(right.mean(), abs=1e-12) and found["rows"] == train.count()
    network = run.result["references"]["network"]
    assert network == run.result["test_metrics"]["accuracy"]
    assert found["difference"] == pytest.approx(found["value"] - network)
    assert found["low"] <= found["difference"] <= found["high"]


def test_the_run_itself_is_the_same_without_references(run, data):
    plain = fit(data, "linear", references=False, **OPTIONS)
    assert "references" not in plain.result
    assert plain.result["test_loss"] == run.result["test_loss"]
    pairs = zip(jax.tree.leaves(plain.params), jax.tree.leaves(run.params), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_the_folder_is_sealed_with_them_and_a_resumed_run_gets_its_own(run):
    assert tw.read(run.folder).result["references"] == run.result["references"]
    more = resume(run.folder, run.problem, change=tw.Change(steps=30, schedule="stretch"), progress=False)
    assert more.result["steps"] == 30 and set(scores(more)) == set(scores(run))
    assert more.result["references"]["network"] == more.result["test_metrics"]["accuracy"]


def test_what_takes_too_long_learns_from_fewer_rows_or_is_left_out(run, monkeypatch):
    monkeypatch.setattr(rivals, "LEAST", 1.0)
    monkeypatch.setattr(rivals, "FEWEST_ROWS", 50)
    costs = {"linear": 0.0, "neighbours": 1.0, "trees": 1e3}
    monkeypatch.setattr(rivals, "_seconds", lambda name, rows, **_: costs[name] * rows / 100)
    cheap = replace(run, record=replace(run.record, result=run.result | {"seconds": {"total": 0.0}}))
    entry = rivals.judged(cheap)["references"]
    by_name = {each["name"]: each for each in entry["scores"]}
    assert by_name["logistic regression"]["rows"] == run.problem.data.train.count()
    assert 50 <= by_name["nearest neighbours"]["rows"] <= 100
    assert "would take about" in entry["skipped"]["gradient-boosted trees"]


def test_the_interval_of_a_difference_of_roots_is_that_of_the_bootstrap():
    random = np.random.default_rng(1)
    first = random.normal(0, 1.0, 400)
    second = first + random.normal(0, 0.5, 400)
    low, high = rmse_difference(first, second)
    squares = np.stack([first**2, second**2], axis=1)
    expected = bootstrap(squares, lambda means: np.sqrt(means[:, 1]) - np.sqrt(means[:, 0]))
    assert (low, high) == pytest.approx(expected, abs=0.012)
    assert rmse_difference(first, first) is None


def test_a_series_is_compared_with_the_value_of_one_period_before():
    time = np.arange(400)
    values = np.sin(2 * np.pi * time / 12) * 10 + np.random.default_rng(0).normal(0, 0.1, 400) + 50
    frame = pl.DataFrame({"day": time, "sales": values})
    run = fit(frame, "linear", target="sales", window=16, test=0.2, validation=0.2, **OPTIONS)
    (name,) = (name for name in scores(run) if name.startswith("seasonal naive"))
    test = run.problem.data.test
    times = np.asarray(test.starts) + test.window
    scale = np.ravel(run.problem.data.preparation.target_scale)[0]
    following = np.asarray(test.following) * scale
    error = following[times] - following[times - 12]
    assert name == "seasonal naive (period 12)"
    assert scores(run)[name]["value"] == pytest.approx(float(np.sqrt(np.mean(error**2))), rel=1e-4)


def entry(difference, low, high):
    score = {"name": "trees", "value": 0.95 + difference, "rows": 800, "seconds": 0.1}
    score |= {"difference": difference, "low": low, "high": high}
    facts = {"metric": "accuracy", "higher_is_better": True, "rows": 2000, "network": 0.95}
    return {"references": facts | {"scores": [score], "skipped": {"ridge": "too long"}, "split": "test"}}


@pytest.mark.parametrize(
    ("figures", "words", "level"),
    [
        (
            (0.02, 0.01, 0.03),
            "Better than this network: trees, by 2.00 points (95 % interval 1.00 to 3.00)",
            "bad",
        ),
        ((0.02, -0.01, 0.05), "trees is not distinguishable from the network", "unclear"),
        ((-0.02, -0.03, -0.01), "the network is better than each", "good"),
    ],
)
def test_the_summary_says_plainly_which_is_better(figures, words, level):
    record = made.classification()
    record = replace(record, result=record.result | entry(*figures))
    (said,) = (each for each in summarise(record).statements if each.kind == "references")
    assert words in said.text and said.level == level
    assert "ridge was left out: too long" in render(record)
    assert standing(record).standings[0].relation == {"bad": "better", "good": "worse"}.get(level, "unclear")


def test_a_sweep_and_folds_have_none(data):
    runs = fit((np.asarray(data.train.inputs), np.asarray(data.train.targets)), "linear", folds=2, **OPTIONS)
    assert all("references" not in run.result for run in runs)


def test_a_reference_that_fails_costs_no_run(run, data, monkeypatch, tmp_path):
    def failing(*_):
        raise ValueError("a fault of a library")

    monkeypatch.setattr(rivals, "_trained", failing)
    other = fit(data, "linear", keep=tmp_path / "run", **OPTIONS)
    assert other.result["references"]["skipped"] == {"all": "ValueError: a fault of a library"}
    assert other.result["test_loss"] == run.result["test_loss"]
    assert tw.read(tmp_path / "run").result["stopped"] == "steps" and summarise(other.record)
