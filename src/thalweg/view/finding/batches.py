"""Rate and loss over the batch size, as figures of a page: what was found, and what the scaling rules say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thalweg.insight.curves import Buckets
from thalweg.insight.finder.finding import BatchFinding
from thalweg.insight.finder.verdict import rate
from thalweg.insight.wording import count
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.html import Markup, data_script, element, join
from thalweg.view.figure.plot import WIDE
from thalweg.view.figure.svg_paths import SIDE, dots, grid, outline, path, x_labels, y_labels

LEFT = 0.6  # share of the width from which on a label stands left of its line


@dataclass(frozen=True)
class Series:
    """A line over batch sizes.

    Args:
        name: For the legend.
        values: `size`; NaN where there is none.
        colour: 1.. of the page's palette.
        ends: Low and high ends around it, `size`; None for none.
        drawn: Class of the line: `line`, or `line rule` for what a rule says.
    """

    name: str
    values: Float[np.ndarray, " size"]
    colour: int
    ends: tuple[Float[np.ndarray, " size"], Float[np.ndarray, " size"]] | None = None
    drawn: str = "line"


def draw(finding: BatchFinding) -> Markup | None:
    """Draw a finding's figures; None where no batch size was tried."""
    if not finding.table.height:
        return None
    sizes = _column(finding, "batch")
    rates = [
        Series(
            "found, with its 95 % interval",
            _column(finding, "value"),
            1,
            (_column(finding, "low"), _column(finding, "high")),
        ),
        Series("in proportion to the batch", _column(finding, "linear"), 3, drawn="line rule"),
        Series("to its square root", _column(finding, "sqrt"), 5, drawn="line rule"),
    ]
    losses = [Series("", _column(finding, "loss"), 1)]
    marks = _marks(finding)
    return element(
        "div",
        _plot("Learning rate for each batch size", sizes, rates, marks, log=True),
        _plot("Loss after equally many examples", sizes, losses, marks, log=None),
        class_="factors-list",
    )


def _column(finding: BatchFinding, name: str) -> Float[np.ndarray, " size"]:
    ordered = finding.table.sort("batch")
    return ordered[name].cast(float).fill_null(np.nan).to_numpy()


def _marks(finding: BatchFinding) -> list[tuple[str, float, str]]:
    found = [("chosen", finding.value, f"take {count(finding.value)}")] if finding.value else []
    found.append(("own", finding.largest_useful, f"useful {count(finding.largest_useful)}"))
    found.append(("edge", finding.fits.batch, f"fits {count(finding.fits.batch)}"))
    return sorted(found, key=lambda mark: mark[1])


def _plot(
    title: str,
    sizes: Float[np.ndarray, " size"],
    series: Sequence[Series],
    marks: Sequence[tuple[str, float, str]],
    log: bool | None,
) -> Markup:
    x, y = axis_over(sizes, log=True), _axis(series, log)
    near = [mark for mark in marks if 0 <= float(x.place(mark[1])) <= 1]
    drawing = element(
        "svg",
        grid(y),
        [_line(one, sizes, x, y) for one in series],
        [
            element("path", d=f"M{SIDE * float(x.place(at)):.1f} 0V{SIDE}", class_=f"mark {kind}")
            for kind, at, _ in near
        ],
        viewBox=f"0 0 {SIDE} {SIDE}",
        preserveAspectRatio="none",
        role="img",
        aria_label=title,
    )
    area = element("div", drawing, _labels(near, x), element("i", class_="cursor"), class_="area")
    style = f"--labels:{len(near)}"
    return element(
        "figure",
        _caption(title, series),
        element("div", element("div", y_labels(y), area, class_="scale"), class_="frame marked", style=style),
        x_labels(x, "batch"),
        data_script({"points": _readings(sizes, series, x)}),
        class_="plot rates",
        data_factor=True,
    )


def _axis(series: Sequence[Series], log: bool | None) -> Axis:
    values = np.concatenate(
        [*(one.values for one in series), *(end for one in series for end in one.ends or ())]
    )
    values = values[np.isfinite(values)]
    wide = bool(len(values)) and values.min() > 0 and values.max() >= WIDE * values.min()
    return axis_over(values, log=wide if log is None else log)


def _line(one: Series, sizes: Float[np.ndarray, " size"], x: Axis, y: Axis) -> Markup:
    across, up = x.place(sizes), y.place(one.values)
    around = None
    if one.ends is not None:
        band = Buckets(sizes, one.ends[0], one.values, one.ends[1], 1)
        around = element("path", d=outline(band, x, y), class_=f"band c{one.colour}")
    marked = "rule" not in one.drawn
    return join(
        around,
        element("path", d=path(across, up), class_=f"{one.drawn} c{one.colour}"),
        element("path", d=dots(across, up), class_=f"dots c{one.colour}") if marked else None,
    )


def _labels(marks: Sequence[tuple[str, float, str]], x: Axis) -> Markup:
    leaders, labels = [], []
    for line, (kind, at, label) in enumerate(marks):
        place = float(x.place(at))
        style = f"left:{100 * place:.2f}%;--line:{len(marks) - line}"
        leaders.append(element("b", class_=kind, style=style))
        labels.append(
            element("span", label, class_=f"{kind} {'left' if place > LEFT else 'right'}", style=style)
        )
    return element("div", leaders, labels, class_="marks")


def _caption(title: str, series: Sequence[Series]) -> Markup:
    keys = [
        element("span", element("i", class_=f"key c{one.colour}"), one.name) for one in series if one.name
    ]
    return element(
        "figcaption",
        element("h3", title),
        element("div", keys, class_="legend") if keys else None,
        element("output", "", class_="reading"),
    )


def _readings(sizes: Float[np.ndarray, " size"], series: Sequence[Series], x: Axis) -> list[list[object]]:
    return [
        [
            round(float(x.place(size)), 4),
            f"batch {count(size)} \u00b7 "
            + " \u00b7 ".join(f"{one.name} {rate(one.values[place])}".strip() for one in series),
        ]
        for place, size in enumerate(sizes)
    ]
