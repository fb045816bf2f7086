"""PyTorch's operations (ATen) in JAX, by name: what `torch.export` leaves of a module or a loss.

Each takes what PyTorch's takes, in its order, with arrays in place of tensors; types and devices are ignored,
as everything is computed in float32 on JAX's device. Here are arithmetic, reductions and shapes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from thalweg.doors.pytorch.layers import LAYERS
from thalweg.doors.pytorch.losses import LOSSES


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


def padded(x: Any, edges: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Return an array with values added around its last axes; `edges` begin with the last one's."""
    widths = [(0, 0)] * (x.ndim - len(edges) // 2)
    widths += [(edges[at], edges[at + 1]) for at in range(len(edges) - 2, -1, -2)]
    if mode == "constant":
        return jnp.pad(x, widths, constant_values=value or 0.0)
    return jnp.pad(x, widths, mode={"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode])


# By name without overload; the names of changes in place are looked up without their underscore.
OPERATIONS: dict[str, Callable[..., Any]] = {
    **LAYERS,
    **LOSSES,
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
    "pad": padded,
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
