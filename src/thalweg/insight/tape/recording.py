"""What a tape records: values, the ops that computed them, and the line of source behind each op.

The record is filled in by `interpreter` (forward) and `backward`; everything else reads it.
"""

import linecache
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import equinox
import jax
import jax.numpy as jnp
import jaxlib
import jaxtyping
import numpy as np
import optax

import thalweg

# Folders of the libraries between a user's line and an operation of JAX.
_LIBRARIES = (
    *(str(Path(str(module.__file__)).parent) for module in (jax, jaxlib, jaxtyping, np)),
    sysconfig.get_path("stdlib"),
    "<frozen",
)
_OURS = tuple(str(Path(str(module.__file__)).parent) for module in (thalweg, equinox, optax))
_HERE = str(Path(__file__).parent)  # the function that the tape itself wraps around the user's
# What a layout op does to an array changes no number, only where it lies, how often, or its dtype.
LAYOUT = frozenset(
    {
        *("transpose", "reshape", "broadcast_in_dim", "convert_element_type", "squeeze", "expand_dims"),
        *("copy", "copy_p", "slice", "rev", "unstack", "stack", "concatenate", "pad", "dynamic_slice"),
        *("optimization_barrier", "reduce_precision", "pvary"),
    }
)


class Source(NamedTuple):
    """A line of source.

    Args:
        file, line: Where it is.
        function: The function that it is in.
        user: Whether it is the user's own code rather than a library's (Thalweg's models and losses, say).
    """

    file: str
    line: int
    function: str
    user: bool = True

    @property
    def text(self) -> str:
        """The line itself, stripped; empty where the file cannot be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        """Return `model.py:12`; of a library, `thalweg/problem/models/mlp.py:88`."""
        path = Path(self.file)
        if self.user:
            return f"{path.name}:{self.line}"
        parts = path.parts
        known = [at for at, part in enumerate(parts) if part in ("thalweg", "equinox", "optax", "jax")]
        return f"{'/'.join(parts[known[-1] :] if known else parts[-1:])}:{self.line}"


class Scope(NamedTuple):
    """Something that an op is inside of.

    Args:
        kind: `jit`, `scan`, `while`, `cond`, `remat`, or the name of another primitive with a body.
        name: Of the function, where it has one.
        iteration: Of a loop, from 0; the branch of a `cond`; None elsewhere.
        source: The line that calls it.
    """

    kind: str
    name: str
    iteration: int | None
    source: Source | None

    def __str__(self) -> str:
        """Return `scan[3]`, or `jit relu`."""
        if self.iteration is not None:
            return f"{self.kind}[{self.iteration}]"
        return f"{self.kind} {self.name}".strip()


@dataclass(eq=False, repr=False)
class Value:
    """An array that the function computed or was given.

    Args:
        number: Its position on the tape.
        array: Its content.
        live: Whether the output may depend on it differentiably.
        op: The op that computed it; None for inputs and constants.
        name: Of an input, as the user would write it: `model.layers[0].weight`.
        constant: Whether it is a literal or was captured, rather than an input or computed.
    """

    number: int
    array: Any
    live: bool
    op: "Op | None" = None
    name: str = ""
    constant: bool = False
    gradient: Any = None
    _finite: bool | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.array.shape)

    def __repr__(self) -> str:
        """Return number, name and shape."""
        return f"Value({self.number} {self.name} {self.array.dtype}{list(self.shape)})"

    @property
    def finite(self) -> bool:
        """Whether it holds no NaN and no infinity."""
        if self._finite is None:
            self._finite = is_finite(self.array)
        return self._finite


@dataclass(eq=False, repr=False)
class Op:
    """One executed operation.

    Args:
        number: Its position in the forward pass.
        name: The primitive, as JAX calls it: `dot_general`.
        params: Its static parameters.
        inputs, outputs: What it read and computed.
        scopes: What it is inside of, outermost first.
        source: The user's line, or that of a library where no line of the user's leads to it.
        stack: JAX's name stack: `loss/log_softmax`.
        live: Positions of the inputs that gradients flow to.
        pull: Gradients of the outputs -> gradients of the live inputs; None where there are none.
        no_rule: Whether a gradient should flow through it, but it has no rule of differentiation.
        inside: The equation of an op that has a body and is differentiated as a whole (a custom rule).
        upstream, downstream: After the backward pass, the gradient of each output, and what the op adds to
            the gradient of each input; None where there is none.
        layer: The layer that it belongs to.
    """

    number: int
    name: str
    params: dict[str, Any]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    scopes: tuple[Scope, ...]
    source: Source | None
    stack: str = ""
    live: tuple[int, ...] = ()
    pull: Callable[..., Sequence[Any]] | None = field(default=None, repr=False)
    no_rule: bool = False
    inside: Any = field(default=None, repr=False)
    upstream: tuple[Any, ...] = ()
    downstream: tuple[Any, ...] = ()
    layer: str = ""

    @property
    def title(self) -> str:
        """The name for people: that of the function for a custom rule, else the primitive's."""
        if not self.name.startswith("custom_"):
            return self.name
        body = self.params.get("call_jaxpr")
        debug = getattr(getattr(body, "jaxpr", None), "debug_info", None)
        return str(getattr(debug, "func_name", "") or self.name)

    def __repr__(self) -> str:
        """Return number, name and line."""
        return f"Op({self.number} {self.title} at {self.source})"


@dataclass(eq=False, repr=False)
class Recording:
    """The whole tape, as it was executed.

    Args:
        values, ops: In the order of execution.
        inputs: The arrays that the function was called with.
        output: What it returned.
        opaque: Loops that were too long to unroll, and run as one op each.
    """

    values: list[Value] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    output: Value | None = None
    opaque: list[Op] = field(default_factory=list)

    def add(self, array: Any, live: bool = False, **more: Any) -> Value:
        """Record a value."""
        value = Value(len(self.values), array, live, **more)
        self.values.append(value)
        return value

    @property
    def users(self) -> dict[int, list[Op]]:
        """The ops that read each value, by its number, in the order of execution."""
        found: dict[int, list[Op]] = {}
        for op in self.ops:
            for value in op.inputs:
                found.setdefault(value.number, []).append(op)
        return found


def is_inexact(array: Any) -> bool:
    """Return whether an array has a dtype that gradients exist for."""
    return jnp.issubdtype(array.dtype, jnp.inexact)


def numbers(array: Any) -> np.ndarray:
    """Return an array on the host, in a dtype that NumPy computes with; keys as their raw words."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(array))
    host = np.asarray(array)
    return host.astype(np.float32) if host.dtype.kind == "V" else host


def is_finite(array: Any) -> bool:
    """Return whether an array holds no NaN and no infinity."""
    return not is_inexact(array) or bool(np.isfinite(numbers(array)).all())


def line_of(equation: Any) -> tuple[Source | None, Source | None]:
    """Return the innermost line of the user's in an equation's traceback, and the innermost of ours.

    JAX cuts a traceback where a function inside is traced by itself, so a line that is missing here is that
    of the equation around.
    """
    traceback = getattr(equation.source_info, "traceback", None)
    ours = None
    for frame in [] if traceback is None else traceback.frames:
        file = frame.file_name
        if file.startswith(_HERE):
            continue
        if file.startswith(_LIBRARIES) and not file.startswith(_OURS):
            continue
        found = Source(file, frame.line_num, frame.function_name)
        if file.startswith(_OURS):
            ours = ours or found._replace(user=False)
        else:
            return found, ours
    return None, ours
