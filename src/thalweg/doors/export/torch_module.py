"""PyTorch: the source of a module for each architecture of the catalogue, and its `state_dict`.

The module is written for the one network: its layers stand there one by one, with their sizes, to be read and
changed. Weights are Thalweg's, renamed and transposed as PyTorch keeps them; running statistics of batch norm
are buffers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import numpy as np

from thalweg.core.errors import ModelError
from thalweg.problem.models.layers.convolution import Convolution
from thalweg.problem.models.layers.linear import Linear
from thalweg.problem.models.layers.normalisation import (
    EPSILON,
    BatchNorm,
    GroupNorm,
    LayerNorm,
    Norm,
    RMSNorm,
    running_statistics,
)

# How PyTorch computes an activation, as an expression of one argument.
ACTIVATIONS = {
    "relu": "F.relu({})",
    "leaky_relu": "F.leaky_relu({}, 0.01)",
    "elu": "F.elu({})",
    "gelu": "F.gelu({})",
    "gelu_tanh": 'F.gelu({}, approximate="tanh")',
    "silu": "F.silu({})",
    "sigmoid": "torch.sigmoid({})",
    "tanh": "torch.tanh({})",
    "softplus": "F.softplus({})",
    "exponential": "torch.exp({})",
    "softmax": "torch.softmax({}, dim=-1)",
    "identity": "{}",
}
# Norms of images over the features of each pixel: PyTorch keeps channels second.
CHANNELS_LAST = '''

class ChannelsLast(nn.Module):
    """A norm over the channels of each pixel."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x):
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
'''


@dataclass
class Source:
    """A module that is being written.

    Args:
        layers: Lines of `__init__`: each layer.
        forward: Lines of `forward`, which turn `x` into the outputs, `h`.
        state: The `state_dict`.
        more: Classes that the module uses.
    """

    layers: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    state: dict[str, np.ndarray] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)

    def linear(self, name: str, layer: Linear) -> str:
        """Add an affine map; return its call, with a place for the argument."""
        outputs, inputs = layer.weight.shape
        bias = "" if layer.bias is not None else ", bias=False"
        self.layers.append(f"self.{name} = nn.Linear({inputs}, {outputs}{bias})")
        self.put(name, weight=layer.weight, bias=layer.bias)
        return f"self.{name}({{}})"

    def convolution(self, name: str, layer: Convolution) -> str:
        """Add a convolution, `same` or `valid`."""
        outputs, rows, columns, inputs = layer.weight.shape
        before = [] if layer.padding == "valid" else [((n - 1) // 2, n // 2) for n in (rows, columns)]
        even = any(one != other for one, other in before)
        settings = f"{rows}" if rows == columns else f"({rows}, {columns})"
        settings += "" if layer.stride == 1 else f", stride={layer.stride}"
        if before and not even and any(before[0] + before[1]):
            settings += f", padding=({before[0][0]}, {before[1][0]})"
        settings += "" if layer.bias is not None else ", bias=False"
        self.layers.append(f"self.{name} = nn.Conv2d({inputs}, {outputs}, {settings})")
        self.put(name, weight=np.asarray(layer.weight).transpose(0, 3, 1, 2), bias=layer.bias)
        if even:
            (top, bottom), (left, right) = before
            return f"self.{name}(F.pad({{}}, ({left}, {right}, {top}, {bottom})))"
        return f"self.{name}({{}})"

    def norm(self, name: str, norm: Norm | None, state: eqx.nn.State, images: bool = False) -> str:
        """Add a norm, if there is one."""
        if norm is None:
            return "{}"
        known: Any = norm
        width, at, prefix = known.scale.shape[0], name, ""
        if isinstance(norm, BatchNorm):
            kind = f"nn.BatchNorm{2 if images else 1}d({width}, eps={EPSILON})"
            mean, variance = running_statistics(state.get(norm.figures))
            self.put(name, running_mean=mean, running_var=variance)
            self.state[f"{name}.num_batches_tracked"] = np.asarray(0, np.int64)
        elif isinstance(norm, GroupNorm):
            kind = f"nn.GroupNorm({norm.groups}, {width}, eps={EPSILON})"
        elif isinstance(norm, LayerNorm):
            kind = f"nn.LayerNorm({width}, eps={EPSILON}" + (
                ")" if norm.shift is not None else ", bias=False)"
            )
        elif isinstance(norm, RMSNorm):
            kind = f"nn.RMSNorm({width}, eps={EPSILON})"
        else:
            raise _unknown(type(norm).__name__)
        if images and isinstance(norm, (LayerNorm, RMSNorm)):
            kind, prefix = f"ChannelsLast({kind})", ".norm"
            self.more = [CHANNELS_LAST]
        self.layers.append(f"self.{name} = {kind}")
        self.put(at + prefix, weight=known.scale, bias=getattr(norm, "shift", None))
        return f"self.{name}({{}})"

    def put(self, name: str, **arrays: Any) -> None:
        """Add arrays to the `state_dict`; None is left out."""
        self.state |= {
            f"{name}.{key}": np.asarray(a, np.float32) for key, a in arrays.items() if a is not None
        }

    def then(self, *lines: str) -> None:
        """Add lines to `forward`."""
        self.forward += lines


def source_of(architecture: dict[str, Any] | None, module: Any, state: eqx.nn.State) -> Source:
    """Return the source of a module for PyTorch, and its `state_dict`.

    Args:
        architecture: The settings of the architecture, with its name; None for a module of the user's own.
        module: The trained module.
        state: Its running statistics.

    Raises:
        ModelError: It is none of the catalogue's.
    """
    name = (architecture or {}).get("name")
    if name not in WRITERS:
        raise _unknown(str(name or type(module).__name__))
    source = Source()
    WRITERS[name](source, module, state)
    return source


def _unknown(got: str) -> ModelError:
    rule = "the module is written for the models of the catalogue"
    hint = f"known are {', '.join(WRITERS)}; other models export to onnx and stablehlo"
    return ModelError("torch", rule, got=got, hint=hint)


def _act(name: str, x: str) -> str:
    return ACTIVATIONS[name].format(x)


def _perceptron(source: Source, module: Any, state: eqx.nn.State) -> None:
    source.then("h = x.flatten(1)")
    *hidden, last = module.layers
    for i, (layer, norm, act) in enumerate(zip(hidden, module.norms, module.activations, strict=True)):
        mapped = source.linear(f"layer{i}", layer).format("h")
        normed = source.norm(f"norm{i}", norm, state).format(mapped)
        out = _act(act.__name__, normed)
        add = module.skip and layer.weight.shape[0] == layer.weight.shape[1]
        source.then(f"h = h + {out}" if add else f"h = {out}")
    source.then(f"h = {_act(module.output.__name__, source.linear('head', last).format('h'))}")


def _images(source: Source) -> None:
    source.then("h = x[..., None] if x.ndim == 3 else x", "h = h.permute(0, 3, 1, 2)")


def _cnn(source: Source, module: Any, state: eqx.nn.State) -> None:
    _images(source)
    layers = zip(module.convolutions, module.norms, module.pools, module.activations, strict=True)
    for i, (convolution, norm, pool, act) in enumerate(layers):
        h = source.convolution(f"convolution{i}", convolution).format("h")
        h = _act(act, source.norm(f"norm{i}", norm, state, images=True).format(h))
        source.then(f"h = {h}" if pool == 1 else f"h = F.max_pool2d({h}, {pool})")
    hidden = source.linear("hidden", module.hidden).format("h.permute(0, 2, 3, 1).flatten(1)")
    source.then(f"h = F.relu({hidden})", f"h = {source.linear('head', module.head).format('h')}")


def _deep(source: Source, module: Any, state: eqx.nn.State) -> None:
    _images(source)
    stem = source.convolution("stem", module.stem).format("h")
    source.then(f"h = F.relu({source.norm('stem_norm', module.norm, state, images=True).format(stem)})")
    if module.shrink:
        source.then("h = F.max_pool2d(h, 2)")
    for i, block in enumerate(module.blocks):
        at = f"block{i}"
        calls = [
            source.norm(f"{at}_norm{j}", block.norms[j], state, images=True).format(
                source.convolution(f"{at}_convolution{j}", block.convolutions[j]).format(argument)
            )
            for j, argument in enumerate(("h", "inner"))
        ]
        source.then(f"inner = F.relu({calls[0]})", f"inner = {calls[1]}")
        if not block.skip:
            source.then("h = F.relu(inner)")
            continue
        first = block.convolutions[0]
        outputs, inputs, stride = first.weight.shape[0], first.weight.shape[3], first.stride
        shortcut = "h" if stride == 1 else f"h[:, :, ::{stride}, ::{stride}]"
        if outputs > inputs:  # zeros in the new channels
            shortcut = f"F.pad({shortcut}, (0, 0, 0, 0, 0, {outputs - inputs}))"
        source.then(f"h = F.relu(inner + {shortcut})")
    source.then(f"h = {source.linear('head', module.head).format('h.mean(dim=(2, 3))')}")


def _recurrent(kind: str) -> Callable[[Source, Any, eqx.nn.State], None]:
    def write(source: Source, module: Any, state: eqx.nn.State) -> None:
        del state
        source.then("h = x")
        if module.embedding is not None:
            count, width = module.embedding.weight.shape
            source.layers.append(f"self.embedding = nn.Embedding({count}, {width})")
            source.put("embedding", weight=module.embedding.weight)
            source.then("h = self.embedding(x.long())")
        first = module.cells[0]
        inputs, width = first.weight.shape[1], first.recurrent.shape[1]
        settings = f"{inputs}, {width}, num_layers={len(module.cells)}, batch_first=True"
        source.layers.append(f"self.cells = nn.{kind}({settings})")
        for i, cell in enumerate(module.cells):
            inner = np.zeros(cell.bias.shape, np.float32)
            if kind == "GRU":
                inner[2 * width :] = np.asarray(cell.inner)
            arrays = {"weight_ih": cell.weight, "weight_hh": cell.recurrent, "bias_ih": cell.bias}
            source.put("cells", **{f"{name}_l{i}": a for name, a in (arrays | {"bias_hh": inner}).items()})
        last = "h" if module.embedding is not None else "h[:, -1]"
        source.then("h, _ = self.cells(h)", f"h = {source.linear('head', module.head).format(last)}")

    return write


BLOCK = '''

