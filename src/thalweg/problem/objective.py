"""`Objective`: what is minimised, written as a function of the model itself.

A loss sees outputs and targets. An objective sees the model and a batch, so that it may call the model
several times, differentiate with respect to inputs, draw noise, or compare examples of a batch:

    objective(model, batch)              -> loss, or (loss, figures)
    objective(model, batch, key)         -> the same, with a key for noise
    objective(model, batch, key, state)  -> (loss, figures, state), for a model made by `make_with_state`

`model` is the Equinox module, in training mode while training; it takes one example, so a batch needs
`jax.vmap(model)`. `batch` is the data's tree with a leading axis of rows: what `examples` was given, or
`(inputs, targets)`. `loss` is one number, or one for each row. `figures` is a dictionary of further numbers
(each one, or one for each row), which are logged, and one of which may be the metric.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key, PyTree

from thalweg.core import keys
from thalweg.core.errors import ModelError, ThalwegError
from thalweg.problem.losses.metrics import Metric
from thalweg.problem.models.adapter import PartitionedModel, build

FORM = "(model, batch), (model, batch, key) or (model, batch, key, state)"
# Rows of two abstract batches, both prime: a result whose first axis follows both has one entry for each row.
_ROWS = (1009, 1013)
_ADDRESS = re.compile(r"0x[0-9a-f]+")


class Measured(NamedTuple):
    """What an objective gives for one batch.

    Args:
        losses: One number, or one for each row.
        figures: In the order of `Objective.figures`: each one number, or one for each row.
        model_state: The model state after the batch.
    """

    losses: Float[Array, "..."]
    figures: tuple[Float[Array, "..."], ...]
    model_state: PyTree


@dataclass(frozen=True)
class Objective:
    """A training objective. Two are equal if they hold the same function.

    Args:
        function: The user's function.
        takes: Which of `key` and `state` it takes, in its order.
        per_row: Whether it gives one loss for each row of the batch rather than one number. Then batches may
            be short; otherwise every batch is whole, and the rows that are left at the end of an epoch wait
            for the next one.
        figures: Names of the further numbers that it gives.
    """

    name: ClassVar[str] = "objective"
    takes_logits: ClassVar[bool] = False

    function: Callable[..., Any]
    takes: tuple[str, ...] = ()
    per_row: bool = False
    figures: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def measure(
        self, model: PartitionedModel, batch: PyTree, key: Key[Array, ""], *, training: bool
    ) -> Measured:
        """Compute the objective for a batch. Pure.

        Args:
            model: The module, its parameters and its state.
            batch: The batch, `row ...`.
            key: Key of this batch.
            training: False puts dropout and norm layers into inference mode.
        """
        module: Any = eqx.nn.inference_mode(eqx.combine(model.params, model.fixed), value=not training)
        given = {"key": key, "state": model.model_state}
        result = self.function(module, batch, *(given[name] for name in self.takes))
        loss, figures, state = _parts(result, model.model_state, "state" in self.takes)
        values = tuple(jnp.asarray(figures[name], jnp.float32) for name in self.figures)
        return Measured(jnp.asarray(loss), values, state)


class ObjectiveCheck(NamedTuple):
    """Result of `examined`.

    Args:
        objective: The objective, with what was found out about it.
        noisy: Whether what it gives depends on the key.
    """

    objective: Objective
    noisy: bool


def as_batch(inputs: PyTree, targets: PyTree) -> PyTree:
    """Return a batch as an objective takes it: the examples, or (inputs, targets) where there are targets."""
    return (inputs, targets) if jax.tree.leaves(targets) else inputs


def mean(values: Float[Array, "..."], weights: Float[Array, " row"] | None = None) -> Float[Array, ""]:
    """Return the mean over rows, or the one number as it is.

    Args:
        values: One number, or one for each row.
        weights: 1 for rows that count and 0 for padding; None if all count.
    """
    if values.ndim == 0 or weights is None:
        return values.mean()
    # where, not a product alone: a padding row must not turn an overflow into NaN.
    total = jnp.sum(jnp.where(weights > 0, values, 0) * weights.astype(values.dtype))
    return total / jnp.maximum(weights.sum(), 1).astype(values.dtype)


def examined(function: Callable[..., Any], model: Any, example: PyTree) -> ObjectiveCheck:
    """Find out what an objective takes and gives, by tracing it on abstract batches; nothing is compiled.

    Args:
        function: The user's function.
        model: A factory `key -> Module`, or a module.
        example: The batch's tree with shape and dtype of one row.

    Raises:
        ModelError: It does not take what an objective is given, fails, gives no loss, does not depend on the
            model's parameters, or gives something else each time.
    """
    bare = Objective(function, _extras(function))
    built = eqx.filter_eval_shape(build, model, keys.lane_key(0))
    traced = [_trace(bare, built, example, rows) for rows in (*_ROWS, _ROWS[1])]
    (first, _), (second, program), (_, again) = traced
    loss, figures = _checked(bare, first, second)
    found = replace(bare, per_row=loss, figures=figures)
    if _written(program) != _written(again):
        raise ModelError(
            "objective",
            "must give the same for the same model, batch and key",
            got="two different computations",
            where=found.label,
            hint="draw random numbers from the key (jax.random), not from NumPy or Python",
        )
    results = program.jaxpr.jaxpr.outvars
    if not _depends_on(program.jaxpr.jaxpr, program.params, results[:1]):
        raise ModelError(
            "objective",
            "must depend on the model's parameters",
            got="a loss that does not",
            where=found.label,
            hint="call the model that the function receives, not one from outside",
        )
    return ObjectiveCheck(found, _depends_on(program.jaxpr.jaxpr, program.noise, results))


def as_function(objective: Any) -> Callable[..., Any]:
    """Return the user's function, also from an objective that was made of it."""
    return objective.function if isinstance(objective, Objective) else objective


