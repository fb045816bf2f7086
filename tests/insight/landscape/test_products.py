"""Products against whole matrices of second derivatives, for the models and the losses of the catalogue."""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import thalweg as tw
from tests.insight.landscape.made import first, plain_loss
from thalweg.core.errors import ModelError
from thalweg.insight.landscape.points import Points
from thalweg.insight.landscape.products import GAUSS_NEWTON, Products
from thalweg.insight.landscape.subject import subject_of
from thalweg.problem.data.load import load
from thalweg.problem.models import parse
from thalweg.recipe.recipe import Recipe

RANDOM = np.random.default_rng(0)
IMAGES = (RANDOM.normal(size=(24, 8, 8, 1)).astype(np.float32), np.arange(24) % 3)
TABLE = (RANDOM.normal(size=(40, 4)).astype(np.float32), np.arange(40) % 2)
NUMBERS = (TABLE[0], TABLE[0] @ np.array([1.0, -2.0, 0.5, 0.0]))
TEXT = "the rain in spain stays mainly in the plain. " * 12


def data(kind):
    if kind == "text":
        return load(TEXT_FILE[0], context=6, validation=0.2, test=0.0)
    source = {"images": IMAGES, "table": TABLE, "numbers": NUMBERS}[kind]
    return load(source, validation=0.0, test=0.0)


TEXT_FILE: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "rain.txt"
    path.write_text(TEXT)
    TEXT_FILE[:] = [str(path)]


CASES = {
    "linear": ("linear", "table", {}),
    "mlp tanh layer": ("mlp:3,activation=tanh,normalisation=layer", "table", {}),
    "mlp gelu batch": ("mlp:3,activation=gelu,normalisation=batch", "table", {}),
    "mlp silu rms skip": ("mlp:4,4,activation=silu,normalisation=rms,skip=true", "table", {}),
    "resnet": ("resnet:8,channels=2", "images", {}),
    "cnn group": ("cnn:2,hidden=3,normalisation=group", "images", {}),
    "gpt": ("gpt:layers=1,heads=1,width=4,context=6", "text", {}),
    "rnn": ("rnn:3,layers=1,embedding=2", "text", {}),
    "lstm": ("lstm:2,layers=1,embedding=2", "text", {}),
    "gru": ("gru:2,layers=1,embedding=2", "text", {}),
    "binary": ("mlp:3,activation=tanh", "table", {"loss": "binary_cross_entropy"}),
    "hinge": ("mlp:3,activation=tanh", "table", {"loss": "hinge"}),
    "mse": ("mlp:3,activation=tanh", "numbers", {"loss": "mse"}),
    "mae": ("mlp:3,activation=tanh", "numbers", {"loss": "mae"}),
    "huber": ("mlp:3,activation=tanh", "numbers", {"loss": "huber"}),
}


# The whole Hessian of the larger models takes half a minute to compile.
LONG = {"resnet", "gpt", "lstm", "gru", "cnn group"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.long] if case in LONG else []) for case in CASES]
)
def test_products_are_those_of_the_whole_hessian(case):
    model, kind, more = CASES[case]
    subject = first(parse(model), data(kind), **more)
    products = Products(Points(subject))
    flat, unravel = ravel_pytree(subject.params)
    assert products.size <= 5000

    def loss(flat):
        return plain_loss(subject, unravel(flat))

    vectors = np.random.default_rng(1).normal(size=(3, products.size)).astype(np.float32)
    given = jax.jit(lambda v: (loss(flat), jax.grad(loss)(flat), jax.hessian(loss)(flat) @ v.T))(vectors)
    value, gradient, expected = (np.asarray(each, np.float64) for each in given)
    scale = np.abs(expected).max() + 1e-3
    np.testing.assert_allclose(products.times(vectors), expected.T, atol=2e-4 * scale)
    found, slope = products.loss_and_gradient()
    assert found == pytest.approx(float(value), rel=1e-5)
    np.testing.assert_allclose(slope, gradient, atol=1e-4 * (np.abs(gradient).max() + 1e-6))


def test_the_gauss_newton_matrix_of_a_linear_model_is_its_hessian():
    products = Products(Points(first(parse("linear"), data("table"))))
    vectors = np.random.default_rng(1).normal(size=(3, products.size))
    np.testing.assert_allclose(products.times(vectors, GAUSS_NEWTON), products.times(vectors), atol=1e-5)


def test_the_gauss_newton_matrix_is_jacobian_times_hessian_of_the_loss():
    subject = first(parse("mlp:3,activation=tanh"), data("numbers"), loss="mse")
    products = Products(Points(subject))
    flat, unravel = ravel_pytree(subject.params)
    inputs = subject.problem.data.preparation.scale(subject.problem.data.train.inputs)
    fixed = tw.MLP([4, 3, 1], activation="tanh")(jax.random.key(0))

    def outputs(flat):
        params = unravel(flat)
        module = jax.tree.map(
            lambda new, old: old if new is None else new, params, fixed, is_leaf=lambda x: x is None
        )
        return jax.vmap(module)(inputs).reshape(-1)

    jacobian = np.asarray(jax.jacobian(outputs)(flat), np.float64)
    expected = 2 * jacobian.T @ jacobian / len(jacobian)
    found = products.times(np.eye(products.size), GAUSS_NEWTON)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert np.linalg.eigvalsh(found).min() > -1e-4


def test_an_objective_has_no_gauss_newton_matrix():
    run = tw.train(tw.surface("bowl"), Recipe(batch_size=1, steps=1), progress=False)
    with pytest.raises(ModelError, match="outputs and targets"):
        Products(Points(subject_of(run))).times(np.ones(2), GAUSS_NEWTON)
