"""The result of a search for a learning rate, as a page of one self-contained HTML file and as text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.insight.finder.finding import LearningRateFinding
from thalweg.insight.finder.verdict import headline, level, rate, sentences, share
from thalweg.insight.wording import count, figure, plural, seconds
from thalweg.view.figure import lr_figure
from thalweg.view.figure.frame import table
from thalweg.view.figure.html import Markup, element
from thalweg.view.figure.lr_picture import Picture, RungLanes, picture
from thalweg.view.report.page import document, footer, head, score, tiles
from thalweg.view.report.tables import pairs, settings
from thalweg.view.text import bullets, facts

INTERVALS = "the seeds and the extrapolation from the lanes' length to the run's"
_STYLES = {"good": "bold green", "unclear": "bold yellow", "bad": "bold red"}


def render(finding: LearningRateFinding, about: Mapping[str, Any]) -> str:
    """Render a finding as one HTML file without outside references.

    Args:
        finding: Result of the search.
        about: `data`, `task`, `model`, `run` and `environment`, each where it is known.

    Returns:
        The file's text; write it as UTF-8.
    """
    environment = about.get("environment") or {}
    recipe = finding.recipe.to_dict()
    sections = [
        ("rates", "Loss at each rate", lr_figure.draw(finding)),
        ("lanes", "Lanes", lanes(finding)),
        ("recipe", "Recipe with this rate", pairs(settings(recipe), "wide")),
        ("environment", "Environment", pairs(settings(environment), "wide") if environment else None),
    ]
    folder = Path(about["run"]) if about.get("run") else None
    name = folder.name if folder is not None else str(about.get("data") or "finding")
    title = f"{name}: {headline(finding)}"
    return document(title, _head(finding, name, about), sections, footer(environment, folder, INTERVALS))


def lanes(finding: LearningRateFinding) -> Markup | None:
    """List the losses: a row for each rate, a column for each length."""
    shown = picture(finding)
    if shown is None:
        return None
    columns = ["rate", *(plural(rung.steps, "update") for rung in shown.rungs)]
    rates = sorted({value for rung in shown.rungs for value in rung.rates.tolist()})
    rows = [element("tr", element("th", rate(value), scope="row"), _cells(shown, value)) for value in rates]
    note = element("p", "Losses: means over seeds.", class_="note")
    return element("div", table(columns, rows, "by-class"), note, class_="scrolls")


def _cells(shown: Picture, value: float) -> list[Markup]:
    cells = []
    for rung in shown.rungs:
        tried = rung.rates.tolist()
        if value in rung.diverged:
            loss = "diverged"
        else:
            loss = figure(rung.means[tried.index(value)]) if value in tried else ""
        cells.append(element("td", loss))
    return cells


def _head(finding: LearningRateFinding, name: str, about: Mapping[str, Any]) -> Markup:
    figures = [
        ("status", finding.status),
        ("the recipe's own", rate(finding.default)),
        ("diverges at", rate(finding.diverges) if finding.diverges is not None else "none of the rates"),
        ("cost, of the run", share(finding.cost.share).removesuffix(" of")),
        ("updates", count(finding.cost.steps)),
        ("time", seconds(finding.cost.seconds)),
        ("lanes", count(finding.curve.height)),
        ("model", str(about["model"]) if about.get("model") else None),
    ]
    interval = f", {rate(finding.low)} to {rate(finding.high)}" if finding.low is not None else ""
    best = None if finding.value is None else score(rate(finding.value), f"{finding.setting}{interval}")
    return head(
        name,
        headline(finding),
        [best, tiles(figures)],
        ("How it was decided", [(sentence.text, sentence.level) for sentence in sentences(finding)]),
        level="bad" if level(finding) == "bad" else "",
    )


def show(finding: LearningRateFinding, about: Mapping[str, Any]) -> RenderableType:
    """Return the same as text: which rate to use, how that was decided, and the losses of the longest lanes.

    Args:
        finding: Result of the search.
        about: `data`, `task`, `model` and `run`, each where it is known.
    """
    shown = picture(finding)
    rows = [] if shown is None else [_longest_lanes(shown, finding), Text()]
    task = f", {about['task']}" if about.get("task") else ""
    known = {
        "data": f"{about['data']}{task}" if about.get("data") else None,
        "model": about.get("model"),
        "folder": about.get("run"),
    }
    title = Text(headline(finding), style=_STYLES[level(finding)])
    return Group(title, Text(), *bullets(sentences(finding)), Text(), *rows, facts(known.items()))


def _longest_lanes(shown: Picture, finding: LearningRateFinding) -> RenderableType:
    last = shown.rungs[-1]
    lines = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    lines.add_column("rate", justify="right", no_wrap=True)
    lines.add_column(f"loss after {plural(last.steps, 'update')}", no_wrap=True)
    lines.add_column("", overflow="fold")
    best = float(np.nanmin(last.means)) if np.isfinite(last.means).any() else np.nan
    for value, mean in zip(last.rates.tolist(), last.means.tolist(), strict=True):
        remark, style = _remark(last, value, mean == best, finding)
        lines.add_row(rate(value), figure(mean) if np.isfinite(mean) else "", remark, style=style)
    return lines


def _remark(rung: RungLanes, value: float, lowest: bool, finding: LearningRateFinding) -> tuple[str, str]:
    """Return the remark on a rate, and its style."""
    diverged = value in rung.diverged
    words = [(diverged, "diverged"), (lowest, "lowest"), (value == finding.default, "recipe's own")]
    style = "red" if diverged else "bold" if lowest else ""
    return ", ".join(word for holds, word in words if holds), style
