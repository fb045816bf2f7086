"""PyTorch's losses (ATen's operations for them) in JAX, by name. Formulas: PyTorch's own documentation."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

MEAN, SUM = 1, 2  # `reduction`, by PyTorch's number


def reduced(losses: Any, reduction: int = MEAN) -> Any:
    """Return losses as PyTorch reduces them."""
    return losses.mean() if reduction == MEAN else losses.sum() if reduction == SUM else losses


def negative_log_likelihood(
    logs: Any, target: Any, weight: Any = None, reduction: int = MEAN, ignored: int = -100
) -> Any:
    """Return the negative log-likelihood of classes, `batch class ...`."""
    counted = target != ignored
    which = jnp.where(counted, target, 0)
    losses = -jnp.take_along_axis(logs, which[:, None] if logs.ndim > 1 else which[None], axis=-logs.ndim + 1)
    losses = losses[:, 0] if logs.ndim > 1 else losses[0]
    weights = jnp.where(counted, 1.0 if weight is None else weight[which], 0.0)
    losses = losses * weights
    return losses.sum() / weights.sum() if reduction == MEAN else reduced(losses, reduction)


def cross_entropy(
    x: Any,
    target: Any,
    weight: Any = None,
    reduction: int = MEAN,
    ignored: int = -100,
    smoothing: float = 0.0,
) -> Any:
    """Return the cross-entropy of logits, `batch class ...`, with classes or probabilities as targets."""
    axis = 1 if x.ndim > 1 else 0
    logs = jax.nn.log_softmax(x, axis=axis)
    if target.shape == x.shape:  # probabilities
        shares = target * (1 - smoothing) + smoothing / x.shape[axis]
        if weight is not None:
            shares = shares * weight.reshape(-1, *[1] * (x.ndim - axis - 1))
        losses = -(shares * logs).sum(axis=axis)
        return losses.mean() if reduction == MEAN else reduced(losses, reduction)
    loss = negative_log_likelihood(logs, target, weight, reduction, ignored)
    if not smoothing:
        return loss
    if weight is not None:
        raise NotImplementedError("label_smoothing with class weights")
    counted = target != ignored
    even = jnp.where(counted, -logs.mean(axis=axis), 0.0)
    even = even.sum() / counted.sum() if reduction == MEAN else reduced(even, reduction)
    return (1 - smoothing) * loss + smoothing * even


LEAST_LOG, LEAST_SLOPE = -100.0, 1e-12  # where PyTorch cuts off logarithms, and the divisor of their gradient


@jax.custom_jvp
def _crossed(p: Any, target: Any) -> Any:
    """Return `-(t log p + (1-t) log(1-p))`, with logarithms cut off at 0; NaN outside of [0, 1]."""

    def log(x: Any) -> Any:
        return jnp.where(x == 0, LEAST_LOG, jnp.maximum(jnp.log(jnp.where(x == 0, 1.0, x)), LEAST_LOG))

    return -(target * log(p) + (1 - target) * log(1 - p))


@_crossed.defjvp
def _(primals: Any, tangents: Any) -> Any:
    p, target = primals
    slope = (p - target) / jnp.maximum((1 - p) * p, LEAST_SLOPE)
    towards = _crossed(p, jnp.ones_like(p)) - _crossed(p, jnp.zeros_like(p))
    return _crossed(p, target), slope * tangents[0] + towards * tangents[1]


def binary_cross_entropy(p: Any, target: Any, weight: Any = None, reduction: int = MEAN) -> Any:
    """Return the binary cross-entropy of probabilities, finite at 0 and 1 as PyTorch's is."""
    losses = _crossed(p, target)
    return reduced(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_of_logits(
    z: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = MEAN
) -> Any:
    """Return the binary cross-entropy of logits."""
    factor = 1.0 if pos_weight is None else 1 + (pos_weight - 1) * target
    losses = (1 - target) * z + factor * jax.nn.softplus(-z)
    return reduced(losses if weight is None else losses * weight, reduction)


def huber(x: Any, y: Any, reduction: int = MEAN, delta: float = 1.0) -> Any:
    """Return Huber's loss."""
    d = jnp.abs(x - y)
    return reduced(jnp.where(d < delta, 0.5 * d**2, delta * (d - 0.5 * delta)), reduction)


def smooth_l1(x: Any, y: Any, reduction: int = MEAN, beta: float = 1.0) -> Any:
    """Return the smooth L1 loss."""
    d = jnp.abs(x - y)
    return reduced(jnp.where(d < beta, 0.5 * d**2 / beta, d - 0.5 * beta) if beta else d, reduction)


def kl_divergence(x: Any, y: Any, reduction: int = MEAN, *, log_target: bool = False) -> Any:
    """Return the Kullback-Leibler divergence of log-probabilities."""
    if log_target:
        return reduced(jnp.exp(y) * (y - x), reduction)
    return reduced(jnp.where(y > 0, y * (jnp.log(jnp.where(y > 0, y, 1.0)) - x), 0.0), reduction)


LOSSES: dict[str, Callable[..., Any]] = {
    "cross_entropy_loss": cross_entropy,
    "nll_loss": negative_log_likelihood,
    "nll_loss_nd": negative_log_likelihood,
    "nll_loss2d": negative_log_likelihood,
    "mse_loss": lambda x, y, how=MEAN: reduced((x - y) ** 2, how),
    "l1_loss": lambda x, y, how=MEAN: reduced(jnp.abs(x - y), how),
    "smooth_l1_loss": smooth_l1,
    "huber_loss": huber,
    "binary_cross_entropy": binary_cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_of_logits,
    "kl_div": kl_divergence,
    "hinge_embedding_loss": lambda x, y, margin=1.0, how=MEAN: reduced(
        jnp.where(y == 1, x, jnp.maximum(0.0, margin - x)), how
    ),
}
