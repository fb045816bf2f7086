"""Evaluation of a model that carries its state: a text is read as a few stretches side by side, in order.

As in training under `shuffle = "continued"`, a window begins where the one before it ended, and the state
goes along; only the first window of each stretch starts from zeros.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from thalweg.engine.program import Inputs, Program, rebuilt
from thalweg.problem.data.split import Split, Windows
from thalweg.problem.models.adapter import RecurrentCarry, apply_from_carry

# Stretches side by side: enough for full matrix products, few enough that starts from zeros weigh little.
STRETCHES = 32


def continues(part: Split, model_state: PyTree) -> bool:
    """Tell whether the state is carried over this part: a text, under a model that carries one."""
    return isinstance(model_state, RecurrentCarry) and part.is_text


def in_order(part: Split, model_state: PyTree, apart: int) -> tuple[Split, int]:
    """Return the part with windows that follow one another, all of them; other parts and `apart` as given."""
    if not continues(part, model_state):
        return part, apart
    assert isinstance(part, Windows)
    return dataclasses.replace(part, stride=part.length), 1


def over_stretches(
    program: Program,
    inputs: Inputs,
    part: Split,
    lane: tuple[PyTree, RecurrentCarry],
    read: Callable[[PyTree, PyTree, Array], Any],
) -> Any:
    """Run a lane over a part, `in_order`.

    Args:
        program, inputs, part: As for `evaluate`.
        lane: One lane's parameters and state; the state says only what form a carry has.
        read: What to take of a batch: (outputs, targets, which rows count) -> anything.

    Returns:
        What was taken, with a leading axis of steps. Row r of step s is window `r * steps + s`.
    """
    params, carried = lane
    count = part.count()
    rows = min(STRETCHES, count)
    steps = -(-count // rows)
    begin = jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape[1:]), leaf.dtype), carried)

    def body(carry: RecurrentCarry, step: Array) -> tuple[RecurrentCarry, Any]:
        indices = step + steps * jnp.arange(rows)
        batch, targets = part.batch(jnp.minimum(indices, count - 1))
        outputs, after = apply_from_carry(rebuilt(program, inputs, params, carry), inputs.prepared(batch))
        after = jax.tree.map(lambda new, old: new.astype(old.dtype), after, carry)
        return after, read(outputs, targets, indices < count)

    return jax.lax.scan(body, begin, jnp.arange(steps))[1]
