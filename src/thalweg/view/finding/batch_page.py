"""The page of a finding of batch sizes: one HTML file, whole in itself; and what is said of it as text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.insight.finder.finding import BatchFinding
from thalweg.insight.finder.verdict import of_cost, rate
from thalweg.insight.settings import flat
from thalweg.insight.wording import count, figure, seconds
from thalweg.insight.wording import setting as chosen
from thalweg.view.figure.html import Markup, element
from thalweg.view.finding import batches
from thalweg.view.report.page import document, footer
from thalweg.view.report.tables import pairs
from thalweg.view.text import bullets

COLUMNS = ("batch", "rate", "low", "high", "loss", "linear", "its loss", "square root", "its loss")
_FIELDS = ("value", "low", "high", "loss", "linear", "linear_loss", "sqrt", "sqrt_loss")


def headline(finding: BatchFinding) -> str:
    """Say which batch size and rate to take, in one sentence."""
    if finding.value is None or finding.lr is None:
        return "batch_size: no size lets it learn"
    return f"batch_size {count(finding.value)} with learning rate {rate(finding.lr)}"


def render(finding: BatchFinding, about: Mapping[str, Any]) -> str:
    """Render a finding of batch sizes as one HTML file that refers to nothing outside itself.

    Args:
        finding: What came of it.
        about: `data`, `model`, `run` and `environment`, each where it is known.
    """
    environment = about.get("environment") or {}
    folder = Path(about["run"]) if about.get("run") else None
    sections = [
        ("sizes", "What each size reached", batches.draw(finding)),
        ("table", "Sizes", _table(finding)),
        (
            "recipe",
            "Recipe, with batch size and rate in place",
            pairs(_rows(finding.recipe.to_dict()), "wide"),
        ),
        ("environment", "Made with", pairs(_rows(environment), "wide") if environment else None),
    ]
    name = folder.name if folder is not None else str(about.get("data") or "finding")
    foot = footer(environment, folder, "the seeds, and batches drawn for the noise scale")
    return document(f"{name}: {headline(finding)}", _head(finding, name, about), sections, foot)


def show(finding: BatchFinding, about: Mapping[str, Any]) -> RenderableType:
    """Say which batch size to take, how that was decided, and what each size reached."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in ("batch", "rate", "95 % interval", "loss", "linear", "square root"):
        table.add_column(name, no_wrap=True)
    for row in finding.table.sort("batch").iter_rows(named=True):
        ends = "" if row["low"] is None else f"{rate(row['low'])} to {rate(row['high'])}"
        cells = (
            _written(row["value"]),
            ends,
            _loss(row["loss"]),
            _written(row["linear"]),
            _written(row["sqrt"]),
        )
        table.add_row(count(row["batch"]), *cells, style="bold" if row["batch"] == finding.value else "")
    facts = Table.grid(padding=(0, 2))
    for name in ("data", "model", "run"):
        if about.get(name):
            facts.add_row(Text(name, style="dim"), str(about[name]))
    style = "bold green" if finding.value is not None else "bold red"
    said = bullets((of_cost(finding.cost),))
    return Group(
        Text(headline(finding), style=style),
        Text(),
        Text(finding.reason),
        *said,
        Text(),
        table,
        Text(),
        facts,
    )


def _table(finding: BatchFinding) -> Markup:
    head = element("tr", [element("th", name, scope="col") for name in COLUMNS])
    rows = [
        element(
            "tr",
            element("th", count(row["batch"]), scope="row"),
            [element("td", (_loss if "loss" in name else _written)(row[name])) for name in _FIELDS],
        )
        for row in finding.table.sort("batch").iter_rows(named=True)
    ]
    table = element("table", element("thead", head), element("tbody", rows), class_="by-class")
    note = "Losses: after equally many examples, means over seeds; none where a lane diverged."
    return element("div", table, element("p", note, class_="note"), class_="scrolls")


def _head(finding: BatchFinding, name: str, about: Mapping[str, Any]) -> Markup:
    said = [element("li", finding.reason), element("li", of_cost(finding.cost).text)]
    noise = finding.noise_scale
    tiles = [
        ("noise scale", f"{figure(noise.value, 3)} ({figure(noise.low, 3)} to {figure(noise.high, 3)})"),
        ("largest useful", count(finding.largest_useful)),
        ("fits in memory", count(finding.fits.batch)),
        ("the recipe's own", count(finding.default)),
        ("time", seconds(finding.cost.seconds)),
        ("model", str(about.get("model") or "-")),
    ]
    made = [element("div", element("dt", title), element("dd", value)) for title, value in tiles]
    return element(
        "header",
        element("p", name, class_="name"),
        element("h1", headline(finding)),
        element("div", _score(finding), element("dl", made, class_="tiles"), class_="hero"),
        element(
            "section",
            element("h2", "How it was decided"),
            element("ul", said, class_="findings"),
            id="verdict",
        ),
        class_="head" if finding.value is not None else "head bad",
    )


def _score(finding: BatchFinding) -> Markup | None:
    if finding.value is None:
        return None
    said = f"batch_size, with learning rate {rate(finding.lr)}"
    return element(
        "div",
        element("p", count(finding.value), class_="figure"),
        element("p", said, class_="label"),
        class_="score",
    )


def _written(value: float | None) -> str:
    return "" if value is None else rate(value)


def _loss(value: float | None) -> str:
    return "" if value is None else figure(value)


def _rows(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(key), chosen(value)) for key, value in flat(settings).items()]
