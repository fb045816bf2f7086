"""What the outputs of a classifier mean, and how they become classes and probabilities.

A network trained with cross-entropy gives logits, one that ends in a sigmoid probabilities. The same number,
0.3, is then class 1 in one case and class 0 in the other. The meaning is settled once for a problem (`probe`
where the loss does not say it), and everything that reads outputs asks here: metrics, predictions, reports.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

LOGITS, PROBABILITIES, LOG_PROBABILITIES = "logits", "probabilities", "log_probabilities"
SCORES, VALUES = "scores", "values"
THRESHOLDS, LOG_RATES, QUANTILES = "thresholds", "log_rates", "quantiles"
# What each means, in one line. A single output stands for two classes, and is that of the second class.
MEANINGS: dict[str, str] = {
    LOGITS: "softmax (of a single output: the sigmoid) gives the probabilities",
    PROBABILITIES: "in [0, 1]; the class with more than half, or with the largest, is predicted",
    LOG_PROBABILITIES: "logarithms of probabilities, as from log_softmax",
    SCORES: "the largest (of a single output: the sign) decides, as in a hinge loss; not probabilities",
    VALUES: "values of a regression",
    THRESHOLDS: "of K ordered classes K - 1 numbers; see `ordered_log_probabilities`",
    LOG_RATES: "logarithms of expected values, as in a Poisson regression",
    QUANTILES: "quantiles of the target, with their levels: `quantiles:0.1,0.5,0.9`",
}


def class_columns(outputs: Any, meaning: str = LOGITS) -> Any:
    """Return outputs with an axis of classes, whose largest entry is the predicted class.

    A single logit z stands for the logits (0, z) of two classes, a single probability p for (1 - p, p), a
    single score s for (-s, s). A tie, such as z = 0, predicts the first class.

    Args:
        outputs: NumPy's or JAX's, `example class`, or `example` or `example 1` for a single output.
        meaning: One of `MEANINGS`.
    """
    if meaning == THRESHOLDS:
        return ordered_log_probabilities(outputs)
    if outputs.ndim > 1 and outputs.shape[-1] != 1:
        return outputs
    arrays = outputs.__array_namespace__()
    single = outputs.reshape(outputs.shape[:1])
    if meaning == LOG_PROBABILITIES:
        # Rounding may give a logarithm just above 0, and an infinite one is right for a probability of 0.
        with np.errstate(divide="ignore"):
            first = arrays.log1p(-arrays.exp(arrays.minimum(single, 0.0)))
    else:
        first = {PROBABILITIES: 1 - single, SCORES: -single}.get(meaning, arrays.zeros_like(single))
    return arrays.stack([first, single], axis=-1)


def probabilities(outputs: np.ndarray, meaning: str = LOGITS) -> np.ndarray | None:
    """Return the probability of every class, `example class`; None for scores, which are none.

    Probabilities are cut to [0, 1] and divided by their sum, so that independent sigmoids (one class against
    the rest) and least squares on 0 and 1 give rows that sum to 1, too.
    """
    columns = class_columns(np.asarray(outputs), meaning)
    if meaning == SCORES:
        return None
    if meaning == PROBABILITIES:
        shares = np.clip(columns, 0.0, 1.0)
        total = shares.sum(axis=-1, keepdims=True)
        return np.where(total > 0, shares / np.where(total > 0, total, 1), 1 / columns.shape[-1])
    shifted = np.exp(columns - columns.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def as_logits(outputs: Array, meaning: str) -> Array:
    """Return several outputs as logits, for a rule that takes logits; scores are returned unchanged."""
    if meaning == THRESHOLDS:
        return ordered_log_probabilities(outputs)
    if meaning != PROBABILITIES:
        return outputs
    return jnp.log(jnp.maximum(outputs, jnp.finfo(outputs.dtype).tiny))


def ordered_log_probabilities(outputs: Any) -> Any:
    """Return the log-probabilities of K ordered classes under a cumulative link model, `example ... class`.

    With the logistic function s, `P(class <= k) = s(t_k)`, where the thresholds rise:
    `t_1 = z_1, t_(k+1) = t_k + softplus(z_(k+1))`. So `P(class = k) = s(t_k) - s(t_(k-1))`, computed as
    `s(t_k) s(-t_(k-1)) (1 - exp(t_(k-1) - t_k))`, which loses nothing where both are near 0 or 1.

    Args:
        outputs: NumPy's or JAX's, z, `example ... K-1`.

    Reference: McCullagh, Regression Models for Ordinal Data, 1980.
    """
    arrays = outputs.__array_namespace__()
    gaps = _softplus(arrays, outputs[..., 1:])
    cuts = arrays.concat([outputs[..., :1], gaps], axis=-1).cumsum(axis=-1)
    below, above = -_softplus(arrays, -cuts), -_softplus(arrays, cuts)  # log s(t), log s(-t)
    # A gap that underflows leaves a class without probability: its logarithm stays finite.
    widths = arrays.log(-arrays.expm1(-arrays.maximum(gaps, arrays.finfo(outputs.dtype).tiny)))
    between = below[..., 1:] + above[..., :-1] + widths
    return arrays.concat([below[..., :1], between, above[..., -1:]], axis=-1)


def _softplus(arrays: Any, z: Any) -> Any:
    return arrays.maximum(z, 0) + arrays.log1p(arrays.exp(-arrays.abs(z)))


def quantile_levels(meaning: str) -> tuple[float, ...]:
    """Return the levels of outputs that are quantiles, ascending; empty for other outputs."""
    name, _, levels = meaning.partition(":")
    return tuple(float(level) for level in levels.split(",")) if name == QUANTILES and levels else ()


def quantiles_meaning(levels: Iterable[float]) -> str:
    """Return the meaning of outputs that are quantiles of these levels."""
    return f"{QUANTILES}:{','.join(f'{level:g}' for level in levels)}"


def middle(levels: Sequence[float]) -> int:
    """Return the index of the level nearest to 1/2, whose quantile is the point prediction."""
    return min(range(len(levels)), key=lambda i: (abs(levels[i] - 0.5), i))


def values_of(outputs: Any, meaning: str) -> Any:
    """Return the outputs of a regression as values in the unit of prepared targets, `example ...`.

    Rates are exponentials. Quantiles are sorted, so that none lies above one of a higher level.

    Reference: Chernozhukov, Fernandez-Val & Galichon, Quantile and Probability Curves Without Crossing, 2010.
    """
    if meaning == LOG_RATES:
        return outputs.__array_namespace__().exp(outputs)
    return outputs.__array_namespace__().sort(outputs, axis=-1) if quantile_levels(meaning) else outputs


def point_values(outputs: Any, meaning: str) -> Any:
    """Return one prediction for each target: values as they are, of quantiles the middle one."""
    values, levels = values_of(outputs, meaning), quantile_levels(meaning)
    at = middle(levels) if levels else 0
    return values[..., at : at + 1] if levels else values


def log_probabilities(outputs: Array, meaning: str) -> Array:
    """Return the log-probability of every class, `example ... class`; for several outputs of a class too."""
    columns = class_columns(outputs, meaning)
    return jax.nn.log_softmax(columns if meaning == THRESHOLDS else as_logits(columns, meaning), axis=-1)


def boundary(meaning: str) -> float:
    """Return the single output above which the second of two classes is predicted."""
    return {PROBABILITIES: 0.5, LOG_PROBABILITIES: float(np.log(0.5))}.get(meaning, 0.0)


def softmax_like(outputs: Any) -> bool:
    """Return whether every row is a distribution: in [0, 1], and summing to 1 over two or more classes."""
    values = np.asarray(outputs, np.float64)
    if values.ndim < 2 or values.shape[-1] < 2 or not values.size:
        return False
    inside = bool((values >= 0).all() and (values <= 1).all())
    # Softmax in float32 over 1e5 classes sums to 1 within 1e-4; logits of a whole batch do so only by design.
    return inside and bool(np.allclose(values.sum(axis=-1), 1.0, rtol=0, atol=1e-4))


def log_softmax_like(outputs: Any) -> bool:
    """Return whether the exponentials of every row sum to 1 over two or more classes."""
    values = np.asarray(outputs, np.float64)
    if values.ndim < 2 or values.shape[-1] < 2 or not values.size:
        return False
    return bool(np.allclose(np.asarray(jax.nn.logsumexp(values, axis=-1)), 0.0, rtol=0, atol=1e-3))
