"""Whether a model fits the data: asked of shapes alone, before anything is compiled.

The model is traced once on an abstract batch. When that fails, the layer in which it failed is found from the
traceback, so that the message can name it, with both shapes.
"""

from collections.abc import Callable
from dataclasses import fields
from types import TracebackType
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, Var
from jaxtyping import Array, Key, PyTree

from thalweg.core import keys
from thalweg.core.errors import ModelError, ThalwegError
from thalweg.problem.models.adapter import apply, build
from thalweg.problem.models.ending import ending

# Rows of the abstract batch: a prime, unlike any width that a model is likely to have.
_ROWS = 1009
# Where Equinox's own wrappers live, which are modules too.
_WRAPPERS = ("equinox._module", "equinox._make_jaxpr")


class Fit(NamedTuple):
    """What the check found out.

    Args:
        output: Shape and dtype of the output for one example.
        noisy: Whether what comes out while training depends on the key that the model is called with
            (dropout).
    """

    output: jax.ShapeDtypeStruct
    noisy: bool


def check(
    model: Callable[..., Any], example: PyTree, task: str | None, outputs: int, *, logits: bool = False
) -> Fit:
    """Check that a model takes these examples and gives outputs that this task needs.

    Args:
        model: An architecture, a factory `key -> Module`, or a ready module.
        example: Inputs of one example: arrays, or anything with a shape and a dtype.
        task: `classification`, `regression`, `language`; None leaves the outputs' shape to the loss.
        outputs: Classes, target values, or the vocabulary; 1 for two classes that share a logit.
        logits: Whether the loss takes logits (`loss.takes_logits`), so that a last softmax is refused.

    Raises:
        ModelError: It does not; the message names the layer and both shapes.
    """
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((_ROWS, *leaf.shape), leaf.dtype), example)
    shapes = [tuple(leaf.shape) for leaf in jax.tree.leaves(example)]
    (found, _), program = _traced(model, batch, shapes)
    leaves = jax.tree.leaves(found)
    if len(leaves) != 1 or not _is_floating(leaves[0]):
        kinds = ", ".join(_kind(leaf) for leaf in leaves) or "nothing"
        raise ModelError("model", "must give one floating-point array per example", got=kinds)
    if found is not leaves[0]:
        got = f"{type(found).__name__} around {_kind(leaves[0])}"
        raise ModelError("model", "must give its one array as it is", got=got, hint="return the array alone")
    if task is not None:
        _check_outputs(leaves[0].shape[1:], task, outputs, shapes)
    if logits:
        _check_ending(program)
    output = jax.ShapeDtypeStruct(leaves[0].shape[1:], leaves[0].dtype)
    return Fit(output, _depends(program, program.jaxpr.invars[1]))


def _traced(
    model: Callable[..., Any], batch: PyTree, shapes: list[tuple[int, ...]]
) -> tuple[PyTree, ClosedJaxpr]:
    """Return the shapes of outputs and next state, and their program, or raise what the model's own error
    means. The program's first argument makes the model, its second is the model's key.
    """

    def call(key: Key[Array, ""], noise: Key[Array, ""], inputs: PyTree) -> PyTree:
        return apply(build(model, key), inputs, key=noise, training=True)

    try:
        program, arrays, rest = eqx.filter_make_jaxpr(call)(keys.lane_key(0), keys.lane_key(0), batch)
        return eqx.combine(arrays, rest), program
    except ThalwegError:
        raise
    except Exception as error:
        raise _explained(error, shapes) from error


def _depends(program: ClosedJaxpr, var: Var) -> bool:
    """Tell whether a program's results may depend on a variable; inside of an equation all does on all."""
    reached = {var}
    for equation in program.jaxpr.eqns:
        if any(not isinstance(one, Literal) and one in reached for one in equation.invars):
            reached.update(equation.outvars)
    return any(not isinstance(one, Literal) and one in reached for one in program.jaxpr.outvars)


