"""What a network has learned, drawn: regions of classes, the surface of a number, or a curve."""

import numpy as np

from thalweg.insight.landscape.fitted import Fitted
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.contours import outlines
from thalweg.view.figure.frame import area, drawing, figure, legend_key, scale, x_labels
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.figure.svg_paths import WHOLE, Area, dots, grid, path
from thalweg.view.landscape.picture import BANDS, COLOURS


def draw(shown: Fitted) -> Markup:
    """Draw it as a figure element."""
    x, y = axes(shown)
    title = "Fitted curve" if not len(shown.y) else "Decision boundary" if shown.classes else "Fitted surface"
    keys = [legend_key(name, COLOURS[number % len(COLOURS)]) for number, name in enumerate(shown.classes)]
    note = f"Dots: training examples. Across: {shown.names[0]}. Up: {shown.names[1]}."
    drawn = drawing(title, pieces(shown, WHOLE))
    return figure(
        title,
        element("div", scale(y, area(drawn)), class_="frame square"),
        x_labels(x, ""),
        legend=keys,
        reading=None,
        note=note,
        class_="plot scatter fitted",
    )


def axes(shown: Fitted) -> tuple[Axis, Axis]:
    """Return the axes of the picture."""
    x = Axis(float(shown.x[0]), float(shown.x[-1]))
    if len(shown.y):
        return x, Axis(float(shown.y[0]), float(shown.y[-1]))
    return x, axis_over(np.concatenate([shown.curve, shown.examples[:, 1]]))


def pieces(shown: Fitted, within: Area) -> Markup:
    """Draw it into an area, of a page or a file."""
    x, y = axes(shown)
    across, up = x.position(shown.examples[:, 0]), y.position(shown.examples[:, 1])
    kinds = sorted(set(shown.labels.tolist()))
    marked = [
        element(
            "path",
            d=dots(across[shown.labels == k], up[shown.labels == k], within),
            class_=f"example {_colour(k)}",
        )
        for k in kinds
    ]
    if not len(shown.y):
        line = path(x.position(shown.x), y.position(shown.curve), within)
        return join(grid(y, within), *marked, element("path", d=line, class_="trail p1"))
    ground = [_region(plane, 0.0, within, f"region {_colour(k)}") for k, plane in enumerate(shown.lead)]
    if not shown.classes:
        low, high = float(shown.lead.min()), float(shown.lead.max())
        ground = [
            _region(shown.lead[0], low + k / BANDS * (high - low), within, f"band b{k}") for k in range(BANDS)
        ]
    return join(*ground, *marked)


def _region(values: np.ndarray, level: float, within: Area, kind: str) -> Markup:
    rows, columns = values.shape
    data = [
        path(outline[:, 0] / (columns - 1), outline[:, 1] / (rows - 1), within) + "Z"
        for outline in outlines(values, level)
    ]
    return element("path", d="".join(data), class_=kind, fill_rule="evenodd")


def _colour(label: int) -> str:
    return "plain" if label < 0 else COLOURS[label % len(COLOURS)]
