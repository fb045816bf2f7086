"""Two classes and one logit: binary cross-entropy and hinge, from the problem to predictions."""

import equinox as eqx
import jax
import numpy as np
import pytest

from tests.made import blobs
from thalweg.core.errors import ModelError
from thalweg.problem.losses import BinaryCrossEntropy, CrossEntropy, Hinge
from thalweg.problem.losses.outputs import class_columns
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.restore import restore
from thalweg.run.train import train

RECIPE = Recipe(SGD(lr=0.5), batch_size=16, steps=120)


class Scalar(eqx.Module):
    """A model whose output is a number, without an axis."""

    layer: eqx.nn.Linear

    def __init__(self, key):
        self.layer = eqx.nn.Linear(6, "scalar", key=key)

    def __call__(self, x):
        return self.layer(x)


def two() -> object:
    return blobs(classes=2)


@pytest.mark.parametrize("model", [MLP([6, 8, 1]), MLP([None, 8, None]), Scalar])
def test_a_model_with_a_single_logit_trains_evaluates_and_predicts(model, tmp_path):
    data = two()
    given = Problem(model, data, loss=BinaryCrossEntropy())
    run = train(given, RECIPE, keep=tmp_path / "run")
    assert run.result["test_metric"]["name"] == "accuracy" and run.result["test_metric"]["value"] > 0.9
    assert run.result["test_metrics"]["accuracy"] == pytest.approx(run.result["test_metric"]["value"])
    again = restore(tmp_path / "run", model=Scalar if model is Scalar else None)
    rows = np.asarray(data.test.inputs)
    for answers in (run.predict(rows), again.answers(rows)):
        logits = np.ravel(run.outputs(rows)).astype(np.float64)
        np.testing.assert_allclose(answers["probability_1"], 1 / (1 + np.exp(-logits)), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(answers["probability_0"], 1 / (1 + np.exp(logits)), rtol=1e-5, atol=1e-7)
        assert np.array_equal(answers["prediction"], (logits > 0).astype(int))
        assert np.mean(answers["prediction"] == data.test.targets) == run.result["test_metric"]["value"]


def test_the_default_model_has_one_output():
    assert Problem(None, two(), loss=BinaryCrossEntropy()).model.sizes[-1] == 1


def test_one_logit_learns_the_same_as_two():
    # Two logits at half the rate, from zeros: their difference moves as the single logit does, and the binary
    # cross-entropy of that difference is their cross-entropy.
    def zeros(outputs: int) -> eqx.Module:
        layer = eqx.nn.Linear(6, outputs, key=jax.random.key(0))
        return jax.tree.map(lambda leaf: leaf * 0 if eqx.is_array(leaf) else leaf, layer)

    data = two()
    one = train(Problem(zeros(1), data, loss="binary_cross_entropy"), RECIPE)
    both = train(Problem(zeros(2), data), Recipe(SGD(lr=0.25), batch_size=16, steps=120))
    assert one.result["test_loss"] == pytest.approx(both.result["test_loss"], rel=1e-4)
    rows = np.asarray(data.test.inputs)
    ours, theirs = (run.predict(rows)["probability_1"] for run in (one, both))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_hinge_takes_one_output_or_two():
    for sizes in ([6, 8, 1], [6, 8, 2]):
        run = train(Problem(MLP(sizes), two(), loss=Hinge()), RECIPE)
        assert run.result["test_metric"]["value"] > 0.9


def test_a_tie_is_the_first_class_as_in_the_metric():
    assert class_columns(np.array([0.0, 1.0, -1.0])).argmax(axis=-1).tolist() == [0, 1, 0]
    assert class_columns(np.array([[0.0], [2.0]])).tolist() == [[0.0, 0.0], [0.0, 2.0]]
    assert class_columns(np.eye(3)).shape == (3, 3)


def test_models_and_data_that_do_not_fit_one_logit_are_refused():
    with pytest.raises(
        ModelError, match=r"takes two classes; got 3 classes\nhint: use the loss cross_entropy"
    ):
        Problem(MLP([6, 8, 1]), blobs(classes=3), loss=BinaryCrossEntropy())
    with pytest.raises(ModelError, match=r"layers\.1\.weight gives 2 outputs"):
        Problem(MLP([6, 8, 2]), two(), loss=BinaryCrossEntropy())
    with pytest.raises(ModelError, match="one logit for two classes"):
        Problem(lambda key: eqx.nn.Linear(6, 2, key=key), two(), loss=BinaryCrossEntropy())
    with pytest.raises(ModelError, match="the data has 2 classes"):
        Problem(lambda key: eqx.nn.Linear(6, 1, key=key), two(), loss=CrossEntropy())
    with pytest.raises(ModelError, match="ends in a sigmoid"):
        Problem(
            lambda key: eqx.nn.MLP(6, 1, 4, 1, final_activation=jax.nn.sigmoid, key=key),
            two(),
            BinaryCrossEntropy(),
        )
