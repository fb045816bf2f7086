"""The one pure step: `step(state, batch) -> (state, info)`, and the gradient for telemetry.

Forward pass, loss, backpropagation, update. Here the learning rate takes effect: recipe -> factor of
the schedule -> update rule of the optimizer -> what is added to the parameters.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from thalweg.core import keys
from thalweg.engine.backward import Batch, Lane, backward, mean_loss, read_batch
from thalweg.engine.mesh import kept_on_each
from thalweg.engine.state import DIVERGED, RUNNING, STATIONARY, Info, State
from thalweg.engine.update import as_trained, updates_of
from thalweg.problem.models.adapter import RecurrentCarry
from thalweg.recipe import gradient, precision
from thalweg.recipe.schedules import Clock

# A loss this many times the first one (or this high, if the first is below 1) does not recover: the gradients
# are useless in float32 long before they overflow. Our choice, and deliberately high, so that no run that
# would recover is stopped.
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
        The next state, the step's info, and the gradient as backpropagation computed it.
    """
    root, scale = keys.wrapped(state.key), _loss_scale(lane, state)
    rows = step_batch(lane, state, batch)
    passed = backward(lane, rows, state.params, _model_state(lane, state), scale)

    clock = Clock(state.step.astype(lane.inputs.total.dtype), lane.inputs.total, lane.inputs.epoch_steps)
    factor = lane.recipe.schedule.factor(clock, state.schedule)
    noise_key = keys.purpose_key(root, keys.GRADIENT) if lane.recipe.noise is not None else root
    trained, grads = as_trained(lane.recipe, state.optimizer, state.params, passed.grads)
    grads, norm = gradient.process(grads, trained, lane.recipe, key=noise_key, step=state.step)

    rates = factor, lane.recipe.schedule.momentum(clock)
    updates, optimizer = updates_of(lane, grads, state.optimizer, state.params, passed, state.step, rates)
    # Set by the first update that is made: float16 skips updates until its loss scale fits.
    limit = jnp.where(
        jnp.isinf(state.limit), DIVERGENCE_FACTOR * jnp.maximum(1.0, jnp.abs(passed.loss)), state.limit
    ).astype(state.limit.dtype)
    failed = diverged(passed.loss, limit)
    # The update is not applied where the loss fails, so that the lane keeps its weights; fused, the test is
    # free. A gradient that is not finite while the loss is finite shows only in the next step's loss.
    updates = jax.tree.map(lambda u: jnp.where(failed, 0, u).astype(u.dtype), updates)
    params = optax.apply_updates(state.params, updates)
    advanced = State(
        params=params,
        model_state=passed.model_state,
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
        advanced = _or_skipped(state, advanced, passed.grads, passed.loss)
    rate = jnp.float32(lane.recipe.optimizer.scaled(factor * lane.recipe.rate_factor()).first_rate())
    if lane.recipe.gradient_below is not None:
        advanced = _or_stationary(state, advanced, norm < lane.recipe.gradient_below)
    info = Info(passed.loss.astype(jnp.float32), rate, norm.astype(jnp.float32), passed.figures)
    return kept_on_each(lane.program.mesh, (advanced, info, passed.grads))


def step_batch(lane: Lane, state: State, batch: tuple[Int[Array, " row"], Int[Array, ""]]) -> Batch:
    """Return the batch that a step reads, prepared and augmented, with the step's noise."""
    root = keys.wrapped(state.key)

    def key_for(purpose: int, used: bool) -> Key[Array, ""]:
        # A key that is not used is not traced: XLA would remove it, but tracing and lowering take time.
        return jax.random.fold_in(keys.purpose_key(root, purpose), state.step) if used else root

    noise = key_for(keys.MODEL, lane.program.noisy)
    change = key_for(keys.AUGMENTATION, lane.recipe.augment != "none")
    return read_batch(lane, *batch, noise, change, state.step)


def step_loss(lane: Lane, state: State, batch: Batch, params: PyTree) -> Float[Array, ""]:
    """Return what a step differentiates: the batch's mean loss, for float16 times the loss scale.

    The step itself may compute it over microbatches.
    """
    loss, scale = mean_loss(lane, batch, params, _model_state(lane, state))[0], _loss_scale(lane, state)
    return loss if scale is None else loss * scale


def _loss_scale(lane: Lane, state: State) -> Float[Array, ""] | None:
    return state.scale.scale if lane.recipe.precision == "f16" else None


def diverged(loss: Float[Array, ""], limit: Float[Array, ""]) -> Bool[Array, ""]:
    """Return whether a loss is not finite or above its limit. Written so that NaN gives True."""
    return ~(loss <= limit) | ~jnp.isfinite(loss)


def _model_state(lane: Lane, state: State) -> PyTree:
    """Return the model state for this step; a carried state is reset to zeros at the start of every epoch."""
    if not isinstance(state.model_state, RecurrentCarry):
        return state.model_state
    return state.model_state.at(state.step % lane.inputs.epoch_steps.astype(jnp.int32) == 0)


def _or_stationary(before: State, after: State, small: Bool[Array, ""]) -> State:
    """Return `after`; where the gradient is small, `before` with the code of a stopped lane."""
    small = small & (after.code == RUNNING)
    chosen = gradient.select(small, before, after)
    return dataclasses.replace(chosen, code=jnp.where(small, STATIONARY, after.code).astype(after.code.dtype))


def _or_skipped(before: State, after: State, grads: PyTree, loss: Float[Array, ""]) -> State:
    """Return `after`; where the gradient is not finite, `before` with only the step counted."""
    finite = gradient.all_finite(grads) & jnp.isfinite(loss)
    chosen = gradient.select(finite, after, before)
    scale = before.scale if before.scale == () else precision.adjust_scale(before.scale, finite)
    return dataclasses.replace(
        chosen, step=after.step, scale=scale, limit=jnp.where(finite, after.limit, before.limit)
    )
