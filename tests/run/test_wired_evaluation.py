"""Evaluation and prediction: without dropout, with running statistics, over every example once.

The network has batch norm and dropout, so that its outputs in training differ from those that count, and a
split is longer than a batch of evaluation. Expected figures are computed with NumPy from the saved weights.
"""

import numpy as np
import pytest
import safetensors.numpy

import thalweg as tw
from tests.made import blobs
from thalweg.engine.evaluation_batches import EVALUATION_ROWS
from thalweg.problem.models import MLP
from thalweg.problem.models.layers.normalisation import EPSILON

DATA = blobs(5000)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose last weights are the only ones."""
    problem = tw.Problem(MLP([6, 16, 3], normalisation="batch", dropout=0.5), DATA)
    recipe = tw.Recipe(tw.SGD(lr=0.05), batch_size=100, steps=30)
    return tw.train(problem, recipe, keep=tmp_path_factory.mktemp("run"))


def logits(run, inputs) -> np.ndarray:
    """Return the outputs that count, from the weights as they are on disk."""
    saved = safetensors.numpy.load_file(run.folder / "final.safetensors")
    arrays = {name: value.astype(np.float64) for name, value in saved.items()}
    mean, variance, weight = (value for name, value in sorted(arrays.items()) if name.startswith("state:"))
    hidden = inputs @ arrays["layers.0.weight"].T + arrays["layers.0.bias"]
    hidden = (hidden - mean / weight) / np.sqrt(variance / weight + EPSILON)
    hidden = np.maximum(hidden * arrays["norms.0.scale"] + arrays["norms.0.shift"], 0)
    return hidden @ arrays["layers.1.weight"].T + arrays["layers.1.bias"]


def expected(run, split: str):
    """Return loss, accuracy and predictions on a split."""
    rows = DATA.splits[split]
    outputs = logits(run, rows.inputs)
    log_sum = np.log(np.exp(outputs - outputs.max(axis=1, keepdims=True)).sum(axis=1)) + outputs.max(axis=1)
    losses = log_sum - outputs[np.arange(len(outputs)), rows.targets]
    predictions = outputs.argmax(axis=1)
    return losses.mean(), (predictions == rows.targets).mean(), predictions


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_figures_of_a_split(run, split):
    loss, accuracy, _ = expected(run, split)
    assert DATA.splits[split].count() > EVALUATION_ROWS
    assert run.result[f"{split}_loss"] == pytest.approx(loss, rel=1e-5)
    assert run.result[f"{split}_metric"]["value"] == pytest.approx(accuracy, rel=1e-6)
    assert loss > 0.05  # a loss of nearly 0 would not tell dropout apart


def test_the_table_of_predictions(run):
    _, accuracy, predictions = expected(run, "test")
    assert run.record.test["prediction"].to_list() == [str(each) for each in predictions]
    assert run.record.test["target"].to_list() == [str(each) for each in DATA.test.targets]
    assert run.result["test_metrics"]["accuracy"] == pytest.approx(accuracy)


def test_predictions_for_new_data(run):
    inputs = DATA.test.inputs[:40]
    outputs = logits(run, inputs)
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run.outputs(inputs), outputs, rtol=1e-4, atol=1e-5)
    for answers in (run.predict(inputs), tw.restore(run.folder).answers(inputs)):
        assert answers["prediction"].tolist() == outputs.argmax(axis=1).tolist()
        for label in range(3):
            np.testing.assert_allclose(answers[f"probability_{label}"], shares[:, label], atol=1e-5)


def test_outputs_for_more_rows_than_one_slice(run):
    inputs = np.resize(DATA.train.inputs, (4100, 6))
    found = run.outputs(inputs)
    assert found.shape == (4100, 3)
    np.testing.assert_allclose(found, logits(run, inputs), rtol=1e-4, atol=1e-5)
