"""Single things worth saying about a run, each with its figures; None where the record does not show them."""

from dataclasses import dataclass

import numpy as np

from thalweg.insight.answers import confusion
from thalweg.insight.curves import Curve, evaluated, per_step, smooth, smoothing_window
from thalweg.insight.layers import layer_history
from thalweg.insight.outcome import Outcome
from thalweg.insight.wording import as_number, clipped, count, figure, listing, percent, plural, setting
from thalweg.run.folder.record import Record

# A trend needs this many evaluations on its side of the lowest one before it is called one.
TREND = 2


@dataclass(frozen=True)
class Statement:
    """One sentence or two.

    Args:
        kind: Short name: `metric`, `stopped`, `divergence`, `best`, `trend`, `gap`, `classes`, `layers`,
            `clipping`.
        text: With the figures it rests on.
        level: `good`, `unclear` or `bad`.
    """

    kind: str
    text: str
    level: str = "good"


def validation_trend(record: Record, found: Outcome) -> Statement | None:
    """Say whether the validation loss was still falling at the end, or rising again after its lowest."""
    curve = evaluated(record, "validation", "loss").finite
    if len(curve) <= TREND or found.diverged:
        return None
    lowest = int(np.argmin(curve.value))
    after = len(curve) - 1 - lowest
    if lowest == len(curve) - 1:
        before, last = curve.value[-2], curve.value[-1]
        fall = percent((before - last) / abs(before)) if before else figure(before - last)
        return Statement(
            "trend", f"The validation loss was still falling at the end: {fall} at the last evaluation."
        )
    if after < TREND or curve.value[-1] <= curve.value[lowest]:
        return None
    return Statement("trend", _risen(record, curve, lowest), "unclear")


def _risen(record: Record, curve: Curve, lowest: int) -> str:
    low, last = curve.value[lowest], curve.value[-1]
    share = f" ({percent((last - low) / low)} more)" if low > 0 else ""
    text = f"After its lowest the validation loss rose from {figure(low)} to {figure(last)}{share}"
    losses = per_step(record, "loss")
    means = smooth(losses, smoothing_window(len(losses)))
    at = int(np.searchsorted(means.step, curve.step[lowest]))
    if at < len(means) and means.value[-1] < means.value[at]:
        text += f" while the training loss went from {figure(means.value[at])} to {figure(means.value[-1])}"
    return text + "."


def last_losses(record: Record, found: Outcome) -> Statement | None:
    """Say how the loss moved before a run diverged, and at which learning rate."""
    losses = per_step(record, "loss").finite
    if not found.diverged or not len(losses):
        return None
    low = int(np.argmin(losses.value))
    text = f"The last finite loss was {figure(losses.value[-1])} (step {count(losses.step[-1])})"
    if low < len(losses) - 1:
        text += f", the lowest {figure(losses.value[low])} (step {count(losses.step[low])})"
    rates = per_step(record, "learning_rate")
    at = np.searchsorted(rates.step, losses.step[-1])
    rate = f"; the learning rate there was {figure(rates.value[at])}" if at < len(rates) else ""
    return Statement("divergence", f"{text}{rate}.", "bad")


def train_and_test(found: Outcome) -> Statement | None:
    """Put the losses on the training and the test part side by side."""
    if found.train_loss is None or found.test_loss is None or found.train_loss <= 0:
        return None
    ratio = found.test_loss / found.train_loss
    words = (
        f"Loss on the test part {figure(found.test_loss)}, on the training part {figure(found.train_loss)}"
    )
    if not np.isfinite(ratio):
        return Statement("gap", words + ".", "bad")
    times = f" ({figure(ratio, 2)} times as much)" if ratio >= 1.1 else ""
    return Statement("gap", words + times + ".", "good" if ratio < 2 else "unclear")


def classes_missed(record: Record) -> Statement | None:
    """Name the class that is found least often, and classes that are never answered."""
    counted = confusion(record)
    if counted is None or np.isnan(counted.recall).all() or len(counted.classes) < 2:
        return None
    unanswered = (counted.counts.sum(axis=0) == 0) & (counted.totals > 0)
    never = [clipped(counted.classes[index], 40) for index in np.flatnonzero(unanswered)]
    if never:
        verb = "is" if len(never) == 1 else "are"
        return Statement("classes", f"{listing(never)} {verb} never answered on the test part.", "bad")
    worst = int(np.nanargmin(counted.recall))
    share, of = percent(counted.recall[worst]), plural(counted.totals[worst], "test example")
    text = f"Of the classes, {clipped(counted.classes[worst], 40)} is found least often: {share} of its {of}."
    return Statement("classes", text, "good" if counted.recall[worst] >= 0.5 else "unclear")


def layers_unmoved(record: Record) -> Statement | None:
    """Name parameters that no recorded update changed."""
    history = layer_history(record)
    still = history.unmoved if history is not None else []
    if not still:
        return None
    return Statement("layers", f"No recorded update changed {listing(still)}.", "unclear")


def clipping(record: Record) -> Statement | None:
    """Say how often the gradient was longer than `clip_norm`, of the steps whose norm was recorded."""
    limit = as_number(record.recipe.get("clip_norm"))
    norms = per_step(record, "gradient_norm").finite.value
    if limit is None or not len(norms):
        return None
    share = float((norms > limit).mean())
    text = (
        f"The gradient was longer than clip_norm {setting(limit)} in {percent(share)} of the "
        f"{count(len(norms))} steps whose norm is recorded."
    )
    return Statement("clipping", text)
