"""How a learning rate was decided, in sentences."""

from dataclasses import dataclass

import jax
import numpy as np
import polars as pl

from thalweg.insight.curvature import full_loss
from thalweg.insight.finder.budget import SearchPlan
from thalweg.insight.finder.finding import FLAT, LOST, UNTEACHABLE, INCONCLUSIVE
from thalweg.insight.finder.rungs import Lanes
from thalweg.insight.finder.valley import Valley
from thalweg.insight.wording import count, figure, percent, plural
from thalweg.problem.problem import Problem
from thalweg.recipe.rate import own_rate
from thalweg.recipe.recipe import Recipe


@dataclass(frozen=True)
class Decision:
    """What was decided.

    Args:
        status, value, low, high: As a `Finding` has them.
        chance: How probable it is that the best place is better than the recipe's own rate; None: not asked.
        valley: What it was read off; None where there is none.
        begun_at_minimum: Whether no rate brought the loss below the one before training.
    """

    status: str
    value: float | None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    valley: Valley | None = None
    begun_at_minimum: bool = False


def reason(lanes: Lanes, plan: SearchPlan, decision: Decision, why: str = "") -> str:
    """Say how it was decided.

    Args:
        lanes: What was trained.
        plan: What might be spent.
        decision: What was decided.
        why: What keeps the problem from being learned, where that is so.
    """
    sentences = [_trained(lanes), _verdict(lanes, decision), why, _others(lanes.recipe, decision)]
    if not lanes.rows:
        sentences = [
            f"The budget of {plural(plan.budget, 'lane-step')} is too small for lanes of even one update: "
            f"the recipe's own rate stays."
        ]
    return " ".join(sentence for sentence in sentences if sentence)


def unteachable(problem: Problem, recipe: Recipe) -> str:
    """Say what keeps a problem from being learned whatever the rate: the loss, or the gradient."""
    loss, params = full_loss(problem, recipe)
    gradient = jax.tree.leaves(jax.jit(jax.grad(loss))(params))
    norm = float(np.sqrt(sum(float((leaf**2).sum()) for leaf in gradient)))
    moved = jax.tree.map(lambda leaf: 1.5 * leaf + 0.1, params)
    before, after = float(loss(params)), float(loss(moved))
    if before == after:
        return f"The loss is {figure(before)} whatever the weights are: it does not depend on them."
    if norm == 0.0:
        return (
            "The gradient is zero in every weight, although the loss depends on them: something between "
            "them and the loss has no slope, for instance stop_gradient, an argmax or a dead activation."
        )
    return f"The gradient's norm is {figure(norm)}, too small to move the loss at any rate tried."


def _trained(lanes: Lanes) -> str:
    rungs = lanes.curve.partition_by("rung", maintain_order=True)
    parts = [
        f"{plural(rows['rate'].n_unique(), 'rate')}{_seeds(rows)} for {plural(rows['steps'][0], 'update')}"
        for rows in rungs
    ]
    total = f"of the run's {count(lanes.total)}"
    return f"Trained with the schedule shortened: {', then '.join(parts)} {total}."


def _seeds(rows: pl.DataFrame) -> str:
    return "" if (number := rows["seed"].n_unique()) == 1 else f" with {number} seeds each"


def _verdict(lanes: Lanes, decision: Decision) -> str:
    own = figure(own_rate(lanes.recipe), 3)
    if decision.status == LOST:
        at_once = (lanes.curve["diverged_at"] == 0).all()
        lowest = figure(lanes.curve["rate"].min(), 3)
        if at_once:
            return (
                "The loss is not finite before the first update, whatever the rate: look at the data and "
                "the loss."
            )
        return f"Every lane diverged, down to a rate of {lowest}."
    if decision.status == UNTEACHABLE:
        return "Every rate ends at the same loss."
    if decision.begun_at_minimum:
        return (
            f"No rate brings the loss below the one before training: it begins at its minimum. Rates up to "
            f"{figure(decision.high, 3)} do no harm."
        )
    low, high = figure(decision.low, 3), figure(decision.high, 3)
    between = f"the best rate lies between {low} and {high} (95 %)"
    if decision.chance is None:
        return "In so few updates no rate brings the loss below the one before training: its own rate stays."
    if decision.status == INCONCLUSIVE:
        return (
            f"From these lanes {between}; that another is better than the recipe's own {own} is "
            f"{percent(decision.chance, 0)} probable, which is not enough to leave it."
        )
    chance = f"it is better than the recipe's own {own} with a probability of {percent(decision.chance, 0)}"
    value = figure(decision.value, 3)
    if decision.status == FLAT:
        return f"The curve is flat: {between}, and {value} is expected to lose least; {chance}."
    return f"At {value} least is expected to be lost; {between}, and {chance}."


def _others(recipe: Recipe, decision: Decision) -> str:
    own, others = own_rate(recipe), recipe.optimizer.rates[1:]
    if not others or decision.value in (None, own) or not own:
        return ""
    names = " and ".join(f"optimizer.{name}" for name in others)
    return f"With it {names} moves by the same factor, {figure(decision.value / own, 3)}."  # type: ignore[operator]