def metric_of(objective: Objective, metric: Any) -> Metric:
    """Return the metric of an objective: one of its figures by name, or its loss.

    Args:
        objective: The objective.
        metric: None or `loss` for the loss; the name of a figure, of which less is better; or a `Metric` of
            that name, which says whether more is better.

    Raises:
        ModelError: There is no such figure.
    """
    if metric is None or getattr(metric, "name", metric) == "loss":
        return Metric("loss", _no_rule, higher_is_better=False)
    chosen = metric if isinstance(metric, Metric) else Metric(str(metric), _no_rule, higher_is_better=False)
    if chosen.name not in objective.figures:
        rule = f"must be a figure that {objective.label} returns"
        hint = f"one of: {', '.join(('loss', *objective.figures))}"
        raise ModelError("metric", rule, got=chosen.name, hint=hint)
    return chosen


def _no_rule(outputs: Any, targets: Any) -> Any:
    raise NotImplementedError("an objective computes its own figures")


def _extras(function: Any) -> tuple[str, ...]:
    """Return which of `key` and `state` a function takes after the model and the batch, in its order."""
    rule = f"must be a function of {FORM}"
    if not callable(function):
        hint = "for example lambda model, batch: jnp.mean((jax.vmap(model)(batch['x']) - batch['y']) ** 2)"
        raise ModelError("objective", rule, got=function, hint=hint)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        return ()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    asked = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    if asked or (len(positional) < 2 and not several) or len(required) > 4:
        got = f"{getattr(function, '__name__', 'a function')}({', '.join(p.name for p in parameters)})"
        raise ModelError("objective", rule, got=got, hint="give it these arguments, in this order")
    extras = [p for p in positional[2:4] if p.default is p.empty or p.name in ("key", "state")]
    names = [p.name if p.name in ("key", "state") else ("key", "state")[at] for at, p in enumerate(extras)]
    if len(set(names)) != len(names):
        raise ModelError(
            "objective", rule, got=f"two arguments for the {names[0]}", hint="name them key and state"
        )
    return tuple(names)


def _parts(result: Any, state: PyTree, stateful: bool) -> tuple[Any, dict[str, Any], PyTree]:
    """Return loss, figures and model state from what a function returned."""
    if stateful:
        if not isinstance(result, tuple) or len(result) != 3:
            got = _described(result)
            hint = "return loss, {}, state"
            raise ModelError("objective", "with a state must give (loss, figures, state)", got=got, hint=hint)
        return result
    if isinstance(result, tuple) and len(result) == 2:
        return result[0], {} if result[1] is None else result[1], state
    return result, {}, state


class _Program(NamedTuple):
    """A traced objective, and two of its arguments: the parameters, and the noise key."""

    jaxpr: Any
    params: list[Any]
    noise: list[Any]


def _trace(
    objective: Objective, built: PartitionedModel, example: PyTree, rows: int
) -> tuple[tuple[Any, Any], _Program]:
    """Return (shapes of loss and figures, the traced program) for a batch of so many rows."""
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape), leaf.dtype), example)
    arrays, functions = eqx.partition(built, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))

    def call(params: PyTree, noise: Key[Array, ""], rest: PartitionedModel, batch: PyTree) -> PyTree:
        model = eqx.combine(rest._replace(params=params), functions)
        module: Any = eqx.nn.inference_mode(eqx.combine(model.params, model.fixed), value=False)
        given = {"key": noise, "state": model.model_state}
        result = objective.function(module, batch, *(given[name] for name in objective.takes))
        loss, figures, _ = _parts(result, None, "state" in objective.takes)
        return jax.tree.map(jnp.asarray, (loss, figures))

    arguments = (arrays.params, keys.lane_key(0), arrays._replace(params=None), batch)
    try:
        program, shapes = jax.make_jaxpr(call, return_shape=True)(*arguments)
    except ThalwegError:
        raise
    except Exception as error:
        raise _explained(error, objective, batch) from error
    if any(isinstance(const, Tracer) for const in program.consts):
        raise _keeps_arrays(objective.label)
    count, inputs = len(jax.tree.leaves(arrays.params)), program.jaxpr.invars
    return shapes, _Program(program, inputs[:count], inputs[count : count + 1])


