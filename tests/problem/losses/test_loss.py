"""Losses from names and functions, and the errors for impossible ones."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from thalweg.core.errors import ModelError, RecipeError
from thalweg.problem.losses import (
    LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    Custom,
    Hinge,
    Huber,
    MeanSquaredError,
    Weighted,
    as_loss,
    default_loss,
    default_metric,
)

OUTPUTS, TARGETS = jnp.arange(12.0).reshape(4, 3), jnp.ones((4, 3))


def batch_function(outputs, targets):
    return jnp.mean(jnp.square(outputs - targets), axis=-1)


def example_function(outputs, targets):
    return jnp.mean(jnp.square(outputs - targets))


@pytest.mark.parametrize("function", [batch_function, example_function])
def test_a_function_of_a_batch_or_of_an_example_is_a_loss(function):
    loss = as_loss(function)
    np.testing.assert_allclose(loss(OUTPUTS, TARGETS), MeanSquaredError()(OUTPUTS, TARGETS), rtol=1e-6)
    assert loss == Custom(function)
    assert hash(loss) == hash(Custom(function))
    assert isinstance(loss, Custom)
    assert loss.label == function.__name__


def test_a_function_of_an_example_is_recognised_when_batch_and_width_are_equal():
    # Summed along the first axis, a square batch also gives `batch` numbers; they would be the wrong ones.
    loss = as_loss(lambda outputs, targets: jnp.sum(jnp.abs(outputs - targets), axis=0))
    outputs, targets = jnp.arange(9.0).reshape(3, 3), jnp.zeros((3, 3))
    np.testing.assert_allclose(loss(outputs, targets), [3.0, 12.0, 21.0])


def test_an_optax_loss_can_be_used_directly():
    labels = jnp.asarray([0, 1, 2, 1])
    loss = as_loss(optax.softmax_cross_entropy_with_integer_labels)
    np.testing.assert_allclose(loss(OUTPUTS, labels), CrossEntropy()(OUTPUTS, labels), rtol=1e-6)


@pytest.mark.parametrize("function", [lambda o, t: None, lambda o, t: (o, t), lambda o, t: o])
def test_a_function_without_one_number_per_example_is_refused(function):
    with pytest.raises(ModelError, match="one floating-point number per example"):
        as_loss(function)(OUTPUTS, TARGETS)


def test_a_function_can_be_differentiated_and_compiled():
    grads = jax.jit(jax.grad(lambda o: as_loss(example_function)(o, TARGETS).sum()))(OUTPUTS)
    np.testing.assert_allclose(grads, 2 * (OUTPUTS - TARGETS) / 3, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_name_gives_the_registered_loss(name):
    assert as_loss(name) == LOSSES[name]
    assert as_loss(name.replace("_", "-")) == LOSSES[name]


def test_options_are_read_and_written():
    assert as_loss("huber:delta=2") == Huber(delta=2.0)
    text = "cross_entropy:smoothing=0.1,class_weights=1/2/0.5,ignore=-1"
    assert as_loss(text) == CrossEntropy(0.1, (1.0, 2.0, 0.5), -1)
    assert as_loss(text).spec() == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cros_entropy", "did you mean 'cross_entropy'"),
        ("huber:dleta=2", "did you mean 'delta'"),
        ("huber:delta=two", "must be a number"),
        (3, "must be a name or a function"),
    ],
)
def test_unknown_names_and_options_are_refused_with_the_nearest_known(text, words):
    with pytest.raises(ModelError, match=words):
        as_loss(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CrossEntropy(smoothing=1.0),
        lambda: CrossEntropy(smoothing=-0.1),
        lambda: CrossEntropy(class_weights=(1.0, -1.0)),
        lambda: BinaryCrossEntropy(positive_weight=0.0),
        lambda: Huber(delta=0.0),
        lambda: Hinge(margin=float("inf")),
    ],
)
def test_impossible_options_are_refused_at_construction(make):
    with pytest.raises(RecipeError, match="must be"):
        make()


def test_class_weights_must_be_one_for_each_class():
    with pytest.raises(ModelError, match="2 weights, 3 outputs"):
        CrossEntropy(class_weights=(1.0, 2.0))(OUTPUTS, jnp.asarray([0, 1, 2, 0]))


def test_each_task_has_a_default_loss_and_metric():
    assert [default_loss(task).name for task in ("classification", "language", "regression")] == [
        "cross_entropy",
        "cross_entropy",
        "mse",
    ]
    assert default_metric("regression").name == "rmse"
    with pytest.raises(ModelError, match="did you mean 'regression'"):
        default_loss("regresion")


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ModelError, match=r"one for each example"):
        Weighted(MeanSquaredError())(OUTPUTS, (TARGETS, jnp.ones(3)))
    with pytest.raises(ModelError, match=r"\(targets, weights\)"):
        Weighted(MeanSquaredError())(OUTPUTS, TARGETS)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_smoothed_labels_are_shares_that_sum_to_one(classes):
    """Szegedy et al. 2016: `(1 - a)` of the label and `a / K` of each class, that of the label included."""
    logits = np.random.default_rng(0).normal(size=(5, classes))
    labels = np.arange(5) % classes
    log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    own = -log_shares[np.arange(5), labels]
    expected = 0.7 * own + 0.3 * -log_shares.mean(axis=1)
    found = CrossEntropy(0.3)(jnp.asarray(logits, jnp.float32), jnp.asarray(labels))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
