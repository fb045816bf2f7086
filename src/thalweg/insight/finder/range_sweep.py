"""The learning-rate range test: the rate grows with every update of one run, and a curve is read.

As the textbook has it: from 1e-8 on, doubled after each batch, one run, one seed, no schedule, until the loss
explodes. It is here exact, to be looked at and to be compared with; `find_lr` is what to use. Every way of
reading the curve is a guess of its own, and they differ by decades.

Reference: Smith, Cyclical Learning Rates for Training Neural Networks, 2017 (the test); Howard & Gugger,
fastai: A Layered API for Deep Learning, 2020, and fastai's callback/schedule.py (its readings).
"""

import dataclasses
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from thalweg.core.errors import RecipeError
from thalweg.engine.dispatch import ChunkLength, next_chunk
from thalweg.engine.group import init_group, length
from thalweg.engine.program import numbers
from thalweg.engine.state import RUNNING
from thalweg.insight.finder import readings
from thalweg.insight.finder.finding import Cost
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.rate import rate_path, with_rate
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.shortened import shortened
from thalweg.run.validate import check_recipe

# The textbook's: from 1e-8, doubled after each batch.
START, FACTOR, END = 1e-8, 2.0, 10.0


@dataclass(frozen=True)
class RangeTest:
    """A range test's curve, and what people read off it. A reading is None where the curve does not show it.

    Args:
        curve: A row for each update: `step`, `rate`, `loss` (of the batch, before the update), `smooth`.
        steepest: Where the raw loss falls fastest over the logarithm of the rate: the textbook's reading.
        valley: In the middle of the longest fall: fastai's default.
        minimum: A tenth of the rate at which the smooth loss is lowest: fastai's `minimum`.
        slide: Before the loss shoots up, as far left as the slope has not changed: fastai's `slide`.
        explosion: Where the raw loss exceeds four times its lowest, or is not finite.
        cost: What it took.
    """

    curve: pl.DataFrame
    steepest: float | None
    valley: float | None
    minimum: float | None
    slide: float | None
    explosion: float | None
    cost: Cost

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them; the curve as a list of rows."""
        names = ("steepest", "valley", "minimum", "slide", "explosion")
        cost = {"steps": self.cost.steps, "run_steps": self.cost.run_steps, "seconds": self.cost.seconds}
        return {name: getattr(self, name) for name in names} | {"curve": self.curve.to_dicts(), "cost": cost}


def range_test(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    start: float = START,
    factor: float = FACTOR,
    end: float = END,
) -> RangeTest:
    """Run the range test: the rate is `start factor^t` in update t, until `end` or until the loss explodes.

    Args:
        problem: What is learned.
        recipe: How; its schedule is left out. None for the default of the data.
        start: First rate, above 0.
        factor: Of each rate over the one before, above 1.
        end: Last rate.

    Returns:
        The curve and its readings.

    Raises:
        RecipeError: Numbers that make no test, or an optimizer without a learning rate.

    Example:
        >>> test = tw.range_test(tw.Problem(None, "digits"))
        >>> test.steepest, test.explosion
    """
    begun = time.perf_counter()
    base = recipe or default_recipe(problem.data.task, problem.data.train.count())
    rate_path(base)
    check_recipe(problem, base)
    _check(start, factor, end)
    updates = math.floor(math.log(end / start) / math.log(factor) + 1e-9) + 1
    rates = start * factor ** np.arange(updates)
    losses = _losses(problem, base, rates)
    rates = rates[: len(losses)]
    smooth = readings.smoothed(losses, factor)
    curve = pl.DataFrame({"step": np.arange(len(losses)), "rate": rates, "loss": losses, "smooth": smooth})
    cost = Cost(len(losses), length(problem, base), time.perf_counter() - begun)
    read = readings.trimmed(rates, smooth)
    return RangeTest(
        curve=curve,
        steepest=readings.steepest(rates, losses),
        valley=readings.valley(*read),
        minimum=readings.minimum(*read),
        slide=readings.slide(*read),
        explosion=readings.explosion(rates, losses),
        cost=cost,
    )


def _losses(problem: Problem, base: Recipe, rates: Float[np.ndarray, " update"]) -> np.ndarray:
    """Return the loss of each batch before its update, up to the explosion; infinite where not finite.

    The rate is a number that enters the program: every update brings its own, and nothing is compiled again.
    """
    plain = Recipe.from_dict(base.to_dict() | {"schedule": "constant"})
    recipe = with_rate(shortened(plain, len(rates), length(problem, base)), float(rates[0]))
    group, states = init_group(problem, [recipe])
    found: list[float] = []
    for step, rate in enumerate(rates):
        now = dataclasses.replace(group.inputs, numbers=numbers([with_rate(recipe, float(rate))]))
        moved = next_chunk(dataclasses.replace(group, inputs=now), states, step, step + 1, ChunkLength(1))
        loss = float(moved.chunk.info.loss[0, 0])
        found.append(loss if math.isfinite(loss) else math.inf)
        states = moved.states
        if found[-1] > readings.EXPLODED * min(found) and min(found) > 0:
            break
        if int(moved.states.code[0]) != RUNNING:
            break
    return np.array(found)


def _check(start: float, factor: float, end: float) -> None:
    told = {"start": start, "factor": factor, "end": end}
    for name, value in told.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise RecipeError("range_test", f"{name} must be a finite number", got=value)
    if not 0 < start < end:
        raise RecipeError("range_test", "start must be above 0 and below end", got=f"{start} and {end}")
    if not factor > 1:
        raise RecipeError("range_test", "factor must be above 1: the rate grows", got=factor, hint="try 2")
