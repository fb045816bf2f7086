"""Layers, losses, metrics and modules of users, each with its definition in NumPy, for tests on many rows.

A layer's definition takes the module with float64 arrays and a batch. `positions` are the rows that one
example adds to the matrix products of a layer: pixels of an image, tokens of a sequence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from tests.contracts.layers import batch_norm, each, filled, recurrent, stateless_norm
from thalweg.problem.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Hinge,
    Huber,
    KullbackLeibler,
    MeanAbsoluteError,
    MeanSquaredError,
    Ordinal,
    Poisson,
    Quantile,
    Weighted,
    as_loss,
)
from thalweg.problem.losses.metrics import METRICS
from thalweg.problem.models.gpt import CausalAttention
from thalweg.problem.models.layers.activations import ACTIVATIONS
from thalweg.problem.models.layers.convolution import Convolution, im2col, max_pool, native, winograd
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.linear import Embedding, Linear
from thalweg.problem.models.layers.normalisation import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from thalweg.problem.models.recurrent import GRUCell, LSTMCell, RNNCell

TOKENS = 7


@dataclass(frozen=True)
class Layer:
    """A layer or module of a given width.

    Args:
        id: Its name.
        make: width -> (key -> module).
        call: (module, batch of inputs) -> batch of outputs.
        define: (module with NumPy's arrays, batch of inputs) -> the same outputs, by NumPy.
        shape: width -> shape of an example.
        positions: Rows that an example counts for.
        tokens: Whether inputs are tokens.
    """

    id: str
    make: Callable[[int], Callable[[Any], Any]]
    call: Callable[[Any, Any], Any]
    define: Callable[[Any, np.ndarray], np.ndarray]
    shape: Callable[[int], tuple[int, ...]] = lambda width: (width,)
    positions: int = 1
    tokens: bool = False

    def module(self, width: int) -> Any:
        return filled(eqx.filter_eval_shape(self.make(width), jax.random.key(0)))

    def inputs(self, rows: int, width: int) -> np.ndarray:
        shape = (-(-rows // self.positions), *self.shape(width))
        generator = np.random.default_rng(rows + width)
        if self.tokens:
            return generator.integers(0, TOKENS, shape).astype(np.int32)
        return generator.normal(size=shape).astype(np.float32)


@dataclass(frozen=True)
class Objective:
    """A loss or metric: its value for every row by JAX, and its definition by NumPy.

    Args:
        id: Its name.
        call: (outputs, targets) -> a number for each row.
        define: The same by NumPy, in float64.
        targets: (generator, rows, width) -> targets.
        smooth: Whether it has a gradient.
    """

    id: str
    call: Callable[[Any, Any], Any]
    define: Callable[[np.ndarray, Any], np.ndarray]
    targets: Callable[[np.random.Generator, int, int], Any]
    smooth: bool = True

    def pair(self, rows: int, width: int) -> tuple[np.ndarray, Any]:
        generator = np.random.default_rng(rows + width)
        outputs = generator.normal(size=(rows, width)).astype(np.float32)
        return outputs, self.targets(generator, rows, width)


# Layers.


def _linear(m, x):
    return x @ m.weight.T + m.bias


def _normalised(x, axes):
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5)


def _layer_norm(m, x):
    return _normalised(x, -1) * m.scale + m.shift


def _rms_norm(m, x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * m.scale


def _group_norm(m, x):
    groups = x.reshape(*x.shape[:-1], m.groups, -1)
    return _normalised(groups, (1, 2, -1)).reshape(x.shape) * m.scale + m.shift


def _batch_norm(m, x):
    return _normalised(x, tuple(range(x.ndim - 1))) * m.scale + m.shift


def _convolution(m, x):
    size = m.weight.shape[1]  # out, height, width, in
    low, high = (size - 1) // 2, size // 2
    padded = np.pad(x, ((0, 0), (low, high), (low, high), (0, 0)))
    rows, columns = x.shape[1:3]
    shifts = ((i, j) for i in range(size) for j in range(size))
    parts = (padded[:, i : i + rows, j : j + columns] @ m.weight[:, i, j].T for i, j in shifts)
    return sum(parts) + m.bias


def _max_pool(m, x):
    return np.maximum.reduce([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])


def _rnn(m, x):
    state, outputs = np.zeros((len(x), m.recurrent.shape[1])), []
    for t in range(x.shape[1]):
        state = np.tanh(x[:, t] @ m.weight.T + state @ m.recurrent.T + m.bias)
        outputs.append(state)
    return np.stack(outputs, 1)


def _lstm(m, x):
    cell = state = np.zeros((len(x), m.recurrent.shape[1]))
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ m.weight.T + state @ m.recurrent.T + m.bias, 4, axis=1)
        cell = special.expit(f) * cell + special.expit(i) * np.tanh(g)
        state = special.expit(o) * np.tanh(cell)
        outputs.append(state)
    return np.stack(outputs, 1)


def _gru(m, x):
    state, outputs = np.zeros((len(x), m.recurrent.shape[1])), []
    for t in range(x.shape[1]):
        r, z, n = np.split(x[:, t] @ m.weight.T + m.bias, 3, axis=1)
        hr, hz, hn = np.split(state @ m.recurrent.T, 3, axis=1)
        r, z = special.expit(r + hr), special.expit(z + hz)
        state = (1 - z) * np.tanh(n + r * (hn + m.inner)) + z * state
        outputs.append(state)
    return np.stack(outputs, 1)


def _attention(m, x):
    batch, time, _ = x.shape
    q, k, v = (
        part.reshape(batch, time, m.heads, -1).swapaxes(1, 2)
        for part in np.split(_linear(m.mix, x), 3, axis=-1)
    )
    scores = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1]) + np.triu(np.full((time, time), -np.inf), 1)
    mixed = special.softmax(scores, axis=-1) @ v
    return _linear(m.out, mixed.swapaxes(1, 2).reshape(x.shape))


def _attend(width):
    def make(key):
        keys = jax.random.split(key)
        mix, out = Linear(width, 3 * width, key=keys[0]), Linear(width, width, key=keys[1])
        return CausalAttention(mix, out, Dropout(0.0), 1)

    return make


def _in_form(form):
    return lambda m, batch: jax.vmap(lambda x: form(x, m.weight, m.stride) + m.bias)(batch)


def _image(width):
    return (3, 4, width)


_SLOPES = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * special.ndtr(x),
    "gelu_tanh": lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
    "silu": lambda x: x * special.expit(x),
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(0, x),
    "exponential": np.exp,
    "softmax": lambda x: special.softmax(x, axis=-1),
    "identity": lambda x: x,
}


def _activations():
    for name, function in ACTIVATIONS.items():

        def make(width, function=function):
            return lambda key: eqx.nn.Lambda(function)

        def define(m, x, name=name):
            return _SLOPES[name](x)

        yield Layer(f"activation/{name}", make, each, define)


LAYERS = [
    Layer("linear", lambda w: lambda k: Linear(w, w, key=k), each, _linear),
    Layer("linear/out 3", lambda w: lambda k: Linear(w, 3, key=k), each, _linear),
    Layer("linear/positions", lambda w: lambda k: Linear(w, w, key=k), each, _linear, lambda w: (5, w), 5),
    Layer(
        "embedding",
        lambda w: lambda k: Embedding(TOKENS, w, key=k),
        each,
        lambda m, x: m.weight[x],
        lambda w: (2,),
        2,
        tokens=True,
    ),
    Layer("layer_norm", lambda w: lambda k: LayerNorm(w), stateless_norm, _layer_norm),
    Layer("rms_norm", lambda w: lambda k: RMSNorm(w), stateless_norm, _rms_norm),
    Layer("group_norm", lambda w: lambda k: GroupNorm(w, 1), stateless_norm, _group_norm, _image, 12),
    Layer("batch_norm", lambda w: lambda k: BatchNorm(w), batch_norm, _batch_norm),
    Layer("batch_norm/image", lambda w: lambda k: BatchNorm(w), batch_norm, _batch_norm, _image, 12),
    *(
        Layer(
            f"convolution/{form.__name__}",
            lambda w: lambda k: Convolution((w, 3), 3, stride=1, key=k),
            _in_form(form),
            _convolution,
            _image,
            12,
        )
        for form in (im2col, native, winograd)
    ),
    Layer(
        "convolution/1x1",
        lambda w: lambda k: Convolution((w, 3), 1, stride=1, key=k),
        each,
        _convolution,
        _image,
        12,
    ),
    Layer(
        "max_pool",
        lambda w: lambda k: eqx.nn.Lambda(max_pool),
        each,
        _max_pool,
        lambda w: (2, 4, w),
        8,
    ),
    Layer("rnn", lambda w: lambda k: RNNCell(w, 3, key=k), recurrent, _rnn, lambda w: (2, w)),
    Layer("lstm", lambda w: lambda k: LSTMCell(w, 3, key=k), recurrent, _lstm, lambda w: (2, w)),
    Layer("gru", lambda w: lambda k: GRUCell(w, 3, key=k), recurrent, _gru, lambda w: (2, w)),
    Layer("attention", _attend, each, _attention, lambda w: (4, w), 4),
    *_activations(),
]


# Modules as users write them, for one example.


class Own(eqx.Module):
    """A module of a user: some matrix, and a rule for one example."""

    matrix: jax.Array
    rule: Callable[[Any, Any], Any] = eqx.field(static=True)

    def __call__(self, x):
        return self.rule(self.matrix, x)


def _own(name, rule, define, rows=lambda w: w, **options):
    def make(width):
        return lambda key: Own(jnp.zeros((rows(width), width)), rule)

    return Layer(f"own/{name}", make, each, lambda m, x: define(m.matrix, x), **options)


def _distances(m, x):
    return ((x[:, None] - m) ** 2).sum(-1)


def _turned(m, x):
    return x @ m.T


OWN = [
    _own("sum of squares", lambda m, x: jnp.sum((m @ x) ** 2), lambda m, x: (_turned(m, x) ** 2).sum(1)),
    _own("mean of squares", lambda m, x: jnp.mean((m @ x) ** 2), lambda m, x: (_turned(m, x) ** 2).mean(1)),
    _own("sum of sizes", lambda m, x: jnp.abs(m @ x).sum(), lambda m, x: np.abs(_turned(m, x)).sum(1)),
    _own("largest", lambda m, x: jnp.max(m @ x), lambda m, x: _turned(m, x).max(1)),
    _own("quadratic form", lambda m, x: x @ m @ x, lambda m, x: np.einsum("ni,ij,nj->n", x, m, x)),
    _own(
        "radial",
        lambda m, x: jnp.exp(-((x - m) ** 2).sum(1)),
        lambda m, x: np.exp(-_distances(m, x)),
        rows=lambda w: 3,
    ),
    _own(
        "norm",
        lambda m, x: jnp.sqrt(1 + jnp.sum((m @ x) ** 2)),
        lambda m, x: np.sqrt(1 + (_turned(m, x) ** 2).sum(1)),
    ),
    _own(
        "softmax",
        lambda m, x: jax.nn.softmax(m @ x) @ x,
        lambda m, x: (special.softmax(_turned(m, x), axis=1) * x).sum(1),
    ),
    _own(
        "variance",
        lambda m, x: jnp.var(m @ x),
        lambda m, x: _turned(m, x).var(1),
    ),
    _own(
        "rows in an example",
        lambda m, x: jax.vmap(lambda row: jnp.sum((m @ row) ** 2))(x),
        lambda m, x: ((x @ m.T) ** 2).sum(-1),
        shape=lambda w: (10, w),
        positions=10,
    ),
]


# Losses and metrics.


def _classes(generator, rows, width):
    return generator.integers(0, width, rows)


def _values(generator, rows, width):
    return generator.normal(size=(rows, width)).astype(np.float32)


def _shares(generator, rows, width):
    return special.softmax(generator.normal(size=(rows, width)), axis=1).astype(np.float32)


def _yes(generator, rows, width):
    return generator.integers(0, 2, (rows, width)).astype(np.float32)


def _weighted_values(generator, rows, width):
    return _values(generator, rows, width), generator.uniform(0, 2, rows).astype(np.float32)


def _of(z, y):
    return np.take_along_axis(z, y[:, None], 1)


def _smooth_entropy(z, y):
    shares = 0.9 * np.eye(z.shape[1])[y] + 0.1 / z.shape[1]
    return -(shares * special.log_softmax(z, axis=1)).sum(1)


def _hinge(z, y):
    if z.shape[1] == 1:
        return np.maximum(1 - (2 * y - 1) * z[:, 0], 0)
    excess = np.maximum(1 - _of(z, y) + z, 0)
    return (excess.sum(1) - 1) / z.shape[1]


def _huber(z, y):
    size = np.abs(z - y)
    return np.where(size < 1, size**2 / 2, size - 0.5).mean(1)


def _accuracy(z, y):
    return (z.argmax(1) == y) * 1.0 if z.shape[1] > 1 else ((z[:, 0] > 0) == (y > 0.5)) * 1.0


_MATRIX = np.random.default_rng(4).normal(size=(32, 32)).astype(np.float32)


def _own_loss(outputs, targets):
    """The loss of a user, for one example."""
    count = outputs.shape[0]
    return jnp.sum((_MATRIX[:count, :count] @ (outputs - targets)) ** 2)


def _own_loss_defined(z, y):
    count = z.shape[1]
    return (((z - y) @ np.float64(_MATRIX[:count, :count]).T) ** 2).sum(1)


def _cross_entropy(z, y):
    return -_of(special.log_softmax(z, axis=1), y)[:, 0]


def _binary(z, y):
    return (np.logaddexp(0, z) - y * z).mean(1)


def _ordered(generator, rows, width):
    return generator.integers(0, width + 1, rows)


def _ordinal(z, y):
    cuts = np.cumsum(np.concatenate([z[:, :1], np.logaddexp(0, z[:, 1:])], axis=1), axis=1)
    ends = ((0, 0), (1, 1))
    cuts = np.pad(cuts, ends, constant_values=((0, 0), (-np.inf, np.inf)))
    # The difference of two sigmoids without cancellation; `test_losses` has the difference itself.
    logs = special.log_expit(cuts[:, 1:]) + special.log_expit(-cuts[:, :-1])
    return -_of(logs + np.log(-np.expm1(cuts[:, :-1] - cuts[:, 1:])), y)[:, 0]


def _levels(z):
    return (np.arange(z.shape[1]) + 0.5) / z.shape[1]


def _pinball(z, y):
    error = y - z
    return np.maximum(_levels(z) * error, (_levels(z) - 1) * error).mean(1)


def _one_value(generator, rows, width):
    return generator.normal(size=(rows, 1)).astype(np.float32)


def _positive_values(generator, rows, width):
    return generator.gamma(2.0, size=(rows, width)).astype(np.float32)


def _shares_of(z):
    return special.softmax(np.pad(z, ((0, 0), (1, 0))) if z.shape[1] == 1 else z, axis=1)


def _brier(z, y):
    shares = _shares_of(z)
    total = ((shares - np.eye(shares.shape[1])[y]) ** 2).sum(1)
    return total / 2 if shares.shape[1] == 2 else total


OBJECTIVES = [
    Objective("cross_entropy", CrossEntropy(), _cross_entropy, _classes),
    Objective("cross_entropy/smooth", CrossEntropy(smoothing=0.1), _smooth_entropy, _classes),
    Objective(
        "cross_entropy/soft",
        CrossEntropy(),
        lambda z, y: -(y * special.log_softmax(z, axis=1)).sum(1),
        _shares,
    ),
    Objective("binary_cross_entropy", BinaryCrossEntropy(), _binary, _yes),
    Objective(
        "kl",
        KullbackLeibler(),
        lambda z, y: (special.rel_entr(y, special.softmax(z, axis=1))).sum(1),
        _shares,
    ),
    Objective("hinge", Hinge(), _hinge, _classes),
    Objective("mse", MeanSquaredError(), lambda z, y: ((z - y) ** 2).mean(1), _values),
    Objective("mae", MeanAbsoluteError(), lambda z, y: np.abs(z - y).mean(1), _values),
    Objective("huber", Huber(), _huber, _values),
    Objective(
        "weighted",
        Weighted(MeanSquaredError()),
        lambda z, y: y[1] * ((z - y[0]) ** 2).mean(1),
        _weighted_values,
    ),
    Objective("quantile", lambda z, y: Quantile(tuple(_levels(z)))(z, y), _pinball, _one_value, smooth=False),
    Objective(
        "poisson",
        Poisson(),
        lambda z, y: (np.exp(z) - y - y * (z - np.log(y))).mean(1),
        _positive_values,
    ),
    Objective("ordinal", Ordinal(), _ordinal, _ordered),
    Objective("own", as_loss(_own_loss), _own_loss_defined, _values),
    Objective("metric/accuracy", METRICS["accuracy"].per_example, _accuracy, _classes, smooth=False),
    Objective(
        "metric/top5",
        METRICS["top5"].per_example,
        lambda z, y: ((z > _of(z, y)).sum(1) < 5) * 1.0,
        _classes,
        smooth=False,
    ),
    Objective("metric/rmse", METRICS["rmse"].per_example, lambda z, y: ((z - y) ** 2).mean(1), _values),
    Objective("metric/mae", METRICS["mae"].per_example, lambda z, y: np.abs(z - y).mean(1), _values),
    Objective(
        "metric/log_loss",
        METRICS["log_loss"].per_example,
        lambda z, y: -np.log(_of(_shares_of(z), y))[:, 0],
        _classes,
    ),
    Objective("metric/brier", METRICS["brier"].per_example, _brier, _classes),
    Objective(
        "metric/exact_match",
        METRICS["exact_match"].per_example,
        lambda z, y: ((z > 0) == (y > 0.5)).all(1) * 1.0,
        _yes,
        smooth=False,
    ),
    Objective(
        "metric/pinball",
        METRICS["pinball"].per_example,
        lambda z, y: np.abs(z - y).mean(1) / 2,
        _values,
        smooth=False,
    ),
    Objective(
        "metric/poisson_deviance",
        lambda z, y: METRICS["poisson_deviance"].per_example(jnp.exp(z), y),
        lambda z, y: 2 * (special.xlogy(y, y) - y * z - y + np.exp(z)).mean(1),
        _positive_values,
    ),
    Objective("metric/perplexity", METRICS["perplexity"].per_example, _cross_entropy, _classes),
]

__all__ = ["LAYERS", "OBJECTIVES", "OWN", "Layer", "Objective"]
