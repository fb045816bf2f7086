"""The usual loss for a kind of target and a form of outputs, in place of one that does not fit.

For objectives of the user's own: what leaves the module is read off the trace, and given to another loss.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from thalweg.insight.doctor.anatomy import BINARY, CLASSES, LABELS, Anatomy
from thalweg.insight.doctor.network import outputs_of, penalty_of

# Distance that probabilities keep from 0, where their logarithm is infinite.
CLIP = 1e-6


def usual_loss(anatomy: Anatomy, *, probabilities: bool, distance: bool = False) -> tuple[Callable, str]:
    """Return a function `(outputs, targets) -> losses, row`, and its line of code.

    Args:
        anatomy: The problem, with targets of a known kind.
        probabilities: Whether outputs are probabilities.
        distance: Whether two classes are told apart at the middle of both labels, as by a squared error.
    """
    if anatomy.kind == CLASSES:
        return _of_classes(anatomy, probabilities)
    if anatomy.kind in (BINARY, LABELS) and not distance:
        return _of_two(anatomy, probabilities)

    def squared(outputs: Any, targets: Any) -> Any:
        return _rows((outputs.reshape(targets.shape) - targets) ** 2)

    return squared, "loss = jnp.mean((outputs.reshape(y.shape) - y) ** 2)"


def _rows(losses: Any) -> Any:
    return jnp.mean(losses.reshape(len(losses), -1), axis=1)


def _of_classes(anatomy: Anatomy, probabilities: bool) -> tuple[Callable, str]:
    levels = anatomy.levels

    def cross_entropy(outputs: Any, targets: Any) -> Any:
        outputs = outputs.reshape(len(outputs), -1)
        if targets.ndim == 2 and targets.shape[1] > 1:
            which = targets.argmax(axis=1)
        elif levels is not None:
            which = jnp.searchsorted(jnp.asarray(levels), targets.reshape(-1))
        else:
            which = targets.reshape(-1).astype(int)
        logs = jnp.log(jnp.maximum(outputs, CLIP)) if probabilities else jax.nn.log_softmax(outputs)
        return -jnp.take_along_axis(logs, which[:, None], axis=1)[:, 0]

    logs = f"jnp.log(jnp.maximum(p, {CLIP:g}))" if probabilities else "jax.nn.log_softmax(outputs)"
    return cross_entropy, f"loss = -jnp.mean({logs}[jnp.arange(len(y)), y])"


def _of_two(anatomy: Anatomy, probabilities: bool) -> tuple[Callable, str]:
    y = np.asarray(anatomy.train.y)
    low, high = float(np.min(y)), float(np.max(y))

    def binary_cross_entropy(outputs: Any, targets: Any) -> Any:
        y = (targets - low) / (high - low)
        z = outputs.reshape(y.shape)
        if not probabilities:
            return _rows(jax.nn.softplus(z) - y * z)
        p = jnp.clip(z, CLIP, 1 - CLIP)
        return -_rows(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))

    if probabilities:
        return binary_cross_entropy, "loss = -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))"
    return binary_cross_entropy, "loss = jnp.mean(jax.nn.softplus(z) - y * z)"


def relearned(function: Callable[..., Any], loss: Callable[..., Any], leaf: int) -> Callable[..., Any]:
    """Return an objective with another loss of what leaves the module; its figures stay.

    Args:
        function: The objective's function `(model, batch, ...)`.
        loss: `(outputs, targets) -> losses, row`.
        leaf: Which leaf of the batch holds the targets.
    """

    @functools.wraps(function)
    def changed(model: Any, batch: Any, *more: Any) -> Any:
        outputs, result = outputs_of(function, model, batch, *more)
        new = jnp.mean(loss(outputs, jax.tree.leaves(batch)[leaf]))
        return (new, *result[1:]) if isinstance(result, tuple) else new

    return changed


def unpenalised(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an objective of the same value, without the gradient of what depends on the weights alone."""

    @functools.wraps(function)
    def changed(model: Any, batch: Any, *more: Any) -> Any:
        result = function(model, batch, *more)
        penalty = penalty_of(function, model, batch, *more)
        free = jax.lax.stop_gradient(penalty) - penalty  # zero, with the penalty's gradient reversed
        return (result[0] + free, *result[1:]) if isinstance(result, tuple) else result + free

    return changed
