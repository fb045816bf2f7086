"""`tape`: a function on its inputs, op by op forward and back, with what goes wrong on the way."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from thalweg.core.errors import BadInput
from thalweg.core.tree import dotted
from thalweg.engine.compilation import small_programs
from thalweg.insight.tape.backward import pull_back
from thalweg.insight.tape.flow import Flow, gradient_flow
from thalweg.insight.tape.fused import Fused, find_fused
from thalweg.insight.tape.interpreter import execute
from thalweg.insight.tape.nonfinite import NonFinite, find_nonfinite
from thalweg.insight.tape.recording import Op, Recording, is_inexact


@dataclass(frozen=True, repr=False)
class Tape:
    """A function's forward and backward pass on one set of inputs.

    Args:
        name: What was computed.
        recording: Every value and every op, with gradients.
        stopped: Ops without a rule of differentiation at which the gradient stopped.
        nonfinite: What is not finite, and where it was born.
        flow: Gains by layer and by iteration.
        fused: Softmax and cross-entropy as one op with the gradient `p - y`; None where there is no such.
        about: Facts for reports: the run, step and example.
    """

    name: str
    recording: Recording = field(repr=False)
    stopped: tuple[Op, ...] = ()
    nonfinite: NonFinite = field(default_factory=lambda: NonFinite(None))
    flow: Flow = field(default_factory=lambda: Flow((), ()))
    fused: Fused | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def ops(self) -> list[Op]:
        """The ops in the order of the forward pass."""
        return self.recording.ops

    @property
    def value(self) -> float:
        """What the function returned."""
        assert self.recording.output is not None
        return float(self.recording.output.array)

    @property
    def gradients(self) -> dict[str, Any]:
        """The gradient of every floating-point input, by name; zeros where it does not matter.

        None where an op without a rule lies between the input and the output, so that it is not known.
        """
        behind = self._behind_stopped()
        found = {}
        for value in self.recording.inputs:
            if value.live:
                zeros = jnp.zeros(value.shape, value.array.dtype)
                gradient = zeros if value.gradient is None else value.gradient
                found[value.name] = None if value.number in behind else gradient
        return found

    def _behind_stopped(self) -> set[int]:
        """Return the values that an op without a rule depends on, by number."""
        stopped = {op.number for op in self.stopped}
        behind: set[int] = set()
        for op in reversed(self.ops):
            if op.number in stopped or any(value.number in behind for value in op.outputs):
                behind.update(value.number for value in op.inputs)
        return behind

    @property
    def healthy(self) -> bool:
        """Whether output and gradients are finite, and gradients neither vanish nor explode on the way."""
        return self.nonfinite.birth is None and not self.flow.verdict

    def __repr__(self) -> str:
        """Return one line: the number of ops, the value, and gradients of single numbers."""
        single = [
            f"d/d{name} {float(gradient):.7g}"
            for name, gradient in self.gradients.items()
            if gradient is not None and np.ndim(gradient) == 0
        ]
        words = [f"{len(self.ops)} ops", f"value {self.value:.7g}", *single[:4]]
        return f"Tape({self.name}: {', '.join(words)})"


def tape(function: Callable[..., Any], *inputs: PyTree, name: str = "") -> Tape:
    """Record a function's forward pass, op by op, and its backward pass in reverse.

    The jaxpr is interpreted: every value is kept, and every op's own VJP is taken. The result equals that of
    `jax.grad`, op by op, to the bit or the last bit. `jit`, `scan`, `vmap`, `remat`, `cond` and `while` are
    run through; functions with custom rules are one op.

    Args:
        function: Returns one floating-point number.
        inputs: Numbers, arrays, or trees of them, such as Equinox modules. Gradients are taken for the
            floating-point ones.
        name: What listings call it; by default the function's name.

    Raises:
        BadInput: It returns something else, no input is floating-point, or it branches in Python on values.

    Example:
        >>> import thalweg as tw
        >>> result = tw.tape(lambda x: x**3 + 5 * x, 2.0, show=False)
        >>> result.value, float(result.gradients["x"]), len(result.ops)
        (18.0, 17.0, 4)

    Reference: Griewank & Walther, Evaluating Derivatives, 2008 (reverse accumulation on a tape).
    """
    closed, arrays, names = traced(function, inputs)
    return taped(closed, arrays, names, name or getattr(function, "__name__", type(function).__name__))


def taped(
    closed: Any,
    arrays: Sequence[Any],
    names: Sequence[str],
    name: str,
    about: dict[str, Any] | None = None,
    live: Sequence[bool] | None = None,
) -> Tape:
    """Record a jaxpr whose one output is a floating-point number.

    Args:
        closed: The jaxpr.
        arrays, names: Its inputs, and what they are called.
        name: Of the tape.
        about: Facts for reports.
        live: Which inputs gradients are taken for; None for those that are floating-point.
    """
    live = [is_inexact(array) for array in arrays] if live is None else live
    with small_programs(), jax.disable_jit():
        recording = execute(closed, arrays, live, names)
        stopped = pull_back(recording)
        found = find_nonfinite(recording)
    return Tape(
        name,
        recording,
        tuple(stopped),
        found,
        gradient_flow(recording),
        find_fused(recording),
        about or {},
    )


def traced(function: Callable[..., Any], inputs: Sequence[PyTree]) -> tuple[Any, list[Any], list[str]]:
    """Return a function's jaxpr, its arrays, and their names as the user would write them.

    Raises:
        BadInput: See `tape`.
    """
    if not callable(function):
        raise BadInput(
            "tape", "takes a function or a run folder", got=function, hint="for example tape(f, 2.0)"
        )
    flat, treedef = jax.tree_util.tree_flatten_with_path(tuple(inputs))
    labels = _argument_names(function, len(inputs))
    numbers = [at for at, (path, leaf) in enumerate(flat) if _is_number(leaf, top=len(path) == 1)]
    try:
        arrays = [jnp.asarray(flat[at][1]) for at in numbers]
    except (OverflowError, TypeError) as error:  # a huge whole number, an array of objects
        rule, hint = "inputs must be numbers that JAX can hold", "for example tape(f, 2.0)"
        raise BadInput("tape", rule, got=str(error).splitlines()[0], hint=hint) from None
    names = [_name(labels, flat[at][0]) for at in numbers]
    if not any(is_inexact(array) for array in arrays):
        given = ", ".join(str(array.dtype) for array in arrays) or "no arrays"
        hint = "write 2.0 rather than 2" if arrays else "pass the inputs: tape(f, 2.0)"
        raise BadInput("tape", "needs a floating-point input to differentiate by", got=given, hint=hint)

    def of_arrays(*those: Any) -> Any:
        leaves = [leaf for _, leaf in flat]
        for at, array in zip(numbers, those, strict=True):
            leaves[at] = array
        return function(*jax.tree.unflatten(treedef, leaves))

    try:
        closed = jax.make_jaxpr(of_arrays)(*arrays)
    except jax.errors.ConcretizationTypeError as error:
        raise BadInput(
            "tape",
            "the function must not branch in Python on values",
            got=type(error).__name__,
            hint="use jnp.where, jax.lax.cond or jax.lax.while_loop",
        ) from error
    _check_output(closed.out_avals)
    return closed, arrays, names


def _check_output(outputs: Sequence[Any]) -> None:
    rule = "the function must return one floating-point number"
    if len(outputs) != 1:
        hint = "return the loss alone" if outputs else "return its value"
        raise BadInput("tape", rule, got=f"{len(outputs)} arrays", hint=hint)
    (output,) = outputs
    if tuple(output.shape) != () or not jnp.issubdtype(output.dtype, jnp.floating):
        hint = "take its mean or its sum" if tuple(output.shape) else "convert it: jnp.float32(...)"
        raise BadInput("tape", rule, got=f"{output.dtype} {tuple(output.shape)}", hint=hint)


def _is_number(leaf: Any, top: bool) -> bool:
    """Return whether a leaf is an array, or a number that the caller passed as an argument itself."""
    return (
        eqx.is_array_like(leaf)
        if top
        else eqx.is_array(leaf) or isinstance(leaf, (np.ndarray, np.generic, float))
    )


def _argument_names(function: Callable[..., Any], count: int) -> list[str]:
    names: list[str] = []
    try:
        for parameter in inspect.signature(function).parameters.values():
            several = parameter.kind is parameter.VAR_POSITIONAL
            names += [f"{parameter.name}{at}" for at in range(count)] if several else [parameter.name]
    except (TypeError, ValueError):
        pass
    return [*names, *(f"input{at}" for at in range(len(names), count))][:count]


def _name(labels: Sequence[str], path: Sequence[Any]) -> str:
    inner = dotted(path[1:])
    return f"{labels[path[0].idx]}{f'.{inner}' if inner else ''}"
