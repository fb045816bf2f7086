"""Checks that a model fits the data, on shapes alone, before anything is compiled.

The model is traced once on an abstract batch. If that fails, the layer in which it failed is read off the
traceback, so that the message can name it and both shapes. A softmax or sigmoid at the end of a model, before
a loss that takes logits, is read off the traced program rather than off values: logits may happen to lie
between 0 and 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from types import TracebackType
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, Var
from jaxtyping import Array, Key, PyTree

from thalweg.core import keys
from thalweg.core.errors import ModelError, ThalwegError
from thalweg.core.limits import max_bytes
from thalweg.problem.members import Members
from thalweg.problem.models.adapter import apply, build, reject_large
from thalweg.problem.models.architecture import Architecture

# Rows of the abstract batch: a prime, unlike any width that a model is likely to have.
_ROWS = 1009
# Modules of Equinox whose classes wrap the user's modules.
_WRAPPERS = ("equinox._module", "equinox._make_jaxpr")
# Operations after the final activation that do not change its values.
_RESHAPING = ("broadcast_in_dim", "convert_element_type", "copy", "reshape", "squeeze", "transpose")


class ModelCheck(NamedTuple):
    """Result of `check`.

    Args:
        output: Shape and dtype of the output for one example.
        noisy: Whether outputs or the next state depend on the key while training (dropout).
        activation: `softmax` or `sigmoid` if the model ends in one, else None.
    """

    output: jax.ShapeDtypeStruct
    noisy: bool
    activation: str | None


def check(
    model: Callable[..., Any], example: PyTree, task: str | None, outputs: int, *, logits: bool = False
) -> ModelCheck:
    """Check that a model takes these examples and returns the outputs that this task needs.

    Args:
        model: An architecture, a factory `key -> Module`, or a module.
        example: Inputs of one example: arrays, or anything with a shape and a dtype.
        task: `classification`, `regression`, `multilabel`, `language`; None leaves the shape of the outputs
            to the loss.
        outputs: Number of classes, of target values, or of tokens; 1 for two classes that share a logit.
        logits: Whether the loss takes logits (`loss.takes_logits`), so that a final softmax is refused.

    Raises:
        ModelError: It does not; the message names the layer and both shapes.
    """
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((_ROWS, *leaf.shape), leaf.dtype), example)
    shapes = [tuple(leaf.shape) for leaf in jax.tree.leaves(example)]
    (result, _), program = _trace(model, batch, shapes)
    if isinstance(result, Members):  # all members' outputs while training; their mean has the form of each
        result = jax.ShapeDtypeStruct((_ROWS, *result.outputs.shape[2:]), result.outputs.dtype)
    leaves = jax.tree.leaves(result)
    if len(leaves) != 1 or not _is_floating(leaves[0]):
        got = ", ".join(_describe(leaf) for leaf in leaves) or "nothing"
        hint = "return the outputs of the last layer alone"
        raise ModelError("model", "must give one floating-point array per example", got=got, hint=hint)
    if result is not leaves[0]:
        got = f"{type(result).__name__} around {_describe(leaves[0])}"
        raise ModelError("model", "must give its one array as it is", got=got, hint="return the array alone")
    output = jax.ShapeDtypeStruct(leaves[0].shape[1:], leaves[0].dtype)
    if task is not None:
        _check_output_shape(output.shape, task, outputs, shapes)
    activation = final_activation(program)
    if logits:
        reject_activation(activation, output.shape)
    return ModelCheck(output, _depends_on(program, program.jaxpr.invars[1]), activation)


def check_heads(model: Callable[..., Any], example: PyTree, names: Sequence[Any]) -> ModelCheck:
    """Check that a model takes these examples and returns an array for each of several outputs.

    Args:
        model, example: As for `check`.
        names: Names of the outputs, or their places in a list.

    Returns:
        The check, whose `output` is a tree of shapes.

    Raises:
        ModelError: It does not.
    """
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((_ROWS, *leaf.shape), leaf.dtype), example)
    shapes = [tuple(leaf.shape) for leaf in jax.tree.leaves(example)]
    (result, _), program = _trace(model, batch, shapes)
    given = (
        list(result)
        if isinstance(result, dict)
        else list(range(len(result)))
        if isinstance(result, list)
        else []
    )
    if sorted(map(str, given)) != sorted(map(str, names)) or not all(
        map(_is_floating, jax.tree.leaves(result))
    ):
        got = ", ".join(map(str, given)) or ", ".join(_describe(leaf) for leaf in jax.tree.leaves(result))
        rule = f"must give floating-point arrays, one for each target: {', '.join(map(str, names))}"
        hint = "return a dictionary with these names (for targets in a list, a list)"
        raise ModelError("model", rule, got=got, hint=hint)
    output: Any = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), result)
    return ModelCheck(output, _depends_on(program, program.jaxpr.invars[1]), None)


def reject_activation(activation: str | None, shape: tuple[int, ...] = ()) -> None:
    """Reject a model that ends in a softmax or sigmoid, for a loss that takes what comes before it.

    Args:
        activation: The last function, where it is known.
        shape: Of the outputs for one example.

    Raises:
        ModelError: `activation` is one.
    """
    if activation is not None:
        rule, hint = "must give logits: the loss applies the last function itself", f"remove the {activation}"
        got = f"a model that ends in a {activation}"
        single = activation == "softmax" and shape[-1:] == (1,)
        cause = "head_softmax_single" if single else "head_double_activation"
        raise ModelError("model", rule, got=got, hint=hint, cause=cause)


def _trace(
    model: Callable[..., Any], batch: PyTree, shapes: list[tuple[int, ...]]
) -> tuple[PyTree, ClosedJaxpr]:
    """Return the shapes of outputs and next state, and their program.

    The first argument of the program is the key that initialises the model, the second the model's noise key.
    """
    if not isinstance(model, Architecture):
        return _traced(model, batch, shapes)
    leaves, treedef = jax.tree.flatten(batch)
    wide = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]
    return _architecture_traced(model, treedef, tuple(leaves), wide, max_bytes())


@lru_cache(maxsize=32)
def _architecture_traced(
    model: Architecture, treedef: Any, leaves: tuple[jax.ShapeDtypeStruct, ...], _wide: bool, _limit: int
) -> tuple[PyTree, ClosedJaxpr]:
    """Trace one of our own models, once for all problems of a search or of folds."""
    return _traced(model, jax.tree.unflatten(treedef, leaves), [tuple(leaf.shape[1:]) for leaf in leaves])


def _traced(
    model: Callable[..., Any], batch: PyTree, shapes: list[tuple[int, ...]]
) -> tuple[PyTree, ClosedJaxpr]:
    def call(key: Key[Array, ""], noise: Key[Array, ""], inputs: PyTree) -> PyTree:
        built = build(model, key)
        reject_large(built.params)
        return apply(built, inputs, key=noise, training=True)

    try:
        program, arrays, rest = eqx.filter_make_jaxpr(call)(keys.lane_key(0), keys.lane_key(0), batch)
        return eqx.combine(arrays, rest), program
    except ThalwegError:
        raise
    except Exception as error:
        raise _explain(error, shapes) from error


def _depends_on(program: ClosedJaxpr, variable: Var) -> bool:
    """Return whether the results of a program may depend on a variable.

    Within an equation all outputs are taken to depend on all inputs.
    """
    dependent = {variable}

    def any_dependent(atoms: list[Any]) -> bool:
        return any(not isinstance(atom, Literal) and atom in dependent for atom in atoms)

    for equation in program.jaxpr.eqns:
        if any_dependent(equation.invars):
            dependent.update(equation.outvars)
    return any_dependent(program.jaxpr.outvars)


def final_activation(program: ClosedJaxpr) -> str | None:
    """Return `softmax` or `sigmoid` if the first output of a traced function is one, else None."""
    return _activation(program.jaxpr, program.jaxpr.outvars[0]) if program.jaxpr.outvars else None


def _activation(jaxpr: Any, variable: Any) -> str | None:
    """Return the activation that gives a variable of a program, looking through changes of shape."""
    equation = _producer(jaxpr, variable)
    if equation is None:
        return None
    name = equation.primitive.name
    inner = _called_jaxpr(equation)
    if inner is not None:
        return _activation(inner, inner.outvars[equation.outvars.index(variable)])
    if name in _RESHAPING:
        return _activation(jaxpr, equation.invars[0])
    if name == "logistic":
        return "sigmoid"
    return _quotient(jaxpr, *equation.invars) if name == "div" else None


def _quotient(jaxpr: Any, numerator: Any, denominator: Any) -> str | None:
    """Recognise exp(z) / sum, a softmax, and 1 / (1 + exp(-z)), a sigmoid written out."""
    if _is_exponential(jaxpr, numerator):
        return "softmax"
    total = _producer(jaxpr, denominator)
    if total is None or total.primitive.name != "add":
        return None
    return "sigmoid" if any(_is_exponential(jaxpr, term) for term in total.invars) else None


def _is_exponential(jaxpr: Any, variable: Any) -> bool:
    producer = _producer(jaxpr, variable)
    return producer is not None and producer.primitive.name == "exp"


def _producer(jaxpr: Any, variable: Any) -> Any:
    """Return the equation that gives a variable; None for inputs and constants."""
    return next((eqn for eqn in jaxpr.eqns if any(out is variable for out in eqn.outvars)), None)


def _called_jaxpr(equation: Any) -> Any:
    """Return the program that an equation calls and whose outputs it gives, if any."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        called = equation.params.get(key)
        if called is not None and equation.primitive.name not in ("scan", "while", "cond"):
            return getattr(called, "jaxpr", called)
    return None


