"""The pieces of a plot: path data for curves, dots and bands; grid lines; tick labels."""

import numpy as np
from jaxtyping import Bool, Float

from thalweg.insight.curves import Buckets
from thalweg.view.figure.axis import Axis, tick_text
from thalweg.view.figure.html import Markup, element

SIDE = 1000  # the SVG's own units along either side


def path(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> str:
    """Return SVG path data through points given as shares; gaps where a point is not finite."""
    pieces, pen_down = [], False
    for across, up in zip(x, y, strict=True):
        if not (np.isfinite(across) and np.isfinite(up)):
            pen_down = False
            continue
        up = min(max(up, -2.0), 3.0)  # outside is cut off anyway; huge numbers are not safe in SVG
        pieces.append(f"{'L' if pen_down else 'M'}{_unit(across)} {_unit(1 - up)}")
        pen_down = True
    return "".join(pieces)


def dots(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> str:
    """Return SVG path data of strokes without length: drawn with round caps they are dots."""
    keep = np.isfinite(x) & np.isfinite(y)
    return "".join(f"M{_unit(a)} {_unit(1 - b)}h0" for a, b in zip(x[keep], y[keep], strict=True))


def outline(band: Buckets, x: Axis, y: Axis) -> str:
    """Outline the area between lows and highs, one piece for each run of finite buckets."""
    across = x.place(band.step)
    low, high = np.nan_to_num(y.place(band.low), nan=-0.1), y.place(band.high)
    pieces = []
    for run in _runs(np.isfinite(high) & np.isfinite(band.low)):
        there, back = path(across[run], high[run]), path(across[run][::-1], low[run][::-1])
        pieces.append(there + "L" + back[1:] + "Z")
    return "".join(pieces)


def grid(axis: Axis) -> Markup:
    """Return horizontal grid lines at an axis' ticks."""
    lines = "".join(f"M0 {_unit(1 - float(axis.place(tick)))}H{SIDE}" for tick in axis.ticks())
    return element("path", d=lines, class_="grid")


def mark(x: Axis, step: float) -> Markup:
    """Return a vertical line at a step."""
    return element("path", d=f"M{_unit(float(x.place(step)))} 0V{SIDE}", class_="mark")


def y_labels(axis: Axis) -> Markup:
    """Return the tick labels of a vertical axis."""
    ticks = [
        element("span", tick_text(tick), style=f"top:{100 * (1 - float(axis.place(tick))):.2f}%")
        for tick in axis.ticks()
    ]
    return element("div", ticks, class_="y", aria_hidden="true")


def x_labels(axis: Axis, name: str) -> Markup:
    """Return the tick labels of a horizontal axis, with its name in the corner; steps are whole numbers."""
    ticks = [
        element("span", tick_text(tick), style=f"left:{100 * float(axis.place(tick)):.2f}%")
        for tick in axis.ticks(5)
        if name != "step" or tick == round(tick)
    ]
    return element("div", element("b", name), element("div", ticks), class_="x", aria_hidden="true")


def _runs(keep: Bool[np.ndarray, " n"]) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], keep.astype(int), [0]])))
    return [slice(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def _unit(share: float) -> str:
    return f"{SIDE * share:.1f}".removesuffix(".0")
