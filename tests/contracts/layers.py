"""The table of layers: each at a smooth point, with its reference in torch. A new layer adds a row."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from thalweg.problem.models.gpt import GPT, CausalAttention
from thalweg.problem.models.layers.activations import ACTIVATIONS
from thalweg.problem.models.layers.convolution import Convolution, im2col, max_pool, native, winograd
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.linear import Embedding, Linear
from thalweg.problem.models.layers.normalisation import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from thalweg.problem.models.recurrent import GRUCell, LSTMCell, RNNCell, unroll
from thalweg.problem.models.resnet_vgg import ConvolutionBlock


@dataclass(frozen=True)
class Layer:
    """One row of the table.

    Args:
        id: Name of the row.
        make: key -> module (or a function in `eqx.nn.Lambda`).
        call: (module, batch of inputs) -> batch of outputs.
        shape: Shape of one example.
        torch: (torch, module with arrays as tensors, batch of inputs) -> batch of outputs, or None.
        tokens: Size of the vocabulary if inputs are tokens, else 0.
        differences: Whether its gradient is compared with finite differences; not for a whole network, whose
            layers have their own rows.
    """

    id: str
    make: Callable[[Any], Any]
    call: Callable[[Any, Any], Any]
    shape: tuple[int, ...]
    torch: Callable[[Any, Any, Any], Any] | None = None
    tokens: int = 0
    differences: bool = True

    def inputs(self, examples: int = 3) -> np.ndarray:
        generator = np.random.default_rng(7)
        if self.tokens:
            return generator.integers(0, self.tokens, (examples, *self.shape)).astype(np.int32)
        return generator.normal(size=(examples, *self.shape))

    def module(self) -> Any:
        """Return the layer with random numbers in every array, so that no scale of 1 hides a missing one."""
        return filled(eqx.filter_eval_shape(self.make, jax.random.key(5)))


def filled(shapes: Any, seed: int = 6) -> Any:
    """Replace shapes by random arrays, drawn by NumPy, which compiles nothing."""
    generator = np.random.default_rng(seed)

    def draw(leaf):
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        return jnp.asarray(0.5 * generator.normal(size=leaf.shape), leaf.dtype)

    return jax.tree.map(draw, shapes, is_leaf=lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))


def each(module, batch):
    return jax.vmap(module)(batch)


def stateless_norm(module, batch):
    return jax.vmap(lambda x: module(x, None)[0])(batch)


def batch_norm(module, batch):
    module, state = eqx.nn.make_with_state(lambda: module)()
    return jax.vmap(lambda x: module(x, state)[0], axis_name="batch")(batch)


def recurrent(module, batch):
    return jax.vmap(lambda x: unroll(module, x, module.begin())[1])(batch)


def _convolved(torch, m, x):
    kernel = m.weight.permute(0, 3, 1, 2)
    size = kernel.shape[-1]
    padding = ((size - 1) // 2, size // 2) * 2
    image = torch.nn.functional.pad(x.permute(0, 3, 1, 2), padding)
    return torch.nn.functional.conv2d(image, kernel, m.bias, m.stride).permute(0, 2, 3, 1)


def _group_norm(torch, m, x):
    found = torch.nn.functional.group_norm(x.permute(0, 3, 1, 2), m.groups, m.scale, m.shift, 1e-5)
    return found.permute(0, 2, 3, 1)


def _batch_norm(torch, m, x):
    flat = x.reshape(-1, x.shape[-1])
    found = torch.nn.functional.batch_norm(flat, None, None, m.scale, m.shift, True, 0.1, 1e-5)
    return found.reshape(x.shape)


def _recurrent(kind):
    def call(torch, m, x):
        width = m.recurrent.shape[1]
        layer = getattr(torch.nn, kind)(x.shape[-1], width, batch_first=True, dtype=torch.float64)
        second = torch.zeros_like(m.bias)
        if kind == "GRU":
            second[2 * width :] = m.inner
        weights = {
            "weight_ih_l0": m.weight,
            "weight_hh_l0": m.recurrent,
            "bias_ih_l0": m.bias,
            "bias_hh_l0": second,
        }
        with torch.no_grad():
            for name, value in weights.items():
                getattr(layer, name).copy_(value)
            return layer(x)[0]

    return call


def _attention(torch, m, x):
    batch, time, width = x.shape
    mixed = torch.nn.functional.linear(x, m.mix.weight, m.mix.bias)
    q, k, v = (t.view(batch, time, m.heads, width // m.heads).transpose(1, 2) for t in mixed.split(width, 2))
    found = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return torch.nn.functional.linear(found.transpose(1, 2).reshape(x.shape), m.out.weight, m.out.bias)


def _gpt(torch, m, x):
    f = torch.nn.functional
    h = m.tokens.weight[x.long()] + m.positions.weight[: x.shape[1]]
    for block in m.blocks:
        normal = f.layer_norm(h, h.shape[-1:], block.first_norm.scale, block.first_norm.shift)
        h = h + _attention(torch, block.attention, normal)
        normal = f.layer_norm(h, h.shape[-1:], block.second_norm.scale, block.second_norm.shift)
        inner = f.gelu(f.linear(normal, block.expand.weight, block.expand.bias))
        h = h + f.linear(inner, block.shrink.weight, block.shrink.bias)
    h = f.layer_norm(h, h.shape[-1:], m.norm.scale, m.norm.shift)
    return h @ m.tokens.weight.T


def _torch_activation(name):
    def call(torch, m, x):
        f = torch.nn.functional
        known = {
            "leaky_relu": lambda v: f.leaky_relu(v, 0.01),
            "gelu_tanh": lambda v: f.gelu(v, approximate="tanh"),
            "identity": lambda v: v,
            "softmax": lambda v: f.softmax(v, -1),
            "tanh": torch.tanh,
            "exponential": torch.exp,
            "sigmoid": torch.sigmoid,
        }
        return (known[name] if name in known else getattr(f, name))(x)

    return call


def _attend(key):
    keys = jax.random.split(key)
    mix = Linear(6, 18, key=keys[0])
    return CausalAttention(mix, Linear(6, 6, key=keys[1]), Dropout(0.0), 2)


def _block(stride):
    def make(key):
        keys = jax.random.split(key)
        first = Convolution((2, 2 * stride), stride=stride, key=keys[0])
        second = Convolution((2 * stride, 2 * stride), key=keys[1])
        return ConvolutionBlock((first, second), (None, None), skip=True)

    return make


def _residual(torch, m, x):
    f = torch.nn.functional
    inner = _convolved(torch, m.convolutions[1], f.relu(_convolved(torch, m.convolutions[0], x)))
    stride = m.convolutions[0].stride
    short = f.pad(x[:, ::stride, ::stride], (0, inner.shape[-1] - x.shape[-1]))
    return f.relu(inner + short)


def _convolution(size, stride, bias=True):
    return lambda key: Convolution((2, 3), size, stride=stride, key=key, bias=bias)


def _in_form(form):
    return lambda m, batch: jax.vmap(lambda x: form(x, m.weight, m.stride) + m.bias)(batch)


def _linear(torch, m, x):
    return torch.nn.functional.linear(x, m.weight, m.bias)


def _embedding(torch, m, x):
    return torch.nn.functional.embedding(x.long(), m.weight)


def _layer_norm(torch, m, x):
    return torch.nn.functional.layer_norm(x, (6,), m.scale, m.shift)


def _rms_norm(torch, m, x):
    return torch.nn.functional.rms_norm(x, (6,), m.scale, 1e-5)


def _max_pool(torch, m, x):
    return torch.nn.functional.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def _same(torch, m, x):
    return x


def _dropped(module, batch):
    return module(batch, key=jax.random.key(0))


def _through_block(module, batch):
    return jax.vmap(lambda x: module(x, None)[0])(batch)


def _convolutions():
    for form in (im2col, native):
        for size, stride in ((1, 1), (2, 1), (3, 1), (3, 2), (5, 3)):
            name = f"convolution/{form.__name__}/{size}x{size}/{stride}"
            yield Layer(name, _convolution(size, stride), _in_form(form), (5, 4, 2), _convolved)
    yield Layer("convolution/winograd/3x3/1", _convolution(3, 1), _in_form(winograd), (5, 4, 2), _convolved)


def _activations():
    for name, function in ACTIVATIONS.items():
        make = partial(_lambda, function)
        yield Layer(f"activation/{name}", make, each, (4,), _torch_activation(name))


def _lambda(function, key):
    return eqx.nn.Lambda(function)


SMALL = GPT(layers=2, heads=2, width=8, context=5, vocabulary=7)
BIASED = GPT(layers=1, heads=2, width=8, context=6, vocabulary=7, bias=True)

LAYERS = [
    Layer("linear", lambda k: Linear(4, 3, key=k), each, (4,), _linear),
    Layer("linear/sequence", lambda k: Linear(4, 3, key=k, bias=False), each, (5, 4), _linear),
    Layer("embedding", lambda k: Embedding(7, 3, key=k), each, (5,), _embedding, tokens=7),
    Layer("layer_norm", lambda k: LayerNorm(6), stateless_norm, (4, 6), _layer_norm),
    Layer("layer_norm/scale", lambda k: LayerNorm(6, shift=False), stateless_norm, (4, 6), _layer_norm),
    Layer("rms_norm", lambda k: RMSNorm(6), stateless_norm, (4, 6), _rms_norm),
    Layer("group_norm", lambda k: GroupNorm(6, 3), stateless_norm, (3, 3, 6), _group_norm),
    Layer("batch_norm", lambda k: BatchNorm(4), batch_norm, (3, 3, 4), _batch_norm),
    Layer("batch_norm/vector", lambda k: BatchNorm(4), batch_norm, (4,), _batch_norm),
    Layer("dropout/off", lambda k: Dropout(0.0), _dropped, (4,), _same),
    Layer("dropout/inference", lambda k: Dropout(0.5, inference=True), _dropped, (4,), _same),
    Layer("dropout/training", lambda k: Dropout(0.5), _dropped, (4,)),
    *_convolutions(),
    Layer("convolution/layer", _convolution(3, 2), each, (5, 4, 2), _convolved),
    Layer("convolution/no bias", _convolution(3, 1, bias=False), each, (5, 4, 2), _convolved),
    Layer("max_pool", partial(_lambda, max_pool), each, (5, 4, 2), _max_pool),
    Layer("rnn", lambda k: RNNCell(3, 4, key=k), recurrent, (5, 3), _recurrent("RNN")),
    Layer("lstm", lambda k: LSTMCell(3, 4, key=k), recurrent, (5, 3), _recurrent("LSTM")),
    Layer("gru", lambda k: GRUCell(3, 4, key=k), recurrent, (5, 3), _recurrent("GRU")),
    Layer("attention", _attend, each, (5, 6), _attention),
    Layer("residual/1", _block(1), _through_block, (4, 4, 2), _residual),
    Layer("residual/2", _block(2), _through_block, (5, 5, 2), _residual),
    Layer("gpt", SMALL, each, (5,), _gpt, tokens=7, differences=False),
    Layer("gpt/bias", BIASED, each, (5,), _gpt, tokens=7, differences=False),
    *_activations(),
]

# Subgradients at 0 where the slope jumps, as in the docstrings of the activations.
KINKS = {"relu": 0.0, "leaky_relu": 0.01}
SLOPES_AT_ZERO = KINKS | {
    "elu": 1.0,
    "gelu": 0.5,
    "gelu_tanh": 0.5,
    "silu": 0.5,
    "sigmoid": 0.25,
    "tanh": 1.0,
    "softplus": 0.5,
    "exponential": 1.0,
    "identity": 1.0,
}
FAR_OUT = {
    "relu": (1e4, 0.0),
    "leaky_relu": (1e4, -100.0),
    "elu": (1e4, -1.0),
    "gelu": (1e4, 0.0),
    "gelu_tanh": (1e4, 0.0),
    "silu": (1e4, 0.0),
    "sigmoid": (1.0, 0.0),
    "tanh": (1.0, -1.0),
    "softplus": (1e4, 0.0),
    "identity": (1e4, -1e4),
}

__all__ = ["FAR_OUT", "KINKS", "LAYERS", "SLOPES_AT_ZERO", "Layer"]
