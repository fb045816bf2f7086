"""Two runs compared: which settings differ, the results of each, and whether these can be compared at all.

One run each says nothing about the luck of the seed. The strongest conclusion here is which of two trained
networks is better on these test examples, with an interval; "cannot tell" is an answer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from thalweg.core.arguments import checked
from thalweg.core.errors import BadInput
from thalweg.insight.answers import answer_columns, rows_too_few, targets_of
from thalweg.insight.intervals import FEWEST_RESAMPLED, bootstrap, discordant, mcnemar_mid_p, paired_shares
from thalweg.insight.outcome import Outcome, Score, outcome, table, task_of, text
from thalweg.insight.settings import Difference, differences
from thalweg.insight.wording import NOTHING, as_number, count, figure, listing, plural, seconds, size
from thalweg.run.folder.record import Record

# Row-by-row equality of this many distinct numeric targets cannot be chance; of sorted class labels it can.
CONCLUSIVE_TARGETS = 30
_SHARES_METHOD = (
    "Bonett & Price 2012 interval for paired shares; McNemar's mid-p test, Fagerland, Lydersen & Laake 2013"
)
_BOOTSTRAP_METHOD = "paired percentile bootstrap over test examples, 2,000 resamples, Efron & Tibshirani 1993"


@dataclass(frozen=True)
class Figure:
    """One figure of both runs.

    Args:
        name: What it is.
        first, second: As text.
        better: 1 or 2 where the direction is known, the figures are comparable, and they differ; else None.
            It says which number is better, not that the difference is more than chance.
    """

    name: str
    first: str
    second: str
    better: int | None = None


@dataclass(frozen=True)
class TestSets:
    """Whether two runs were tested on the same examples.

    Args:
        same: True, False, or None where the records do not say.
        comparable: Whether their predictions may be compared example by example.
        text: The reason, in a sentence.
    """

    __test__ = False  # not a test, despite the name

    same: bool | None
    comparable: bool
    text: str


@dataclass(frozen=True)
class Paired:
    """Two runs' predictions for the same examples.

    Args:
        metric: `accuracy`, `rmse` or `mae`.
        number: Examples (or target values).
        first, second: The metric of each.
        difference: Second minus first.
        low, high: Its 95 % interval over the choice of test examples.
        identical: Whether all predictions are the same.
        method: With its reference.
        only_first, only_second: Examples that only one of them has right; None for numeric predictions.
        p_value: Of equal accuracy; None for numeric predictions.
    """

    metric: str
    number: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    identical: bool
    method: str
    only_first: int | None = None
    only_second: int | None = None
    p_value: float | None = None

    @property
    def better(self) -> int | None:
        """1 or 2 where the interval excludes zero, else None: cannot tell."""
        if self.low <= 0.0 <= self.high:
            return None
        higher = 2 if self.difference > 0 else 1
        return higher if self.metric == "accuracy" else 3 - higher

    def sentence(self, first: str, second: str) -> str:
        """Say what the comparison shows, with its figures and its method."""
        examples = f"{count(self.number)} test examples"
        name = self.metric.capitalize() if self.metric == "accuracy" else self.metric.upper()
        if self.identical:
            return f"Both runs predict the same on all {examples}."
        a, b = (Score(self.metric, value).text for value in (self.first, self.second))
        unit = " percentage points" if self.metric == "accuracy" else ""
        counts = ""
        if self.p_value is not None:
            counts = (
                f"; only {first} is right on {count(self.only_first)}, only {second} on "
                f"{count(self.only_second)}, p = {figure(self.p_value, 2)}"
            )
        conclusion = "These examples cannot tell which is better."
        if self.better is not None:
            conclusion = f"{first if self.better == 1 else second} is better on this test set."
        return (
            f"{name} on the same {examples}: {first} {a}, {second} {b}; difference "
            f"{self._signed(self.difference)}{unit}, 95 % interval {self._signed(self.low)} to "
            f"{self._signed(self.high)}{counts} ({self.method}). {conclusion}"
        )

    def _signed(self, value: float) -> str:
        shown = f"{100 * value:+.2f}" if self.metric == "accuracy" else figure(value)
        return shown if shown[0] in "+-" or value <= 0 else f"+{shown}"


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs, and the results of each.

    Args:
        first, second: Their names.
        differences: Settings, model, data and versions that differ.
        figures: Results side by side.
        test_sets: Whether both were tested on the same examples.
        paired: The comparison on the same examples; None where it cannot be made.
        sentences: The conclusion in words.
    """

    first: str
    second: str
    differences: tuple[Difference, ...]
    figures: tuple[Figure, ...]
    test_sets: TestSets
    paired: Paired | None
    sentences: tuple[str, ...]


