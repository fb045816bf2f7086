"""Metrics against scikit-learn, batch by batch."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error, top_k_accuracy_score

from thalweg.core.errors import ModelError
from thalweg.problem.losses import METRICS, accuracy, as_metric, mae, perplexity, rmse, top5

generator = np.random.default_rng(0)
LOGITS, LABELS = generator.normal(size=(40, 8)), generator.integers(0, 8, 40)
VALUES, WANTED = generator.normal(size=(40, 1)), generator.normal(size=(40, 1))


def computed(metric, outputs, targets):
    """The metric as the engine computes it: per batch, then one mean, then `finish`."""
    batches = [
        metric.per_example(jnp.asarray(outputs[i : i + 7]), jnp.asarray(targets[i : i + 7]))
        for i in range(0, 40, 7)
    ]
    assert all(values.ndim == 1 for values in batches)
    return float(metric.finish(float(jnp.concatenate(batches).mean())))


def test_classification_metrics_equal_scikit_learn():
    assert computed(accuracy, LOGITS, LABELS) == pytest.approx(accuracy_score(LABELS, LOGITS.argmax(1)))
    assert computed(top5, LOGITS, LABELS) == pytest.approx(top_k_accuracy_score(LABELS, LOGITS, k=5))
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    assert computed(perplexity, LOGITS, LABELS) == pytest.approx(np.exp(log_loss(LABELS, shares)), rel=1e-5)


def test_regression_metrics_equal_scikit_learn():
    assert computed(rmse, VALUES, WANTED) == pytest.approx(root_mean_squared_error(WANTED, VALUES), rel=1e-5)
    assert computed(mae, VALUES, WANTED) == pytest.approx(np.abs(VALUES - WANTED).mean(), rel=1e-5)
    assert rmse.in_target_unit
    assert not accuracy.in_target_unit


def test_accuracy_of_a_single_logit_and_of_a_sequence():
    found = accuracy.per_example(jnp.asarray([[0.5], [-0.5], [3.0]]), jnp.asarray([1, 1, 0]))
    np.testing.assert_array_equal(found, [1.0, 0.0, 0.0])
    logits = jnp.asarray([[[1.0, 0.0], [1.0, 0.0]]])
    np.testing.assert_array_equal(accuracy.per_example(logits, jnp.asarray([[0, 1]])), [0.5])


def test_metrics_are_hashable_and_named():
    assert all(name == metric.name for name, metric in METRICS.items())
    assert len({hash(metric) for metric in METRICS.values()}) == len(METRICS)
    assert as_metric("top5") is top5
    with pytest.raises(ModelError, match="did you mean 'accuracy'"):
        as_metric("acuracy")


def test_a_function_is_a_metric():
    def bias(outputs, targets):
        return jnp.mean(outputs - targets)

    metric = as_metric(bias, higher_is_better=False)
    assert metric.name == "bias"
    np.testing.assert_allclose(metric.per_example(jnp.ones((3, 2)), jnp.zeros((3, 2))), 1.0)
    assert metric == as_metric(bias, higher_is_better=False)


@pytest.mark.parametrize("metric", [accuracy, rmse, mae], ids=lambda metric: metric.name)
def test_shapes_that_do_not_fit_are_refused(metric):
    with pytest.raises(ModelError, match="targets"):
        metric.per_example(jnp.ones((4, 3)), jnp.ones((4, 2), int))