def _checked(
    objective: Objective, first: tuple[Any, Any], second: tuple[Any, Any]
) -> tuple[bool, tuple[str, ...]]:
    """Return whether there is a loss for each row, and the names of the figures."""
    losses, figures = zip(first, second, strict=True)
    rule = "must give one floating-point number, or one for each row of the batch"
    hint = "return jnp.mean(...) of it"
    shapes = [getattr(loss, "shape", None) for loss in losses]
    floating = all(
        shape is not None and jnp.issubdtype(loss.dtype, jnp.floating)
        for loss, shape in zip(losses, shapes, strict=True)
    )
    per_row = shapes == [(rows,) for rows in _ROWS]
    if not floating or (shapes != [(), ()] and not per_row):
        raise ModelError("objective", rule, got=_described(losses[0]), where=objective.label, hint=hint)
    for each in figures:
        if not isinstance(each, dict) or not all(isinstance(name, str) for name in each):
            got, hint = _described(each), "return loss, {'name': number}"
            raise ModelError("objective", "must give its figures in a dictionary", got=got, hint=hint)
    for name, leaf in figures[0].items():
        shapes = [getattr(each[name], "shape", None) for each in figures]
        if shapes not in ([(), ()], [(rows,) for rows in _ROWS]) or not _is_real(leaf):
            rule = "every figure must be one number, or one for each row of the batch"
            raise ModelError(
                "objective", rule, got=f"{name}: {_described(leaf)}", hint="take its mean, or leave it out"
            )
    return per_row, tuple(figures[0])


def _is_real(leaf: Any) -> bool:
    return any(jnp.issubdtype(leaf.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_))


def _described(value: Any) -> str:
    leaves = jax.tree.leaves(value)
    if len(leaves) == 1 and leaves[0] is value and hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}"
    return f"{type(value).__name__} of {len(leaves)} arrays" if leaves else type(value).__name__


def _explained(error: Exception, objective: Objective, batch: PyTree) -> ModelError:
    """Return the error for a function that fails while it is traced, with the line in which it does."""
    line = _line(error.__traceback__, objective.function)
    where = f"{objective.label}{'' if line is None else f', line {line}'}"
    if isinstance(error, (jax.errors.TracerBoolConversionError, jax.errors.ConcretizationTypeError)):
        rule = "must not branch in Python on values: it is compiled for all of them"
        hint = "use jnp.where, or jax.lax.cond"
        return ModelError("objective", rule, got=type(error).__name__, where=where, hint=hint)
    if isinstance(error, jax.errors.UnexpectedTracerError):
        return _keeps_arrays(where)
    reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    shapes = ", ".join(
        f"{leaf.dtype} ('rows'{''.join(f', {n}' for n in leaf.shape[1:])})" for leaf in jax.tree.leaves(batch)
    )
    hint = "call it by hand on a batch of these shapes; the model takes one example: jax.vmap(model)"
    return ModelError(
        "objective", f"fails on a batch of {shapes.replace(chr(39), '')}", got=reason, where=where, hint=hint
    )


def _keeps_arrays(where: str) -> ModelError:
    rule = "must not keep arrays of one call for the next"
    hint = "return them as figures, and store nothing outside of the function"
    return ModelError("objective", rule, got="an array of an earlier call", where=where, hint=hint)


def _line(trace: TracebackType | None, function: Any) -> int | None:
    """Return the last line of the function's own file in a traceback."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    line = None
    while trace is not None:
        if file is not None and trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _written(program: _Program) -> tuple[str, list[bytes]]:
    """Return a traced program in a form that can be compared: its text, and its constants."""
    consts = [np.asarray(const).tobytes() for const in program.jaxpr.consts if eqx.is_array(const)]
    return _ADDRESS.sub("", str(program.jaxpr)), consts


def _depends_on(jaxpr: Any, sources: list[Any], results: list[Any]) -> bool:
    """Return whether some results of a program may depend on some of its variables."""
    dependent = {id(variable) for variable in sources}
    for equation in jaxpr.eqns:
        if any(id(atom) in dependent for atom in equation.invars):
            dependent.update(id(variable) for variable in equation.outvars)
    return any(id(variable) in dependent for variable in results)
