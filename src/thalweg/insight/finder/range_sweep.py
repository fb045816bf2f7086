"""The learning-rate range test: the rate grows with every update of one run, and a rate is read off.

This is the textbook's test: from 1e-8, doubled after each batch; one run, one seed, no schedule, until the
loss explodes. It serves illustration and comparison; use `find_lr` to find a rate. Each way of reading
the curve is a different heuristic, and they disagree by decades.

Fastai's readings are designed for its own test: 100 updates from 1e-7 to 10, 0.08 decades apart, on a loss
smoothed with a decay of 0.98 per update. Their constants are converted to decades here, so that they mean the
same on a curve with other distances between its rates.

Reference: Smith, Cyclical Learning Rates for Training Neural Networks, 2017 (the test); Howard & Gugger,
fastai: A Layered API for Deep Learning, 2020, and fastai's callback/schedule.py (`valley`, `slide`,
`minimum`). The steepest descent of the raw loss is the textbooks' reading.
"""

import dataclasses
import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from thalweg.core.arguments import checked
from thalweg.core.errors import RecipeError
from thalweg.engine.dispatch import ChunkLength, next_chunk
from thalweg.engine.group import init_group, length
from thalweg.engine.program import numbers
from thalweg.engine.state import RUNNING
from thalweg.insight.finder.finding import Cost
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe, check_rate_can_be_searched, with_rate
from thalweg.run.validate import check_recipe

Updates = Float[np.ndarray, " update"]

# The textbook's: from 1e-8, doubled after each batch.
START, FACTOR, END = 1e-8, 2.0, 10.0
FASTAI_DECADES, FASTAI_DECAY = 0.08, 0.98  # between two updates of fastai's test, and its smoothing
# `slide` compares slopes 15 updates apart and stops where they differ by less than 0.005 per update.
SLIDE_DECADES, SLIDE_SLOPE = 15 * FASTAI_DECADES, 0.005 / FASTAI_DECADES
EXPLODED = 4.0  # times the lowest loss: where fastai's test stops
TRIMMED = 0.1  # share of the curve's beginning that is not read: too few values to smooth


