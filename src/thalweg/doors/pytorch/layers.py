"""PyTorch's layers and activations (ATen's operations for them) in JAX, by name.

Formulas: PyTorch's own documentation. Layers that behave otherwise while training (dropout, batch norm) are
in `graph`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from thalweg.doors.pytorch import recurrent


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Return `x W^T + b`."""
    product = x @ weight.T
    return product if bias is None else product + bias


def convolution(dimensions: int) -> Callable[..., Any]:
    """Return the convolution over so many dimensions, `batch channel ...`."""

    def convolve(
        x: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        steps = _each(dilation, dimensions)
        # The word "same" pads as PyTorch does: one more at the end where the sum is odd.
        if padding == "same":
            spans = [(size - 1) * step for size, step in zip(weight.shape[2:], steps, strict=True)]
            edges = [(span // 2, span - span // 2) for span in spans]
        else:
            edges = [(each, each) for each in _each(0 if padding == "valid" else padding, dimensions)]
        out = jax.lax.conv_general_dilated(
            x, weight, _each(stride, dimensions), edges, rhs_dilation=steps, feature_group_count=groups
        )
        return out if bias is None else out + bias.reshape(-1, *[1] * dimensions)

    return convolve


def transposed_convolution(dimensions: int) -> Callable[..., Any]:
    """Return the convolution whose gradient is a convolution, over so many dimensions."""

    def spread(
        x: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        if groups != 1:
            raise NotImplementedError("a transposed convolution with groups")
        kernel = jnp.flip(weight, axis=range(2, weight.ndim)).swapaxes(0, 1)
        steps, pads, more = (_each(value, dimensions) for value in (dilation, padding, output_padding))
        edges = [
            (step * (size - 1) - pad, step * (size - 1) - pad + extra)
            for size, step, pad, extra in zip(weight.shape[2:], steps, pads, more, strict=True)
        ]
        out = jax.lax.conv_general_dilated(
            x, kernel, [1] * dimensions, edges, lhs_dilation=_each(stride, dimensions), rhs_dilation=steps
        )
        return out if bias is None else out + bias.reshape(-1, *[1] * dimensions)

    return spread


def _each(value: Any, dimensions: int) -> tuple[int, ...]:
    """Return a number for each dimension, where one may stand for all."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * dimensions if len(values) == 1 else values


def pooling(dimensions: int, kind: str) -> Callable[..., Any]:
    """Return pooling of the largest (`max`) or the mean over windows of so many dimensions."""

    def pool(x: Any, size: Any, stride: Any = (), padding: Any = 0, *more: Any) -> Any:
        size = _each(size, dimensions)
        stride = _each(stride, dimensions) if stride not in ((), [], None) else size
        edges = [(0, 0)] * (x.ndim - dimensions) + [(each, each) for each in _each(padding, dimensions)]
        ones = (1,) * (x.ndim - dimensions)
        window, steps = (*ones, *size), (*ones, *stride)
        if kind == "max":
            dilation = _each(more[0], dimensions) if more else (1,) * dimensions
            if any(each != 1 for each in dilation) or (len(more) > 1 and more[1]):
                raise NotImplementedError("max pooling with dilation or ceil_mode")
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, steps, edges)
        if more and more[0]:
            raise NotImplementedError("average pooling with ceil_mode")
        total = jax.lax.reduce_window(x, 0.0, jax.lax.add, window, steps, edges)
        if len(more) > 1 and not more[1]:  # padding does not count
            return total / jax.lax.reduce_window(jnp.ones_like(x), 0.0, jax.lax.add, window, steps, edges)
        return total / math.prod(size)

    return pool


def adaptive(dimensions: int, kind: str) -> Callable[..., Any]:
    """Return pooling to a given number of windows, which must divide the size."""

    def pool(x: Any, size: Any) -> Any:
        size = [size] if isinstance(size, int) else list(size)
        shape = list(x.shape[: x.ndim - dimensions])
        axes = []
        for at, parts in enumerate(size * dimensions if len(size) == 1 else size):
            whole = x.shape[x.ndim - dimensions + at]
            parts = whole if parts is None else parts
            if whole % parts:
                raise NotImplementedError(f"pooling of {whole} places into {parts} windows")
            shape += [parts, whole // parts]
            axes.append(len(shape) - 1)
        reduce = jnp.max if kind == "max" else jnp.mean
        return reduce(x.reshape(shape), axis=tuple(axes))

    return pool


def layer_norm(x: Any, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Return the layer norm over the last axes."""
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True)
    x = centred * jax.lax.rsqrt((centred**2).mean(axis=axes, keepdims=True) + eps)
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def rms_norm(x: Any, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """Return the root mean square norm over the last axes."""
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    least = jnp.finfo(x.dtype).eps if eps is None else eps
    x = x * jax.lax.rsqrt((x**2).mean(axis=axes, keepdims=True) + least)
    return x if weight is None else x * weight


def group_norm(x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Return the norm over each group of channels, `batch channel ...`."""
    grouped = x.reshape(x.shape[0], groups, -1)
    grouped = layer_norm(grouped, grouped.shape[2:], eps=eps).reshape(x.shape)
    shape = (-1, *[1] * (x.ndim - 2))
    grouped = grouped if weight is None else grouped * weight.reshape(shape)
    return grouped if bias is None else grouped + bias.reshape(shape)


def attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    drop: Callable[[Any], Any] | None = None,
) -> Any:
    """Return scaled dot-product attention, `... place feature`; `drop` drops some of its weights."""
    if enable_gqa:
        raise NotImplementedError("attention with grouped queries")
    scores = (q @ k.swapaxes(-1, -2)) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if causal:
        mask = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf) if mask.dtype == bool else scores + mask
    weights = jax.nn.softmax(scores, axis=-1)
    return (weights if drop is None else drop(weights)) @ v


LAYERS: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "addmm": lambda b, x, w, *, beta=1, alpha=1: beta * b + alpha * (x @ w),
    "baddbmm": lambda b, x, w, *, beta=1, alpha=1: beta * b + alpha * (x @ w),
    "matmul": jnp.matmul,
    "mm": jnp.matmul,
    "bmm": jnp.matmul,
    "einsum": lambda text, parts, **unused: jnp.einsum(text, *parts),
    "bilinear": lambda x, y, w, b=None: jnp.einsum("...i,oij,...j->...o", x, w, y) + (0 if b is None else b),
    "conv1d": convolution(1),
    "conv2d": convolution(2),
    "conv3d": convolution(3),
    "conv_transpose1d": transposed_convolution(1),
    "conv_transpose2d": transposed_convolution(2),
    "embedding": lambda weight, at, *unused: weight[at],
    "lstm": recurrent.lstm,
    "gru": recurrent.gru,
    "rnn_tanh": recurrent.rnn(jnp.tanh),
    "rnn_relu": recurrent.rnn(jax.nn.relu),
    "scaled_dot_product_attention": attention,
    "layer_norm": lambda x, shape, w=None, b=None, eps=1e-5, *unused: layer_norm(x, shape, w, b, eps),
    "rms_norm": rms_norm,
    "group_norm": lambda x, groups, w=None, b=None, eps=1e-5, *unused: group_norm(x, groups, w, b, eps),
    "instance_norm": lambda x, w, b, mean, var, own, momentum, eps, *unused: group_norm(
        x, x.shape[1], w, b, eps
    ),
    "max_pool1d": pooling(1, "max"),
    "max_pool2d": pooling(2, "max"),
    "avg_pool1d": pooling(1, "mean"),
    "avg_pool2d": pooling(2, "mean"),
    "adaptive_avg_pool1d": adaptive(1, "mean"),
    "adaptive_avg_pool2d": adaptive(2, "mean"),
    "adaptive_max_pool2d": adaptive(2, "max"),
    # Activations, by the names that the doctor knows.
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "leaky_relu": lambda x, slope=0.01: jax.nn.leaky_relu(x, slope),
    "prelu": lambda x, slope: jnp.where(
        x > 0, x, x * (slope.reshape(-1, *[1] * (x.ndim - 2)) if slope.size > 1 else slope)
    ),
    "elu": lambda x, alpha=1.0, *unused: jax.nn.elu(x, alpha),
    "celu": lambda x, alpha=1.0: jax.nn.celu(x, alpha),
    "selu": jax.nn.selu,
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
    "gelu": lambda x, *, approximate="none": jax.nn.gelu(x, approximate=approximate == "tanh"),
    "softplus": lambda x, beta=1.0, threshold=20.0: (
        jax.nn.softplus(x) if beta == 1.0 else jax.nn.softplus(beta * x) / beta
    ),
    "sigmoid": jax.nn.sigmoid,
    "log_sigmoid": jax.nn.log_sigmoid,
    "hardtanh": lambda x, low=-1.0, high=1.0: jnp.clip(x, low, high),
    "hardsigmoid": jax.nn.hard_sigmoid,
    "hardswish": jax.nn.hard_silu,
    "softsign": jax.nn.soft_sign,
    "softmax": lambda x, axis=-1, *unused: jax.nn.softmax(x, axis=axis),
    "log_softmax": lambda x, axis=-1, *unused: jax.nn.log_softmax(x, axis=axis),
}
