"""A race as a page: verdicts, curves, what tuning tried."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from thalweg.insight.curves import Curve
from thalweg.insight.race.result import Contestant, Race
from thalweg.insight.wording import count, figure, measure, setting
from thalweg.view.figure.frame import table
from thalweg.view.figure.html import Content, Markup, element, join
from thalweg.view.figure.plot import Line, Plot, draw
from thalweg.view.race.text import difference, headline, known, row, statements
from thalweg.view.report.page import document, footer, head, score, tiles
from thalweg.view.report.tables import pairs

INTERVALS = "the seeds, at whatever number of them one looks"


def render(race: Race, about: Mapping[str, Any]) -> str:
    """Render a race as one HTML file without outside references.

    Args:
        race: The race.
        about: `run` (its folder) and `environment`, where they are known.
    """
    sections = [
        ("result", "Contestants", _contestants(race)),
        ("pairs", "Pair by pair", _pairs(race)),
        ("curves", "Curves", _curves(race)),
        ("rates", "Sensitivity to the rate", _rates(race)),
        ("tuning", "What tuning tried", _tried(race)),
        ("rules", "Rules of the race", pairs(known(race), "wide")),
    ]
    environment = about.get("environment") or {}
    return document(headline(race), _head(race), sections, footer(environment, about.get("run"), INTERVALS))


def _head(race: Race) -> Markup:
    best = race.ranked[0] if race.contestants else None
    shown = None
    if best is not None and best.estimate is not None:
        figures = measure(race.metric, best.estimate.mean)
        shown = score(figures, f"{best.name}: mean validation {race.metric}, the best")
    facts = [
        ("seeds", count(race.seeds)),
        ("trainings each", count(race.budget)),
        ("updates each", count(race.steps)),
        ("updates in all", count(sum(one.updates for one in race.contestants))),
    ]
    said = [(each.text, each.level) for each in statements(race)]
    level = "good" if race.winner else "unclear"
    return head(race.data, headline(race), [shown, tiles(facts)], ("Verdicts", said), level)


def _rows(cells: list[tuple[str, ...]]) -> list[Content]:
    return [
        element("tr", element("th", first, scope="row"), [element("td", each) for each in others])
        for first, *others in cells
    ]


def _contestants(race: Race) -> Markup:
    columns = ("contestant", f"validation {race.metric} (95 %)", "judged at", "to target", "rate")
    rows = _rows([row(race, one) for one in race.ranked])
    return element("div", table(columns, rows, "by-class"), class_="scrolls")


def _pairs(race: Race) -> Markup | None:
    if not race.pairs:
        return None
    cells = [
        (
            f"{pair.first} - {pair.second}",
            difference(pair),
            f"{pair.p:.2g}",
            pair.winner or "cannot tell",
            "" if pair.decided_at is None else count(pair.decided_at),
            "yes" if pair.skewed else "no",
        )
        for pair in race.pairs
    ]
    columns = ("pair", "difference", "corrected p", "better", "settled after", "skewed")
    return element("div", table(columns, _rows(cells), "by-class"), class_="scrolls")


def _curves(race: Race) -> Markup | None:
    lines = [
        Line(one.name, Curve(np.asarray(one.steps), np.asarray(one.curve)), number + 1)
        for number, one in enumerate(race.contestants)
        if one.curve
    ]
    if not lines:
        return None
    note = "Mean over the seeds that did not diverge."
    return draw(Plot(f"Validation {race.metric}", "curves", lines, switch=True, note=note))


def _rates(race: Race) -> Markup | None:
    """Draw the best figure of tuning's first stage over the rate, in octaves from the rate in the middle."""
    lines = []
    for number, one in enumerate(race.contestants):
        rates, values = _first_stage(one)
        if len(rates):
            lines.append(Line(one.name, Curve(np.log2(rates), values), number + 1, dots=True))
    if not lines:
        return None
    note = "Across: the binary logarithm of the rate. Other settings are the registry's; gaps diverged."
    return draw(Plot(f"Best validation {race.metric} by rate", "rates", lines, note=note, across="log2 rate"))


def _first_stage(one: Contestant) -> tuple[np.ndarray, np.ndarray]:
    if not one.tried:
        return np.zeros(0), np.zeros(0)
    others = [tuple(each.settings.values())[1:] for each in one.tried]
    first = [each for each, other in zip(one.tried, others, strict=True) if other == others[0]]
    found = sorted(
        (next(iter(each.settings.values())), each.value) for each in first if each.value is not None
    )
    rates, values = (np.array(each, np.float64) for each in zip(*found, strict=True)) if found else ([], [])
    return np.asarray(rates), np.asarray(values)


def _tried(race: Race) -> Markup | None:
    parts: list[Content] = []
    for one in race.contestants:
        if not one.tried:
            continue
        columns = [*(path.removeprefix("optimizer.") for path in one.tried[0].settings), race.metric]
        cells = [
            (*(setting(value) for value in each.settings.values()), _value(race, each.value))
            for each in one.tried
        ]
        parts += [element("h3", one.name), element("div", table(columns, _rows(cells), "by-class"))]
    return element("div", join(*parts), class_="scrolls") if parts else None


def _value(race: Race, value: float | None) -> str:
    return "diverged" if value is None else measure(race.metric, value) if race.metric else figure(value)