@dataclass(frozen=True)
class RangeTest:
    """The curve of a range test, and the rates read off it; None where the curve does not show one.

    Args:
        curve: One row per update: `step`, `rate`, `loss` (of the batch, before the update), `smooth`.
        steepest: Where the raw loss falls fastest over the logarithm of the rate: the textbook's reading.
        valley: In the middle of the longest fall: fastai's default.
        minimum: A tenth of the rate with the lowest smooth loss: fastai's `minimum`.
        slide: Left of the explosion, as far as the slope does not change: fastai's `slide`.
        explosion: Where the raw loss exceeds four times its minimum, or is not finite.
        cost: The cost of the test.
    """

    curve: pl.DataFrame
    steepest: float | None
    valley: float | None
    minimum: float | None
    slide: float | None
    explosion: float | None
    cost: Cost

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the curve becomes a list of rows."""
        names = ("steepest", "valley", "minimum", "slide", "explosion")
        readings = {name: getattr(self, name) for name in names}
        return readings | {"curve": self.curve.to_dicts(), "cost": asdict(self.cost)}


@checked(RecipeError)
def range_test(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    start: float = START,
    factor: float = FACTOR,
    end: float = END,
) -> RangeTest:
    """Run the range test: update t has the rate `start factor^t`, until `end` or until the loss explodes.

    Args:
        problem: What to learn.
        recipe: How to train, without its schedule. None for the default of the data.
        start: First rate, above 0.
        factor: Ratio of consecutive rates, above 1.
        end: Last rate.

    Returns:
        The curve and its readings.

    Raises:
        RecipeError: Invalid numbers, or an optimizer without a learning rate.

    Example:
        >>> test = tw.range_test(tw.Problem(None, "digits"))
        >>> test.steepest, test.explosion
    """
    started = time.perf_counter()
    base = recipe or default_recipe(problem.data.task, problem.data.train.count())
    check_rate_can_be_searched(base)
    check_recipe(problem, base)
    _check(start, factor, end)
    updates = math.floor(math.log(end / start) / math.log(factor) + 1e-9) + 1
    rates = start * factor ** np.arange(updates)
    losses = _losses(problem, base, rates)
    rates = rates[: len(losses)]
    smooth = smoothed(losses, factor)
    curve = pl.DataFrame({"step": np.arange(len(losses)), "rate": rates, "loss": losses, "smooth": smooth})
    cost = Cost(len(losses), length(problem, base), time.perf_counter() - started)
    trim = trimmed(rates, smooth)
    return RangeTest(
        curve=curve,
        steepest=steepest(rates, losses),
        valley=valley(*trim),
        minimum=minimum(*trim),
        slide=slide(*trim),
        explosion=explosion(rates, losses),
        cost=cost,
    )


def smoothed(losses: Updates, factor: float) -> Updates:
    """Return the exponential moving average of the losses, corrected for the bias of its start at zero.

    Args:
        losses: Of each update.
        factor: Ratio of consecutive rates.
    """
    decay = FASTAI_DECAY ** (math.log10(factor) / FASTAI_DECADES)
    mean, result = 0.0, np.empty_like(losses)
    for update, loss in enumerate(losses):
        mean = decay * mean + (1 - decay) * loss
        result[update] = mean / (1 - decay ** (update + 1))
    return result


def trimmed(rates: Updates, losses: Updates) -> tuple[Updates, Updates]:
    """Return the curve without its beginning and without its exploded end."""
    end = len(losses) - (explosion(rates, losses) is not None or not np.isfinite(losses[-1]))
    first = int(TRIMMED * len(losses))
    return rates[first:end], losses[first:end]


def steepest(rates: Updates, losses: Updates) -> float | None:
    """Return the rate after which the loss falls fastest, over the logarithm of the rate."""
    finite = np.isfinite(losses)
    rates, losses = rates[finite], losses[finite]
    if len(losses) < 2:
        return None
    slopes = np.diff(losses) / np.diff(np.log(rates))
    return float(rates[int(np.argmin(slopes))]) if slopes.min() < 0 else None


def valley(rates: Updates, losses: Updates) -> float | None:
    """Return the rate in the middle of the longest valley: the longest subsequence of falling losses.

    As in fastai: the valley ends at its last member, starts as many updates before as it has members, and the
    rate is in the middle of its middle third.
    """
    lengths = _falling(losses)
    if not lengths or max(lengths) < 2:
        return None
    last = int(np.argmax(lengths))
    third = int(lengths[last] / 3)
    return float(rates[max(last - lengths[last] + third + third // 2, 0)])


def minimum(rates: Updates, losses: Updates) -> float | None:
    """Return a tenth of the rate with the lowest loss."""
    return float(rates[int(np.argmin(losses))]) / 10 if len(losses) else None


def slide(rates: Updates, losses: Updates) -> float | None:
    """Return the rate at the left end of a window that slides left from the right end of the curve.

    The window is about a decade wide, and slides while the slopes at its two ends differ.
    """
    if len(losses) < 3:
        return None
    decades = np.log10(rates)
    width = max(1, round(SLIDE_DECADES / float(decades[1] - decades[0])))
    slopes = np.gradient(losses, decades)
    lefts = range(len(losses) - 1 - width, -1, -1)
    reached = None
    for left in lefts:
        if abs(slopes[left + width] - slopes[left]) <= SLIDE_SLOPE:
            break
        reached = left
    if not lefts:
        return None
    return float(rates[lefts[0] if reached is None else reached])


def explosion(rates: Updates, losses: Updates) -> float | None:
    """Return the first rate whose loss is not finite, or `EXPLODED` times the lowest before it."""
    lowest = math.inf
    for rate, loss in zip(rates, losses, strict=True):
        if not math.isfinite(loss) or (lowest > 0 and loss > EXPLODED * lowest):
            return float(rate)
        lowest = min(lowest, float(loss))
    return None


def _falling(losses: Updates) -> list[int]:
    """Return the length of the longest falling subsequence that ends at each update."""
    lengths: list[int] = []
    for update, loss in enumerate(losses):
        before = [length for length, other in zip(lengths, losses[:update], strict=True) if other > loss]
        lengths.append(1 + max(before, default=0))
    return lengths


def _losses(problem: Problem, base: Recipe, rates: Updates) -> np.ndarray:
    """Return the loss of each batch before its update, up to the explosion; infinite where not finite.

    The rate is an input of the compiled program, so a new one at every update compiles nothing.
    """
    plain = Recipe.from_dict(base.to_dict() | {"schedule": "constant"})
    recipe = with_rate(plain.shortened(len(rates), length(problem, base)), float(rates[0]))
    group, states = init_group(problem, [recipe])
    losses: list[float] = []
    for step, rate in enumerate(rates):
        inputs = dataclasses.replace(group.inputs, numbers=numbers([with_rate(recipe, float(rate))]))
        result = next_chunk(dataclasses.replace(group, inputs=inputs), states, step, step + 1, ChunkLength(1))
        loss = float(result.chunk.info.loss[0, 0])
        losses.append(loss if math.isfinite(loss) else math.inf)
        states = result.states
        if losses[-1] > EXPLODED * min(losses) and min(losses) > 0:
            break
        if int(states.code[0]) != RUNNING:
            break
    return np.array(losses)


def _check(start: float, factor: float, end: float) -> None:
    for name, value in {"start": start, "factor": factor, "end": end}.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise RecipeError("range_test", f"{name} must be a finite number", got=value, hint="try 1e-5")
    if not 0 < start < end:
        got, hint = f"{start} and {end}", "for example start=1e-6, end=10.0"
        raise RecipeError("range_test", "start must be above 0 and below end", got=got, hint=hint)
    if not factor > 1:
        raise RecipeError("range_test", "factor must be above 1: the rate grows", got=factor, hint="try 2")
