"""A learning rate finding in words: which rate, how sure, how it was decided, where it diverges, the cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from thalweg.insight.finder.finding import (
    ALL_DIVERGED,
    CANNOT_LEARN,
    FLAT,
    FOUND,
    INCONCLUSIVE,
    Cost,
    LearningRateFinding,
)
from thalweg.insight.finder.valley import Valley
from thalweg.insight.summary import Statement
from thalweg.insight.wording import count, figure, percent, plural, seconds, setting
from thalweg.recipe.recipe import Recipe, own_rate

_IN_A_LINE = {INCONCLUSIVE: "the recipe's own, as no better one was shown"}
_NO_RATE = {CANNOT_LEARN: "no rate lets the model learn", ALL_DIVERGED: "every lane diverged"}
_LEVELS = {FOUND: "good", FLAT: "good", INCONCLUSIVE: "unclear"}


@dataclass(frozen=True)
class Decision:
    """What a search decided.

    Args:
        status, value, low, high: As in `LearningRateFinding`.
        chance: Probability that the best rate is better than the recipe's own; None where not computed.
        valley: The fit behind the decision; None without one.
        begins_at_minimum: Whether no rate brought the loss below its value before training.
    """

    status: str
    value: float | None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    valley: Valley | None = None
    begins_at_minimum: bool = False


def headline(finding: LearningRateFinding) -> str:
    """Say which rate to use, in one sentence."""
    name = finding.setting
    if finding.value is None:
        return f"{name}: {_NO_RATE.get(finding.status, finding.status)}"
    value, interval = rate(finding.value), _interval(finding.low, finding.high)
    if finding.status == INCONCLUSIVE:
        return f"{name} {value}, the recipe's own: no better rate was shown"
    if finding.status == FLAT and interval:
        return f"{name} {value}: all rates from {interval} are equally good"
    return f"{name} {value}" + (f" ({interval})" if interval else "")


def level(finding: LearningRateFinding) -> str:
    """Return the level of a finding: `good`, `unclear` or `bad`."""
    return "bad" if finding.value is None else _LEVELS.get(finding.status, "good")


def sentences(finding: LearningRateFinding) -> tuple[Statement, ...]:
    """Return the statements about a finding, the most important first."""
    statements = [Statement("reason", finding.reason, level(finding)), _edge(finding), of_cost(finding.cost)]
    return tuple(statement for statement in statements if statement is not None)


def reason(decision: Decision, curve: pl.DataFrame, recipe: Recipe, total: int, budget: int) -> str:
    """Say how the rate was decided.

    Args:
        decision: What was decided.
        curve: The lanes, as in `LearningRateFinding.curve`.
        recipe: The recipe of the whole run.
        total: Its updates.
        budget: Lane-steps of the search.
    """
    if curve.is_empty():
        return (
            f"The budget of {plural(budget, 'lane-step')} does not cover one update per lane, so the "
            f"recipe's own rate stays."
        )
    parts = [_trained(curve, total), _decided(decision, curve, recipe), _other_rates(recipe, decision)]
    return " ".join(sentence for sentence in parts if sentence)


def rate(value: float | None) -> str:
    """Write a rate with three digits, or as it was set where that is shorter: `0.00316`, `0.001`."""
    if value is None:
        return "none"
    shown = setting(float(value))
    return shown if len(shown) <= 6 else figure(value, 3)


def of_cost(cost: Cost) -> Statement:
    """State the cost of a search."""
    spent = f"{plural(cost.steps, 'update')} ({share(cost.share)} the run's {count(cost.run_steps)})"
    return Statement("cost", f"The search cost {spent} and {seconds(cost.seconds)}.")


def in_a_line(values: Mapping[str, Any]) -> str:
    """Say in one line how a run's rate was found, from the `finding` in its result."""
    interval, cost = _interval(values.get("low"), values.get("high")), values.get("cost") or {}
    text = f"{values.get('setting', 'the rate')} {rate(values.get('value'))}"
    text += f" ({interval})" if interval else ""
    spent = f", at the cost of {share(cost['share'])} the run" if cost.get("share") is not None else ""
    status = values.get("status", values.get("standing", FOUND))  # the second in older runs
    return f"{text}, {_IN_A_LINE.get(status, status)}{spent}"


def share(value: float) -> str:
    """Write a cost as a share of a run: `9.8 % of`; from twice the run on `3.2 times`."""
    return f"{percent(value)} of" if value < 2 else f"{figure(value, 2)} times"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{rate(low)} to {rate(high)}"


def _edge(finding: LearningRateFinding) -> Statement | None:
    predicted = ""
    if finding.predicted_edge is not None:
        edge = rate(finding.predicted_edge)
        predicted = f" 2/\u03bbmax predicts {edge} for plain gradient descent at the start."
    if finding.diverges is not None:
        smallest = rate(finding.diverges)
        return Statement("edge", f"The smallest rate at which a lane diverged is {smallest}.{predicted}")
    if finding.value is None or finding.curve.is_empty():
        return None
    return Statement("edge", f"No lane diverged.{predicted}")


def _trained(curve: pl.DataFrame, total: int) -> str:
    rungs = [
        f"{plural(rows['rate'].n_unique(), 'rate')}{_seeds(rows)} for {plural(rows['steps'][0], 'update')}"
        for rows in curve.partition_by("rung", maintain_order=True)
    ]
    return f"Trained {', then '.join(rungs)} (the run has {count(total)}), with the schedule shortened."


def _seeds(rows: pl.DataFrame) -> str:
    return "" if (number := rows["seed"].n_unique()) == 1 else f" with {number} seeds each"


def _decided(decision: Decision, curve: pl.DataFrame, recipe: Recipe) -> str:
    low, high, own = (figure(value, 3) for value in (decision.low, decision.high, own_rate(recipe)))
    if decision.status == ALL_DIVERGED:
        if (curve["diverged_at"] == 0).all():
            return "The loss is not finite before the first update, at any rate: check the data and the loss."
        return f"Every lane diverged, down to a rate of {figure(curve['rate'].min(), 3)}."
    if decision.status == CANNOT_LEARN:
        return "Every rate ends at the same loss."
    if decision.begins_at_minimum:
        return (
            f"No rate lowers the loss below its value before training: training begins at a minimum. "
            f"Rates up to {high} do no harm."
        )
    if decision.chance is None:
        return (
            "In so few updates no rate lowers the loss below its value before training, so the recipe's own "
            "rate stays."
        )
    interval, chance = f"the best rate lies between {low} and {high} (95 %)", percent(decision.chance, 0)
    if decision.status == INCONCLUSIVE:
        return (
            f"From these lanes {interval}. That another rate is better than the recipe's own {own} has a "
            f"probability of {chance}, too low to replace it."
        )
    flat = "The curve is flat: " if decision.status == FLAT else ""
    return (
        f"{flat}{figure(decision.value, 3)} has the lowest expected loss; {interval}. It is better than the "
        f"recipe's own {own} with a probability of {chance}."
    )


def _other_rates(recipe: Recipe, decision: Decision) -> str:
    own, others = own_rate(recipe), recipe.optimizer.rates[1:]
    if not others or decision.value in (None, own) or not own:
        return ""
    names = " and ".join(f"optimizer.{name}" for name in others)
    verb = "is" if len(others) == 1 else "are"
    return f"{names} {verb} scaled by the same factor, {figure(decision.value / own, 3)}."  # type: ignore[operator]
