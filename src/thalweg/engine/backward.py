"""Forward pass, loss and backpropagation over one batch: the loss, its gradient, the next model state.

In one piece, or part by part when the recipe accumulates or the model asks for it; in the recipe's precision.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from thalweg.engine.program import Inputs, Program, rebuilt
from thalweg.problem.augment import AUGMENTATIONS
from thalweg.problem.data.split import Split
from thalweg.problem.models.adapter import apply
from thalweg.recipe import gradient, precision
from thalweg.recipe.recipe import Recipe


class Lane(NamedTuple):
    """What a lane's program knows besides its state: everything that `Inputs` holds, for this lane."""

    program: Program
    inputs: Inputs
    recipe: Recipe
    part: Split


class Batch(NamedTuple):
    """One batch, ready for the model.

    Args:
        inputs, targets: With a leading batch axis.
        weights: 1 for rows that count, 0 for padding; None when all count.
        key: Noise of this step (dropout).
    """

    inputs: PyTree
    targets: PyTree
    weights: Float[Array, " row"] | None
    key: Key[Array, ""]


class Backward(NamedTuple):
    """What backpropagation gives.

    Args:
        loss: Mean loss of the batch.
        grads: Its gradient.
        model_state: Running statistics after the batch.
        loss_of: The batch's mean loss as a function of the parameters, for rules that ask for it.
    """

    loss: Float[Array, ""]
    grads: PyTree
    model_state: PyTree
    loss_of: Callable[[PyTree], Float[Array, ""]]


def read_batch(
    lane: Lane, indices: Int[Array, " row"], size: Int[Array, ""], key: Key[Array, ""], change: Key[Array, ""]
) -> Batch:
    """Take a batch's rows from the resident data; rows from `size` on are padding.

    Args:
        lane: The program and its inputs.
        indices, size: The rows, and how many of them count.
        key, change: Noise of this step for the model, and for the images' augmentation.
    """
    inputs, targets = lane.part.batch(indices)
    prepared = precision.to_pass_dtype(lane.inputs.prepared(inputs), lane.recipe.precision)
    if lane.recipe.augment != "none":
        prepared = AUGMENTATIONS[lane.recipe.augment](change, prepared)
    masked = lane.program.masked or _parts(lane, indices.shape[0]) > 1
    weights = (jnp.arange(indices.shape[0]) < size).astype(lane.inputs.total.dtype) if masked else None
    return Batch(prepared, targets, weights, key)


def backward(
    lane: Lane, batch: Batch, params: PyTree, model_state: PyTree, scale: Float[Array, ""] | None
) -> Backward:
    """Compute the batch's mean loss and its gradient.

    Args:
        lane: The program and its inputs.
        batch: The batch.
        params, model_state: Where it is computed.
        scale: Factor of the loss while it is differentiated (float16); the gradient comes back without it.
    """
    factor = jnp.float32(1.0) if scale is None else scale
    if _parts(lane, jax.tree.leaves(batch.targets)[0].shape[0]) > 1:
        found = _part_by_part(lane, batch, params, model_state, factor)
    else:
        found = _in_one_piece(lane, batch, params, model_state, factor)
    loss, grads, model_state = found
    if scale is not None:
        loss, grads = precision.unscale((loss, grads), scale)

    def loss_of(there: PyTree) -> Float[Array, ""]:
        return _mean(lane, batch, there, model_state)[0]

    return Backward(loss, grads, model_state, loss_of)


def _parts(lane: Lane, rows: int) -> int:
    """Return in how many parts a batch is computed: as the recipe has it, or, on a CPU, so that what lies
    between the passes of a model that names a `block` stays in the cache.
    """
    block = getattr(lane.program.model.tree, "block", None)
    if lane.recipe.accumulate > 1 or block is None or jax.default_backend() != "cpu":
        return lane.recipe.accumulate
    return -(-rows // block)


def _in_one_piece(
    lane: Lane, batch: Batch, params: PyTree, model_state: PyTree, factor: Float[Array, ""]
) -> tuple[Float[Array, ""], PyTree, PyTree]:
    def scaled(params: PyTree) -> tuple[Float[Array, ""], PyTree]:
        loss, after = _mean(lane, batch, params, model_state)
        return (loss if lane.recipe.precision != "f16" else loss * factor), after

    (loss, after), grads = jax.value_and_grad(scaled, has_aux=True)(params)
    return loss, grads, after


def _part_by_part(
    lane: Lane, batch: Batch, params: PyTree, model_state: PyTree, factor: Float[Array, ""]
) -> tuple[Float[Array, ""], PyTree, PyTree]:
    assert batch.weights is not None
    count = _parts(lane, batch.weights.shape[0])
    rows, weights = gradient.split_batch((batch.inputs, batch.targets), batch.weights, count)
    noises = (
        jax.random.split(batch.key, count) if lane.program.noisy else jnp.broadcast_to(batch.key, (count,))
    )
    parts = (*rows, weights, noises)

    def sums_of(params: PyTree, part: PyTree, model_state: PyTree) -> tuple[Array, tuple[Array, PyTree]]:
        inputs, targets, weights, key = part
        losses, after = _losses(lane, Batch(inputs, targets, weights, key), params, model_state)
        total = _weighted(losses, weights)
        return (total * factor).astype(total.dtype), (jnp.sum(weights), after)

    return gradient.accumulate(sums_of, params, parts, model_state)


def _mean(lane: Lane, batch: Batch, params: PyTree, model_state: PyTree) -> tuple[Float[Array, ""], PyTree]:
    losses, after = _losses(lane, batch, params, model_state)
    if batch.weights is None:
        return losses.mean(), after
    return _weighted(losses, batch.weights) / jnp.maximum(batch.weights.sum(), 1).astype(losses.dtype), after


def _weighted(losses: Float[Array, " row"], weights: Float[Array, " row"]) -> Float[Array, ""]:
    # where, not a product alone: a padding row must not turn an overflow into NaN.
    return jnp.sum(jnp.where(weights > 0, losses, 0) * weights.astype(losses.dtype))


def _losses(lane: Lane, batch: Batch, params: PyTree, model_state: PyTree) -> tuple[Array, PyTree]:
    narrow = precision.to_pass_dtype(params, lane.recipe.precision)
    built = rebuilt(lane.program, lane.inputs, narrow, model_state)
    outputs, after = apply(
        built,
        batch.inputs,
        key=batch.key,
        training=True,
        counts=batch.weights,
        noisy=lane.program.noisy,
    )
    # Running statistics keep the dtype they began with, whatever the passes run in.
    after = jax.tree.map(lambda new, old: new.astype(old.dtype), after, model_state)
    return lane.program.loss(outputs, batch.targets), after


def loss_scale(recipe: Recipe) -> Any:
    """Return the first state of dynamic loss scaling; empty for precisions that need none."""
    return precision.initial_scale() if recipe.precision == "f16" else ()