@checked(BadInput)
def compare(first: Record, second: Record) -> Comparison:
    """Compare two runs.

    Example:
        >>> comparison = compare(read("runs/digits-1"), read("runs/digits-2"))
        >>> print("\\n".join(comparison.sentences))
    """
    names = first.name, second.name
    if first.name == second.name:
        same = first.folder == second.folder
        names = ("first", "second") if same else (str(first.folder), str(second.folder))
    sets = test_sets(first, second)
    pairing = paired(first, second) if sets.comparable else None
    changed = tuple(differences(first, second))
    sentences = [
        f"{name} diverged." for name, run in zip(names, (first, second), strict=True) if _diverged(run)
    ]
    sentences.append(sets.text)
    if pairing is not None:
        sentences.append(pairing.sentence(*names))
        if not pairing.identical:
            sentences.append(_about_seeds(changed))
    elif sets.comparable and (few := rows_too_few(first)) is not None:
        sentences.append(
            f"The errors of {plural(few, 'test value')} are too few to tell which run is better."
        )
    sentences.append(_about_changes(changed))
    return Comparison(
        first=names[0],
        second=names[1],
        differences=changed,
        figures=tuple(_figures(first, second, sets.comparable)),
        test_sets=sets,
        paired=pairing,
        sentences=tuple(sentences),
    )


def test_sets(first: Record, second: Record) -> TestSets:
    """Return whether two runs were tested on the same examples, from fingerprints and targets."""
    tasks = task_of(first), task_of(second)
    if None not in tasks and tasks[0] != tasks[1]:
        return TestSets(False, False, f"One run is {tasks[0]}, the other {tasks[1]}: no figures in common.")
    prints = [text(table(run.problem, "data").get("fingerprint")) for run in (first, second)]
    known, equal = None not in prints, prints[0] == prints[1]
    targets = [targets_of(run) for run in (first, second)]
    if targets[0] is None or targets[1] is None:
        if not known:
            return TestSets(None, False, "Whether the test examples are the same is not recorded.")
        if equal:
            return TestSets(
                True,
                False,
                "Both runs have the same data, but not both recorded their test predictions: the figures are "
                "shown without an interval.",
            )
        return TestSets(None, False, "The data differ (fingerprint): test figures cannot be compared.")
    if not _equal(targets[0], targets[1]):
        return TestSets(False, False, "The test sets differ: test figures cannot be compared.")
    if known and equal:
        return TestSets(True, True, "Both runs were tested on the same examples (fingerprint and targets).")
    if targets[0].dtype.is_float() and targets[0].n_unique() >= CONCLUSIVE_TARGETS:
        return TestSets(
            True,
            True,
            "The data fingerprints differ, but the test targets agree row by row: the test examples are "
            "treated as the same.",
        )
    return TestSets(
        None,
        False,
        "The data differ (fingerprint), and equal class labels do not prove that the test examples are the "
        "same: test figures are not compared.",
    )


test_sets.__test__ = False  # type: ignore[attr-defined]  # not a test, despite the name


def paired(first: Record, second: Record) -> Paired | None:
    """Compare two runs' predictions for the same examples; None without predictions, or without a method.

    The rows must be the same examples in the same order: check with `test_sets` first.
    """
    columns = answer_columns(first), answer_columns(second)
    if task_of(first) == "multilabel":  # the labels of an example depend on one another
        return None
    if columns[0] is None or columns[1] is None or len(columns[0][0]) != len(columns[1][0]):
        return None
    (target, predicted), other = columns[0], columns[1][1]
    if task_of(first) == "classification":
        return _paired_classes(predicted == target, other == target, bool((predicted == other).all()))
    if len(target) < FEWEST_RESAMPLED:
        return None
    name = text(table(first.result, "test_metric").get("name"))
    return _paired_numbers("mae" if name == "mae" else "rmse", predicted - target, other - target)


def _paired_classes(first: np.ndarray, second: np.ndarray, identical: bool) -> Paired:
    only_first, only_second = discordant(first, second)
    return Paired(
        "accuracy",
        len(first),
        float(first.mean()),
        float(second.mean()),
        *paired_shares(first, second),
        identical=identical,
        method=_SHARES_METHOD,
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar_mid_p(first, second),
    )


