"""Set-ups that experiments share, by name: data, problems and objectives. Each is made once per process."""

from collections.abc import Callable
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from thalweg.core.errors import DataError
from thalweg.problem.data.data import Data
from thalweg.problem.data.examples import examples
from thalweg.problem.data.load import load
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.text import from_text
from thalweg.problem.models.mlp import MLP, LinearModel
from thalweg.problem.problem import Problem

# Share of digits that the loss and accuracy of an experiment are measured on: 539 of 1,797 images.
HELD_OUT = 0.3


@cache
def digits() -> Data:
    """Return scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, three in ten held out."""
    return load("digits", validation=HELD_OUT, test=0.0)


@cache
def few_digits() -> Data:
    """Return 150 digits to train on, and the others to measure: an easy case for overfitting."""
    return load("digits", validation=1 - 150 / 1797, test=0.0)


@cache
def sorted_digits() -> Data:
    """Return `digits` with its training rows sorted by class; the rows held out are the test split."""
    return ordered_digits(tuple(int(row) for row in np.argsort(_arrays(digits())[1], kind="stable")))


@cache
def ordered_digits(order: tuple[int, ...]) -> Data:
    """Return `digits` with its training rows in this order; the rows held out are the test split."""
    return _ordered(digits(), order)


@cache
def ordered_noisy_digits(order: tuple[int, ...]) -> Data:
    """Return `noisy_digits` likewise; a row may come more than once."""
    return _ordered(noisy_digits(), order)


def _ordered(data: Data, order: tuple[int, ...]) -> Data:
    images, labels = _arrays(data)
    held = data.validation
    assert held is not None
    test = tuple(np.asarray(each) for each in held.batch(jnp.arange(held.count())))
    rows = np.asarray(order)
    return load((images[rows], labels[rows]), validation=0.0, test=test, name="ordered digits", split="time")


def _arrays(data: Data) -> tuple[np.ndarray, np.ndarray]:
    assert data.train is not None
    inputs, targets = data.train.batch(jnp.arange(data.train.count()))
    return np.asarray(inputs), np.asarray(targets)


@cache
def sorted_mnist(rows: int) -> tuple[Data, str]:
    """Return the first rows of MNIST sorted by class, else `sorted_digits`; and what it is, for the page.

    Args:
        rows: Training rows, the first ones; the first 2,000 of the test are the test split.
    """
    try:
        whole = load("mnist", validation=0.0)
    except DataError:
        return sorted_digits(), "MNIST is not on this machine (THALWEG_DATA): digits took its place."
    assert whole.test is not None
    images, labels = (each[:rows] for each in _arrays(whole))
    test = tuple(np.asarray(each) for each in whole.test.batch(jnp.arange(2_000)))
    order = np.argsort(labels, kind="stable")
    data = load((images[order], labels[order]), validation=0.0, test=test, name="sorted mnist", split="time")
    return data, f"MNIST: its first {rows:,} training images, and the first 2,000 of its test."


def classifier(*hidden: int, data: Data | None = None, **settings: Any) -> Problem:
    """Return a perceptron on digits.

    Args:
        hidden: Widths of the hidden layers.
        data: Other data.
        **settings: Of `MLP`: activation, initialisation, normalisation, dropout, skip.
    """
    return _classifier(hidden, digits() if data is None else data, tuple(sorted(settings.items())))


@cache
def _classifier_of(hidden: tuple[int, ...], key: int, settings: tuple[tuple[str, Any], ...]) -> Problem:
    return Problem(MLP([None, *hidden, None], **dict(settings)), _DATA[key])


_DATA: dict[int, Data] = {}


def _classifier(hidden: tuple[int, ...], data: Data, settings: tuple[tuple[str, Any], ...]) -> Problem:
    _DATA[id(data)] = data
    return _classifier_of(hidden, id(data), settings)


