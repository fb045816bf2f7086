"""The verdict on a learning rate, in words: which, how sure, where it diverges, what it cost."""

from collections.abc import Mapping
from typing import Any

from thalweg.insight.finder.finding import FLAT, FOUND, LOST, UNTEACHABLE, INCONCLUSIVE, Cost, LearningRateFinding
from thalweg.insight.statements import Statement as Sentence
from thalweg.insight.wording import count, figure, percent, plural, seconds, setting

_NONE = {UNTEACHABLE: "no rate lets it learn", LOST: "every lane diverged"}
_LEVELS = {FOUND: "good", FLAT: "good", INCONCLUSIVE: "unclear"}


def headline(finding: LearningRateFinding) -> str:
    """Say which rate to take, in one sentence."""
    name = finding.setting
    if finding.value is None:
        return f"{name}: {_NONE.get(finding.status, finding.status)}"
    value = rate(finding.value)
    if finding.status == INCONCLUSIVE:
        return f"{name} {value}, its own: no better one could be told"
    if finding.status == FLAT and finding.low is not None and finding.high is not None:
        return f"{name} {value}: flat between {rate(finding.low)} and {rate(finding.high)}"
    return f"{name} {value}{_between(finding)}"


def level(finding: LearningRateFinding) -> str:
    """Return how good the news is: `good`, `unclear` or `bad`."""
    return "bad" if finding.value is None else _LEVELS.get(finding.status, "good")


def sentences(finding: LearningRateFinding) -> tuple[Sentence, ...]:
    """Return what is worth saying, the weightiest first."""
    found = [Sentence("reason", finding.reason, level(finding)), _edge(finding), of_cost(finding.cost)]
    return tuple(one for one in found if one is not None)


def rate(value: float | None) -> str:
    """Write a rate with three digits, or as it was chosen where that is shorter: `0.00316`, `0.001`."""
    if value is None:
        return "none"
    shown = setting(float(value))
    return shown if len(shown) <= 6 else figure(value, 3)


def _between(finding: LearningRateFinding) -> str:
    if finding.low is None or finding.high is None:
        return ""
    return f" ({rate(finding.low)} to {rate(finding.high)})"


def _edge(finding: LearningRateFinding) -> Sentence | None:
    predicted = finding.predicted_edge
    said = (
        ""
        if predicted is None
        else f" 2/\u03bbmax, the edge of plain descent at the start, is {rate(predicted)}."
    )
    if finding.diverges is not None:
        return Sentence(
            "edge", f"The smallest rate at which a lane diverged is {rate(finding.diverges)}.{said}"
        )
    if finding.value is None:
        return None
    return Sentence("edge", f"No lane diverged.{said}") if finding.curve.height else None


def of_cost(cost: Cost) -> Sentence:
    """Say what a search took."""
    return Sentence(
        "cost",
        f"It cost {plural(cost.steps, 'update')}, {share(cost.share)} the run's {count(cost.run_steps)}, "
        f"and {seconds(cost.seconds)}.",
    )


def in_a_line(told: Mapping[str, Any]) -> str:
    """Say in one line how a run's rate was found, from what its result keeps of the finding."""
    low, high, cost = told.get("low"), told.get("high"), told.get("cost") or {}
    said = f"{told.get('setting', 'the rate')} {rate(told.get('value'))}"
    said += f" ({rate(low)} to {rate(high)})" if low is not None and high is not None else ""
    spent = f", for {share(cost['share'])} the run" if cost.get("share") is not None else ""
    return f"{said}, {told.get('status', 'found')}{spent}"


def share(value: float) -> str:
    """Write a cost as a share of a run: `9.8 % of`, or `3.2 times`, from twice on."""
    return f"{percent(value)} of" if value < 2 else f"{figure(value, 2)} times"