def _paired_numbers(name: str, first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> Paired:
    errors = np.abs(np.stack([first, second], axis=1))
    losses = errors if name == "mae" else errors**2
    finish = (lambda means: means) if name == "mae" else np.sqrt
    metrics = finish(losses.mean(axis=0))
    low, high = bootstrap(losses, lambda means: finish(means[:, 1]) - finish(means[:, 0]))
    return Paired(
        name,
        len(first),
        first=float(metrics[0]),
        second=float(metrics[1]),
        difference=float(metrics[1]) - float(metrics[0]),
        low=low,
        high=high,
        identical=bool((first == second).all()),
        method=_BOOTSTRAP_METHOD,
    )


def _equal(first: pl.Series, second: pl.Series) -> bool:
    return len(first) == len(second) and first.to_list() == second.to_list()


def _diverged(record: Record) -> bool:
    return outcome(record).diverged


def _figures(first: Record, second: Record, comparable: bool) -> list[Figure]:
    runs = outcome(first), outcome(second)
    names = [name for run in runs for name in run.metrics]
    names += [run.metric.name for run in runs if run.metric is not None]
    figures = [_scores(name, runs, comparable) for name in dict.fromkeys(names)]
    figures.append(_losses("test", runs, comparable))
    figures += [_losses(split, runs, False) for split in ("validation", "train")]
    rows: dict[str, Any] = {
        "baseline": [run.baseline.text if run.baseline is not None else NOTHING for run in runs],
        "stopped": [run.stopped or NOTHING for run in runs],
        "steps": [count(run.steps) for run in runs],
        "best epoch": [figure(run.best_epoch, 3) for run in runs],
        "parameters": [size(run.parameters) for run in runs],
        "time": [seconds(table(record.result, "seconds").get("total")) for record in (first, second)],
        "training speed": [_speed(record) for record in (first, second)],
    }
    figures += [Figure(name, *values) for name, values in rows.items()]
    return [row for row in figures if (row.first, row.second) != (NOTHING, NOTHING)]


def _metric(run: Outcome, name: str) -> Score | None:
    if run.metric is not None and run.metric.name == name:
        return run.metric
    return Score(name, run.metrics[name]) if name in run.metrics else None


def _scores(name: str, runs: tuple[Outcome, Outcome], comparable: bool) -> Figure:
    first, second = (_metric(run, name) for run in runs)
    better = second.better_than(first) if first is not None and second is not None and comparable else None
    which = None if better is None else 2 if better else 1
    return Figure(f"test {name}", first.text if first else NOTHING, second.text if second else NOTHING, which)


def _losses(split: str, runs: tuple[Outcome, Outcome], comparable: bool) -> Figure:
    first, second = (getattr(run, f"{split}_loss") for run in runs)
    better = None
    if comparable and first is not None and second is not None:
        better = 1 if first < second else 2 if second < first else None
    return Figure(f"{split} loss", figure(first), figure(second), better)


def _speed(record: Record) -> str:
    speed = as_number(record.result.get("examples_per_second"))
    return NOTHING if speed is None else f"{size(speed)} examples/s"


def _about_changes(changed: tuple[Difference, ...]) -> str:
    groups = {difference.group for difference in changed}
    names = [*_recipe_choices(changed), *(group for group in ("model", "data") if group in groups)]
    if not names:
        return "Recipe, model and data are the same, as far as they are recorded."
    if len(names) == 1:
        return f"Only one thing differs: {names[0]}."
    return f"{len(names)} things differ ({listing(names)}), so the figures do not show which one matters."


def _recipe_choices(changed: tuple[Difference, ...]) -> list[str]:
    """Return what differs in the recipe; another optimizer is one choice, with all settings it brings."""
    keys = [difference.key for difference in changed if difference.group == "recipe"]
    return list(dict.fromkeys(key.split(".")[0] if key.split(".")[0] in keys else key for key in keys))


def _about_seeds(changed: tuple[Difference, ...]) -> str:
    seeds = [difference for difference in changed if difference.key == "seed"]
    which = f"seeds {seeds[0].first} and {seeds[0].second}" if seeds else "the same seed"
    return (
        f"With one run each ({which}) the difference may be the luck of the seed: the interval covers only "
        "the choice of test examples."
    )