@cache
def toy_line(rows: int = 256, noise: float = 0.5, seed: int = 0) -> Problem:
    """Return a linear regression, y = 3 x0 - 2 x1 + 1 + noise, of two standardised inputs."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 2)).astype(np.float32)
    y = (3 * x[:, 0] - 2 * x[:, 1] + 1 + noise * random.normal(size=rows)).astype(np.float32)
    data = load((x, y), validation=0.0, test=0.0, task="regression", name="line")
    return Problem(LinearModel([2, 1]), data)


@cache
def moons(rows: int = 600, noise: float = 0.15) -> Data:
    """Return two interleaved half circles, a third of the rows held out."""
    random = np.random.default_rng(1)
    angle, which = np.pi * random.random(rows), np.arange(rows) % 2
    x = np.where(which == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(which == 0, np.sin(angle), 0.5 - np.sin(angle))
    points = np.stack([x, y], axis=1) + noise * random.normal(size=(rows, 2))
    return load((points.astype(np.float32), which), validation=0.33, test=0.0, name="moons")


@cache
def spirals(rows: int = 600, turns: float = 1.25) -> Data:
    """Return two interleaved spirals: a boundary that is hard for small networks."""
    random = np.random.default_rng(2)
    along, which = np.sqrt(random.random(rows)), np.arange(rows) % 2
    angle = 2 * np.pi * turns * along + np.pi * which
    points = along[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = points + 0.02 * random.normal(size=points.shape)
    return load((points.astype(np.float32), which), validation=0.33, test=0.0, name="spirals")


class Weights(eqx.Module):
    """The model of a problem without data: a vector."""

    w: Float[Array, " n"]

    def __call__(self, row: Any) -> Float[Array, " n"]:
        """Return the vector, whatever the row."""
        return self.w


@cache
def quadratic(curvatures: tuple[float, ...], start: tuple[float, ...], noise: float = 0.0) -> Problem:
    """Return `sum(L_i w_i^2) / 2` as a problem without data; its gradient is L w.

    Args:
        curvatures: L.
        start: Where every lane starts.
        noise: Standard deviation of normal noise added to each component of the gradient.
    """
    curved = jnp.asarray(curvatures)

    def height(w: Array) -> Array:
        return (curved * w**2).sum() / 2

    return function(height, start, noise, "quadratic")


def function(
    height: Callable[[Array], Array], start: tuple[float, ...], noise: float = 0.0, name: str = "function"
) -> Problem:
    """Return any function of a vector as a problem without data.

    Args:
        height: The function, `n -> ()`.
        start: Where every lane starts.
        noise: Standard deviation of normal noise added to each component of the gradient.
        name: Of the problem.
    """

    def objective(model: Weights, batch: Any, key: Key[Array, ""]) -> Float[Array, ""]:
        value = height(model.w)
        if not noise:
            return value
        tilt = noise * jax.random.normal(key, model.w.shape, model.w.dtype)
        return value + jnp.dot(tilt, model.w - jax.lax.stop_gradient(model.w))

    data = examples({"row": np.zeros((1, 1), np.float32)}, validation=0.0, test=0.0, name=name)
    return Problem(Weights(jnp.asarray(start, jnp.float32)), data, objective=objective, name=name)


_GRAMMAR = (("the", "a", "one"), ("cat", "dog", "bird", "fish"), ("sees", "hears", "finds"), ("the", "a"))
_GRAMMAR += (("red", "small", "old", "wet"), ("house", "tree", "stone", "river"))


@cache
def sentences(length: int = 4_000, context: int = 32) -> Data:
    """Return English sentences from a small grammar, to be learned character by character."""
    random = np.random.default_rng(3)
    text = ""
    while len(text) < length:
        text += " ".join(str(random.choice(words)) for words in _GRAMMAR) + ".\n"
    return from_text(text, "sentences", LoadOptions(context=context, validation=0.2, test=0.0))


@cache
def remembering(length: int, rows: int = 400) -> Data:
    """Return sequences whose class is their first element, followed by noise: memory over `length` steps."""
    random = np.random.default_rng(4)
    series = 0.3 * random.normal(size=(rows, length, 1)).astype(np.float32)
    which = np.arange(rows) % 2
    series[:, 0, 0] = 2.0 * which - 1
    return examples(series, targets=which, validation=0.25, test=0.0, name=f"remember-{length}")


@cache
def linear(inputs: int, outputs: int) -> Problem:
    """Return a linear model of random rows in so many classes; for counting, not for training."""
    random = np.random.default_rng(6)
    rows = random.normal(size=(60, inputs)).astype(np.float32)
    data = load((rows, np.arange(60) % outputs), validation=0.0, test=0.0, name="random rows")
    return Problem(LinearModel([inputs, outputs]), data)


@cache
def noisy_digits() -> Data:
    """Return 300 digits to train on, of which a third have random labels, and the others with their own."""
    images, labels = _arrays(digits())
    random = np.random.default_rng(7)
    wrong = labels.copy()
    wrong[:100] = random.integers(0, 10, 100)
    held = len(images) - 300
    rows = images, wrong
    return load(rows, validation=held / len(images), test=0.0, name="noisy digits", split="time")


@cache
def stretched_moons(normalise: str) -> Data:
    """Return `moons` with axes 1 and 100 times as wide.

    Args:
        normalise: `none` or `standardise`.
    """
    points, which = _arrays(moons())
    wide = (points * np.array([1.0, 100.0]) + np.array([0.0, 50.0])).astype(np.float32)
    return examples(
        wide, targets=which, validation=0.33, test=0.0, normalise=normalise, name=f"moons-{normalise}"
    )


@cache
def unscaled_line(width: float, rows: int = 256) -> Problem:
    """Return a linear regression with inputs `width` times as wide as those of standard normal numbers."""
    random = np.random.default_rng(8)
    x = random.normal(size=(rows, 2)).astype(np.float32)
    y = (x[:, 0] - 2 * x[:, 1]).astype(np.float32)
    data = examples(width * x, targets=y, validation=0.0, test=0.0, name=f"line-{width:g}")
    return Problem(LinearModel([2, 1]), data)


@cache
def stretched_line(normalise: str, rows: int = 600) -> Problem:
    """Return a linear regression without noise, of inputs that are 1 and 100 times as wide, one around 50.

    Args:
        normalise: `none` or `standardise`.
        rows: Examples.
    """
    random = np.random.default_rng(10)
    x = random.normal(size=(rows, 2)).astype(np.float32)
    y = (x[:, 0] - 2 * x[:, 1]).astype(np.float32)
    wide = (x * np.array([1.0, 100.0]) + np.array([0.0, 50.0])).astype(np.float32)
    name = f"stretched-line-{normalise}"
    data = examples(wide, targets=y, validation=0.0, test=0.0, normalise=normalise, name=name)
    return Problem(LinearModel([2, 1]), data)


@cache
def rare_features(rows: int = 60) -> Problem:
    """Return two classes that plain descent learns and adaptive rules do not, with as many rows held out.

    Input 0 is -1 or 1 by the class, inputs 1 and 2 are always 1, and each row has inputs of its own that no
    other row has: one in the second class, five in the first. Three in five rows are of the second class.
    Adaptive rules move all weights alike, so that inputs 1 and 2 pull against input 0 on new rows.

    Reference: Wilson et al., The Marginal Value of Adaptive Gradient Methods, 2017, section 3.3.
    """
    random = np.random.default_rng(9)
    which = (random.random(2 * rows) < 0.6).astype(np.int32)
    x = np.zeros((2 * rows, 3 + 5 * 2 * rows), np.float32)
    x[:, 0], x[:, 1:3] = 2 * which - 1, 1.0
    for row, second in enumerate(which):
        first = 3 + 5 * row
        x[row, first : first + (1 if second else 5)] = 1.0
    data = examples(x, targets=which, validation=0.5, test=0.0, split="time", name="rare features")
    return Problem(LinearModel(), data)


@cache
def loud_noise(loud: float, rows: int = 100) -> Data:
    """Return two classes that five of 45 inputs tell apart, one label in ten wrong; the others are noise.

    Args:
        loud: How many times as wide the noise is as the inputs that tell.
        rows: Training rows; four times as many are held out.
    """
    random = np.random.default_rng(11)
    x = random.normal(size=(5 * rows, 45)).astype(np.float32)
    which = (x[:, :5].sum(axis=1) > 0) ^ (random.random(5 * rows) < 0.1)
    x[:, 5:] *= loud
    return examples(x, targets=which.astype(np.int32), validation=0.8, test=0.0, name=f"loud-{loud:g}")


def one_hot_error(
    outputs: Float[Array, "batch class"], targets: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    """Return the squared error against one-hot classes, for each example."""
    return ((outputs - jax.nn.one_hot(targets, outputs.shape[-1])) ** 2).sum(axis=-1)


def second_softmax(
    outputs: Float[Array, "batch class"], targets: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    """Return the cross-entropy with the mistake of applying softmax to probabilities, for each example."""
    again = jax.nn.log_softmax(jax.nn.softmax(outputs))
    return -jnp.take_along_axis(again, targets[:, None], axis=-1)[:, 0]
