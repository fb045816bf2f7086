"""The verdict on a sweep, in words: which setting, how sure, what diverged, and where to look further."""

from collections.abc import Sequence
from typing import Any

from thalweg.insight.ranking import BEST, FROZEN, SINGLE_SEED, RankedSetting, Ranking
from thalweg.insight.statements import Statement
from thalweg.insight.wording import count, figure, listing, measure, plural, setting

_BY = {"validation_loss": "validation loss", "train_loss": "training loss"}
MOST_NAMED = 3  # settings named in a sentence; the table holds all of them
EDGE = 4  # values of a factor from which on its end is worth pointing at


def headline(ranking: Ranking) -> str:
    """Say what was tried and which setting is best, in one sentence."""
    tried = f"{plural(ranking.lanes, 'lane')}, {plural(len(ranking.entries), 'setting')}"
    best = ranking.best
    if best is None or best.loss is None:
        return f"{tried}: every lane diverged"
    if not ranking.factors:
        return f"{tried}: {_BY[ranking.by]} {best.loss.text()}"
    return f"{tried}: best is {best.label}"


def findings(ranking: Ranking) -> tuple[Statement, ...]:
    """Return what is worth saying, the weightiest first."""
    found = [
        _best(ranking),
        _test(ranking),
        _tied(ranking),
        _diverged(ranking),
        _frozen(ranking),
        *_edges(ranking),
        _luck(ranking),
    ]
    return tuple(finding for finding in found if finding)


def by_words(ranking: Ranking) -> str:
    """Return what the settings are ranked by: `validation loss`."""
    return _BY[ranking.by]


def _best(ranking: Ranking) -> Statement | None:
    best = ranking.best
    if best is None or best.loss is None:
        return None
    loss = f"{figure(best.loss.mean)} {by_words(ranking)}"
    sure = ""
    if best.loss.low is not None and best.loss.high is not None:
        low, high = figure(best.loss.low), figure(best.loss.high)
        sure = f" (95 % interval {low} to {high} over {plural(best.loss.number, 'seed')})"
    metric = ""
    if best.metric is not None and ranking.metric:
        metric = f", validation {ranking.metric} {measure(ranking.metric, best.metric.mean)}"
    unstable = "" if best.status == BEST else "; not every seed of it came through"
    level = "good" if best.status == BEST else "unclear"
    return Statement("best", f"{best.label}: {loss}{sure}{metric}{unstable}.", level)


def _test(ranking: Ranking) -> Statement | None:
    if ranking.test_loss is None:
        return None
    said = f"loss {ranking.test_loss.text()}"
    if ranking.test_metric is not None and ranking.metric:
        said = f"{ranking.metric} {ranking.test_metric.text(ranking.metric)}, {said}"
    why = (
        " (of the other settings no test figures are shown: to choose by them would use the test part up)"
        if len(ranking.entries) > 1
        else ""
    )
    return Statement("test", f"On the test part it has {said}{why}.")


def _tied(ranking: Ranking) -> Statement | None:
    best, others = ranking.best, len(ranking.entries) - 1
    if best is None or others < 1 or ranking.seeds < 2:
        return None
    tied = ranking.tied
    if not tied:
        compared = sum(entry.behind is not None and entry.behind.low is not None for entry in ranking.entries)
        said = "No other setting is within what the seeds explain" if compared else ""
        return Statement("tied", f"{said}.") if said else None
    names = listing([entry.label for entry in tied], MOST_NAMED)
    each = "interval of the difference, paired over seeds, holds zero"
    return Statement(
        "tied",
        f"{plural(len(tied), 'setting')} of {count(others)} cannot be told apart from the best ({names}): "
        f"the 95 % {each}. Each interval stands for itself.",
        "unclear",
    )


def _diverged(ranking: Ranking) -> Statement | None:
    hit = [entry for entry in ranking.entries if entry.diverged]
    if not hit:
        return None
    lanes = sum(len(entry.diverged) for entry in hit)
    named = [f"{entry.label} ({_when(entry)})" for entry in hit[:MOST_NAMED]]
    more = len(hit) - len(named)
    named += [f"{plural(more, 'more setting')}"] if more else []
    return Statement(
        "diverged", f"{count(lanes)} of {plural(ranking.lanes, 'lane')} diverged: {'; '.join(named)}.", "bad"
    )


def _when(entry: RankedSetting) -> str:
    """Say how many of a setting's lanes diverged, and at which steps: `2 of 3, steps 12 to 40`."""
    return f"{len(entry.diverged)} of {len(entry.lanes)}{steps_of(entry)}"


def steps_of(entry: RankedSetting) -> str:
    """Say at which steps a setting's lanes diverged: `, steps 12 to 40`; empty where that is not recorded."""
    steps = sorted(step for _, step in entry.diverged if step is not None)
    if not steps:
        return ""
    return (
        f", step {count(steps[0])}"
        if steps[0] == steps[-1]
        else f", steps {count(steps[0])} to {count(steps[-1])}"
    )


def _frozen(ranking: Ranking) -> Statement | None:
    frozen = sum(entry.status == FROZEN for entry in ranking.entries)
    if not frozen:
        return None
    said = f"{plural(frozen, 'setting')} ended before coming to rest and stand behind those that went on"
    return Statement("frozen", f"{said}.", "unclear")


def _edges(ranking: Ranking) -> list[Statement]:
    """Point out factors whose best value is the last one tried."""
    best, found = ranking.best, []
    if best is None:
        return []
    for path in ranking.factors:
        tried = numbers_tried(ranking.entries, path)
        value = best.setting.get(path)
        if len(tried) < EDGE or value not in (tried[0], tried[-1]):
            continue
        which = "smallest" if value == tried[0] else "largest"
        found.append(
            Statement(
                "edge",
                f"The best {path} is the {which} tried ({setting(value)}): better may lie beyond.",
                "unclear",
            )
        )
    return found


def numbers_tried(entries: Sequence[RankedSetting], path: str) -> list[Any]:
    """Return the numbers that a factor took, ascending; empty where it is no number."""
    values = [entry.setting[path] for entry in entries if entry.setting.get(path) is not None]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return sorted(set(values)) if numeric else []


def _luck(ranking: Ranking) -> Statement | None:
    if len(ranking.entries) < 2 or not any(entry.status == SINGLE_SEED for entry in ranking.entries):
        return None
    text = (
        "With one seed a setting, small differences may be luck; vary the seed too, seed=0..2, for intervals."
    )
    return Statement("luck", text, "unclear")
