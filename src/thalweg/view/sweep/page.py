"""The report of a sweep: ranked settings, a figure for each factor, in one self-contained HTML file."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from thalweg.insight import sweep_statements
from thalweg.insight.outcome import table
from thalweg.insight.ranking import BEST, DIVERGED, RankedSetting, Ranking
from thalweg.insight.sweep_statements import by_words, steps_of
from thalweg.insight.wording import count, figure, measure, plural, seconds
from thalweg.run.folder.record import Record
from thalweg.run.folder.sweep_record import Sweep
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.frame import table as html_table
from thalweg.view.figure.html import Markup, element
from thalweg.view.report import tables
from thalweg.view.report.page import document, footer, head, score, tiles
from thalweg.view.sweep import factor, grid, lanes
from thalweg.view.sweep.text import difference, status

MOST_MAPS = 6  # heat maps; many factors have more pairs than anyone looks at
MOST_ROWS = 100  # of the ranked table; sweep.json has all


def render(sweep: Sweep, ranking: Ranking, records: Sequence[Record] = ()) -> str:
    """Render a sweep as one HTML file without outside references.

    Args:
        sweep: From `thalweg.run.folder.sweep_record.read`.
        ranking: Its settings in order.
        records: Its lanes, where they are not in its folder.

    Returns:
        The file's text; write it as UTF-8.
    """
    record = _record(sweep)
    sections = [
        ("ranking", "Settings, best first", ranked(ranking)),
        ("curves", "Curves of the lanes", lanes.draw_sweep(sweep, ranking, records)),
        ("factors", "Effect of each setting", factors(ranking)),
        ("diverged", "Lanes that diverged", _diverged(ranking)),
        ("data", "Data", tables.data(record)),
        ("recipe", "Settings in common", tables.recipe(record)),
        ("model", "Model", None if "model" in ranking.factors else tables.model(record)),
        ("cost", "Cost", tables.cost(record)),
        ("environment", "Environment", tables.environment(record)),
    ]
    title = f"{sweep.folder.name}: {sweep_statements.headline(ranking)}"
    foot = footer(sweep.environment, sweep.folder, f"the {ranking.over} (mean of a setting)")
    return document(title, _head(sweep, ranking), sections, foot)


def _record(sweep: Sweep) -> Record:
    """Return the fields that a sweep shares with a run, so that the tables of a run can show them."""
    varied: set[str] = set(sweep.result.get("varied") or ())
    recipe = _without(table(sweep.result, "recipe"), varied)
    return Record(sweep.folder, recipe, sweep.problem, sweep.result, sweep.environment)


def _without(recipe: dict, varied: set[str], prefix: str = "") -> dict:
    return {
        name: _without(value, varied, f"{prefix}{name}.") if isinstance(value, dict) else value
        for name, value in recipe.items()
        if prefix + name not in varied
    }


def factors(ranking: Ranking) -> Markup | None:
    """Draw a curve for each number that varied, and a map for each pair."""
    curves = [drawn for path in ranking.factors if (drawn := factor.draw(ranking, path)) is not None]
    choice = factor.choice_of(ranking)
    only = [None] if choice is None else [(choice, value) for value in factor.values_of(ranking, choice)]
    maps = [
        drawn
        for rows, columns in combinations(ranking.factors, 2)
        for value in only
        if (drawn := grid.draw(ranking, rows, columns, value)) is not None
    ]
    if not curves and not maps:
        return None
    kind = "small-plots" if len(curves) > 1 else None
    return element("div", maps[:MOST_MAPS], element("div", curves, class_=kind), class_="factors-list")


def _head(sweep: Sweep, ranking: Ranking) -> Markup:
    total = table(sweep.result, "seconds").get("total")
    groups = sweep.result.get("groups") or ()
    figures = [
        ("lanes", count(ranking.lanes)),
        ("settings", count(len(ranking.entries))),
        (f"{ranking.over} per setting", count(ranking.seeds)),
        ("tied with the best", count(len(ranking.tied)) if ranking.seeds > 1 else None),
        ("diverged lanes", count(sum(len(entry.diverged) for entry in ranking.entries))),
        ("groups", count(len(groups)) if groups else None),
        ("model", str(sweep.result["model"]) if sweep.result.get("model") else None),
        ("time", seconds(total) if total is not None else None),
    ]
    statements = sweep_statements.statements(ranking)
    return head(
        sweep.folder.name,
        sweep_statements.headline(ranking),
        [_score(ranking), tiles(figures)],
        ("Verdict", [(statement.text, statement.level) for statement in statements]),
        level=sweep_statements.level(ranking).replace("good", ""),
    )


def _score(ranking: Ranking) -> Markup | None:
    best = ranking.best
    if best is None or best.loss is None:
        return None
    if best.metric is not None and ranking.metric:
        value, name = measure(ranking.metric, best.metric.mean), f"validation {ranking.metric}"
    else:
        value, name = measure(None, best.loss.mean), by_words(ranking)
    return score(value, f"{name} of {best.label}")


def ranked(ranking: Ranking, most: int = MOST_ROWS) -> Markup:
    """Return the ranked settings, `most` of them, each mean drawn with its interval on one common scale."""
    shown = ranking.entries[:most]
    scale = _scale(shown)
    columns = ["", "setting", by_words(ranking), "", "behind the best", ranking.metric or "", ""]
    rows = [_row(entry, ranking, scale) for entry in shown]
    more = len(ranking.entries) - len(shown)
    return element(
        "div",
        html_table(columns, rows, "by-class ranked"),
        element("p", f"{plural(more, 'more setting')} in sweep.json.", class_="note") if more else None,
        element("p", _about(ranking), class_="note"),
        class_="scrolls",
    )


def _diverged(ranking: Ranking) -> Markup | None:
    """List the lanes that diverged, with their steps; None where none did."""
    rows = [
        element(
            "tr",
            element("td", entry.label),
            element("td", f"{len(entry.diverged)} of {plural(len(entry.lanes), 'lane')}"),
            element("td", ", ".join(_lane(entry, lane, step) for lane, step in entry.diverged)),
        )
        for entry in ranking.entries
        if entry.diverged
    ]
    if not rows:
        return None
    shown = html_table(("setting", "diverged", "lanes and steps"), rows[:MOST_ROWS], "by-class")
    return element("div", shown, class_="scrolls")


def _lane(entry: RankedSetting, lane: int, step: int | None) -> str:
    seed = f" (seed {entry.seeds[entry.lanes.index(lane)]})" if len(set(entry.seeds)) > 1 else ""
    return f"lane {lane}{seed}" + ("" if step is None else f" at step {count(step)}")


def _row(entry: RankedSetting, ranking: Ranking, scale: Axis) -> Markup:
    if entry.status == DIVERGED:
        return _diverged_row(entry)
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
        element("td", status(entry)),
    ]
    return element("tr", cells, class_="best" if entry.status == BEST else None)


def _diverged_row(entry: RankedSetting) -> Markup:
    result = "no result"
    if entry.diverged:
        result = f"{len(entry.diverged)} of {len(entry.lanes)} diverged{steps_of(entry)}"
    name = element("th", entry.label, scope="row")
    return element("tr", element("td", ""), name, element("td", result, colspan=5), class_="lost")


def _scale(entries: tuple[RankedSetting, ...]) -> Axis:
    """Return the scale of the whiskers: the better half of the settings, and others that are near."""
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
    mean = float(scale.position(entry.loss.mean))
    if mean > 1:
        return element("span", "\u2192", class_="beyond", title="beyond the scale")
    dot = element("b", style=f"left:{100 * mean:.1f}%")
    if entry.loss.low is None or entry.loss.high is None:
        return dot
    low, high = (min(1.0, max(0.0, float(scale.position(end)))) for end in (entry.loss.low, entry.loss.high))
    return element("div", element("i", style=f"left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"), dot)


def _about(ranking: Ranking) -> str:
    if ranking.seeds < 2:
        return "One seed each: differences may be luck."
    return (
        f"\u00b1 and lines: 95 % interval of the mean over {ranking.over}. Behind the best: difference on "
        f"the same {ranking.over}, with its own 95 % interval; if that contains zero, the two cannot be "
        "distinguished."
    )
