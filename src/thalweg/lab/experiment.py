"""`Experiment`: a claim about training, how it is tried, and the rule that turns figures into a verdict.

An experiment measures *checks*: figures with an interval over seeds, each with the bound that the claim sets.
A check may belong to a *condition* ("with warmup"). The claim holds under a condition if all of its checks
hold. The verdict follows from that alone; no experiment states its own.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from thalweg.insight.intervals import Estimate, estimate_mean
from thalweg.insight.wording import figure

ABOVE, BELOW, EQUAL = "above", "below", "equal to"
Values = float | Iterable[float | None] | Mapping[Any, float | None]


class Word(StrEnum):
    """What became of a claim."""

    REPRODUCED = "reproduced"
    PARTLY = "reproduced only"
    NOT = "not reproduced"


@dataclass(frozen=True)
class Check:
    """A figure, and what the claim says of it.

    Args:
        what: The figure, in words.
        estimate: Its mean over seeds, with the 95 % interval where there are at least two.
        rule: `above`, `below` or `equal to` the bound.
        bound: The bound.
        tolerance: Of `equal to`: the largest difference.
        when: The condition that the check belongs to; empty where the claim makes none.
        holds: Whether the whole interval satisfies the rule.
        arithmetic: Whether the figure has no noise, so that it must hold for any seeds and any length.
    """

    what: str
    estimate: Estimate
    rule: str
    bound: float
    tolerance: float
    when: str
    holds: bool
    arithmetic: bool = False

    def sentence(self) -> str:
        """Write the check as one sentence."""
        mean, low, high = self.estimate.mean, self.estimate.low, self.estimate.high
        interval = "" if low is None or low == high else f" ({figure(low, 3)} to {figure(high, 3)})"
        need = f"{self.rule} {figure(self.bound, 6)}"
        when = f"{self.when}: " if self.when else ""
        return f"{when}{self.what}: {figure(mean, 4)}{interval}; needed: {need}"


@dataclass(frozen=True)
class Verdict:
    """What became of a claim, by the rule of `judge`.

    Args:
        word: The outcome.
        conditions: The conditions under which it holds; empty where the claim makes none.
        failed: The conditions under which it does not.
    """

    word: Word
    conditions: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write it as in the book: `reproduced only with warmup`."""
        return f"{self.word} {'; or '.join(self.conditions)}" if self.word is Word.PARTLY else str(self.word)

    @property
    def level(self) -> str:
        """Its colour on a page: `good`, `unclear` or `bad`."""
        return {Word.REPRODUCED: "good", Word.PARTLY: "unclear", Word.NOT: "bad"}[self.word]


def checked_values(
    what: str, values: Values, rule: str, bound: float, *, tolerance: float = 0.0, when: str = ""
) -> Check:
    """Judge a figure: its whole 95 % interval must be on the bound's right side.

    Args:
        what: The figure, in words.
        values: One for each seed; or one number, which has no noise. None counts as infinite: such a lane
            diverged.
        rule: `above`, `below` or `equal to`.
        bound: What it is compared with.
        tolerance: Of `equal to`: the largest difference.
        when: The condition that it belongs to.
    """
    given = values.values() if isinstance(values, Mapping) else values
    single = isinstance(given, (int, float, np.number))
    numbers = [given] if single else list(given)  # type: ignore[list-item, arg-type]
    sample = np.array([math.inf if value is None else float(value) for value in numbers], np.float64)
    estimate = _estimate(sample)
    low = estimate.mean if estimate.low is None else estimate.low
    high = estimate.mean if estimate.high is None else estimate.high
    holds = {
        ABOVE: low > bound,
        BELOW: high < bound,
        EQUAL: low >= bound - tolerance and high <= bound + tolerance,
    }[rule]
    arithmetic = rule == EQUAL and single
    return Check(what, estimate, rule, bound, tolerance, when, bool(holds) and len(sample) > 0, arithmetic)


def _estimate(sample: np.ndarray) -> Estimate:
    """Return the mean with its interval; of a sample that is not finite throughout, the range."""
    if len(sample) and np.isfinite(sample).all():
        estimate = estimate_mean(sample)
        assert estimate is not None
        return estimate
    if not len(sample):
        return Estimate(math.nan, None, None, 0)
    middle = float(np.median(sample))
    return Estimate(middle, float(sample.min()), float(sample.max()), len(sample))


def judge(checks: Sequence[Check]) -> Verdict:
    """Return the verdict: reproduced if every check holds; else the conditions under which all of theirs do.

    Checks without a condition must hold under every condition.
    """
    conditions = list(dict.fromkeys(check.when for check in checks if check.when))
    always = all(check.holds for check in checks if not check.when)
    if not checks or not always:
        return Verdict(Word.NOT, (), tuple(conditions))
    good = tuple(when for when in conditions if all(check.holds for check in checks if check.when == when))
    bad = tuple(when for when in conditions if when not in good)
    if not bad:
        return Verdict(Word.REPRODUCED, good)
    return Verdict(Word.PARTLY if good else Word.NOT, good, bad)


@dataclass(frozen=True)
class Experiment:
    """A claim and how it is tried.

    Args:
        name: The name of its file and function.
        chapter: The folder that it lies in.
        claim: One sentence.
        source: Whose claim it is: author, year.
        counts: When it counts as reproduced, in words; the checks say the same.
        function: Trains and measures; receives a `Bench`.
        module: Dotted name of its module.
    """

    name: str
    chapter: str
    claim: str
    source: str
    counts: str
    function: Callable[[Any], None]
    module: str


def experiment(*, claim: str, source: str, counts: str) -> Callable[[Callable[[Any], None]], Experiment]:
    """Make an experiment of a function that takes a `Bench`; the function has the name of its file.

    Args:
        claim, source, counts: See `Experiment`.
    """

    def make(function: Callable[[Any], None]) -> Experiment:
        *_, chapter, name = function.__module__.split(".")
        return Experiment(name, chapter, claim, source, counts, function, function.__module__)

    return make
