"""PyTorch's operations (ATen) in JAX, by name: what `torch.export` leaves of a module or a loss.

Each takes what PyTorch's takes, in its order, with arrays in place of tensors; types and devices are ignored,
as everything is computed in float32 on JAX's device. Layers that behave otherwise while training (dropout,
batch norm) are not here but in `graph`. Formulas: PyTorch's own documentation.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from thalweg.doors.pytorch import recurrent

MEAN, SUM = 1, 2  # `reduction` of losses, by PyTorch's number


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Return `x W^T + b`."""
    product = x @ weight.T
    return product if bias is None else product + bias


def convolution(dimensions: int, *, transposed: bool = False) -> Callable[..., Any]:
    """Return the convolution over so many dimensions, `batch channel ...`."""

    def pair(value: Any) -> tuple[int, ...]:
        values = (value,) if isinstance(value, int) else tuple(value)
        return values * dimensions if len(values) == 1 else values

    def convolve(
        x: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        # The word "same" pads as PyTorch does: one more at the end where the sum is odd.
        sizes = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], pair(dilation), strict=True)]
        if padding == "same":
            edges = [((size - 1) // 2, size // 2) for size in sizes]
        else:
            edges = [(each, each) for each in pair(0 if padding == "valid" else padding)]
        out = jax.lax.conv_general_dilated(
            x, weight, pair(stride), edges, rhs_dilation=pair(dilation), feature_group_count=groups
        )
        return out if bias is None else out + bias.reshape(-1, *[1] * dimensions)

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
        steps = pair(dilation)
        edges = [
            (step * (size - 1) - pad, step * (size - 1) - pad + more)
            for size, step, pad, more in zip(
                weight.shape[2:], steps, pair(padding), pair(output_padding), strict=True
            )
        ]
        out = jax.lax.conv_general_dilated(
            x, kernel, [1] * dimensions, edges, lhs_dilation=pair(stride), rhs_dilation=steps
        )
        return out if bias is None else out + bias.reshape(-1, *[1] * dimensions)

    return spread if transposed else convolve


def pooling(dimensions: int, kind: str) -> Callable[..., Any]:
    """Return pooling of the largest (`max`) or the mean over windows of so many dimensions."""

    def tuple_of(value: Any) -> tuple[int, ...]:
        values = (value,) if isinstance(value, int) else tuple(value)
        return values * dimensions if len(values) == 1 else values

    def pool(x: Any, size: Any, stride: Any = (), padding: Any = 0, *more: Any) -> Any:
        size = tuple_of(size)
        stride = tuple_of(stride) if stride not in ((), [], None) else size
        edges = [(0, 0)] * (x.ndim - dimensions) + [(each, each) for each in tuple_of(padding)]
        ones = (1,) * (x.ndim - dimensions)
        window, steps = (*ones, *size), (*ones, *stride)
        if kind == "max":
            dilation = tuple_of(more[0]) if more else (1,) * dimensions
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
    eps = jnp.finfo(x.dtype).eps if eps is None else eps
    x = x * jax.lax.rsqrt((x**2).mean(axis=axes, keepdims=True) + eps)
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
) -> Any:
    """Return scaled dot-product attention, `... place feature`; its own dropout is left out."""
    if enable_gqa:
        raise NotImplementedError("attention with grouped queries")
    scores = (q @ k.swapaxes(-1, -2)) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if causal:
        mask = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf) if mask.dtype == bool else scores + mask
    return jax.nn.softmax(scores, axis=-1) @ v


def reduced(losses: Any, reduction: int = MEAN) -> Any:
    """Return losses as PyTorch reduces them."""
    return losses.mean() if reduction == MEAN else losses.sum() if reduction == SUM else losses


