"""The frame that all figures share: caption, legend, labels of both axes, marked values, note and readings.

A figure is an SVG stretched to its box, with strokes that do not stretch; numbers and names are HTML next to
it. So a figure is as readable on a phone as on a wide screen, and switches colours with the page.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.view.figure.axis import Axis, tick_text
from thalweg.view.figure.html import Content, Markup, data_script, element
from thalweg.view.figure.svg_paths import SIDE, vertical

LEFT = 0.6  # share of the width beyond which a label is to the left of its line


@dataclass(frozen=True)
class Mark:
    """A value on the horizontal axis to point out.

    Args:
        kind: Its class in the style sheet: `chosen`, `own`, `edge` or `predicted`.
        value: Its position.
        label: The text next to it.
    """

    kind: str
    value: float
    label: str


def figure(
    title: str,
    *body: Content,
    legend: Iterable[Markup] = (),
    reading: str | None = "",
    switch: tuple[Content, Content] = (None, None),
    note: str | None = None,
    readings: Mapping[str, Any] | None = None,
    **attributes: Any,
) -> Markup:
    """Return a figure element.

    Args:
        title: Its heading.
        body: Content between caption and note: the frame and the labels below it.
        legend: Keys, from `legend_key`.
        reading: Text of the caption while the pointer is elsewhere; None for a figure that cannot be read.
        switch: Inputs before the caption and their labels inside it, for a choice of axes.
        note: How to read it.
        readings: What the page's script reads under the pointer.
        **attributes: Of the element; `class_` names its kind.
    """
    keys = list(legend)
    caption = element(
        "figcaption",
        element("h3", title),
        switch[1],
        element("div", keys, class_="legend") if keys else None,
        None if reading is None else element("output", reading, class_="reading"),
    )
    return element(
        "figure",
        switch[0],
        caption,
        *body,
        element("p", note, class_="note") if note else None,
        None if readings is None else data_script(readings),
        **attributes,
    )


def drawing(
    title: str, *content: Content, columns: float = SIDE, rows: float = SIDE, **attributes: Any
) -> Markup:
    """Return an SVG that is stretched to its box.

    Args:
        title: Read out in place of the picture.
        columns, rows: Units across and down.
    """
    return element(
        "svg",
        *content,
        viewBox=f"0 0 {columns} {rows}",
        preserveAspectRatio="none",
        role="img",
        aria_label=title,
        **attributes,
    )


def area(*content: Content) -> Markup:
    """Return the box that holds a drawing, with the cursor that the pointer moves."""
    return element("div", *content, element("i", class_="cursor"), class_="area")


def scale(y: Axis | None, inside: Markup, kind: str = "") -> Markup:
    """Return an area with the tick labels of a vertical axis next to it; None leaves them blank."""
    labels = element("div", class_="y") if y is None else y_labels(y)
    return element("div", labels, inside, class_=f"scale {kind}".strip())


def marked_frame(y: Axis | None, drawn: Markup, marks: Sequence[Mark], x: Axis) -> Markup:
    """Return a frame with the labels of marked values above the drawing."""
    inside = area(drawn, _mark_labels(marks, x))
    return element("div", scale(y, inside), class_="frame marked", style=f"--labels:{len(marks)}")


def mark_lines(marks: Sequence[Mark], x: Axis) -> list[Markup]:
    """Return the vertical lines of marked values."""
    return [vertical(x, mark.value, f"mark {mark.kind}") for mark in marks]


def _mark_labels(marks: Sequence[Mark], x: Axis) -> Markup:
    """Write each label on its own line, with a leader to it: values may be arbitrarily close."""
    leaders, labels = [], []
    for line, mark in enumerate(marks):
        share = float(x.position(mark.value))
        style = f"left:{100 * share:.2f}%;--line:{len(marks) - line}"
        leaders.append(element("b", class_=mark.kind, style=style))
        side = "left" if share > LEFT else "right"
        labels.append(element("span", mark.label, class_=f"{mark.kind} {side}", style=style))
    return element("div", leaders, labels, class_="marks")


def legend_key(name: str, kind: str, style: str | None = None) -> Markup:
    """Return an entry of a legend: a swatch of class `kind`, and the name."""
    return element("span", element("i", class_=f"key {kind}", style=style), name)


def y_labels(axis: Axis) -> Markup:
    """Return the tick labels of a vertical axis."""
    ticks = [
        element("span", tick_text(tick), style=f"top:{100 * (1 - float(axis.position(tick))):.2f}%")
        for tick in axis.ticks()
    ]
    return element("div", ticks, class_="y", aria_hidden="true")


def x_labels(axis: Axis, name: str) -> Markup:
    """Return the tick labels of a horizontal axis, with its name in the corner; steps are whole numbers."""
    ticks = [
        element("span", tick_text(tick), style=f"left:{100 * float(axis.position(tick)):.2f}%")
        for tick in axis.ticks(5)
        if name != "step" or tick == round(tick)
    ]
    return element("div", element("b", name), element("div", ticks), class_="x", aria_hidden="true")


def table(head: Iterable[Content], rows: Iterable[Content], class_: str) -> Markup:
    """Return an HTML table.

    Args:
        head: Column headings.
        rows: `tr` elements.
        class_: Its kind.
    """
    heading = element("tr", [element("th", name, scope="col") for name in head])
    return element("table", element("thead", heading), element("tbody", *rows), class_=class_)
