"""A finding as text: the verdict and a table of the longest lanes, at home in 80 columns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.insight.finder.finding import LearningRateFinding
from thalweg.insight.finder.verdict import headline, level, rate, sentences
from thalweg.insight.wording import figure, plural
from thalweg.view.figure.lr_picture import Picture, Rung, picture
from thalweg.view.text import bullets

_STYLES = {"good": "bold green", "unclear": "bold yellow", "bad": "bold red"}


def show(finding: LearningRateFinding, about: Mapping[str, Any]) -> RenderableType:
    """Say which rate to take, how that was decided, and what the lanes reached.

    Args:
        finding: What came of it.
        about: `data`, `task`, `model` and `run`, each where it is known.
    """
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(about):
        facts.add_row(name, value)
    shown = picture(finding)
    rows = [] if shown is None else [_lanes(shown, finding), Text()]
    said = bullets(sentences(finding))
    return Group(Text(headline(finding), style=_STYLES[level(finding)]), Text(), *said, Text(), *rows, facts)


def _lanes(shown: Picture, finding: LearningRateFinding) -> RenderableType:
    last = shown.rungs[-1]
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("rate", justify="right", no_wrap=True)
    table.add_column(f"loss after {plural(last.steps, 'update')}", no_wrap=True)
    table.add_column("", overflow="fold")
    finite = last.means[np.isfinite(last.means)]
    best = float(finite.min()) if len(finite) else np.nan
    for value, mean in zip(last.rates.tolist(), last.means.tolist(), strict=True):
        said, style = _said(last, value, mean, best, finding)
        table.add_row(rate(value), figure(mean) if np.isfinite(mean) else "", said, style=style)
    return table


def _said(
    last: Rung, value: float, mean: float, best: float, finding: LearningRateFinding
) -> tuple[str, str]:
    words = ["diverged"] if value in last.lost else []
    words += ["lowest"] if mean == best else []
    words += ["its own"] if value == finding.default else []
    style = "red" if value in last.lost else "bold" if mean == best else ""
    return ", ".join(words), style


def _facts(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    task = f", {about['task']}" if about.get("task") else ""
    rows = [("data", f"{about['data']}{task}")] if about.get("data") else []
    rows += [("model", str(about["model"]))] if about.get("model") else []
    rows += [("folder", str(about["run"]))] if about.get("run") else []
    return rows
