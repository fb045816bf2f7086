"""A model that does not fit the data is refused before compilation, with the layer and both shapes named."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from thalweg.core.errors import ModelError
from thalweg.problem.models import GPT, LSTM, MLP, check
from thalweg.problem.models.checks import final_activation

KEY = jax.random.key(0)


def mlp(inputs=784, outputs=10):
    return eqx.nn.MLP(inputs, outputs, 32, 2, key=KEY)


class Deep(eqx.Module):
    parts: dict[str, list[eqx.nn.Linear]]

    def __init__(self, key):
        self.parts = {"body": [eqx.nn.Linear(4, 5, key=key), eqx.nn.Linear(6, 3, key=key)]}

    def __call__(self, x):
        for layer in self.parts["body"]:
            x = layer(x)
        return x


class Pair(eqx.Module):
    inner: eqx.nn.Linear

    def __call__(self, x):
        return self.inner(x), x


class Named(eqx.Module):
    inner: eqx.nn.Linear

    def __call__(self, x):
        return {"logits": self.inner(x)}


class Whole(eqx.Module):
    inner: eqx.nn.Linear

    def __call__(self, x):
        return jnp.argmax(self.inner(x))


class Forgetful(eqx.Module):
    inner: eqx.nn.Linear

    def __call__(self, x):
        return None


class Broken(eqx.Module):
    inner: eqx.nn.Linear

    def __call__(self, x):
        raise ZeroDivisionError("by design")


def linear():
    return eqx.nn.Linear(4, 3, key=KEY)


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (mlp(), (8, 8), r"layers\.0\.weight of shape \(32, 784\) takes 784 inputs.*\(8, 8\)"),
        (mlp(), (64,), r"takes 784 inputs; got an input of shape \(64,\); the data gives"),
        (lambda key: mlp(), (64,), r"layers\.0\.weight"),
        (
            Deep,
            (4,),
            r"parts\.body\.1\.weight of shape \(3, 6\) takes 6 inputs; got an input of shape \(5,\)",
        ),
        (MLP([64, 10]), (8, 9), r"layers\.0\.weight of shape \(10, 64\).*\(8, 9\)"),
        (lambda key: eqx.nn.Conv2d(3, 4, 3, key=key), (1, 8, 8), r"Conv2d\.weight of shape \(4, 3, 3, 3\)"),
        (Broken(linear()), (4,), "Broken fails on inputs of this shape.*by design"),
        (Pair(linear()), (4,), "one floating-point array per example.*float32 .3,.*float32 .4,"),
        (Named(linear()), (4,), "its one array as it is; got dict around float32 .3,"),
        (Whole(linear()), (4,), "one floating-point array per example; got int32"),
        (Forgetful(linear()), (4,), "one floating-point array per example; got nothing"),
        (lambda key: 3, (4,), "must be an equinox.Module, or a factory"),
        ("mlp", (4,), "must be an equinox.Module, or a factory"),
        (eqx.nn.Lambda(jnp.tanh), (4,), "at least one floating-point array"),
        (mlp(), (784,), r"outputs of shape \(3,\) for one.*3 classes; got shape \(10,\)"),
        (linear(), (4, 4), r"got|outputs of shape \(3,\)"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(model, shape, words):
    with pytest.raises(ModelError, match=words):
        check(model, jnp.ones(shape), "classification", 3)


@pytest.mark.parametrize(
    ("model", "example", "task", "outputs"),
    [
        (mlp(784, 3), jnp.ones(784), "classification", 3),
        (eqx.nn.MLP(4, "scalar", 8, 1, key=KEY), jnp.ones(4), "regression", 1),
        (eqx.nn.MLP(4, 2, 8, 1, key=KEY), jnp.ones(4), "regression", 2),
        (mlp(784, 7), jnp.ones(784), None, 3),
        (mlp(784, 3), jax.ShapeDtypeStruct((784,), jnp.float32), "classification", 3),
        (lambda key: eqx.nn.Embedding(9, 9, key=key), jnp.asarray(3), None, 9),
    ],
)
def test_a_model_that_fits_passes(model, example, task, outputs):
    found = check(model, example, task, outputs).output
    assert (
        found.shape == jax.eval_shape(model if isinstance(model, eqx.Module) else model(KEY), example).shape
    )


def test_a_language_model_gives_logits_at_every_position():
    with pytest.raises(ModelError, match=r"outputs of shape \(6, 5\).*5 tokens"):
        check(MLP([6, 8, 5]), jnp.zeros(6, int), "language", 5)


def ends_in(last):
    return lambda key: eqx.nn.Sequential([eqx.nn.Linear(4, 3, key=key), eqx.nn.Lambda(last)])


@pytest.mark.parametrize(
    ("last", "name"),
    [
        (jax.nn.softmax, "softmax"),
        (lambda z: jnp.exp(z) / jnp.exp(z).sum(), "softmax"),
        (jax.nn.sigmoid, "sigmoid"),
        (lambda z: 1 / (1 + jnp.exp(-z)), "sigmoid"),
        (jax.jit(lambda z: jax.nn.sigmoid(z).reshape(3, 1).squeeze(1)), "sigmoid"),
        (jax.nn.relu, None),
        (jax.nn.silu, None),
        (jax.nn.log_softmax, None),
        (lambda z: z / 2, None),
        (lambda z: z, None),
    ],
)
def test_a_final_softmax_or_sigmoid_is_refused_if_the_loss_takes_logits(last, name):
    """A mismatch of loss and final activation that would otherwise pass unnoticed."""
    if name is None:
        check(ends_in(last), jnp.ones(4), "classification", 3, logits=True)
        return
    with pytest.raises(ModelError, match=f"ends in a {name}"):
        check(ends_in(last), jnp.ones(4), "classification", 3, logits=True)
    check(ends_in(last), jnp.ones(4), "classification", 3, logits=False)


def test_a_final_activation_is_found_inside_calls():
    assert final_activation(jax.make_jaxpr(jax.jit(jax.checkpoint(jax.nn.softmax)))(jnp.ones(3))) == "softmax"
    assert final_activation(jax.make_jaxpr(lambda x: x)(jnp.ones(3))) is None


class Noisy(eqx.Module):
    """Uses its key for its `outputs`, for the next `state`, or for an unused value (`nothing`)."""

    inner: eqx.nn.Linear
    index: eqx.nn.StateIndex
    use: str = eqx.field(static=True)

    def __call__(self, x, state, key):
        noise = jax.random.normal(jax.random.split(key)[0], (3,))
        value = jax.lax.pmean(noise, "batch") if self.use == "state" else jnp.zeros(3)
        state = state.set(self.index, value)
        return self.inner(x) + (noise if self.use == "outputs" else 0.0), state


def noisy(use):
    return lambda key: Noisy(eqx.nn.Linear(4, 3, key=key), eqx.nn.StateIndex(jnp.zeros(3)), use)


@pytest.mark.parametrize(
    ("model", "example", "matters"),
    [
        (noisy("outputs"), jnp.ones(4), True),
        (noisy("state"), jnp.ones(4), True),
        (noisy("nothing"), jnp.ones(4), False),
        (mlp(4, 3), jnp.ones(4), False),
        (MLP([4, 8, 8, 3]), jnp.ones(4), False),
        (MLP([4, 8, 8, 3], dropout=0.1), jnp.ones(4), True),
        (GPT(layers=1, heads=1, width=8).fitted((6,), 3), jnp.zeros(6, int), False),
        (GPT(layers=1, heads=1, width=8, dropout=0.1).fitted((6,), 3), jnp.zeros(6, int), True),
        (LSTM(width=8).fitted((6,), 3), jnp.zeros(6, int), False),
        (LSTM(width=8, dropout=0.1).fitted((6,), 3), jnp.zeros(6, int), True),
    ],
)
def test_the_check_reports_whether_the_outputs_depend_on_the_key(model, example, matters):
    assert check(model, example, None, 3).noisy == matters