class Block(nn.Module):
    """Attention and a perceptron, each on a branch that adds to the stream."""

    def __init__(self, width, heads, bias):
        super().__init__()
        self.heads = heads
        self.first_norm = nn.LayerNorm(width, eps={epsilon}, bias=bias)
        self.mix = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.second_norm = nn.LayerNorm(width, eps={epsilon}, bias=bias)
        self.expand = nn.Linear(width, {expansion} * width, bias=bias)
        self.shrink = nn.Linear({expansion} * width, width, bias=bias)

    def attention(self, x):
        batch, time, width = x.shape
        parts = self.mix(x).chunk(3, dim=-1)
        queries, keys, values = (p.view(batch, time, self.heads, -1).transpose(1, 2) for p in parts)
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal={causal})
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))

    def forward(self, x):
{forward}
'''
PRE_NORM = """        x = x + self.attention(self.first_norm(x))
        return x + self.shrink({act})"""
POST_NORM = """        x = self.first_norm(x + self.attention(x))
        return self.second_norm(x + self.shrink({act}))"""


def _gpt(source: Source, module: Any, state: eqx.nn.State) -> None:
    del state
    (vocabulary, width), context = module.tokens.weight.shape, module.positions.weight.shape[0]
    first = module.blocks[0]
    bias, post = first.expand.bias is not None, first.post_norm
    inner = "self.expand(x)" if post else "self.expand(self.second_norm(x))"
    body = (POST_NORM if post else PRE_NORM).format(act=_act(first.activation.__name__, inner))
    source.more.append(
        BLOCK.format(
            epsilon=EPSILON,
            expansion=first.expand.weight.shape[0] // width,
            causal=first.attention.causal,
            forward=body,
        )
    )
    source.layers += [
        f"self.tokens = nn.Embedding({vocabulary}, {width})",
        f"self.positions = nn.Embedding({context}, {width})",
        f"sizes = {width}, {first.attention.heads}, {bias}",
        f"self.blocks = nn.ModuleList([Block(*sizes) for _ in range({len(module.blocks)})])",
    ]
    source.put("tokens", weight=module.tokens.weight)
    source.put("positions", weight=module.positions.weight)
    for i, block in enumerate(module.blocks):
        at = f"blocks.{i}"
        maps = {"mix": block.attention.mix, "out": block.attention.out}
        for name, layer in (maps | {"expand": block.expand, "shrink": block.shrink}).items():
            source.put(f"{at}.{name}", weight=layer.weight, bias=layer.bias)
        for name in ("first_norm", "second_norm"):
            norm = getattr(block, name)
            source.put(f"{at}.{name}", weight=norm.scale, bias=norm.shift)
    source.then(
        "x = x.long()",
        "h = self.tokens(x) + self.positions.weight[: x.shape[1]]",
        "for block in self.blocks:",
        "    h = block(h)",
    )
    if module.norm is not None:
        shift = "" if module.norm.shift is not None else ", bias=False"
        source.layers.append(f"self.norm = nn.LayerNorm({width}, eps={EPSILON}{shift})")
        source.put("norm", weight=module.norm.scale, bias=module.norm.shift)
        source.then("h = self.norm(h)")
    if module.head is None:
        source.then("h = h @ self.tokens.weight.T")
    else:
        source.then(f"h = {source.linear('head', module.head).format('h')}")


WRITERS: dict[str, Callable[[Source, Any, eqx.nn.State], None]] = {
    "mlp": _perceptron,
    "linear": _perceptron,
    "cnn": _cnn,
    "vgg": _deep,
    "resnet": _deep,
    "rnn": _recurrent("RNN"),
    "lstm": _recurrent("LSTM"),
    "gru": _recurrent("GRU"),
    "gpt": _gpt,
}
