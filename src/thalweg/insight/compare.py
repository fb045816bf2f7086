"""Two runs side by side: what differs, what came of it, and whether the figures can be compared at all.

One run each says nothing about the luck of the seed, so the strongest thing said here is which of two trained
networks is better on these test examples, with an interval; and "cannot tell" is an answer.
"""

from dataclasses import dataclass

from thalweg.insight.outcome import Outcome, Score, outcome, table
from thalweg.insight.paired import Paired, TestSets, paired, test_sets
from thalweg.insight.settings import Difference, differences
from thalweg.insight.wording import NOTHING, as_number, count, figure, listing, seconds, size
from thalweg.run.folder.record import Record


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
        first=names[0],
        second=names[1],
        differences=changed,
        test_sets=sets,
        paired=found,
        figures=tuple(_figures(first, second, one, two, sets)),
        sentences=tuple(_sentences(names, one, two, sets, found, changed)),
    )


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
    found.append(Figure("baseline", _baseline(one), _baseline(two)))
    found.append(Figure("stopped", one.stopped or NOTHING, two.stopped or NOTHING))
    found.append(Figure("steps", count(one.steps), count(two.steps)))
    found.append(Figure("best epoch", figure(one.best_epoch, 3), figure(two.best_epoch, 3)))
    found.append(Figure("parameters", size(one.parameters), size(two.parameters)))
    found.append(Figure("time", _total_seconds(first), _total_seconds(second)))
    found.append(Figure("training speed", _speed(first), _speed(second)))
    return [row for row in found if (row.first, row.second) != (NOTHING, NOTHING)]


def _metric_names(one: Outcome, two: Outcome) -> list[str]:
    return [run.metric.name for run in (one, two) if run.metric is not None]


def _metric(run: Outcome, name: str) -> Score | None:
    if run.metric is not None and run.metric.name == name:
        return run.metric
    return Score(name, run.metrics[name]) if name in run.metrics else None


def _scores(name: str, one: Score | None, two: Score | None, comparable: bool) -> Figure:
    better = two.better_than(one) if one is not None and two is not None and comparable else None
    which = None if better is None else 2 if better else 1
    return Figure(f"test {name}", one.text if one else NOTHING, two.text if two else NOTHING, which)


def _losses(name: str, one: float | None, two: float | None, comparable: bool) -> Figure:
    better = None
    if comparable and one is not None and two is not None and one != two:
        better = 1 if one < two else 2 if two < one else None
    return Figure(name, figure(one), figure(two), better)


def _baseline(run: Outcome) -> str:
    return run.baseline.text if run.baseline is not None else NOTHING


def _total_seconds(record: Record) -> str:
    return seconds(table(record.result, "seconds").get("total"))


def _speed(record: Record) -> str:
    speed = as_number(record.result.get("examples_per_second"))
    return NOTHING if speed is None else f"{size(speed)} examples/s"


def _sentences(
    names: tuple[str, str],
    one: Outcome,
    two: Outcome,
    sets: TestSets,
    found: Paired | None,
    changed: tuple[Difference, ...],
) -> list[str]:
    said = [f"{name} diverged." for name, run in zip(names, (one, two), strict=True) if run.diverged]
    said.append(sets.text)
    if found is not None:
        said.append(found.sentence(*names))
        if not found.identical:
            said.append(_about_seeds(changed))
    said.append(_about_changes(changed))
    return said


def _about_changes(changed: tuple[Difference, ...]) -> str:
    groups = {difference.group for difference in changed}
    things = [*_recipe_choices(changed), *(group for group in ("model", "data") if group in groups)]
    if not things:
        return "No difference between their recipes, models and data is recorded."
    if len(things) == 1:
        return f"Only one thing differs: {things[0]}."
    return (
        f"{len(things)} things differ ({listing(things)}), so the figures do not say which of them matters."
    )


def _recipe_choices(changed: tuple[Difference, ...]) -> list[str]:
    """Return what differs in the recipe; another optimizer is one choice, whatever settings it brings."""
    keys = [difference.key for difference in changed if difference.group == "recipe"]
    return list(dict.fromkeys(key.split(".")[0] if key.split(".")[0] in keys else key for key in keys))


def _about_seeds(changed: tuple[Difference, ...]) -> str:
    seeds = [difference for difference in changed if difference.key == "seed"]
    which = f"seeds {seeds[0].first} and {seeds[0].second}" if seeds else "one seed"
    return (
        f"With one run each ({which}) the difference may still be the luck of the seed: "
        "the interval covers the choice of test examples only."
    )
