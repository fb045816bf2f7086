"""What outputs mean where only a user's own loss says it: read off the loss and the model by trying them.

The loss is tried on a grid of outputs. For two classes that share one output it is lowest at 0 and 1 where
the output is a probability, towards minus and plus infinity where it is a logit, and at -1 and 1 or beyond
where it is a margin. With one output for each class, a loss that applies softmax does not change when a
constant is added to all outputs. The model is tried on real examples with its own, changed and enlarged
weights: outputs that then still lie in [0, 1] are probabilities. Where the two contradict each other, or
neither can be read, the user is asked.

Outputs are also tried for the classes they stand for: a loss that falls where the output rises for the first
class, or that is written for the classes in another order, would make every prediction wrong, and is refused.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from thalweg.core.caller import option
from thalweg.core.compiler import jit
from thalweg.core.errors import ModelError
from thalweg.problem.losses.loss import Loss
from thalweg.problem.losses.outputs import (
    LOG_PROBABILITIES,
    LOGITS,
    PROBABILITIES,
    SCORES,
    log_softmax_like,
    softmax_like,
)

# Outputs at which a loss is tried. Steps of 1/20 meet 0, 1/2 and 1; a logistic loss is 2e-9 at 20.
GRID = np.arange(-400, 401) / 20
# Relative difference below which two losses are equal: some units in the last place of float32.
EQUAL = 1e-6
# A minimum within this distance of 0 or 1 is meant for that (label smoothing moves it by up to a quarter).
NEAR = 0.25
# A margin's loss is lowest from 1 on; that of a logit is still falling at 1.5.
MARGIN = 1.5

# Between these outputs a loss must fall for the class of the output: of a bounded model, and of others.
BOUNDED, UNBOUNDED = (0.05, 0.95), (-2.0, 2.0)
# The share of the largest output of a distribution that shows which class it is for.
PEAK = 0.9
# Classes that are tried, of many: each needs rows as long as there are classes.
TRIED_CLASSES = 64

# Random outputs that show whether adding a constant to all of them changes a loss, and that constant.
SPREAD, SHIFT = 64, 3.0

# What a model's outputs always are, whatever its weights.
DISTRIBUTION, LOGARITHMS, UNIT, FREE = "distribution", "logarithms", "unit", "free"


def range_of(outputs: Iterable[Any], activation: str | None) -> str:
    """Return what a model's outputs always are.

    Args:
        outputs: Of several sets of weights, each `example ...`.
        activation: The last function of the model, where it is known: `softmax` or `sigmoid`.
    """
    if activation is not None:
        return DISTRIBUTION if activation == "softmax" else UNIT
    tried = [np.asarray(values, np.float64) for values in outputs]
    tried = [values for values in tried if values.size and np.isfinite(values).all()]
    if not tried:
        return FREE
    if all(map(softmax_like, tried)):
        return DISTRIBUTION
    if all(map(log_softmax_like, tried)):
        return LOGARITHMS
    # Constant outputs, as of a last layer of zeros, show nothing.
    varied = any(np.ptp(values) > 0 for values in tried)
    return UNIT if varied and all((v >= 0).all() and (v <= 1).all() for v in tried) else FREE


def settle(
    loss: Loss, shape: tuple[int, ...], classes: int, model_range: str, declared: str | None = None
) -> str:
    """Return what the outputs of a classifier mean under a user's own loss: a key of `outputs.MEANINGS`.

    Args:
        loss: The loss, without sample weights.
        shape: Of the outputs for one example: `()` or `(1,)` for a single output, else `(classes,)`.
        classes: Number of classes.
        model_range: From `range_of`.
        declared: What the user says they mean; then only the order of the classes is tried.

    Raises:
        ModelError: It cannot be known; the message asks. Or the loss is written for the classes in another
            order than the outputs have.
    """
    single = shape in ((), (1,))
    bounded = declared == PROBABILITIES or model_range in (UNIT, DISTRIBUTION)
    logarithms = declared == LOG_PROBABILITIES or model_range == LOGARITHMS
    by_loss = _single(loss, shape, bounded) if single else _several(loss, classes, logarithms)
    return declared or _meaning(by_loss, model_range, single)


def settle_labels(loss: Loss, shape: tuple[int, ...], model_range: str, declared: str | None = None) -> str:
    """Return what the outputs mean where each is that of one of several labels; see `settle`.

    Raises:
        ModelError: As from `settle`.
    """
    bounded = declared == PROBABILITIES or model_range in (UNIT, DISTRIBUTION)
    by_loss = _single(loss, shape, bounded, np.ones(shape))
    (low, high), own = BOUNDED if bounded else UNBOUNDED, _tried_classes(shape[-1])
    one_hot = np.eye(shape[-1])[own]
    outputs = low + (high - low) * np.tile(one_hot, (own.size, 1))
    losses = _losses(loss, outputs, np.repeat(one_hot, own.size, axis=0))
    _reject_other_order(losses.reshape(own.size, own.size), own)
    return declared or _meaning(by_loss, model_range, single=True)


def _meaning(by_loss: str | None, model_range: str, single: bool) -> str:
    """Return the meaning that the loss and the model agree on.

    Raises:
        ModelError: They contradict each other, or neither shows it.
    """
    bounded = model_range in (UNIT, DISTRIBUTION)
    if bounded and (by_loss == LOGITS or (single and by_loss == SCORES)):
        read = "as logits" if by_loss == LOGITS else "by their sign or their distance"
        got = f"a model whose outputs are probabilities, and a loss that reads them {read}"
        raise _question(got, "head_double_activation")
    if bounded:
        return PROBABILITIES
    if model_range == LOGARITHMS:
        return LOG_PROBABILITIES
    if by_loss is None:
        raise _question("outputs of any sign, and a loss that does not show it", "loss_mismatch")
    return by_loss


def _question(got: str, cause: str) -> ModelError:
    choices = (LOGITS, PROBABILITIES, LOG_PROBABILITIES, SCORES)
    return ModelError(
        "problem",
        "what the model's outputs mean must be known for the metric and for predictions",
        got=got,
        hint=f"say it in Problem(...): {', '.join(option('outputs', each) for each in choices)}; "
        "a single output is that of the second class",
        cause=cause,
    )


def _single(loss: Loss, shape: tuple[int, ...], bounded: bool, label: np.ndarray | int = 1) -> str | None:
    """Return what a single output means to a loss; None if that cannot be read off it.

    Args:
        loss, shape: As in `settle`; all outputs of several labels are the same.
        bounded: Whether the outputs lie in [0, 1].
        label: The target of the second class: 1, or ones for several labels.

    Raises:
        ModelError: The output is that of the first class.
    """
    outputs = np.broadcast_to(GRID.reshape(-1, *[1] * len(shape)), (GRID.size, *shape))
    second = np.broadcast_to(label, (GRID.size, *np.shape(label)))
    both = _losses(loss, np.concatenate([outputs, outputs]), np.concatenate([0 * second, second]))
    of_first, of_second = np.split(both, 2)
    _reject_first_class(of_first, of_second, bounded)
    first_exists, second_exists = np.isfinite(of_first), np.isfinite(of_second)
    if not first_exists[GRID > 1.01].any() and not second_exists[GRID < -0.01].any():
        return PROBABILITIES  # -log(1 - p) exists below 1 only, -log(p) above 0
    if second_exists.all() and not first_exists[GRID > 0].any() and first_exists[GRID < 0].any():
        return LOG_PROBABILITIES  # log(1 - exp(o)) exists below 0 only
    low, high = _minima(of_first), _minima(of_second)
    if low is None or high is None:
        return None
    first, second = GRID[low].max(), GRID[high].min()  # the ends that face each other
    if -NEAR <= first < 0.5 < second <= 1 + NEAR:
        return PROBABILITIES
    if first < -NEAR and second > NEAR:
        return LOGITS if first <= -MARGIN and second >= MARGIN else SCORES
    return None


def _reject_first_class(of_first: np.ndarray, of_second: np.ndarray, bounded: bool) -> None:
    """Reject a loss that speaks more for the second class the lower the output is.

    What a loss says for the second class is its value for the first less that for the second: weights of the
    classes, smoothing and terms that do not depend on the target leave its direction as it is.

    Raises:
        ModelError: It does.
    """
    low, high = BOUNDED if bounded else UNBOUNDED
    within = np.clip(GRID, low, high) == GRID
    evidence = (of_first - of_second)[within & np.isfinite(of_first) & np.isfinite(of_second)]
    if evidence.size < 2 or evidence[-1] - evidence[0] >= -EQUAL * max(1.0, np.abs(evidence).max()):
        return
    raise ModelError(
        "problem",
        "a single output must be that of the second class: the loss of targets 1 falls as it rises",
        got="a loss of targets 1 that falls as the output falls, so that every prediction would be wrong",
        hint="turn the targets round in the loss (1 - y for y), or the output in the model (1 - p for a "
        "probability p, -z for a logit or score z)",
        cause="lr_sign",
    )


def _several(loss: Loss, classes: int, logarithms: bool) -> str | None:
    """Return what one output for each class means to a loss; None if the largest is not the best.

    Raises:
        ModelError: The outputs are those of the classes in another order.
    """
    own = _tried_classes(classes)
    random, one_hot, heights = np.random.default_rng(0), np.eye(classes)[own], GRID[GRID >= 0][::4]
    spread, spread_labels = random.normal(0, 2, (SPREAD, classes)), np.arange(SPREAD) % classes
    peaks = (1 - one_hot) * (1 - PEAK) / max(classes - 1, 1) + one_hot * PEAK
    peaks = np.log(peaks) if logarithms else peaks
    tried = {
        "plain": (spread, spread_labels),
        "shifted": (spread + SHIFT, spread_labels),
        "up": ((heights[:, None, None] * one_hot).reshape(-1, classes), np.tile(own, heights.size)),
        "wrong": (one_hot, np.roll(own, 1)),
        "signed": (2 * one_hot - 1, own),
        "peaks": (np.tile(peaks, (own.size, 1)), np.repeat(own, own.size)),
    }
    rows, labels = (np.concatenate(parts) for parts in zip(*tried.values(), strict=True))
    ends = np.cumsum([len(part[1]) for part in tried.values()])[:-1]
    losses = _losses(loss, rows, labels)  # at once: each call is compiled
    plain, shifted, up, wrong, signed, of_peaks = np.split(losses, ends)
    _reject_other_order(of_peaks.reshape(own.size, own.size), own)
    up = up.reshape(heights.size, own.size).mean(axis=1)
    at, at_one = _minima(up), up[heights == 1].item()
    if at is None or np.isnan(wrong.mean()) or wrong.mean() <= at_one:
        return None
    near_one = 0.5 < heights[at].min() <= 1 + NEAR
    known = np.isfinite(plain) & np.isfinite(shifted)
    if known.any() and np.allclose(plain[known], shifted[known], rtol=1e-4, atol=1e-4):
        return SCORES if near_one else LOGITS
    return PROBABILITIES if near_one and at_one < signed.mean() else SCORES


def _tried_classes(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, TRIED_CLASSES)).astype(int))


def _reject_other_order(losses: np.ndarray, classes: np.ndarray) -> None:
    """Reject a loss under which each class is served by the output of one class, but not by its own.

    Args:
        losses: `class output`: for targets of a class, where an output is the largest.
        classes: Their numbers.

    Raises:
        ModelError: It is.
    """
    minima = [_minima(row) for row in losses]
    best = [at.item() for at in minima if at is not None and at.size == 1]
    wrong = [i for i, output in enumerate(best) if i != output]
    if len(set(best)) < len(losses) or not wrong:
        return
    label, output = classes[wrong[0]], classes[best[wrong[0]]]
    raise ModelError(
        "problem",
        "the outputs of a model must be in the order of the classes: the loss of a class is lowest where its "
        "own output is the largest",
        got=f"a loss that for targets {label} is lowest where output {output} is the largest, so that "
        "predictions would be wrong",
        hint="use the targets as they are in the loss, or reorder the outputs at the end of the model",
        # With two classes, a loss of the wrong sign looks the same.
        cause="lr_sign" if len(classes) == 2 else "label_encoding_wrong",
    )


def _losses(loss: Loss, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the loss of each example on its own, so that no example depends on the others."""

    @jit
    def each(outputs: Any, labels: Any) -> Any:
        return jax.vmap(lambda output, label: loss(output[None], label[None])[0])(outputs, labels)

    kind = jnp.float32 if labels.dtype.kind == "f" else jnp.int32  # several labels are 0.0 and 1.0
    return np.asarray(each(jnp.asarray(outputs, jnp.float32), jnp.asarray(labels, kind)), np.float64)


def _minima(losses: np.ndarray) -> np.ndarray | None:
    """Return the positions of the lowest finite losses; None where all are equal or none is finite."""
    finite = np.isfinite(losses)
    if finite.sum() < 2:
        return None
    low, high = losses[finite].min(), losses[finite].max()
    near = EQUAL * max(1.0, abs(low))
    return None if high - low <= near else np.flatnonzero(finite & (losses <= low + near))
