"""Two runs' answers to the same test examples: may they be paired, and what does the pairing show?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from thalweg.insight.answers import answer_columns, task_of
from thalweg.insight.intervals import bootstrap, mcnemar_mid_p, paired_shares
from thalweg.insight.outcome import Score, table, text
from thalweg.insight.wording import count, figure
from thalweg.run.folder.record import Record

# Row-by-row equality of this many distinct numeric targets cannot be chance; of sorted class labels it can.
TELLING_TARGETS = 30
_SHARES_METHOD = (
    "Bonett & Price 2012 interval for paired shares; McNemar's mid-p test, Fagerland, Lydersen & Laake 2013"
)
_BOOTSTRAP_METHOD = "paired percentile bootstrap over test examples, 2,000 resamples, Efron & Tibshirani 1993"
_SAME_TARGETS = (
    "The targets of the test examples agree row by row, so they are taken as the same examples, "
    "though the data fingerprints differ."
)
_SAME_LABELS = (
    "The data differ (fingerprint), and equal class labels row by row do not show that the test examples are "
    "the same: the test figures are not compared."
)
_SAME_DATA = (
    "Both runs have the same data, but not both have their test answers recorded: "
    "the figures stand side by side without an interval."
)


@dataclass(frozen=True)
class TestSets:
    """Whether two runs were tested on the same examples.

    Args:
        same: True, False, or None when the records do not tell.
        comparable: Whether their answers may be put side by side, example by example.
        text: The reason, in a sentence.
    """

    __test__ = False  # the name begins like a test's

    same: bool | None
    comparable: bool
    text: str


@dataclass(frozen=True)
class Paired:
    """Two runs on the same examples.

    Args:
        metric: `accuracy`, `rmse` or `mae`.
        number: Examples (answers).
        first, second: The metric of each.
        difference: Second minus first.
        low, high: Its 95 % interval over the choice of test examples.
        only_first, only_second: Examples that only one of them has right; None for numeric answers.
        p_value: Of equal accuracy; None for numeric answers.
        identical: Whether all answers are the same.
        method: With its reference.
    """

    metric: str
    number: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    only_first: int | None
    only_second: int | None
    p_value: float | None
    identical: bool
    method: str

    @property
    def better(self) -> int | None:
        """1 or 2 where the interval excludes zero, else None: cannot tell."""
        if self.low <= 0.0 <= self.high:
            return None
        higher = 2 if self.difference > 0 else 1
        return higher if self.metric == "accuracy" else 3 - higher

    def sentence(self, first: str, second: str) -> str:
        """Say what the pairing shows, with its figures and its method."""
        if self.identical:
            return f"Both give the same answer to each of the {count(self.number)} test examples."
        one, two = (Score(self.metric, value).text for value in (self.first, self.second))
        interval = f"{self._signed(self.low)} to {self._signed(self.high)}"
        unit = " percentage points" if self.metric == "accuracy" else ""
        return (
            f"On the same {count(self.number)} test examples {first} has {one} {self.metric}, {second} {two}"
            f": difference {self._signed(self.difference)}, 95 % interval {interval}{unit}"
            f"{self._discordant(first, second)} ({self.method}). {self._verdict(first, second)}"
        )

    def _discordant(self, first: str, second: str) -> str:
        if self.p_value is None:
            return ""
        only = (
            f"only {first} is right on {count(self.only_first)}, only {second} on {count(self.only_second)}"
        )
        return f"; {only}, p = {figure(self.p_value, 2)}"

    def _verdict(self, first: str, second: str) -> str:
        if self.better is None:
            return "Which is better cannot be told from these examples."
        return f"{first if self.better == 1 else second} is better on this test set."

    def _signed(self, value: float) -> str:
        shown = f"{100 * value:+.2f}" if self.metric == "accuracy" else figure(value)
        return shown if shown[0] in "+-" or value <= 0 else f"+{shown}"


def test_sets(first: Record, second: Record) -> TestSets:
    """Tell whether two runs were tested on the same examples, from fingerprints and targets."""
    tasks = task_of(first), task_of(second)
    if None not in tasks and tasks[0] != tasks[1]:
        return TestSets(False, False, f"One run is {tasks[0]}, the other {tasks[1]}: no common figures.")
    prints = [text(table(run.problem, "data").get("fingerprint")) for run in (first, second)]
    targets = [run.test["target"] if "target" in run.test.columns else None for run in (first, second)]
    if targets[0] is None or targets[1] is None:
        return _untold(prints)
    if not _equal(targets[0], targets[1]):
        return TestSets(False, False, "The test sets differ: the test figures cannot be compared.")
    if None not in prints and prints[0] == prints[1]:
        return TestSets(
            True, True, "Both runs were tested on the same examples (same fingerprint and targets)."
        )
    if _telling(targets[0]):
        return TestSets(True, True, _SAME_TARGETS)
    return TestSets(None, False, _SAME_LABELS)


test_sets.__test__ = False  # type: ignore[attr-defined]  # the name begins like a test's


def paired(first: Record, second: Record) -> Paired | None:
    """Compare two runs' answers to the same examples; None where there are no answers or no method for them.

    The rows must be the same examples in the same order: ask `test_sets` first.
    """
    columns = answer_columns(first), answer_columns(second)
    if columns[0] is None or columns[1] is None or len(columns[0][0]) != len(columns[1][0]):
        return None
    (target, one), two = columns[0], columns[1][1]
    if task_of(first) == "classification":
        return _classes(one == target, two == target, bool((one == two).all()))
    name = text(table(first.result, "test_metric").get("name"))
    return _numbers("mae" if name == "mae" else "rmse", one - target, two - target)


def _classes(one: np.ndarray, two: np.ndarray, identical: bool) -> Paired:
    difference, low, high = paired_shares(one, two)
    return Paired(
        metric="accuracy",
        number=len(one),
        first=float(one.mean()),
        second=float(two.mean()),
        difference=difference,
        low=low,
        high=high,
        only_first=int((one & ~two).sum()),
        only_second=int((~one & two).sum()),
        p_value=mcnemar_mid_p(one, two),
        identical=identical,
        method=_SHARES_METHOD,
    )


def _numbers(name: str, one: Float[np.ndarray, " n"], two: Float[np.ndarray, " n"]) -> Paired:
    losses = np.stack([np.abs(one), np.abs(two)] if name == "mae" else [one**2, two**2], axis=1)
    finish = (lambda means: means) if name == "mae" else np.sqrt
    first, second = map(float, finish(losses.mean(axis=0)))
    low, high = bootstrap(losses, lambda means: finish(means[:, 1]) - finish(means[:, 0]))
    return Paired(
        metric=name,
        number=len(one),
        first=first,
        second=second,
        difference=second - first,
        low=low,
        high=high,
        only_first=None,
        only_second=None,
        p_value=None,
        identical=bool((one == two).all()),
        method=_BOOTSTRAP_METHOD,
    )


def _untold(prints: list[Any]) -> TestSets:
    if None in prints:
        return TestSets(None, False, "Whether the test examples are the same is not recorded.")
    if prints[0] == prints[1]:
        return TestSets(True, False, _SAME_DATA)
    return TestSets(None, False, "The data differ (fingerprint): the test figures cannot be compared.")


def _equal(one: pl.Series, two: pl.Series) -> bool:
    return len(one) == len(two) and one.to_list() == two.to_list()


def _telling(targets: pl.Series) -> bool:
    return targets.dtype.is_float() and targets.n_unique() >= TELLING_TARGETS
