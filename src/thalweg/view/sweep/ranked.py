"""The ranked settings as a table of the report, each mean drawn with its interval on one common scale."""

import numpy as np

from thalweg.insight.ranking import BEST, LOST, UNSTABLE, RankedSetting, Ranking
from thalweg.insight.sweep_statements import by_words, steps_of
from thalweg.insight.wording import count, figure, measure, plural
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.html import Markup, element
from thalweg.view.sweep.text import WORDS, difference

MOST_ROWS = 100  # more settings than anyone reads; sweep.json has all


def draw(ranking: Ranking) -> Markup:
    """Draw the table."""
    shown = ranking.entries[:MOST_ROWS]
    scale = _scale(shown)
    names = [
        "",
        "setting",
        by_words(ranking),
        "",
        "behind the best",
        ranking.metric or "",
        "",
    ]
    head = element("tr", [element("th", name, scope="col") for name in names])
    rows = [_row(entry, ranking, scale) for entry in shown]
    more = len(ranking.entries) - len(shown)
    return element(
        "div",
        element("table", element("thead", head), element("tbody", rows), class_="by-class ranked"),
        element("p", f"{plural(more, 'more setting')} in sweep.json.", class_="note") if more else None,
        element("p", _about(ranking), class_="note"),
        class_="scrolls",
    )


def diverged(ranking: Ranking) -> Markup | None:
    """List the lanes that diverged, and when; None where none did."""
    hit = [entry for entry in ranking.entries if entry.diverged]
    if not hit:
        return None
    rows = [
        element(
            "tr",
            element("td", entry.label),
            element("td", f"{len(entry.diverged)} of {plural(len(entry.lanes), 'lane')}"),
            element("td", ", ".join(_lane(entry, lane, step) for lane, step in entry.diverged)),
        )
        for entry in hit[:MOST_ROWS]
    ]
    head = element(
        "tr", [element("th", name, scope="col") for name in ("setting", "diverged", "which, and when")]
    )
    table = element("table", element("thead", head), element("tbody", rows), class_="by-class")
    return element("div", table, class_="scrolls")


def _lane(entry: RankedSetting, lane: int, step: int | None) -> str:
    seed = f" (seed {entry.seeds[entry.lanes.index(lane)]})" if len(set(entry.seeds)) > 1 else ""
    return f"lane {lane}{seed}" + ("" if step is None else f" at step {count(step)}")


def _row(entry: RankedSetting, ranking: Ranking, scale: Axis) -> Markup:
    if entry.status == LOST:
        return _lost_row(entry)
    loss = "" if entry.loss is None else figure(entry.loss.mean)
    half = entry.loss.half if entry.loss is not None else None
    metric = "" if entry.metric is None else measure(ranking.metric, entry.metric.mean)
    cells = [
        element("td", "" if entry.rank is None else count(entry.rank)),
        element("th", entry.label, scope="row"),
        element("td", loss + ("" if half is None else f" \u00b1 {figure(half, 2)}")),
        element("td", _whisker(entry, scale), class_="whiskers"),
        element("td", difference(entry.behind)),
        element("td", metric),
        element("td", _standing(entry)),
    ]
    return element("tr", cells, class_="best" if entry.status == BEST else None)


def _lost_row(entry: RankedSetting) -> Markup:
    said = (
        f"{len(entry.diverged)} of {len(entry.lanes)} diverged{steps_of(entry)}"
        if entry.diverged
        else "no result"
    )
    name = element("th", entry.label, scope="row")
    return element("tr", element("td", ""), name, element("td", said, colspan=5), class_="lost")


def _standing(entry: RankedSetting) -> str:
    if entry.status == UNSTABLE:
        return f"{len(entry.diverged)} of {len(entry.lanes)} diverged"
    return WORDS.get(entry.status, "")


def _scale(entries: tuple[RankedSetting, ...]) -> Axis:
    """Return the scale of the whiskers: all of the better half, and whoever else is near."""
    means = np.array([entry.loss.mean for entry in entries if entry.loss is not None])
    if not len(means):
        return Axis(0.0, 1.0)
    low, middle = float(means.min()), float(np.median(means))
    near = means[means <= low + 4 * (middle - low)] if middle > low else means
    ends = [
        end
        for entry in entries
        if entry.loss is not None and entry.loss.mean <= near.max()
        for end in (entry.loss.low, entry.loss.high)
        if end is not None and low - 4 * (middle - low) <= end <= near.max() + (middle - low)
    ]
    return axis_over(np.array([*near, *ends]))


def _whisker(entry: RankedSetting, scale: Axis) -> Markup | None:
    if entry.loss is None:
        return None
    at = float(scale.place(entry.loss.mean))
    if at > 1:
        return element("span", "\u2192", class_="beyond", title="beyond the scale")
    dot = element("b", style=f"left:{100 * at:.1f}%")
    if entry.loss.low is None or entry.loss.high is None:
        return dot
    low, high = (min(1.0, max(0.0, float(scale.place(end)))) for end in (entry.loss.low, entry.loss.high))
    return element("div", element("i", style=f"left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"), dot)


def _about(ranking: Ranking) -> str:
    if ranking.seeds < 2:
        return "One seed each: how much of a difference is luck is not known."
    return (
        "\u00b1 and lines: 95 % interval of the mean over seeds. Behind the best: the difference on the same "
        "seeds, with its own 95 % interval; where that holds zero the two cannot be told apart."
    )
