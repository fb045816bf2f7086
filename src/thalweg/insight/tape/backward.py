"""The backward pass over a tape: every op pulls the gradients of its outputs back to its inputs.

Gradients of a value that several ops read are added up in reverse order of execution, as JAX does, so that
the sums have the same bits.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from thalweg.insight.tape.recording import Op, Recording, numbers


def pull_back(recording: Recording) -> list[Op]:
    """Fill in every op's gradients, and every value's; return the ops at which the gradient stopped.

    Returns:
        Ops that have no rule of differentiation although a gradient reached them.
    """
    output = recording.output
    assert output is not None
    stopped: list[Op] = []
    output.gradient = jnp.ones(output.shape, output.array.dtype)
    for op in reversed(recording.ops):
        upstream = tuple(value.gradient for value in op.outputs)
        if all(gradient is None for gradient in upstream):
            continue
        op.upstream = upstream
        if op.no_rule:
            stopped.append(op)
        if op.pull is None:
            continue
        _pull(op, upstream)
    return stopped


def _pull(op: Op, upstream: tuple[Any, ...]) -> None:
    assert op.pull is not None
    gradients = dict(zip(op.live, op.pull(*upstream), strict=True))
    op.pull = None  # what it kept is not needed again
    op.downstream = tuple(gradients.get(at) for at in range(len(op.inputs)))
    for at in reversed(op.live):
        value = op.inputs[at]
        for gradient in _summands(op, upstream, gradients[at]):
            value.gradient = gradient if value.gradient is None else lax.add(value.gradient, gradient)


def _summands(op: Op, upstream: tuple[Any, ...], gradient: Any) -> tuple[Any, ...]:
    """Return what JAX adds to an operand's gradient, one after another: of tanh two numbers, else one.

    JAX's rule of tanh is `(1 - z) (dz + dz z)`, in which the operand's tangent occurs twice, and both
    summands are added to what other ops gave. Their sum would be rounded before.
    """
    if op.name != "tanh" or op.params.get("accuracy") is not None:
        return (gradient,)
    z = op.outputs[0].array
    once = lax.mul(upstream[0], lax.sub(jnp.ones_like(z), z))
    return once, lax.mul(once, z)


def rule_jaxpr(op: Op) -> tuple[Any, list[Any]]:
    """Return the backward pass of an op with a custom rule as a jaxpr, and the arrays to run it on.

    The rule of a `custom_vjp` is traced by itself: its equations then lead to the lines of the rule. Where
    JAX transposes a rule, they lead to the line that called the function.
    """
    bind_params = op.inside.primitive.get_bind_params(op.inside.params)
    arrays = [value.array for value in op.inputs]
    upstream = [
        jnp.zeros(value.shape, value.array.dtype) if gradient is None else gradient
        for value, gradient in zip(op.outputs, op.upstream, strict=True)
    ]
    if op.name == "custom_vjp_call":
        _, forward, backward = bind_params["subfuns"]
        flagged = [part for at, array in enumerate(arrays) for part in (array, at in op.live)]
        results = iter(forward.call_wrapped(*flagged))
        _, _, passed_on = bind_params["out_trees"]()
        kept = [next(results) if at is None else arrays[at] for at in passed_on]

        def pulled(kept: list[Any], upstream: list[Any]) -> list[Any]:
            gradients = backward.call_wrapped(*kept, *upstream)
            return [each for each in gradients if isinstance(each, jax.Array)]

        return jax.make_jaxpr(pulled)(kept, upstream), jax.tree.leaves((kept, upstream))

    def transposed(of_live: list[Any], upstream: list[Any]) -> Any:
        def called(*those: Any) -> Any:
            merged = list(arrays)
            for at, array in zip(op.live, those, strict=True):
                merged[at] = array
            return op.inside.primitive.bind(*merged, **bind_params)

        return jax.vjp(called, *of_live)[1](upstream)

    of_live = [arrays[at] for at in op.live]
    return jax.make_jaxpr(transposed)(of_live, upstream), jax.tree.leaves((of_live, upstream))


def gain(op: Op) -> float:
    """Return an op's gain; NaN where no gradient passes through it."""
    before, after = norm(*op.upstream), norm(*op.downstream)
    return after / before if op.downstream and before > 0 else math.nan


def norm(*arrays: object) -> float:
    """Return the Euclidean norm of some arrays together; None counts as nothing."""
    squares = 0.0
    for array in arrays:
        if array is not None:
            values = numbers(array)
            if values.dtype.kind == "f":
                squares += float(np.sum(np.square(values, dtype=np.float64)))
            else:
                squares += float(np.sum(np.abs(values) ** 2))
    return math.sqrt(squares) if squares >= 0 else math.nan
