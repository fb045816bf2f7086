"""Several labels that do not exclude each other: from the data to the report."""

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from tests.problem.data.given import refused
from thalweg.core.errors import ModelError
from thalweg.insight.compare import compare
from thalweg.insight.fit import fit
from thalweg.insight.summary import summarise
from thalweg.problem.data.load import load
from thalweg.problem.losses import default_loss, default_metric
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.run.folder.record import read
from thalweg.run.restore import restore
from thalweg.run.validate import check_loss
from thalweg.view.report import render

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(240, 4))
# The first two labels follow from the inputs, the third is nearly always 1.
Y = np.stack([X[:, 0] > 0, X[:, 1] > X[:, 0], RANDOM.random(240) < 0.9], axis=1).astype(int)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit((X, Y), "mlp:16", epochs=30, lr=0.01, keep=tmp_path_factory.mktemp("labels") / "run")


def arrays(run):
    return (np.array(run.record.test[name].to_list()) for name in ("target", "prediction"))


def test_each_label_is_learned_and_scored_as_scikit_learn_does(run):
    target, prediction = arrays(run)
    scores = run.result["test_metrics"]
    assert run.result["task"] == "multilabel" and target.shape == prediction.shape == (48, 3)
    assert scores["accuracy"] == pytest.approx(1 - metrics.hamming_loss(target, prediction))
    assert scores["exact_match"] == pytest.approx(metrics.accuracy_score(target, prediction))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(target, prediction, average="macro"))
    assert run.result["test_metric"]["value"] == pytest.approx(scores["accuracy"], abs=1e-6)
    assert (target == prediction)[:, :2].mean() > 0.9


def test_the_baseline_gives_each_label_its_commoner_answer(run):
    target, _ = arrays(run)
    common = np.asarray(run.problem.data.train.targets).mean(axis=0) > 0.5
    assert common.tolist()[2]
    assert run.result["baseline"]["value"] == pytest.approx((target == common).mean())


def test_answers_are_a_0_or_1_and_a_probability_for_each_label(run):
    for answers in (run.predict(X[:50]), restore(run.folder).answers(X[:50])):
        probabilities = np.stack([answers[f"probability_{label}"] for label in range(3)], axis=1)
        assert set(answers) == {"prediction", "probability_0", "probability_1", "probability_2"}
        assert np.array_equal(answers["prediction"], (probabilities > 0.5).astype(int))
        assert (probabilities.sum(axis=1) > 1.2).any()  # they do not exclude each other
        assert (answers["prediction"] == Y[:50])[:, :2].mean() > 0.9
        logits = run.outputs(run.problem.data.preparation.columns.inputs(X[:50]))
        assert np.allclose(probabilities, 1 / (1 + np.exp(-np.float64(logits))), atol=1e-6)


def test_a_certain_answer_has_a_finite_probability(run):
    answers = run.problem.data.preparation.answers(np.array([[-1e4, 0.0, 1e4]], np.float32), "multilabel")
    assert [float(answers[f"probability_{i}"][0]) for i in range(3)] == [0.0, 0.5, 1.0]


def test_words_and_report_fit_several_labels(run):
    record = read(run.folder)
    summary = summarise(record)
    assert summary.level == "good"
    assert "predicting the commonest answer for each label" in summary.statements[0].text
    assert "labels that do not exclude each other" in render(record)
    other = replace(record, result=record.result | {"test_loss": 1.0})
    assert compare(record, other).paired is None


def test_the_defaults_are_binary_cross_entropy_and_accuracy():
    logits, targets = jnp.array([[2.0, -1.0, 0.5]]), jnp.array([[1.0, 0.0, 0.0]])
    by_hand = np.mean(np.log1p(np.exp([-2.0, -1.0, 0.5])))
    assert float(default_loss("multilabel")(logits, targets)[0]) == pytest.approx(by_hand, rel=1e-6)
    assert float(default_metric("multilabel").per_example(logits, targets)[0]) == pytest.approx(2 / 3)


def test_a_loss_for_one_class_is_refused():
    with refused("soft labels must sum to 1"):
        check_loss(Problem(MLP([None, 4, None]), load((X, Y)), loss="cross_entropy"))


def test_a_model_with_another_number_of_outputs_is_refused():
    with pytest.raises(ModelError, match="3 labels"):
        Problem(lambda key: eqx.nn.Linear(4, 2, key=key), load((X, Y)))
