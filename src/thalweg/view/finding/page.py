"""A finding's page: one HTML file, whole in itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thalweg.insight.finder.finding import LearningRateFinding
from thalweg.insight.finder.verdict import headline, level, rate, sentences, share
from thalweg.insight.settings import flat
from thalweg.insight.wording import count, figure, plural, seconds
from thalweg.insight.wording import setting as chosen
from thalweg.view.figure import lr_figure as rates_figure
from thalweg.view.figure.html import Markup, element
from thalweg.view.figure.lr_picture import Picture, picture
from thalweg.view.report.page import document, footer
from thalweg.view.report.tables import pairs

INTERVALS = "the seeds and the way from the lanes' length to the run's"


def render(finding: LearningRateFinding, about: Mapping[str, Any]) -> str:
    """Render a finding as one HTML file that refers to nothing outside itself.

    Args:
        finding: What came of it.
        about: `data`, `task`, `model`, `run` and `environment`, each where it is known.

    Returns:
        The file's text; write it as UTF-8.
    """
    environment = about.get("environment") or {}
    recipe = finding.recipe.to_dict()
    sections = [
        ("rates", "What each rate reached", rates_figure.draw(finding)),
        ("lanes", "Lanes", lanes(finding)),
        ("recipe", "Recipe, with the rate in place", pairs(_rows(recipe), "wide")),
        ("environment", "Made with", pairs(_rows(environment), "wide") if environment else None),
    ]
    folder = Path(about["run"]) if about.get("run") else None
    name = folder.name if folder is not None else str(about.get("data") or "finding")
    title = f"{name}: {headline(finding)}"
    return document(title, _head(finding, name, about), sections, footer(environment, folder, INTERVALS))


def lanes(finding: LearningRateFinding) -> Markup | None:
    """List what the lanes reached: a row for each rate, a column for each length."""
    shown = picture(finding)
    if shown is None:
        return None
    head = element(
        "tr",
        element("th", "rate", scope="col"),
        [element("th", f"{plural(rung.steps, 'update')}", scope="col") for rung in shown.rungs],
    )
    tried = sorted({value for rung in shown.rungs for value in rung.rates.tolist()})
    rows = [element("tr", element("th", rate(value), scope="row"), _cells(shown, value)) for value in tried]
    table = element("table", element("thead", head), element("tbody", rows), class_="by-class")
    return element("div", table, element("p", "Losses: means over seeds.", class_="note"), class_="scrolls")


def _cells(shown: Picture, value: float) -> list[Markup]:
    cells = []
    for rung in shown.rungs:
        where = rung.rates.tolist()
        if value in rung.lost:
            said = "diverged"
        else:
            said = figure(rung.means[where.index(value)]) if value in where else ""
        cells.append(element("td", said))
    return cells


def _head(finding: LearningRateFinding, name: str, about: Mapping[str, Any]) -> Markup:
    items = [element("li", one.text, class_=one.level) for one in sentences(finding)]
    return element(
        "header",
        element("p", name, class_="name"),
        element("h1", headline(finding)),
        element("div", _score(finding), _tiles(finding, about), class_="hero"),
        element(
            "section",
            element("h2", "How it was decided"),
            element("ul", items, class_="findings"),
            id="verdict",
        ),
        class_="head bad" if level(finding) == "bad" else "head",
    )


def _score(finding: LearningRateFinding) -> Markup | None:
    if finding.value is None:
        return None
    sure = f", {rate(finding.low)} to {rate(finding.high)}" if finding.low is not None else ""
    return element(
        "div",
        element("p", rate(finding.value), class_="figure"),
        element("p", f"{finding.setting}{sure}", class_="label"),
        class_="score",
    )


def _tiles(finding: LearningRateFinding, about: Mapping[str, Any]) -> Markup:
    tiles = [
        ("status", finding.status),
        ("the recipe's own", rate(finding.default)),
        ("diverges at", rate(finding.diverges) if finding.diverges is not None else "nowhere tried"),
        ("cost, of the run", share(finding.cost.share).removesuffix(" of")),
        ("updates", count(finding.cost.steps)),
        ("time", seconds(finding.cost.seconds)),
        ("lanes", count(finding.curve.height)),
        ("model", str(about["model"]) if about.get("model") else None),
    ]
    made = [
        element("div", element("dt", name), element("dd", value))
        for name, value in tiles
        if value is not None
    ]
    return element("dl", made, class_="tiles")


def _rows(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(key), chosen(value)) for key, value in flat(settings).items()]