def negative_log_likelihood(
    logs: Any, target: Any, weight: Any = None, reduction: int = MEAN, ignored: int = -100
) -> Any:
    """Return the negative log-likelihood of classes, `batch class ...`."""
    counted = target != ignored
    which = jnp.where(counted, target, 0)
    losses = -jnp.take_along_axis(logs, which[:, None] if logs.ndim > 1 else which[None], axis=-logs.ndim + 1)
    losses = losses[:, 0] if logs.ndim > 1 else losses[0]
    weights = jnp.where(counted, 1.0 if weight is None else weight[which], 0.0)
    losses = losses * weights
    return losses.sum() / weights.sum() if reduction == MEAN else reduced(losses, reduction)


def cross_entropy(
    x: Any,
    target: Any,
    weight: Any = None,
    reduction: int = MEAN,
    ignored: int = -100,
    smoothing: float = 0.0,
) -> Any:
    """Return the cross-entropy of logits, `batch class ...`, with classes or probabilities as targets."""
    axis = 1 if x.ndim > 1 else 0
    logs = jax.nn.log_softmax(x, axis=axis)
    if target.shape == x.shape:  # probabilities
        shares = target * (1 - smoothing) + smoothing / x.shape[axis]
        if weight is not None:
            shares = shares * weight.reshape(-1, *[1] * (x.ndim - axis - 1))
        losses = -(shares * logs).sum(axis=axis)
        return losses.mean() if reduction == MEAN else reduced(losses, reduction)
    loss = negative_log_likelihood(logs, target, weight, reduction, ignored)
    if not smoothing:
        return loss
    if weight is not None:
        raise NotImplementedError("label_smoothing with class weights")
    counted = target != ignored
    even = jnp.where(counted, -logs.mean(axis=axis), 0.0)
    even = even.sum() / counted.sum() if reduction == MEAN else reduced(even, reduction)
    return (1 - smoothing) * loss + smoothing * even


def binary_cross_entropy(p: Any, target: Any, weight: Any = None, reduction: int = MEAN) -> Any:
    """Return the binary cross-entropy of probabilities; as in PyTorch, logarithms are at least -100."""
    losses = -(target * jnp.maximum(jnp.log(p), -100) + (1 - target) * jnp.maximum(jnp.log1p(-p), -100))
    return reduced(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_of_logits(
    z: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = MEAN
) -> Any:
    """Return the binary cross-entropy of logits."""
    factor = 1.0 if pos_weight is None else 1 + (pos_weight - 1) * target
    losses = (1 - target) * z + factor * jax.nn.softplus(-z)
    return reduced(losses if weight is None else losses * weight, reduction)


def huber(x: Any, y: Any, reduction: int = MEAN, delta: float = 1.0) -> Any:
    """Return Huber's loss."""
    d = jnp.abs(x - y)
    return reduced(jnp.where(d < delta, 0.5 * d**2, delta * (d - 0.5 * delta)), reduction)


def smooth_l1(x: Any, y: Any, reduction: int = MEAN, beta: float = 1.0) -> Any:
    """Return the smooth L1 loss."""
    d = jnp.abs(x - y)
    return reduced(jnp.where(d < beta, 0.5 * d**2 / beta, d - 0.5 * beta) if beta else d, reduction)


def kl_divergence(x: Any, y: Any, reduction: int = MEAN, *, log_target: bool = False) -> Any:
    """Return the Kullback-Leibler divergence of log-probabilities."""
    if log_target:
        return reduced(jnp.exp(y) * (y - x), reduction)
    return reduced(jnp.where(y > 0, y * (jnp.log(jnp.where(y > 0, y, 1.0)) - x), 0.0), reduction)


def flatten(x: Any, start: int = 0, end: int = -1) -> Any:
    """Return an array with some axes joined."""
    start, end = start % x.ndim, end % x.ndim
    return x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])


