"""What people read off a range test's curve: one rate each, from the same losses.

Fastai's readings are made for its own test, 100 updates from 1e-7 to 10, 0.08 decades apart, on a loss
smoothed with a decay of 0.98 an update. Their numbers are kept here per decade, so that they mean the same on
a curve whose rates are further apart.

Reference: fastai's callback/schedule.py (valley, slide, minimum), after Smith, Cyclical Learning Rates for
Training Neural Networks, 2017; the steepest descent of the raw loss is the textbooks' reading.
"""

import math

import numpy as np
from jaxtyping import Float

Curve = Float[np.ndarray, " update"]

FASTAI_DECADES, FASTAI_DECAY = 0.08, 0.98  # between two updates of fastai's test, and its smoothing
# Slide compares slopes 15 updates apart and stops where they differ by less than 0.005 an update.
SLIDE_DECADES, SLIDE_SLOPE = 15 * FASTAI_DECADES, 0.005 / FASTAI_DECADES
EXPLODED = 4.0  # times the lowest loss: where fastai's test stops
TRIMMED = 0.1  # of the curve's beginning that is not read: the smoothing has seen too little


def smoothed(losses: Curve, factor: float) -> Curve:
    """Return the exponential average of the losses, freed from the bias of its start at zero.

    Args:
        losses: Of each update.
        factor: Of each rate over the one before.
    """
    decay = FASTAI_DECAY ** (math.log10(factor) / FASTAI_DECADES)
    mean, found = 0.0, np.empty_like(losses)
    for update, loss in enumerate(losses):
        mean = decay * mean + (1 - decay) * loss
        found[update] = mean / (1 - decay ** (update + 1))
    return found


def trimmed(rates: Curve, losses: Curve) -> tuple[Curve, Curve]:
    """Return the curve without its beginning and without its exploded end."""
    end = len(losses) - (explosion(rates, losses) is not None or not np.isfinite(losses[-1]))
    first = int(TRIMMED * len(losses))
    return rates[first:end], losses[first:end]


def steepest(rates: Curve, losses: Curve) -> float | None:
    """Return the rate from which the loss falls fastest to the next, over the logarithm of the rate."""
    known = np.isfinite(losses)
    rates, losses = rates[known], losses[known]
    if len(losses) < 2:
        return None
    slopes = np.diff(losses) / np.diff(np.log(rates))
    return float(rates[int(np.argmin(slopes))]) if slopes.min() < 0 else None


def valley(rates: Curve, losses: Curve) -> float | None:
    """Return the rate in the middle of the longest valley: of the longest subsequence of falling losses.

    As fastai has it: its last place is where it ends, its first is as many places before as it has members,
    and the rate is that halfway through the three thirds between.
    """
    ends = _falling(losses)
    if not ends or max(ends) < 2:
        return None
    last = int(np.argmax(ends))
    third = int(ends[last] / 3)
    return float(rates[max(last - ends[last] + third + third // 2, 0)])


def minimum(rates: Curve, losses: Curve) -> float | None:
    """Return a tenth of the rate at which the loss is lowest."""
    return float(rates[int(np.argmin(losses))]) / 10 if len(losses) else None


def slide(rates: Curve, losses: Curve) -> float | None:
    """Return the rate at which the loss is falling as it does a decade further on, seen from the right end.

    A window of about a decade slides from the right end to the left, while the slopes at its ends differ; the
    rate at its left end is the answer.
    """
    if len(losses) < 3:
        return None
    decades = np.log10(rates)
    apart = max(1, round(SLIDE_DECADES / float(decades[1] - decades[0])))
    slopes = np.gradient(losses, decades)
    places = range(len(losses) - 1 - apart, -1, -1)
    found = None
    for left in places:
        if abs(slopes[left + apart] - slopes[left]) <= SLIDE_SLOPE:
            break
        found = left
    if not places:
        return None
    return float(rates[places[0] if found is None else found])


def explosion(rates: Curve, losses: Curve) -> float | None:
    """Return the first rate whose loss is not finite, or `EXPLODED` times the lowest before it."""
    lowest = math.inf
    for rate, loss in zip(rates, losses, strict=True):
        if not math.isfinite(loss) or (lowest > 0 and loss > EXPLODED * lowest):
            return float(rate)
        lowest = min(lowest, float(loss))
    return None


def _falling(losses: Curve) -> list[int]:
    """Return the length of the longest falling subsequence that ends at each place."""
    lengths: list[int] = []
    for place, loss in enumerate(losses):
        before = [length for length, other in zip(lengths, losses[:place], strict=True) if other > loss]
        lengths.append(1 + max(before, default=0))
    return lengths
