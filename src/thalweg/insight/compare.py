"""Two runs side by side: what differs, what came of it, and whether the figures can be compared at all.

One run each says nothing about the luck of the seed, so the strongest thing said here is which of two trained
networks is better on these test examples, with an interval; and "cannot tell" is an answer.
"""

from dataclasses import dataclass
from typing import Any

from thalweg.insight.outcome import Outcome, Score, outcome
from thalweg.insight.paired import Paired, TestSets, paired, test_sets
from thalweg.insight.settings import Difference, differences
from thalweg.insight.wording import as_number, count, figure, seconds, size
from thalweg.run.record import Record


@dataclass(frozen=True)
class Figure:
    """One figure of both runs.

    Args:
        name: What it is.
        first, second: As text, in their own form.
        better: 1 or 2 where the direction is known, the figures may be compared, and they differ; else None.
            It says which number is better, not that the difference is more than chance.
    """

    name: str
    first: str
    second: str
    better: int | None = None


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs, and what came of it.

    Args:
        first, second: Their names.
        differences: Settings, model, data, versions that are not the same.
        figures: Results side by side.
        test_sets: Whether both were tested on the same examples.
        paired: The comparison on the same examples; None where that cannot be made.
        sentences: The verdict in words.
    """

    first: str
    second: str
    differences: tuple[Difference, ...]
    figures: tuple[Figure, ...]
    test_sets: TestSets
    paired: Paired | None
    sentences: tuple[str, ...]


def compare(first: Record, second: Record) -> Comparison:
    """Compare two runs.

    Example:
        >>> comparison = compare(read("runs/digits-1"), read("runs/digits-2"))
        >>> print("\\n".join(comparison.sentences))
    """
    one, two = outcome(first), outcome(second)
    names = _names(first, second)
    sets = test_sets(first, second)
    found = paired(first, second) if sets.comparable else None
    changed = tuple(differences(first, second))
    return Comparison(
        first=names[0], second=names[1], differences=changed, test_sets=sets, paired=found,
        figures=tuple(_figures(first, second, one, two, sets)),
        sentences=tuple(_sentences(names, one, two, sets, found, changed)),
    )  # fmt: skip


def _names(first: Record, second: Record) -> tuple[str, str]:
    if first.name != second.name:
        return first.name, second.name
    return (str(first.folder), str(second.folder)) if first.folder != second.folder else ("first", "second")


def _figures(first: Record, second: Record, one: Outcome, two: Outcome, sets: TestSets) -> list[Figure]:
    found = []
    for name in dict.fromkeys([*one.metrics, *two.metrics, *_metric_names(one, two)]):
        found.append(_scores(name, _metric(one, name), _metric(two, name), sets.comparable))
    found.append(_losses("test loss", one.test_loss, two.test_loss, sets.comparable))
    found.append(_losses("validation loss", one.validation_loss, two.validation_loss, False))
    found.append(_losses("train loss", one.train_loss, two.train_loss, False))
    found.append(Figure("baseline", *(run.baseline.text if run.baseline else "–" for run in (one, two))))
    found.append(Figure("stopped", one.stopped or "–", two.stopped or "–"))
    found.append(Figure("steps", count(one.steps), count(two.steps)))
    found.append(Figure("best epoch", figure(one.best_epoch, 3), figure(two.best_epoch, 3)))
    found.append(Figure("parameters", size(one.parameters), size(two.parameters)))
    found.append(Figure("time", *(seconds(_nested(run, "seconds", "total")) for run in (first, second))))
    found.append(Figure("training speed", *(_speed(run) for run in (first, second))))
    return [row for row in found if (row.first, row.second) != ("–", "–")]


def _metric_names(one: Outcome, two: Outcome) -> list[str]:
    return [run.metric.name for run in (one, two) if run.metric is not None]


def _metric(run: Outcome, name: str) -> Score | None:
    if run.metric is not None and run.metric.name == name:
        return run.metric
    return Score(name, run.metrics[name]) if name in run.metrics else None


def _scores(name: str, one: Score | None, two: Score | None, comparable: bool) -> Figure:
    better = two.better_than(one) if one is not None and two is not None and comparable else None
    which = None if better is None else 2 if better else 1
    return Figure(f"test {name}", one.text if one else "–", two.text if two else "–", which)


def _losses(name: str, one: float | None, two: float | None, comparable: bool) -> Figure:
    better = None
    if comparable and one is not None and two is not None and one != two:
        better = 1 if one < two else 2 if two < one else None
    return Figure(name, figure(one), figure(two), better)


def _nested(record: Record, key: str, inner: str) -> float | None:
    found: Any = record.result.get(key)
    return as_number(found.get(inner)) if isinstance(found, dict) else None


def _speed(record: Record) -> str:
    speed = as_number(record.result.get("examples_per_second"))
    return "–" if speed is None else f"{size(speed)} examples/s"


def _sentences(
    names: tuple[str, str], one: Outcome, two: Outcome, sets: TestSets, found: Paired | None,
    changed: tuple[Difference, ...],
) -> list[str]:  # fmt: skip
    said = [f"{name} diverged." for name, run in zip(names, (one, two), strict=True) if run.diverged]
    said.append(sets.text)
    if found is not None:
        said.append(found.sentence(*names))
        if not found.identical:
            said.append(_about_seeds(changed))
    settings = [difference.key for difference in changed if difference.group in ("recipe", "model", "data")]
    if not settings:
        said.append("Recipe, model and data are the same in both.")
    elif len(settings) > 1:
        said.append(f"{len(settings)} settings differ, so the figures do not say which of them matters.")
    return said


def _about_seeds(changed: tuple[Difference, ...]) -> str:
    seeds = [difference for difference in changed if difference.key == "seed"]
    which = f"seeds {seeds[0].first} and {seeds[0].second}" if seeds else "one seed"
    return (f"With one run each ({which}) the difference may still be the luck of the seed: the interval covers the "
            "choice of test examples only.")  # fmt: skip