def _is_floating(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def _kind(leaf: Any) -> str:
    return f"{leaf.dtype} {leaf.shape[1:]}" if hasattr(leaf, "dtype") else type(leaf).__name__


def _check_ending(program: ClosedJaxpr) -> None:
    """Refuse a model whose last operation makes probabilities of its logits."""
    name = ending(program)
    if name is not None:
        rule, hint = (
            "must give logits: the loss applies the last function itself",
            f"leave out the last {name}",
        )
        raise ModelError("model", rule, got=f"a model that ends in a {name}", hint=hint)


def _check_outputs(shape: tuple[int, ...], task: str, outputs: int, inputs: list[tuple[int, ...]]) -> None:
    allowed = {"classification": [(outputs,)], "language": [(*inputs[0], outputs)]}.get(task, [(outputs,)])
    if task in ("regression", "classification") and outputs == 1:
        allowed.append(())
    if shape in allowed:
        return
    word = {"classification": "classes", "language": "tokens"}.get(task, "target values")
    reason = f"the data has {outputs} {word}"
    if task == "classification" and outputs == 1:
        reason = "the loss takes one logit for two classes"
    raise ModelError(
        "model",
        f"must give outputs of shape {allowed[0]} for one example: {reason}",
        got=f"shape {shape}",
        where=f"inputs of shape {', '.join(map(str, inputs))}",
        hint=f"give the last layer {outputs} output{'s' if outputs > 1 else ''}",
    )


def _explained(error: Exception, shapes: list[tuple[int, ...]]) -> ModelError:
    data = f"the data gives shape {', '.join(map(str, shapes))}"
    reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    frame = _innermost(error.__traceback__)
    if frame is None:
        return ModelError("model", "fails on inputs of this shape", got=data, where=reason)
    root, layer, argument = frame
    path, kind = _path(root, layer) or "", type(layer).__name__
    label = f"{path} ({kind})" if path else kind
    weight: Any = getattr(layer, "weight", None)
    if argument is None or not eqx.is_array(weight):
        return ModelError("model", f"{label} fails on inputs of this shape", got=data, where=reason)
    return ModelError(
        "model",
        f"{path or kind}.weight of shape {weight.shape} {_wanted(weight, argument)}".rstrip(),
        got=f"an input of shape {argument}; {data}",
        where=reason if len(reason) < 160 else type(error).__name__,
        hint="make the layer's input size fit what comes before it",
    )


def _wanted(weight: Any, argument: tuple[int, ...]) -> str:
    """Say how many inputs a matrix takes; what a kernel takes depends on the layer."""
    return f"takes {weight.shape[1]} inputs" if weight.ndim == 2 else ""


def _innermost(trace: TracebackType | None) -> tuple[Any, Any, tuple[int, ...] | None] | None:
    """Return the outermost and the innermost module of a traceback, and the shape that reached the latter."""
    root, found = None, None
    while trace is not None:
        frame = trace.tb_frame
        names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
        module = frame.f_locals.get("self") if names[:1] == ("self",) else None
        if isinstance(module, eqx.Module) and not type(module).__module__.startswith(_WRAPPERS):
            root = module if root is None else root
            given: Any = frame.f_locals.get(names[1]) if len(names) > 1 else None
            found = module, tuple(given.shape) if hasattr(given, "shape") else None
        trace = trace.tb_next
    return None if found is None else (root, *found)


def _path(node: Any, wanted: Any) -> str | None:
    """Return where in `node` the very object `wanted` lies, dotted; empty at the root, None when nowhere."""
    if node is wanted:
        return ""
    for name, child in _children(node):
        found = _path(child, wanted)
        if found is not None:
            return f"{name}.{found}" if found else name
    return None


def _children(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, eqx.Module):
        return [(field.name, getattr(node, field.name, None)) for field in fields(node)]  # type: ignore[arg-type]
    if isinstance(node, (list, tuple)):
        return [(str(place), child) for place, child in enumerate(node)]
    return [(str(key), child) for key, child in node.items()] if isinstance(node, dict) else []
