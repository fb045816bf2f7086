"""The one pure step: `step(state, batch) -> (state, info)`, and the gradient for those who look closer.

Forward pass, loss, backpropagation, update. The learning rate's way ends here: recipe -> schedule's
factor -> optimizer's rule -> what is added to the parameters.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from thalweg.core import keys
from thalweg.core.tree import roles
from thalweg.engine.backward import Lane, backward, read_batch
from thalweg.engine.state import DIVERGED, RUNNING, STATIONARY, Info, State
from thalweg.problem.models.adapter import RecurrentCarry
from thalweg.recipe import gradient, precision
from thalweg.recipe.rule import rule_of
from thalweg.recipe.schedules import Clock

# A loss this many times the first one (or this high, when the first is below 1) will not come back: from
# there the gradients are useless in float32 long before they overflow. Ours, and deliberately far out, so
# that no run that recovers is cut.
DIVERGENCE_FACTOR = 1e4


def step(
    lane: Lane, state: State, batch: tuple[Int[Array, " row"], Int[Array, ""]]
) -> tuple[State, Info, PyTree]:
    """Make one update.

    Args:
        lane: The program and its inputs.
        state: The lane's state.
        batch: Rows of this batch, and how many of them count; the rest are padding.

    Returns:
        The next state, what a reader wants, and the gradient as backpropagation gave it.
    """
    root = keys.wrapped(state.key)

    def key_for(purpose: int, asked: bool) -> Key[Array, ""]:
        # What nobody asks for is not in the program: XLA would drop it, after JAX had lowered it for long.
        return jax.random.fold_in(keys.purpose_key(root, purpose), state.step) if asked else root

    noise = key_for(keys.MODEL, lane.program.noisy)
    change = key_for(keys.AUGMENTATION, lane.recipe.augment != "none")
    scale = state.scale.scale if lane.recipe.precision == "f16" else None
    read = read_batch(lane, *batch, noise, change)
    found = backward(lane, read, state.params, _begun(lane, state), scale)

    clock = Clock(state.step.astype(lane.inputs.total.dtype), lane.inputs.total, lane.inputs.epoch_steps)
    factor = lane.recipe.schedule.factor(clock, state.schedule)
    rule = rule_of(lane.recipe, roles(state.params), factor, lane.recipe.schedule.momentum(clock))
    spread = keys.purpose_key(root, keys.GRADIENT) if lane.recipe.noise is not None else root
    grads, norm = gradient.process(found.grads, state.params, lane.recipe, key=spread, step=state.step)

    updates, optimizer = rule.update(
        grads, state.optimizer, state.params, value=found.loss, grad=grads, value_fn=found.loss_of
    )
    limit = jnp.where(
        state.step == 0, DIVERGENCE_FACTOR * jnp.maximum(1.0, jnp.abs(found.loss)), state.limit
    ).astype(state.limit.dtype)
    failed = diverged(found.loss, limit)
    # The failing update is not made, so that a lane whose loss fails keeps its weights; fused, it costs
    # nothing. A gradient that fails while the loss is finite is seen only in the next step's loss.
    updates = jax.tree.map(lambda u: jnp.where(failed, 0, u).astype(u.dtype), updates)
    params = optax.apply_updates(state.params, updates)
    advanced = State(
        params=params,
        model_state=found.model_state,
        optimizer=optimizer,
        schedule=state.schedule,
        average=lane.recipe.averaging.update(state.average, params, clock),
        scale=state.scale,
        key=state.key,
        step=state.step + 1,
        code=jnp.where(failed, DIVERGED, RUNNING).astype(state.code.dtype),
        limit=limit,
    )
    if lane.recipe.skip_nonfinite or scale is not None:
        advanced = _or_skipped(state, advanced, found.grads, found.loss)
    rate = jnp.float32(lane.recipe.optimizer.scaled(factor * lane.recipe.rate_factor()).first_rate())
    if lane.recipe.gradient_below is not None:
        advanced = _or_stationary(state, advanced, norm < lane.recipe.gradient_below)
    info = Info(found.loss.astype(jnp.float32), rate, norm.astype(jnp.float32))
    return advanced, info, found.grads


def diverged(loss: Float[Array, ""], limit: Float[Array, ""]) -> Bool[Array, ""]:
    """Tell whether a loss is not finite or beyond its limit. Written so that NaN says yes."""
    return ~(loss <= limit) | ~jnp.isfinite(loss)


def _begun(lane: Lane, state: State) -> PyTree:
    """Return the model state for this step; what is carried starts from zeros with every epoch."""
    if not isinstance(state.model_state, RecurrentCarry):
        return state.model_state
    return state.model_state.at(state.step % lane.inputs.epoch_steps.astype(jnp.int32) == 0)


def _or_stationary(before: State, after: State, small: Bool[Array, ""]) -> State:
    """Return `after`, or, where the gradient is small, `before` as it is, stopped."""
    small = small & (after.code == RUNNING)
    chosen = gradient.chosen(small, before, after)
    return dataclasses.replace(chosen, code=jnp.where(small, STATIONARY, after.code).astype(after.code.dtype))


def _or_skipped(before: State, after: State, grads: PyTree, loss: Float[Array, ""]) -> State:
    """Return `after`, or, where the gradient is not finite, `before` with only the step counted."""
    finite = gradient.all_finite(grads) & jnp.isfinite(loss)
    chosen = gradient.chosen(finite, after, before)
    scale = before.scale if before.scale == () else precision.adjusted(before.scale, finite)
    return dataclasses.replace(
        chosen, step=after.step, scale=scale, limit=jnp.where(finite, after.limit, before.limit)
    )
