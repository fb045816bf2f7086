"""A loss surface as SVG: bands between contours, the paths of runs, marked points; for a page or a file.

Low is dark and high is pale in light and in dark. A path has a halo in the colour of the paper, so that it
can be seen on every band.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thalweg.insight.landscape.surface import Landscape, Trail
from thalweg.view.figure.axis import Axis
from thalweg.view.figure.contours import outlines
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.figure.svg_paths import Area, dots, path

BANDS = 14
# Colours of paths and of their keys, in this order: classes of the style sheet.
COLOURS = ("p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8")
# Every step of a path is a dot, up to so many.
MOST_DOTS = 80
# Lowest, middle and highest band, and the paths: light and dark. Colours that are alike are far apart in the
# order, so that few paths never have two of them.
RAMPS = (("#14506a", "#74b3c4", "#f3f7f4"), ("#0b2b3a", "#2c7289", "#b7d6db"))
TRAILS = (
    ("#d1540a", "#7b2d8b", "#1b7f4b", "#1d2428", "#8a6d00", "#b3261e", "#c2418c", "#3f4fae"),
    ("#ffa45c", "#e0a3ea", "#7be0a8", "#ffffff", "#ecd55a", "#ff8a80", "#ff9fd0", "#aab6ff"),
)


@dataclass(frozen=True)
class Frame:
    """Where a landscape is drawn.

    Args:
        area: In units of the drawing.
        x, y: The axes.
    """

    area: Area
    x: Axis
    y: Axis

    @classmethod
    def of(cls, shown: Landscape, area: Area) -> "Frame":
        """Return the frame of a landscape's window."""
        return cls(
            area, Axis(float(shown.x[0]), float(shown.x[-1])), Axis(float(shown.y[0]), float(shown.y[-1]))
        )

    def line(self, at: Float[np.ndarray, "point 2"]) -> str:
        """Return path data through points given by their coordinates."""
        return path(self.x.position(at[:, 0]), self.y.position(at[:, 1]), self.area)

    def dots(self, at: Float[np.ndarray, "point 2"]) -> str:
        """Return path data of dots at coordinates."""
        return dots(self.x.position(at[:, 0]), self.y.position(at[:, 1]), self.area)


def heights(shown: Landscape) -> Float[np.ndarray, "row column"]:
    """Return what is drawn at each point: 0 at the lowest loss, 1 at the top of the scale and above."""
    return np.clip(shown.scale.height(shown.loss), 0.0, 1.0)


def bands(shown: Landscape, area: Area) -> Markup:
    """Draw the bands between contours, from the lowest up, each over the one below."""
    drawn = heights(shown)
    rows, columns = drawn.shape
    corner = f"M{area.across(0)} {area.up(1)}H{area.across(1)}V{area.up(0)}H{area.across(0)}Z"
    pieces = [element("path", d=corner, class_="band b0")]
    for number in range(1, BANDS):
        data = []
        for outline in outlines(drawn, number / BANDS):
            x, y = outline[:, 0] / (columns - 1), outline[:, 1] / (rows - 1)
            data.append(path(x, y, area) + "Z")
        if data:
            pieces.append(element("path", d="".join(data), class_=f"band b{number}", fill_rule="evenodd"))
    return join(*pieces)


def trails(shown: Landscape, frame: Frame) -> Markup:
    """Draw the paths: a line, a dot at each step, a ring at the start, a larger dot at the end."""
    return join(
        *(
            _trail(trail, frame, colour)
            for trail, colour in zip(shown.trails, _colours(shown.trails), strict=True)
        )
    )


