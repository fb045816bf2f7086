"""The one pure step: `step(state, batch) -> (state, info)`, and the gradients it may be asked to show.

Forward pass, loss, backpropagation, update. The learning rate's way ends here: recipe -> schedule's
factor -> optimizer's rule -> what is added to the parameters.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from thalweg.core import keys
from thalweg.core.tree import roles
from thalweg.engine.program import Inputs, Program, rebuilt
from thalweg.engine.state import DIVERGED, RUNNING, Info, State
from thalweg.problem.data.part import Part
from thalweg.problem.models.adapter import apply
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Clock

# A loss this many times the first one (or this high, when the first is below 1) will not come back: from there
# the gradients are useless in float32 long before they overflow. Deliberately far out, so that no run that
# recovers is cut: the largest recovery seen while testing was a factor of about 50.
DIVERGENCE_FACTOR = 1e4


class Lane(NamedTuple):
    """What a lane's program knows besides its state: everything that `Inputs` holds, for this lane."""

    program: Program
    inputs: Inputs
    recipe: Recipe
    part: Part


class Trace(NamedTuple):
    """Trees of one step, for per-layer figures."""

    params: PyTree
    grads: PyTree
    updates: PyTree


def step(
    lane: Lane, state: State, indices: Int[Array, " row"], size: Int[Array, ""]
) -> tuple[State, Info, Trace]:
    """Make one update.

    Args:
        lane: The program and its inputs.
        state: The lane's state.
        indices: Rows of this batch.
        size: How many of them count; the rest are padding.

    Returns:
        The next state, what a reader wants, and the trees behind it.
    """
    loss_of = _objective(lane, state, indices, size)
    (loss, model_state), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)

    clock = Clock(state.step.astype(jnp.float32), lane.inputs.total, lane.inputs.epoch_steps)
    factor = lane.recipe.schedule.factor(clock, state.schedule)
    optimizer = lane.recipe.optimizer.scaled(factor, lane.recipe.schedule.momentum(clock))
    rule = optimizer.transform(roles(state.params))

    clipped, norm = _clip(grads, lane.recipe.clip_norm)
    updates, optimizer_state = rule.update(
        clipped, state.optimizer, state.params, value=loss, grad=clipped, value_fn=lambda p: loss_of(p)[0]
    )
    limit = jnp.where(state.step == 0, DIVERGENCE_FACTOR * jnp.maximum(1.0, jnp.abs(loss)), state.limit)
    failed = diverged(loss, limit)
    # The failing update is not made, so that a diverged lane keeps finite weights; fused, it costs nothing.
    updates = jax.tree.map(lambda u: jnp.where(failed, 0, u), updates)
    advanced = State(
        params=optax.apply_updates(state.params, updates),
        model_state=model_state,
        optimizer=optimizer_state,
        schedule=state.schedule,
        key=state.key,
        step=state.step + 1,
        code=jnp.where(failed, DIVERGED, RUNNING).astype(state.code.dtype),
        limit=limit.astype(state.limit.dtype),
    )
    rate = getattr(optimizer, optimizer.rates[0]) if optimizer.rates else jnp.nan
    info = Info(loss.astype(jnp.float32), jnp.float32(rate), norm)
    return advanced, info, Trace(state.params, grads, updates)


def diverged(loss: Float[Array, ""], limit: Float[Array, ""]) -> Bool[Array, ""]:
    """Tell whether a loss is not finite or beyond its limit. Written so that NaN says yes."""
    return ~(loss <= limit) | ~jnp.isfinite(loss)


def _objective(lane: Lane, state: State, indices: Array, size: Array) -> Any:
    """Return the batch's mean loss as a function of the parameters, with the next model state aside."""
    inputs, targets = lane.part.batch(indices)
    inputs = lane.inputs.prepared(inputs)
    root = jax.random.wrap_key_data(state.key, impl="threefry2x32")
    noise = jax.random.fold_in(keys.purpose_key(root, keys.MODEL), state.step)
    weights = (jnp.arange(indices.shape[0]) < size).astype(jnp.float32) if lane.program.masked else None

    def loss_of(params: PyTree) -> tuple[Float[Array, ""], PyTree]:
        built = rebuilt(lane.program, lane.inputs, params, state.model_state)
        outputs, model_state = apply(built, inputs, key=noise, training=True)
        losses = lane.program.loss(outputs, targets)
        mean = losses.mean() if weights is None else jnp.sum(losses * weights) / jnp.maximum(size, 1)
        return mean, model_state

    return loss_of


def _clip(grads: PyTree, limit: Float[Array, ""] | None) -> tuple[PyTree, Float[Array, ""]]:
    """Scale gradients down to a global norm of `limit`; the norm is NaN when there is no clipping.

    The norm at every step costs 5-20 % on small networks, so it is taken only where it is needed.
    """
    if limit is None:
        return grads, jnp.float32(jnp.nan)
    norm = optax.tree.norm(grads)
    factor = jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-12))
    return jax.tree.map(lambda g: g * factor.astype(g.dtype), grads), norm.astype(jnp.float32)
