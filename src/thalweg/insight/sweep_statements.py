"""A sweep in words: which setting is best, with what certainty, what diverged, and where to look further."""

from collections.abc import Sequence
from typing import Any

from thalweg.insight.ranking import BEST, FROZEN, SINGLE_SEED, WORSE, RankedSetting, Ranking
from thalweg.insight.summary import Statement
from thalweg.insight.wording import count, figure, listing, measure, plural, setting

_BY = {"validation_loss": "validation loss", "train_loss": "training loss"}
MOST_NAMED = 3  # settings named in a sentence; the table holds all of them
EDGE = 4  # number of values of a factor from which on its end is worth pointing out


def headline(ranking: Ranking) -> str:
    """Say what was tried and which setting is best, in one sentence."""
    tried = f"{plural(ranking.lanes, 'lane')}, {plural(len(ranking.entries), 'setting')}"
    best = ranking.best
    if best is None or best.loss is None:
        every = sum(len(entry.diverged) for entry in ranking.entries) == ranking.lanes
        return f"{tried}: every lane diverged" if every else f"{tried}: no lane has a result"
    if not ranking.factors and ranking.over == "folds" and ranking.test_metric is not None:
        held_out = ranking.test_metric.text(ranking.metric)
        return f"{count(ranking.lanes)} folds: {ranking.metric} {held_out} on the rows held out"
    if not ranking.factors:
        return f"{tried}: {by_words(ranking)} {best.loss.text()}"
    return f"{tried}: best is {best.label}"


def statements(ranking: Ranking) -> tuple[Statement, ...]:
    """Return the statements about a sweep, the most important first."""
    candidates = [
        _best(ranking),
        _test(ranking),
        _tied(ranking),
        _diverged(ranking),
        _frozen(ranking),
        *_edges(ranking),
        _luck(ranking),
    ]
    return tuple(statement for statement in candidates if statement)


def level(ranking: Ranking) -> str:
    """Return `good`, `unclear` (some lanes of the best setting diverged) or `bad` (none has a result)."""
    if ranking.best is None:
        return "bad"
    return "unclear" if ranking.best.diverged else "good"


def by_words(ranking: Ranking) -> str:
    """Return what the settings are ranked by: `validation loss`."""
    return _BY[ranking.by]


def steps_of(entry: RankedSetting) -> str:
    """Write the steps at which a setting's lanes diverged: `, steps 12 to 40`; empty where unknown."""
    steps = sorted(step for _, step in entry.diverged if step is not None)
    if not steps:
        return ""
    first, last = count(steps[0]), count(steps[-1])
    return f", step {first}" if first == last else f", steps {first} to {last}"


def numbers_tried(entries: Sequence[RankedSetting], path: str) -> list[Any]:
    """Return the numbers that a factor took, ascending; empty where it is not numeric."""
    values = [entry.setting[path] for entry in entries if entry.setting.get(path) is not None]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return sorted(set(values)) if numeric else []


def _best(ranking: Ranking) -> Statement | None:
    best = ranking.best
    if best is None or best.loss is None:
        return None
    interval = ""
    if best.loss.low is not None and best.loss.high is not None:
        low, high = figure(best.loss.low), figure(best.loss.high)
        interval = f" (95 % interval {low} to {high} over {count(best.loss.number)} {ranking.over})"
    metric = ""
    if best.metric is not None and ranking.metric:
        metric = f", validation {ranking.metric} {measure(ranking.metric, best.metric.mean)}"
    stable = best.status == BEST
    unstable = "" if stable else f"; some of its {ranking.over} diverged"
    text = f"{best.label}: {by_words(ranking)} {figure(best.loss.mean)}{interval}{metric}{unstable}."
    return Statement("best", text, "good" if stable else "unclear")


def _test(ranking: Ranking) -> Statement | None:
    if ranking.test_loss is None:
        return None
    figures = f"loss {ranking.test_loss.text()}"
    if ranking.test_metric is not None and ranking.metric:
        figures = f"{ranking.metric} {ranking.test_metric.text(ranking.metric)}, {figures}"
    why = ""
    if len(ranking.entries) > 1:
        why = (
            " Test figures of the other settings are not shown: choosing by them would use up the test split."
        )
    where = "On the test split" if ranking.over == "seeds" else "On the rows held out of each fold"
    return Statement("test", f"{where}: {figures}.{why}")


def _tied(ranking: Ranking) -> Statement | None:
    others = len(ranking.entries) - 1
    if ranking.best is None or others < 1 or ranking.seeds < 2:
        return None
    if ranking.tied:
        names = listing([entry.label for entry in ranking.tied], MOST_NAMED)
        text = (
            f"{count(len(ranking.tied))} of {plural(others, 'other setting')} cannot be distinguished from "
            f"the best ({names}): the 95 % interval of the difference, paired over {ranking.over}, includes "
            f"zero (not corrected for the number of comparisons)."
        )
        return Statement("tied", text, "unclear")
    worse = sum(entry.status == WORSE for entry in ranking.entries)
    if not worse:
        return None
    which = "Every other setting is" if worse == others else f"{count(worse)} of {others} other settings are"
    return Statement("tied", f"{which} worse than the best by more than the {ranking.over} explain.")


def _diverged(ranking: Ranking) -> Statement | None:
    settings = [entry for entry in ranking.entries if entry.diverged]
    if not settings:
        return None
    lanes = sum(len(entry.diverged) for entry in settings)
    named = [
        f"{entry.label} ({len(entry.diverged)} of {len(entry.lanes)}{steps_of(entry)})"
        for entry in settings[:MOST_NAMED]
    ]
    more = len(settings) - len(named)
    named += [f"{plural(more, 'more setting')}"] if more else []
    text = f"{count(lanes)} of {plural(ranking.lanes, 'lane')} diverged: {'; '.join(named)}."
    return Statement("diverged", text, "bad")


def _frozen(ranking: Ranking) -> Statement | None:
    frozen = sum(entry.status == FROZEN for entry in ranking.entries)
    if not frozen:
        return None
    rank = "is ranked after those that were" if frozen == 1 else "are ranked after those that were"
    text = f"{plural(frozen, 'setting')} stopped early and {rank} trained to the end."
    return Statement("frozen", text, "unclear")


def _edges(ranking: Ranking) -> list[Statement]:
    """Point out factors whose best value is the smallest or largest one tried."""
    if ranking.best is None:
        return []
    edges = []
    for path in ranking.factors:
        tried = numbers_tried(ranking.entries, path)
        value = ranking.best.setting.get(path)
        if len(tried) >= EDGE and value in (tried[0], tried[-1]) and value != 0:  # nothing lies below 0
            end = "smallest" if value == tried[0] else "largest"
            text = (
                f"The best {path} is the {end} one tried ({setting(value)}): a better one may lie beyond it."
            )
            edges.append(Statement("edge", text, "unclear"))
    return edges


def _luck(ranking: Ranking) -> Statement | None:
    if len(ranking.entries) < 2 or not any(entry.status == SINGLE_SEED for entry in ranking.entries):
        return None
    text = (
        "With one seed per setting, small differences may be luck; vary the seed too (seed=0..2) to get "
        "intervals."
    )
    return Statement("luck", text, "unclear")