def squeezed(x: Any, axis: Any = None) -> Any:
    """Return an array without axes of size one; the batch's stays, since it is not known to be one."""
    axes = range(1, x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    return x.squeeze(tuple(each % x.ndim for each in axes if x.shape[each] == 1))


def sliced(x: Any, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    """Return a slice along an axis."""
    return x[(*[slice(None)] * (axis % x.ndim), slice(start, end, step))]


def selected(x: Any, axis: int, at: int) -> Any:
    """Return one place along an axis."""
    return jnp.take(x, at % x.shape[axis], axis=axis)


def split(x: Any, size: Any, axis: int = 0) -> list[Any]:
    """Return parts of a size, or of several sizes."""
    whole = x.shape[axis]
    sizes = [min(size, whole - at) for at in range(0, whole, size)] if isinstance(size, int) else list(size)
    edges = [sum(sizes[: at + 1]) for at in range(len(sizes) - 1)]
    return jnp.split(x, edges, axis=axis)


def chunked(x: Any, count: int, axis: int = 0) -> list[Any]:
    """Return so many parts."""
    return split(x, -(-x.shape[axis] // count), axis)


def expanded(x: Any, shape: Sequence[int], **unused: Any) -> Any:
    """Return an array repeated along axes of size one."""
    own = (1,) * (len(shape) - x.ndim) + tuple(x.shape)
    return jnp.broadcast_to(x.reshape(own), [o if s == -1 else s for o, s in zip(own, shape, strict=True)])


def indexed(x: Any, places: Sequence[Any]) -> Any:
    """Return the places of an array that arrays of numbers select."""
    return x[tuple(slice(None) if each is None else each for each in places)]


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a reduction over axes, or over everything."""

    def reduce(x: Any, axis: Any = None, keep: bool = False, **unused: Any) -> Any:
        axes = None if axis is None or axis == [] else (axis,) if isinstance(axis, int) else tuple(axis)
        return function(x, axis=axes, keepdims=keep)

    return reduce


def variance(x: Any, axis: Any = None, unbiased: Any = True, keep: bool = False, **more: Any) -> Any:
    """Return the variance, by default the unbiased one."""
    if isinstance(axis, bool):
        axis, unbiased = None, axis
    correction = more.get("correction", 1 if unbiased else 0)
    axes = None if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    return jnp.var(x, axis=axes, ddof=correction, keepdims=more.get("keepdim", keep))


def extreme(pick: Callable[..., Any], where: Callable[..., Any]) -> Callable[..., Any]:
    """Return the largest or smallest along an axis, with its place."""

    def find(x: Any, axis: int, keep: bool = False) -> tuple[Any, Any]:
        return pick(x, axis=axis, keepdims=keep), where(x, axis=axis, keepdims=keep)

    return find


def scaled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a sum or difference whose second part PyTorch may multiply by alpha."""
    return lambda x, y, *, alpha=1: function(x, y if alpha == 1 else alpha * y)


def constant(value: float) -> Callable[..., Any]:
    """Return what makes an array of a value."""
    return lambda shape, *unused, **more: jnp.full(tuple(shape), value, _type_of(more))


def _type_of(options: Mapping[str, Any]) -> Any:
    """Return the type of numbers that a new array gets, by the name of PyTorch's."""
    name = str(options.get("dtype") or "float32").removeprefix("torch.")
    return {"int64": jnp.int32, "long": jnp.int32, "float64": jnp.float32}.get(name, name)


def converted(x: Any, *args: Any, **options: Any) -> Any:
    """Return an array in another type of numbers, where one is named."""
    names = [str(each).removeprefix("torch.") for each in (*args, options.get("dtype"))]
    kinds = [name for name in names if name.startswith(("float", "int", "bool", "uint", "bfloat"))]
    return jnp.asarray(x).astype(_type_of({"dtype": kinds[0]})) if kinds else x


def same(x: Any, *unused: Any, **more: Any) -> Any:
    """Return the array."""
    return x


# By name without overload; the names of changes in place are looked up without their underscore.
OPERATIONS: dict[str, Callable[..., Any]] = {
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
    "conv_transpose1d": convolution(1, transposed=True),
    "conv_transpose2d": convolution(2, transposed=True),
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
    # Losses.
    "cross_entropy_loss": cross_entropy,
    "nll_loss": negative_log_likelihood,
    "nll_loss_nd": negative_log_likelihood,
    "nll_loss2d": negative_log_likelihood,
    "mse_loss": lambda x, y, how=MEAN: reduced((x - y) ** 2, how),
    "l1_loss": lambda x, y, how=MEAN: reduced(jnp.abs(x - y), how),
    "smooth_l1_loss": smooth_l1,
    "huber_loss": huber,
    "binary_cross_entropy": binary_cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_of_logits,
    "kl_div": kl_divergence,
    "hinge_embedding_loss": lambda x, y, margin=1.0, how=MEAN: reduced(
        jnp.where(y == 1, x, jnp.maximum(0.0, margin - x)), how
    ),
    # Arithmetic.
    "add": scaled(jnp.add),
    "sub": scaled(jnp.subtract),
    "rsub": lambda x, y, alpha=1: y - alpha * x,
    "mul": jnp.multiply,
    "div": lambda x, y, *, rounding_mode=None: (
        x / y if rounding_mode is None else jnp.floor(x / y) if rounding_mode == "floor" else jnp.trunc(x / y)
    ),
    "floor_divide": jnp.floor_divide,
    "remainder": jnp.remainder,
    "pow": jnp.power,
    "neg": jnp.negative,
    "abs": jnp.abs,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log2": jnp.log2,
    "log10": jnp.log10,
    "log1p": jnp.log1p,
    "sqrt": jnp.sqrt,
    "rsqrt": jax.lax.rsqrt,
    "square": jnp.square,
    "reciprocal": lambda x: 1 / x,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "tanh": jnp.tanh,
    "atan": jnp.arctan,
    "erf": jax.scipy.special.erf,
    "sign": jnp.sign,
    "round": jnp.round,
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "clamp": lambda x, low=None, high=None: jnp.clip(x, low, high),
    "clamp_min": lambda x, low: jnp.maximum(x, low),
    "clamp_max": lambda x, high: jnp.minimum(x, high),
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "where": jnp.where,
    "masked_fill": lambda x, mask, value: jnp.where(mask, value, x),
    "eq": jnp.equal,
    "ne": jnp.not_equal,
    "gt": jnp.greater,
    "ge": jnp.greater_equal,
    "lt": jnp.less,
    "le": jnp.less_equal,
    "logical_not": jnp.logical_not,
    "logical_and": jnp.logical_and,
    "logical_or": jnp.logical_or,
    "bitwise_not": jnp.bitwise_not,
    "bitwise_and": jnp.bitwise_and,
    # Over axes.
    "sum": reduction(jnp.sum),
    "mean": reduction(jnp.mean),
    "prod": reduction(jnp.prod),
    "amax": reduction(jnp.max),
    "amin": reduction(jnp.min),
    "any": reduction(jnp.any),
    "all": reduction(jnp.all),
    "logsumexp": reduction(jax.scipy.special.logsumexp),
    "var": variance,
    "std": lambda x, *args, **more: jnp.sqrt(variance(x, *args, **more)),
    "linalg_vector_norm": lambda x, order=2, axis=None, keep=False, **unused: jnp.linalg.norm(
        x.ravel() if axis is None else x, order, axis[0] if axis else None, keep
    ),
    "argmax": lambda x, axis=None, keep=False: jnp.argmax(x, axis=axis, keepdims=keep),
    "argmin": lambda x, axis=None, keep=False: jnp.argmin(x, axis=axis, keepdims=keep),
    "cumsum": lambda x, axis, **unused: jnp.cumsum(x, axis=axis),
    # Shapes.
    "view": lambda x, shape: x.reshape(tuple(shape)),
    "reshape": lambda x, shape: x.reshape(tuple(shape)),
    "unflatten": lambda x, axis, sizes: x.reshape(
        *x.shape[: axis % x.ndim], *sizes, *x.shape[axis % x.ndim + 1 :]
    ),
    "flatten": flatten,
    "permute": lambda x, axes: jnp.transpose(x, axes),
    "transpose": jnp.swapaxes,
    "t": lambda x: x.T,
    "numpy_T": lambda x: x.T,
    "movedim": jnp.moveaxis,
    "squeeze": squeezed,
    "unsqueeze": jnp.expand_dims,
    "expand": expanded,
    "broadcast_tensors": lambda parts: jnp.broadcast_arrays(*parts),
    "expand_as": lambda x, like: expanded(x, like.shape),
    "repeat": jnp.tile,
    "cat": lambda parts, axis=0: jnp.concatenate(parts, axis),
    "stack": lambda parts, axis=0: jnp.stack(parts, axis),
    "split": split,
    "split_with_sizes": split,
    "chunk": chunked,
    "unbind": lambda x, axis=0: [selected(x, axis, at) for at in range(x.shape[axis])],
    "select": selected,
    "slice": sliced,
    "narrow": lambda x, axis, start, count: sliced(x, axis, start, start + count),
    "index": indexed,
    "index_select": lambda x, axis, at: jnp.take(x, at, axis=axis),
    "gather": lambda x, axis, at, **unused: jnp.take_along_axis(x, at, axis=axis),
    "flip": lambda x, axes: jnp.flip(x, axes),
    "roll": lambda x, by, axes=None: jnp.roll(x, by, axes),
    "tril": jnp.tril,
    "triu": jnp.triu,
    "pad": lambda x, edges, mode="constant", value=None: jnp.pad(
        x,
        [(0, 0)] * (x.ndim - len(edges) // 2)
        + [(edges[at], edges[at + 1]) for at in range(len(edges) - 2, -1, -2)],
        **({"constant_values": value or 0.0} if mode == "constant" else {"mode": _padding(mode)}),
    ),
    "max": extreme(jnp.max, jnp.argmax),
    "min": extreme(jnp.min, jnp.argmin),
    "one_hot": lambda at, classes=-1: jax.nn.one_hot(at, classes, dtype=jnp.int32),
    # New arrays.
    "zeros": constant(0.0),
    "ones": constant(1.0),
    "full": lambda shape, value, **more: jnp.full(tuple(shape), value, _type_of(more)),
    "zeros_like": lambda x, **unused: jnp.zeros_like(x),
    "ones_like": lambda x, **unused: jnp.ones_like(x),
    "full_like": lambda x, value, **unused: jnp.full_like(x, value),
    "new_zeros": lambda x, shape, **unused: jnp.zeros(tuple(shape), x.dtype),
    "new_ones": lambda x, shape, **unused: jnp.ones(tuple(shape), x.dtype),
    "scalar_tensor": lambda value, **more: jnp.asarray(value, _type_of(more)),
    "arange": lambda *edges, **more: jnp.arange(*edges),
    "to": converted,
    "_to_copy": converted,
    "type_as": lambda x, like: x.astype(like.dtype),
    "alias": same,
    "clone": same,
    "contiguous": same,
    "detach": jax.lax.stop_gradient,
    "lift_fresh_copy": same,
    "lift_fresh": same,
    "copy": lambda x, new, *unused: jnp.broadcast_to(new, x.shape).astype(x.dtype),
    "fill": lambda x, value: jnp.full_like(x, value),
    "zero": jnp.zeros_like,
    "_assert_tensor_metadata": same,
    "_assert_scalar": lambda *unused: None,
    "sym_size": lambda x, axis: x.shape[axis],
    "sym_numel": lambda x: x.size,
    "numel": lambda x: x.size,
}


def _padding(mode: str) -> str:
    return {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
