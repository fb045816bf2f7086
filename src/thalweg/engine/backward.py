"""Forward pass, loss and backpropagation over one batch: the loss, its gradient, the next model state.

All at once, or microbatch by microbatch if the recipe accumulates or the model asks for it; in the recipe's
precision.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from thalweg.core.device import on_cpu
from thalweg.engine.program import Inputs, Program, rebuilt
from thalweg.problem.augment import AUGMENTATIONS
from thalweg.problem.data.split import Split
from thalweg.problem.models.adapter import apply
from thalweg.recipe import gradient, precision
from thalweg.recipe.recipe import Recipe


class Lane(NamedTuple):
    """What the step of one lane reads besides its state.

    Args:
        program, inputs: As for the whole group.
        recipe: The lane's recipe, with its numbers as traced arrays.
        split: The training split.
    """

    program: Program
    inputs: Inputs
    recipe: Recipe
    split: Split


class Batch(NamedTuple):
    """One batch, ready for the model.

    Args:
        inputs, targets: With a leading batch axis.
        weights: 1 for rows that count, 0 for padding; None if all count.
        key: Noise of this step (dropout).
    """

    inputs: PyTree
    targets: PyTree
    weights: Float[Array, " row"] | None
    key: Key[Array, ""]


class Backward(NamedTuple):
    """The result of backpropagation.

    Args:
        loss: Mean loss of the batch.
        grads: Its gradient.
        model_state: Running statistics after the batch.
        loss_of: The batch's mean loss as a function of the parameters, for optimizers with a line search.
    """

    loss: Float[Array, ""]
    grads: PyTree
    model_state: PyTree
    loss_of: Callable[[PyTree], Float[Array, ""]]


def read_batch(
    lane: Lane, indices: Int[Array, " row"], size: Int[Array, ""], key: Key[Array, ""], change: Key[Array, ""]
) -> Batch:
    """Gather a batch from the resident data; rows from `size` on are padding.

    Args:
        lane: The program and its inputs.
        indices, size: The rows, and how many of them count.
        key, change: Noise of this step for the model, and for the augmentation of images.
    """
    inputs, targets = lane.split.batch(indices)
    prepared = precision.to_pass_dtype(lane.inputs.prepared(inputs), lane.recipe.precision)
    if lane.recipe.augment != "none":
        prepared = AUGMENTATIONS[lane.recipe.augment](change, prepared)
    masked = lane.program.masked or _microbatches(lane, indices.shape[0]) > 1
    weights = (jnp.arange(indices.shape[0]) < size).astype(lane.inputs.total.dtype) if masked else None
    return Batch(prepared, targets, weights, key)


def backward(
    lane: Lane, batch: Batch, params: PyTree, model_state: PyTree, scale: Float[Array, ""] | None
) -> Backward:
    """Compute the batch's mean loss and its gradient.

    Args:
        lane: The program and its inputs.
        batch: The batch.
        params, model_state: Where they are computed.
        scale: Factor of the loss during differentiation (float16); the gradient is returned without it.
    """
    factor = jnp.float32(1.0) if scale is None else scale
    several = _microbatches(lane, jax.tree.leaves(batch.targets)[0].shape[0]) > 1
    differentiate = _over_microbatches if several else _at_once
    loss, grads, model_state = differentiate(lane, batch, params, model_state, factor)
    if scale is not None:
        loss, grads = precision.unscale((loss, grads), scale)

    def loss_of(params: PyTree) -> Float[Array, ""]:
        return _mean_loss(lane, batch, params, model_state)[0]

    return Backward(loss, grads, model_state, loss_of)


def _microbatches(lane: Lane, rows: int) -> int:
    """Return into how many microbatches a batch is divided.

    As the recipe says; or, on a CPU, so that the activations of a model that names a `block` stay in cache.
    """
    block = getattr(lane.program.model.tree, "block", None)
    if lane.recipe.accumulate > 1 or block is None or not on_cpu():
        return lane.recipe.accumulate
    return -(-rows // block)


def _at_once(
    lane: Lane, batch: Batch, params: PyTree, model_state: PyTree, factor: Float[Array, ""]
) -> tuple[Float[Array, ""], PyTree, PyTree]:
    def scaled(params: PyTree) -> tuple[Float[Array, ""], PyTree]:
        loss, after = _mean_loss(lane, batch, params, model_state)
        return (loss if lane.recipe.precision != "f16" else loss * factor), after

    (loss, after), grads = jax.value_and_grad(scaled, has_aux=True)(params)
    return loss, grads, after


def _over_microbatches(
    lane: Lane, batch: Batch, params: PyTree, model_state: PyTree, factor: Float[Array, ""]
) -> tuple[Float[Array, ""], PyTree, PyTree]:
    assert batch.weights is not None
    count = _microbatches(lane, batch.weights.shape[0])
    rows, weights = gradient.split_batch((batch.inputs, batch.targets), batch.weights, count)
    keys = jax.random.split(batch.key, count) if lane.program.noisy else jnp.broadcast_to(batch.key, (count,))
    microbatches = (*rows, weights, keys)

    def sums_of(
        params: PyTree, microbatch: PyTree, model_state: PyTree
    ) -> tuple[Array, tuple[Array, PyTree]]:
        inputs, targets, weights, key = microbatch
        losses, after = _losses(lane, Batch(inputs, targets, weights, key), params, model_state)
        total = _weighted_sum(losses, weights)
        return (total * factor).astype(total.dtype), (jnp.sum(weights), after)

    return gradient.accumulate(sums_of, params, microbatches, model_state)


def _mean_loss(
    lane: Lane, batch: Batch, params: PyTree, model_state: PyTree
) -> tuple[Float[Array, ""], PyTree]:
    losses, after = _losses(lane, batch, params, model_state)
    if batch.weights is None:
        return losses.mean(), after
    total = _weighted_sum(losses, batch.weights)
    return total / jnp.maximum(batch.weights.sum(), 1).astype(losses.dtype), after


def _weighted_sum(losses: Float[Array, " row"], weights: Float[Array, " row"]) -> Float[Array, ""]:
    # where, not a product alone: a padding row must not turn an overflow into NaN.
    return jnp.sum(jnp.where(weights > 0, losses, 0) * weights.astype(losses.dtype))


def _losses(lane: Lane, batch: Batch, params: PyTree, model_state: PyTree) -> tuple[Array, PyTree]:
    """Return the loss of every row, and the model state after the batch."""
    narrow = precision.to_pass_dtype(params, lane.recipe.precision)
    module = rebuilt(lane.program, lane.inputs, narrow, model_state)
    outputs, after = apply(
        module,
        batch.inputs,
        key=batch.key,
        training=True,
        counts=batch.weights,
        noisy=lane.program.noisy,
    )
    # Running statistics keep their dtype, whatever precision the passes have.
    after = jax.tree.map(lambda new, old: new.astype(old.dtype), after, model_state)
    return lane.program.loss(outputs, batch.targets), after


def loss_scale(recipe: Recipe) -> Any:
    """Return the first state of dynamic loss scaling; empty for precisions that need none."""
    return precision.initial_scale() if recipe.precision == "f16" else ()
