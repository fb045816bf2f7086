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
from thalweg.engine.mesh import share_rows
from thalweg.engine.program import Inputs, Program, rebuilt
from thalweg.problem.augment import AUGMENTATIONS
from thalweg.problem.data.split import Split, first_leaf
from thalweg.problem.models.adapter import apply
from thalweg.problem.objective import Measured, Objective, as_batch, mean
from thalweg.problem.players import Alternating
from thalweg.recipe import gradient, precision
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.recompute import recomputed

# Name of the loss in JAX's name stack, by which it is told from the model.
LOSS_SCOPE = "loss"
# The model state after a batch, and the figures of an objective.
_After = tuple[PyTree, tuple[Float[Array, ""], ...]]


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
        inputs, targets: With a leading batch axis; no targets for an objective that sees examples as a whole.
        weights: 1 for rows that count, 0 for padding; None if all count.
        key: Noise of this step (dropout).
        step: Updates made so far, which decide whose turn it is among several models.
    """

    inputs: PyTree
    targets: PyTree
    weights: Float[Array, " row"] | None
    key: Key[Array, ""]
    step: Int[Array, ""] | int = 0


class Backward(NamedTuple):
    """The result of backpropagation.

    Args:
        loss: Mean loss of the batch.
        grads: Its gradient.
        model_state: Running statistics after the batch.
        figures: What an objective computes besides the loss, as means over the batch.
        loss_of: The batch's mean loss as a function of the parameters, for optimizers with a line search.
    """

    loss: Float[Array, ""]
    grads: PyTree
    model_state: PyTree
    figures: tuple[Float[Array, ""], ...]
    loss_of: Callable[[PyTree], Float[Array, ""]]


def read_batch(
    lane: Lane,
    indices: Int[Array, " row"],
    size: Int[Array, ""],
    key: Key[Array, ""],
    change: Key[Array, ""],
    step: Int[Array, ""] | int = 0,
) -> Batch:
    """Read a batch from the data of the dispatch; rows from `size` on are padding.

    Args:
        lane: The program and its inputs.
        indices, size: The rows, and how many of them count.
        key, change: Noise of this step for the model, and for the augmentation of images.
        step: Updates made so far.
    """
    several = _microbatches(lane, indices.shape[0]) > 1  # of which each is shared
    mesh = None if several else lane.program.mesh
    at = indices if lane.split.divided else share_rows(mesh, indices)
    inputs, targets = share_rows(mesh, lane.split.batch(at))
    prepared = precision.to_pass_dtype(lane.inputs.prepared(inputs), lane.recipe.precision)
    if lane.recipe.augment != "none":
        prepared = AUGMENTATIONS[lane.recipe.augment](change, prepared)
    masked = lane.program.masked or several
    weights = (jnp.arange(indices.shape[0]) < size).astype(lane.inputs.total.dtype) if masked else None
    return Batch(prepared, targets, weights, key, step)


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
    several = _microbatches(lane, first_leaf((batch.inputs, batch.targets)).shape[0]) > 1
    differentiate = _over_microbatches if several else _at_once
    loss, grads, (model_state, figures) = differentiate(lane, batch, params, model_state, factor)
    if scale is not None:
        loss, grads = precision.unscale((loss, grads), scale)

    def loss_of(params: PyTree) -> Float[Array, ""]:
        return mean_loss(lane, batch, params, model_state)[0]

    return Backward(loss, grads, model_state, figures, loss_of)


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
) -> tuple[Float[Array, ""], PyTree, _After]:
    def scaled(params: PyTree) -> tuple[Float[Array, ""], _After]:
        loss, after = mean_loss(lane, batch, params, model_state)
        return (loss if lane.recipe.precision != "f16" else loss * factor), after

    lighter = _lighter(lane, scaled)
    (loss, after), grads = jax.value_and_grad(lighter, has_aux=True)(params)
    return loss, grads, after


def _lighter(lane: Lane, function: Callable[[PyTree], Any]) -> Callable[[PyTree], Any]:
    """Return a loss that keeps less for its backward pass, as the recipe says."""
    return recomputed(function, lane.recipe.recompute, (lane.inputs.lanes > 0).astype(jnp.int32))


def _over_microbatches(
    lane: Lane, batch: Batch, params: PyTree, model_state: PyTree, factor: Float[Array, ""]
) -> tuple[Float[Array, ""], PyTree, _After]:
    assert batch.weights is not None
    count = _microbatches(lane, batch.weights.shape[0])
    divided = gradient.split_batch((batch.inputs, batch.targets), batch.weights, count)
    rows, weights = share_rows(lane.program.mesh, divided, axis=1)
    keys = jax.random.split(batch.key, count) if lane.program.noisy else jnp.broadcast_to(batch.key, (count,))
    microbatches = (*rows, weights, keys)

    def sums_of(params: PyTree, microbatch: PyTree, carried: _After) -> tuple[Array, tuple[Array, _After]]:
        inputs, targets, weights, key = microbatch
        measured = _measured(lane, Batch(inputs, targets, weights, key, batch.step), params, carried[0])
        total = _weighted_sum(measured.losses, weights)
        figures = (_weighted_sum(more, weights) for more in measured.figures)
        sums = tuple(sum_ + more for sum_, more in zip(carried[1], figures, strict=True))
        return (total * factor).astype(total.dtype), (jnp.sum(weights), (measured.model_state, sums))

    def lighter_sums(
        params: PyTree, microbatch: PyTree, carried: _After
    ) -> tuple[Array, tuple[Array, _After]]:
        return _lighter(lane, lambda at: sums_of(at, microbatch, carried))(params)

    none = tuple(jnp.zeros(()) for _ in lane.program.figures)
    loss, grads, (after, sums) = gradient.accumulate(lighter_sums, params, microbatches, (model_state, none))
    figures = tuple(sum_ / jnp.maximum(batch.weights.sum(), 1) for sum_ in sums)
    return loss, grads, (after, figures)


def mean_loss(
    lane: Lane, batch: Batch, params: PyTree, model_state: PyTree
) -> tuple[Float[Array, ""], _After]:
    """Return the mean loss of a batch, and the model state and figures after it."""
    measured = _measured(lane, batch, params, model_state)
    figures = tuple(mean(values, batch.weights) for values in measured.figures)
    return mean(measured.losses, batch.weights), (measured.model_state, figures)


def _weighted_sum(losses: Float[Array, "..."], weights: Float[Array, " row"]) -> Float[Array, ""]:
    if losses.ndim == 0:  # the mean over the rows, all of which count
        return losses * weights.sum().astype(losses.dtype)
    # where, not a product alone: a padding row must not turn an overflow into NaN.
    return jnp.sum(jnp.where(weights > 0, losses, 0) * weights.astype(losses.dtype))


def _measured(lane: Lane, batch: Batch, params: PyTree, model_state: PyTree) -> Measured:
    """Return the loss of every row (or one number, of an objective), figures, and the next model state."""
    narrow = precision.to_pass_dtype(params, lane.recipe.precision)
    module = rebuilt(lane.program, lane.inputs, narrow, model_state)
    if isinstance(lane.program.loss, Objective):
        whole = as_batch(batch.inputs, batch.targets)
        turn = {"step": batch.step} if isinstance(lane.program.loss, Alternating) else {}
        measured = lane.program.loss.measure(module, whole, batch.key, training=True, **turn)
    else:
        outputs, after = apply(
            module,
            batch.inputs,
            key=batch.key,
            training=True,
            counts=batch.weights,
            noisy=lane.program.noisy,
        )
        with jax.named_scope(LOSS_SCOPE):
            measured = Measured(lane.program.loss(outputs, batch.targets), (), after)
    # Running statistics keep their dtype, whatever precision the passes have.
    after = jax.tree.map(lambda new, old: new.astype(old.dtype), measured.model_state, model_state)
    return measured._replace(model_state=after)


def loss_scale(recipe: Recipe) -> Any:
    """Return the first state of dynamic loss scaling; empty for precisions that need none."""
    return precision.initial_scale() if recipe.precision == "f16" else ()
