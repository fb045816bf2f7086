"""SVG path data: curves, dots, bands, grid lines and vertical lines, in the units of an area."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from thalweg.insight.curves import Buckets
from thalweg.view.figure.axis import Axis
from thalweg.view.figure.html import Markup, element

SIDE = 1000  # units along either side of a stretched drawing


class Area(NamedTuple):
    """The rectangle that shares are mapped to; the default is a whole stretched drawing."""

    left: float = 0.0
    top: float = 0.0
    width: float = SIDE
    height: float = SIDE

    def across(self, share: float) -> str:
        """Return the horizontal coordinate of a share of the width."""
        return _number(self.left + self.width * share)

    def up(self, share: float) -> str:
        """Return the vertical coordinate of a share of the height, counted from below.

        Shares far outside are cut off: they are not visible, and SVG cannot hold huge numbers safely.
        """
        return _number(self.top + self.height * (1 - min(max(share, -2.0), 3.0)))


WHOLE = Area()


def path(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], area: Area = WHOLE) -> str:
    """Return path data through points given as shares, with gaps where a point is not finite."""
    pieces, pen_down = [], False
    for across, up in zip(x, y, strict=True):
        finite = bool(np.isfinite(across) and np.isfinite(up))
        if finite:
            pieces.append(f"{'L' if pen_down else 'M'}{area.across(across)} {area.up(up)}")
        pen_down = finite
    return "".join(pieces)


def dots(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], area: Area = WHOLE) -> str:
    """Return path data of strokes without length: drawn with round caps they are dots."""
    keep = np.isfinite(x) & np.isfinite(y)
    return "".join(f"M{area.across(a)} {area.up(b)}h0" for a, b in zip(x[keep], y[keep], strict=True))


def outline(band: Buckets, x: Axis, y: Axis, area: Area = WHOLE) -> str:
    """Outline the area between lows and highs, one piece for each run of finite buckets."""
    across = x.position(band.step)
    low, high = np.nan_to_num(y.position(band.low), nan=-0.1), y.position(band.high)
    pieces = []
    for run in _runs(np.isfinite(high) & np.isfinite(band.low)):
        upper = path(across[run], high[run], area)
        lower = path(across[run][::-1], low[run][::-1], area)
        pieces.append(upper + "L" + lower[1:] + "Z")
    return "".join(pieces)


def grid(axis: Axis, area: Area = WHOLE) -> Markup:
    """Return horizontal grid lines at an axis' ticks."""
    lines = "".join(
        f"M{area.across(0)} {area.up(float(axis.position(tick)))}H{area.across(1)}" for tick in axis.ticks()
    )
    return element("path", d=lines, class_="grid")


def vertical(x: Axis, value: float, kind: str = "mark", area: Area = WHOLE) -> Markup:
    """Return a vertical line over the whole height."""
    line = f"M{area.across(float(x.position(value)))} {area.up(1)}V{area.up(0)}"
    return element("path", d=line, class_=kind)


def notches(x: Axis, values: list[float], length: float, area: Area = WHOLE) -> Markup:
    """Return short lines along the top edge: values at which lanes diverged."""
    lines = "".join(f"M{area.across(float(x.position(value)))} {area.up(1)}v{length:g}" for value in values)
    return element("path", d=lines, class_="lost")


def _runs(keep: Bool[np.ndarray, " n"]) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], keep.astype(int), [0]])))
    return [slice(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
