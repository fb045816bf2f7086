"""A problem's network as the doctor looks at it: what enters, what leaves, what the loss makes of it.

A problem with a loss says all of that. Of an objective, the module that it receives is marked: what goes into
it and comes out of it carries a name through the trace, so that both can be read, and what comes out can be
replaced. An objective that does not call its module, but parts of it, remains closed: then only weights,
gradients and losses are seen.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import Var
from jaxtyping import Array, PyTree

from thalweg.core import keys
from thalweg.insight.doctor.circuit import Circuit, circuit_of
from thalweg.problem.models.adapter import PartitionedModel, apply
from thalweg.problem.objective import as_batch
from thalweg.problem.players import Alternating
from thalweg.problem.problem import Problem

ENTERING, LEAVING = "thalweg.entering", "thalweg.leaving"


class Passed(NamedTuple):
    """One pass over a batch.

    Args:
        entering, outputs: What enters the module and leaves it, `row ...`; None if the objective is closed.
        loss: Mean loss of the batch.
    """

    entering: PyTree
    outputs: Any
    loss: Array


class Marked(eqx.Module):
    """A module whose input and output carry names in a trace."""

    inner: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module, with marks."""
        first = jax.tree.map(lambda leaf: checkpoint_name(leaf, ENTERING), args[0])
        result = self.inner(first, *args[1:], **kwargs)
        if isinstance(result, tuple):
            return (checkpoint_name(result[0], LEAVING), *result[1:])
        return jax.tree.map(lambda leaf: checkpoint_name(leaf, LEAVING), result)

    def __getattr__(self, name: str) -> Any:
        """Return what the module has."""
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)


def look(
    problem: Problem, built: PartitionedModel, rows: tuple[PyTree, PyTree], key: Any, *, training: bool
) -> Passed:
    """Pass a batch through the network. Pure; to be called inside of a compiled function.

    Args:
        problem: The problem.
        built: Its module.
        rows: Prepared inputs and targets, `row ...`.
        key: Key of the noise.
        training: Whether dropout and batch norm work as in training.
    """
    inputs, targets = rows
    if problem.objective is None:
        outputs, _ = apply(
            built, inputs, key=key if training else None, training=training, noisy=problem.noisy
        )
        return Passed(inputs, outputs, jnp.mean(problem.loss(outputs, targets)))
    if isinstance(problem.objective, Alternating):  # several models, which the objectives call as they like
        batch = as_batch(inputs, targets)
        losses = problem.objective.measure(built, batch, key, training=training, step=jnp.int32(0)).losses
        return Passed(None, None, jnp.mean(losses))
    circuit, values = _objective_circuit(problem, built, rows, key, training)
    results, env = circuit.run(values)
    entering, leaving = _marks(circuit, ENTERING), _marks(circuit, LEAVING)
    count = jax.tree.leaves((inputs, targets))[0].shape[0]
    return Passed(_first(entering, env, count), _first(leaving, env, count), jnp.mean(results[0]))


def loss_given(
    problem: Problem, built: PartitionedModel, rows: tuple[PyTree, PyTree], outputs: Any, key: Any
) -> Array:
    """Return the mean loss of a batch whose outputs are given, in inference mode. Pure.

    For a closed objective it is the loss of its own outputs.
    """
    if problem.objective is None:
        return jnp.mean(problem.loss(outputs, rows[1]))
    circuit, values = _objective_circuit(problem, built, rows, key, False)
    marks = _marks(circuit, LEAVING)[:1]
    changes = {var: lambda value, env: outputs.reshape(value.shape).astype(value.dtype) for var in marks}
    return jnp.mean(circuit.run(values, changes)[0][0])


def losses_given(
    problem: Problem, built: PartitionedModel, rows: tuple[PyTree, PyTree], key: Any
) -> Callable[[Any], Array]:
    """Return the mean loss as a function of the outputs."""
    return lambda outputs: loss_given(problem, built, rows, outputs, key)


def module_of(problem: Problem, built: PartitionedModel, *, training: bool) -> Any:
    """Return the module in a mode."""
    return eqx.nn.inference_mode(eqx.combine(built.params, built.fixed), value=not training)


def circuit_at(problem: Problem, built: PartitionedModel, example: PyTree) -> tuple[Circuit, list[Any]]:
    """Return the circuit of the module's call on one example, in inference mode."""
    module = module_of(problem, built, training=False)

    def call(module: Any, x: PyTree, state: Any) -> Any:
        stateful = bool(jax.tree.leaves(eqx.filter(state, eqx.is_array)))
        return module(x, state) if stateful else module(x)

    return circuit_of(call, module, (example, built.model_state), {})


def is_closed(problem: Problem, passed: Passed) -> bool:
    """Return whether an objective does not show what enters and leaves its module."""
    return problem.objective is not None and (passed.entering is None or passed.outputs is None)


def _objective_circuit(
    problem: Problem, built: PartitionedModel, rows: tuple[PyTree, PyTree], key: Any, training: bool
) -> tuple[Circuit, list[Any]]:
    objective = problem.objective
    extras = {"key": key if key is not None else keys.lane_key(0), "state": built.model_state}

    def call(module: Any, batch: Any, *more: Any) -> Any:
        return objective.function(Marked(module), batch, *more)

    arguments = (as_batch(*rows), *(extras[name] for name in objective.takes))
    return circuit_of(call, module_of(problem, built, training=training), arguments, {})


def outputs_of(function: Callable[..., Any], model: Any, *arguments: Any) -> tuple[Any, Any]:
    """Return what leaves the model when an objective's function is called, and what the function returns."""
    circuit, values = _called(function, model, arguments)
    results, env = circuit.run(values)
    return env[_marks(circuit, LEAVING)[0]], circuit.rest(results)


def penalty_of(function: Callable[..., Any], model: Any, *arguments: Any) -> Array:
    """Return an objective's loss with the gradient of what does not pass through the model's outputs."""
    circuit, values = _called(function, model, arguments)
    changes = {var: lambda value, env: jax.lax.stop_gradient(value) for var in _marks(circuit, LEAVING)}
    return circuit.run(values, changes)[0][0]


def _called(function: Callable[..., Any], model: Any, arguments: Any) -> tuple[Circuit, list[Any]]:
    def call(module: Any, *arguments: Any) -> Any:
        return function(Marked(module), *arguments)

    return circuit_of(call, model, arguments, {})


def _marks(circuit: Circuit, name: str) -> list[Var]:
    return [
        eqn.outvars[0]
        for eqn in circuit.program.jaxpr.eqns
        if eqn.primitive.name == "name" and eqn.params["name"] == name
    ]


def _first(marks: list[Var], env: dict[Var, Any], count: int) -> Any:
    """Return the value of the first mark if it has a row for each example."""
    if not marks:
        return None
    value = env[marks[0]]
    return value if value.ndim and value.shape[0] == count else None