def _trail(trail: Trail, frame: Frame, colour: str) -> Markup:
    line, few = frame.line(trail.at), len(trail.at) <= MOST_DOTS
    return join(
        element("path", d=line, class_="halo"),
        element("path", d=frame.dots(trail.at), class_="halo dots") if few else None,
        element("path", d=line, class_=f"trail {colour}"),
        element("path", d=frame.dots(trail.at), class_=f"steps {colour}") if few else None,
        element("path", d=frame.dots(trail.at[-1:]), class_="halo end"),
        element("path", d=frame.dots(trail.at[-1:]), class_=f"end {colour}"),
        element("path", d=frame.dots(trail.at[:1]), class_=f"start {colour}"),
        element("path", d=frame.dots(trail.at[:1]), class_="hole"),
    )


def marks(shown: Landscape, frame: Frame) -> Markup:
    """Draw the marked points."""
    if not shown.marks:
        return join()
    at = np.array([mark.at for mark in shown.marks])
    return join(
        element("path", d=frame.dots(at), class_="halo mark"),
        element("path", d=frame.dots(at), class_="point"),
    )


def named_trails(shown: Landscape) -> list[tuple[str, str]]:
    """Return names and classes of the paths, for a legend."""
    return [(trail.name, colour) for trail, colour in zip(shown.trails, _colours(shown.trails), strict=True)]


def _colours(trails: Sequence[Trail]) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(len(trails))]


def ramp(which: int) -> list[str]:
    """Return the colours of the bands from low to high.

    Args:
        which: 0 for light, 1 for dark.
    """
    low, middle, high = (np.array([int(stop[at : at + 2], 16) for at in (1, 3, 5)]) for stop in RAMPS[which])
    colours = []
    for share in np.linspace(0.0, 2.0, BANDS):
        mixed = low + share * (middle - low) if share <= 1 else middle + (share - 1) * (high - middle)
        colours.append("#" + "".join(f"{round(float(part)):02x}" for part in mixed))
    return colours


def levels(shown: Landscape) -> list[float]:
    """Return the loss at the lower end of each band, and at the top of the scale."""
    return [shown.scale.loss(number / BANDS) for number in range(BANDS + 1)]


def variables(which: int, prefix: str = "") -> str:
    """Return the colours as CSS variables: bands `--b0`, ..., paths `--p1`, ..."""
    named = {f"b{number}": colour for number, colour in enumerate(ramp(which))}
    named |= dict(zip(COLOURS, TRAILS[which], strict=True))
    return prefix + " ".join(f"--{name}: {colour};" for name, colour in named.items())


def rules() -> str:
    """Return the CSS rules of bands and paths, in terms of the variables and of `--card`, the paper."""
    sheet = [f".b{number}{{fill:var(--b{number})}}" for number in range(BANDS)]
    for name in COLOURS:
        sheet.append(f"path.{name}{{stroke:var(--{name})}} i.{name}{{background:var(--{name})}}")
        sheet.append(f"path.region.{name}{{fill:var(--{name})}}")
    return " ".join(
        [
            *sheet,
            "path.band{stroke:var(--contour);stroke-width:.6;fill-opacity:1}",
            "path.halo{fill:none;stroke:var(--card);stroke-width:5;stroke-opacity:.75}",
            "path.halo.dots{stroke-width:8} path.halo.end{stroke-width:15;stroke-opacity:1}",
            "path.halo.mark{stroke-width:15;stroke-opacity:1}",
            "path.point{fill:none;stroke:var(--ink);stroke-width:9}",
            "path.trail{fill:none;stroke-width:1.8} path.steps{fill:none;stroke-width:5}",
            "path.end{fill:none;stroke-width:10} path.start{fill:none;stroke-width:11}",
            "path.hole{fill:none;stroke:var(--card);stroke-width:6}",
            "path.region{fill-opacity:.16;stroke-width:1.6} path.example.plain{stroke:var(--soft)}",
            "path.example{fill:none;stroke-width:5;stroke-opacity:.8;stroke-linecap:round}",
            "path.halo,path.trail,path.steps,path.end,path.start,path.hole,path.point"
            "{stroke-linecap:round;stroke-linejoin:round}",
        ]
    )