def _is_floating(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def _describe(leaf: Any) -> str:
    return f"{leaf.dtype} {leaf.shape[1:]}" if hasattr(leaf, "dtype") else type(leaf).__name__


def _check_output_shape(
    shape: tuple[int, ...], task: str, outputs: int, inputs: list[tuple[int, ...]]
) -> None:
    allowed: list[tuple[int, ...]] = [(*inputs[0], outputs)] if task == "language" else [(outputs,)]
    if task in ("regression", "classification") and outputs == 1:
        allowed.append(())
    if shape in allowed:
        return
    words = {"classification": "classes", "language": "tokens", "multilabel": "labels"}
    word = words.get(task, "target values")
    reason = f"the data has {outputs} {word}"
    if task == "classification" and outputs == 1:
        reason = "the loss takes one logit for two classes"
    raise ModelError(
        "model",
        f"must give outputs of shape {allowed[0]} for one example: {reason}",
        got=f"shape {shape}",
        where=f"inputs of shape {', '.join(map(str, inputs))}",
        hint=f"give the last layer {outputs} output{'s' if outputs > 1 else ''}",
        cause="head_units_wrong",
    )


def _explain(error: Exception, shapes: list[tuple[int, ...]]) -> ModelError:
    data = f"the data gives shape {', '.join(map(str, shapes))}"
    reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    hint = "call the model on one example of this shape by hand, and mend what fails"
    failure = _failing_layer(error.__traceback__)
    if failure is None:
        return ModelError("model", "fails on inputs of this shape", got=data, where=reason, hint=hint)
    root, layer, argument = failure
    path, kind = _path(root, layer) or "", type(layer).__name__
    label = f"{path} ({kind})" if path else kind
    weight: Any = getattr(layer, "weight", None)
    if argument is None or not eqx.is_array(weight):
        return ModelError(
            "model", f"{label} fails on inputs of this shape", got=data, where=reason, hint=hint
        )
    # What a kernel takes, rather than a matrix, depends on the layer.
    takes = f" takes {weight.shape[1]} inputs" if weight.ndim == 2 else ""
    return ModelError(
        "model",
        f"{path or kind}.weight of shape {weight.shape}{takes}",
        got=f"an input of shape {argument}; {data}",
        where=reason if len(reason) < 160 else type(error).__name__,
        hint="change the input size of this layer to that of the input",
    )


def _failing_layer(trace: TracebackType | None) -> tuple[Any, Any, tuple[int, ...] | None] | None:
    """Return the outermost and the innermost module of a traceback, and the shape of the latter's input."""
    root, innermost = None, None
    while trace is not None:
        frame = trace.tb_frame
        names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
        module = frame.f_locals.get("self") if names[:1] == ("self",) else None
        if isinstance(module, eqx.Module) and not type(module).__module__.startswith(_WRAPPERS):
            root = module if root is None else root
            argument: Any = frame.f_locals.get(names[1]) if len(names) > 1 else None
            innermost = module, tuple(argument.shape) if hasattr(argument, "shape") else None
        trace = trace.tb_next
    return None if innermost is None else (root, *innermost)


def _path(node: Any, target: Any) -> str | None:
    """Return the dotted path in `node` of the object `target`: empty at the root, None if it is not there."""
    if node is target:
        return ""
    for name, child in _children(node):
        path = _path(child, target)
        if path is not None:
            return f"{name}.{path}" if path else name
    return None


def _children(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, eqx.Module):
        return [(field.name, getattr(node, field.name, None)) for field in fields(node)]  # type: ignore[arg-type]
    if isinstance(node, (list, tuple)):
        return [(str(index), child) for index, child in enumerate(node)]
    return [(str(key), child) for key, child in node.items()] if isinstance(node, dict) else []
