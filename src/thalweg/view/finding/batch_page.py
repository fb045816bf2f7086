"""The result of a search for a batch size, as a page of one self-contained HTML file and as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.insight.curves import Buckets
from thalweg.insight.finder.finding import BatchFinding
from thalweg.insight.finder.verdict import of_cost, rate
from thalweg.insight.wording import count, figure, seconds
from thalweg.view.figure import frame
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.frame import Mark, drawing, legend_key, mark_lines, marked_frame, table, x_labels
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.figure.plot import WIDE
from thalweg.view.figure.svg_paths import dots, grid, outline, path
from thalweg.view.report.page import document, footer, head, score, tiles
from thalweg.view.report.tables import pairs, settings
from thalweg.view.text import bullets, facts

COLUMNS = ("batch", "rate", "low", "high", "loss", "linear", "its loss", "square root", "its loss")
_FIELDS = ("value", "low", "high", "loss", "linear", "linear_loss", "sqrt", "sqrt_loss")


@dataclass(frozen=True)
class SizeLine:
    """A line over batch sizes.

    Args:
        name: For the legend; empty for the only one.
        values: `size`; NaN where there is none.
        colour: 1.. of the page's palette.
        ends: Low and high ends around it, `size`; None for none.
        rule: Whether it shows a scaling rule rather than a measurement.
    """

    name: str
    values: Float[np.ndarray, " size"]
    colour: int
    ends: tuple[Float[np.ndarray, " size"], Float[np.ndarray, " size"]] | None = None
    rule: bool = False


def headline(finding: BatchFinding) -> str:
    """Say which batch size and rate to use, in one sentence."""
    if finding.value is None or finding.lr is None:
        return "batch_size: training fails to learn at every size"
    return f"batch_size {count(finding.value)} with learning rate {rate(finding.lr)}"


def render(finding: BatchFinding, about: Mapping[str, Any]) -> str:
    """Render a finding of batch sizes as one HTML file without outside references.

    Args:
        finding: Result of the search.
        about: `data`, `model`, `run` and `environment`, each where it is known.
    """
    environment = about.get("environment") or {}
    folder = Path(about["run"]) if about.get("run") else None
    recipe = pairs(settings(finding.recipe.to_dict()), "wide")
    sections = [
        ("sizes", "Rate and loss at each size", draw(finding)),
        ("table", "Sizes", _table(finding)),
        ("recipe", "Recipe with this batch size and rate", recipe),
        ("environment", "Environment", pairs(settings(environment), "wide") if environment else None),
    ]
    name = folder.name if folder is not None else str(about.get("data") or "finding")
    foot = footer(environment, folder, "the seeds, and the batches drawn for the noise scale")
    return document(f"{name}: {headline(finding)}", _head(finding, name, about), sections, foot)


def draw(finding: BatchFinding) -> Markup | None:
    """Draw rate and loss over the batch size; None where no batch size was tried."""
    if not finding.table.height:
        return None
    sizes, legend = _column(finding, "batch"), "found, with its 95 % interval"
    rates = [
        SizeLine(legend, _column(finding, "value"), 1, (_column(finding, "low"), _column(finding, "high"))),
        SizeLine("proportional to the batch", _column(finding, "linear"), 3, rule=True),
        SizeLine("proportional to its square root", _column(finding, "sqrt"), 5, rule=True),
    ]
    losses = [SizeLine("", _column(finding, "loss"), 1)]
    marks = [Mark("chosen", finding.value, f"take {count(finding.value)}")] if finding.value else []
    marks.append(Mark("own", finding.largest_useful, f"useful {count(finding.largest_useful)}"))
    marks.append(Mark("edge", finding.fits.batch, f"fits {count(finding.fits.batch)}"))
    marks.sort(key=lambda mark: mark.value)
    return element(
        "div",
        _plot("Learning rate for each batch size", sizes, rates, marks, log=True),
        _plot("Loss after the same number of examples", sizes, losses, marks, log=None),
        class_="factors-list",
    )


def _column(finding: BatchFinding, name: str) -> Float[np.ndarray, " size"]:
    ordered = finding.table.sort("batch")
    return ordered[name].cast(float).fill_null(np.nan).to_numpy()


def _plot(
    title: str,
    sizes: Float[np.ndarray, " size"],
    lines: Sequence[SizeLine],
    marks: Sequence[Mark],
    log: bool | None,
) -> Markup:
    x, y = axis_over(sizes, log=True), _axis(lines, log)
    near = [mark for mark in marks if 0 <= float(x.position(mark.value)) <= 1]
    drawn = drawing(title, grid(y), [_line(line, sizes, x, y) for line in lines], mark_lines(near, x))
    return frame.figure(
        title,
        marked_frame(y, drawn, near, x),
        x_labels(x, "batch"),
        legend=[legend_key(line.name, f"c{line.colour}") for line in lines if line.name],
        readings={"points": _readings(sizes, lines, x)},
        class_="plot rates",
        data_factor=True,
    )


def _axis(lines: Sequence[SizeLine], log: bool | None) -> Axis:
    ends = [end for line in lines for end in line.ends or ()]
    values = np.concatenate([*(line.values for line in lines), *ends])
    values = values[np.isfinite(values)]
    wide = bool(len(values)) and values.min() > 0 and values.max() >= WIDE * values.min()
    return axis_over(values, log=wide if log is None else log)


def _line(line: SizeLine, sizes: Float[np.ndarray, " size"], x: Axis, y: Axis) -> Markup:
    across, up = x.position(sizes), y.position(line.values)
    around = None
    if line.ends is not None:
        band = Buckets(sizes, line.ends[0], line.values, line.ends[1], 1)
        around = element("path", d=outline(band, x, y), class_=f"band c{line.colour}")
    return join(
        around,
        element("path", d=path(across, up), class_=f"line {'rule ' if line.rule else ''}c{line.colour}"),
        None if line.rule else element("path", d=dots(across, up), class_=f"dots c{line.colour}"),
    )


def _readings(sizes: Float[np.ndarray, " size"], lines: Sequence[SizeLine], x: Axis) -> list[list[object]]:
    """Return what the pointer reads: the position across, and the text there."""
    readings: list[list[object]] = []
    for i, size in enumerate(sizes):
        values = " \u00b7 ".join(f"{line.name} {rate(line.values[i])}".strip() for line in lines)
        readings.append([round(float(x.position(size)), 4), f"batch {count(size)} \u00b7 {values}"])
    return readings


def _table(finding: BatchFinding) -> Markup:
    rows = [
        element(
            "tr",
            element("th", count(row["batch"]), scope="row"),
            [element("td", (_loss if "loss" in name else _rate)(row[name])) for name in _FIELDS],
        )
        for row in finding.table.sort("batch").iter_rows(named=True)
    ]
    note = "Losses: after the same number of examples, means over seeds; blank where a lane diverged."
    return element(
        "div", table(COLUMNS, rows, "by-class"), element("p", note, class_="note"), class_="scrolls"
    )


def _head(finding: BatchFinding, name: str, about: Mapping[str, Any]) -> Markup:
    noise = finding.noise_scale
    figures = [
        ("noise scale", f"{figure(noise.value, 3)} ({figure(noise.low, 3)} to {figure(noise.high, 3)})"),
        ("largest useful", count(finding.largest_useful)),
        ("fits in memory", count(finding.fits.batch)),
        ("the recipe's own", count(finding.default)),
        ("time", seconds(finding.cost.seconds)),
        ("model", str(about.get("model") or "-")),
    ]
    best = None
    if finding.value is not None:
        best = score(count(finding.value), f"batch_size, with learning rate {rate(finding.lr)}")
    return head(
        name,
        headline(finding),
        [best, tiles(figures)],
        ("How it was decided", [(finding.reason, None), (of_cost(finding.cost).text, None)]),
        level="" if finding.value is not None else "bad",
    )


def show(finding: BatchFinding, about: Mapping[str, Any]) -> RenderableType:
    """Return the same as text: the batch size to use, how that was decided, and the loss of each size."""
    lines = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in ("batch", "rate", "95 % interval", "loss", "linear", "square root"):
        lines.add_column(name, no_wrap=True)
    for row in finding.table.sort("batch").iter_rows(named=True):
        interval = "" if row["low"] is None else f"{rate(row['low'])} to {rate(row['high'])}"
        cells = (_rate(row["value"]), interval, _loss(row["loss"]), _rate(row["linear"]), _rate(row["sqrt"]))
        lines.add_row(count(row["batch"]), *cells, style="bold" if row["batch"] == finding.value else "")
    title = Text(headline(finding), style="bold green" if finding.value is not None else "bold red")
    known = facts((name, about.get(name)) for name in ("data", "model", "run"))
    reason = [Text(finding.reason), *bullets((of_cost(finding.cost),))]
    return Group(title, Text(), *reason, Text(), lines, Text(), known)


def _rate(value: float | None) -> str:
    return "" if value is None else rate(value)


def _loss(value: float | None) -> str:
    return "" if value is None else figure(value)
