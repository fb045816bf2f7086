"""Plots for the docs: one self-contained SVG file with text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

import numpy as np

from thalweg.view.figure.axis import Axis, tick_text
from thalweg.view.figure.html import Markup, element

WIDTH, HEIGHT = 420, 240  # of a panel, pixels
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 34, 44
COLUMNS = 2
INK, FAINT, LINE = "#444", "#ddd", "#2a6fb0"


@dataclass(frozen=True)
class Points:
    """Points with their spread.

    Args:
        at: Horizontal positions, ascending.
        middle, low, high: Median, lowest and highest value at each position.
    """

    at: Sequence[float]
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]

    @classmethod
    def of(cls, values: Mapping[int, Sequence[float]]) -> Self:
        """Return the points of several values per position."""
        rows = list(values.values())
        return cls(list(values), [median(r) for r in rows], [min(r) for r in rows], [max(r) for r in rows])


@dataclass(frozen=True)
class Panel:
    """One plot, whose vertical axis starts at zero so that growth is not exaggerated.

    Args:
        title: The quantity, with its unit.
        across: Label of the horizontal axis.
        points: The data.
    """

    title: str
    across: str
    points: Points


def svg(panels: Sequence[Panel]) -> str:
    """Return the panels as SVG, two per row."""
    rows = -(-len(panels) // COLUMNS)
    drawn = [
        element(
            "g",
            _panel(panel),
            transform=f"translate({number % COLUMNS * WIDTH} {number // COLUMNS * HEIGHT})",
        )
        for number, panel in enumerate(panels)
    ]
    size = {"width": COLUMNS * WIDTH, "height": rows * HEIGHT}
    ground = element("rect", width="100%", height="100%", fill="#fff")
    box = f"0 0 {size['width']} {size['height']}"
    style = {"font-family": "system-ui, sans-serif", "font-size": "12"}
    return str(
        element("svg", ground, drawn, xmlns="http://www.w3.org/2000/svg", viewBox=box, **size, **style)
    )


def _panel(panel: Panel) -> list[Markup]:
    points = panel.points
    x = Axis(0.0, 1.04 * max(points.at))
    y = Axis(0.0, 1.08 * max(points.high))
    across, up = _across(x, points.at), _up(y, points.middle)
    line = " ".join(f"{a:.1f},{u:.1f}" for a, u in zip(across, up, strict=True))
    elements = [element("text", panel.title, x=LEFT, y=18, fill=INK, **{"font-weight": "600"})]
    for tick in y.ticks(5):
        height = float(_up(y, [tick])[0])
        ends = {"x1": LEFT, "x2": WIDTH - RIGHT, "y1": f"{height:.1f}", "y2": f"{height:.1f}"}
        elements.append(element("line", stroke=FAINT, **ends))
        elements.append(_text(tick_text(tick), LEFT - 6, height + 4, "end"))
    for position, at in zip(across, points.at, strict=True):
        elements.append(_text(tick_text(at), position, HEIGHT - BOTTOM + 16, "middle"))
    elements.append(_text(panel.across, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "middle"))
    elements.append(element("polyline", points=line, fill="none", stroke=LINE, **{"stroke-width": "2"}))
    for position, low, high, middle in zip(across, _up(y, points.low), _up(y, points.high), up, strict=True):
        ends = {"x1": f"{position:.1f}", "x2": f"{position:.1f}", "y1": f"{low:.1f}", "y2": f"{high:.1f}"}
        elements.append(element("line", stroke=LINE, **ends))
        elements.append(element("circle", cx=f"{position:.1f}", cy=f"{middle:.1f}", r=3, fill=LINE))
    return elements


def _text(text: str, x: float, y: float, anchor: str) -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", fill=INK, **{"text-anchor": anchor})


def _across(axis: Axis, values: Sequence[float]) -> np.ndarray:
    return LEFT + (WIDTH - LEFT - RIGHT) * axis.position(np.asarray(values, float))


def _up(axis: Axis, values: Sequence[float]) -> np.ndarray:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.position(np.asarray(values, float))
