"""Figures of the lab as SVG files: curves, means with intervals, surfaces with paths, decision boundaries.

Drawn for a column of 480 units in type of 13 to 15, so that a figure can be read at 400 pixels and at 800,
in light and in dark. Series differ by colour and by dashes.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from thalweg.insight.curves import Buckets
from thalweg.insight.intervals import estimate_mean
from thalweg.insight.landscape.fitted import Fitted
from thalweg.insight.landscape.surface import Landscape
from thalweg.view.figure.axis import Axis, axis_over, tick_text
from thalweg.view.figure.html import Markup, element, join, standalone_svg
from thalweg.view.figure.svg_paths import Area, dots, grid, outline, path, vertical
from thalweg.view.landscape.fitted import axes as fitted_axes
from thalweg.view.landscape.fitted import pieces as fitted_pieces
from thalweg.view.landscape.picture import (
    COLOURS,
    Frame,
    bands,
    marks,
    named_trails,
    rules,
    trails,
    variables,
)

WIDTH, LEFT, RIGHT, TALL = 480, 62, 18, 250
LETTER = 7.7  # average width of a letter of 13 units
LINE, ROW = 19, 30
_LIGHT = "--card:#ffffff;--ink:#1d2428;--soft:#56626a;--rule:#e4e6e3;--contour:rgba(10,40,55,.35);"
_DARK = "--card:#151b1f;--ink:#e6ebed;--soft:#a9b5bb;--rule:#2c363b;--contour:rgba(255,255,255,.22);"
_DASHES = ("", "7 4", "2 4", "9 3 2 3", "5 2", "1 3", "12 4", "4 4")


@dataclass(frozen=True)
class Series:
    """A curve.

    Args:
        name: For the legend.
        x, y: Its points.
        low, high: The range around it; None for none.
        dots: Whether its points are marked.
    """

    name: str
    x: Float[np.ndarray, " point"]
    y: Float[np.ndarray, " point"]
    low: Float[np.ndarray, " point"] | None = None
    high: Float[np.ndarray, " point"] | None = None
    dots: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves over one axis.

    Args:
        title: What is shown.
        lines: At least one.
        x, y: Names of the axes.
        log_x, log_y: Whether they are logarithmic.
        marks: Values across to point out, by name.
        top: Highest value up that is shown; None for all. Curves that explode hide the others.
    """

    title: str
    lines: tuple[Series, ...]
    x: str = "update"
    y: str = "training loss"
    log_x: bool = False
    log_y: bool = False
    marks: Mapping[str, float] = field(default_factory=dict)
    top: float | None = None

    def draw(self, top: float) -> tuple[Markup, float]:
        """Draw it below `top`; return the bottom too."""
        across = np.concatenate([line.x for line in self.lines] + [[*self.marks.values()]]).astype(float)
        x = axis_over(across, log=self.log_x, margin=0.02)
        y = axis_over(self._heights(), log=self.log_y)
        legend, down = _legend([(line.name, n) for n, line in enumerate(self.lines) if line.name], top)
        area = Area(LEFT, down + 28, WIDTH - LEFT - RIGHT, TALL)
        pieces = [grid(y, area)]
        pieces += [vertical(x, at, "mark", area) for at in self.marks.values()]
        drawn = [self._line(line, number, x, y, area) for number, line in enumerate(self.lines)]
        clip, name = _clip(area)
        pieces += [clip, element("g", drawn, clip_path=f"url(#{name})"), _ticks(x, y, area)]
        for label, at in self.marks.items():
            share = float(x.position(at))
            side = {"text_anchor": "end"} if share > 0.6 else {}
            shift = -5 if share > 0.6 else 5
            place = float(area.across(share)) + shift
            pieces.append(_text(label, place, area.top + 14, "soft named", **side))
        return join(legend, *pieces, _axis_names(self.x, self.y, area)), area.top + TALL + 44

    def _heights(self) -> Float[np.ndarray, " n"]:
        values = [edge for line in self.lines for edge in (line.y, line.low, line.high) if edge is not None]
        heights = np.concatenate(values).astype(float)
        return heights if self.top is None else np.minimum(heights, self.top)

    def _line(self, line: Series, number: int, x: Axis, y: Axis, area: Area) -> Markup:
        colour = COLOURS[number % len(COLOURS)]
        across, up = x.position(line.x), y.position(line.y)
        spread = None
        if line.low is not None and line.high is not None:
            band = Buckets(line.x, line.low, line.y, line.high, 1)
            spread = element("path", d=outline(band, x, y, area), class_="spread", fill=f"var(--{colour})")
        marked = element("path", d=dots(across, up, area), class_=f"dot {colour}") if line.dots else None
        dashes = _DASHES[number % len(_DASHES)]
        return join(
            spread,
            element(
                "path", d=path(across, up, area), class_=f"curve {colour}", stroke_dasharray=dashes or None
            ),
            marked,
        )


@dataclass(frozen=True)
class Intervals:
    """A row for each variant: its value for every seed, and their mean with its 95 % interval.

    Args:
        title: What is shown.
        rows: Values by name.
        x: Name of the axis.
        log_x: Whether it is logarithmic.
        marks: Values to point out, by name.
    """

    title: str
    rows: Mapping[str, Float[np.ndarray, " seed"]]
    x: str
    log_x: bool = False
    marks: Mapping[str, float] = field(default_factory=dict)

    def draw(self, top: float) -> tuple[Markup, float]:
        """Draw it below `top`; return the bottom too."""
        finite = {name: values[np.isfinite(values)] for name, values in self.rows.items()}
        x = axis_over(np.concatenate([*finite.values(), [*self.marks.values()]]), log=self.log_x, margin=0.06)
        area = Area(24, top + 24, WIDTH - 24 - RIGHT, (ROW + 12) * len(finite) + 12)
        pieces = [_across_grid(x, area)]
        for number, (name, values) in enumerate(finite.items()):
            up = area.top + number * (ROW + 12) + 12
            lost = len(self.rows[name]) - len(values)
            label = f"{name} ({lost} of {len(self.rows[name])} not finite)" if lost else name
            pieces.append(_text(label, area.left + 2, up + 8, "ink named", font_size=13))
            pieces.append(self._row(values, number, x, area, up + 22))
        pieces += [vertical(x, at, "mark", area) for at in self.marks.values()]
        for tick in x.ticks(6):
            place = float(area.across(float(x.position(tick))))
            pieces.append(
                _text(tick_text(tick), place, area.top + area.height + 17, "soft", text_anchor="middle")
            )
        for label, at in self.marks.items():
            place = float(area.across(float(x.position(at))))
            anchor = "end" if place > 0.6 * WIDTH else "start"
            shift = -4 if anchor == "end" else 4
            pieces.append(_text(label, place + shift, area.top - 6, "soft", text_anchor=anchor))
        middle = area.left + area.width / 2
        pieces.append(_text(self.x, middle, area.top + area.height + 37, "soft", text_anchor="middle"))
        return join(*pieces), area.top + area.height + 48

    def _row(self, values: np.ndarray, number: int, x: Axis, area: Area, up: float) -> Markup:
        colour = COLOURS[number % len(COLOURS)]
        if not len(values):
            return join()
        at = [float(area.across(float(x.position(value)))) for value in values]
        pieces = [element("path", d="".join(f"M{a:.1f} {up:.1f}h0" for a in at), class_=f"each {colour}")]
        estimate = estimate_mean(values)
        assert estimate is not None
        if estimate.low is not None and estimate.high is not None:
            ends = (max(estimate.low, x.low), min(estimate.high, x.high))
            low, high = (float(area.across(float(x.position(end)))) for end in ends)
            pieces.append(element("path", d=f"M{low:.1f} {up:.1f}H{high:.1f}", class_=f"whisker {colour}"))
        mean = float(area.across(float(x.position(estimate.mean))))
        pieces.append(element("path", d=f"M{mean:.1f} {up - 7:.1f}v14", class_=f"mean {colour}"))
        return join(*pieces)


@dataclass(frozen=True)
class Surface:
    """A loss surface with the paths of recipes.

    Args:
        title: What is shown.
        landscape: The surface.
    """

    title: str
    landscape: Landscape

    def draw(self, top: float) -> tuple[Markup, float]:
        """Draw it below `top`; return the bottom too."""
        shown = self.landscape
        legend, down = _legend([(name, number) for number, (name, _) in enumerate(named_trails(shown))], top)
        ratio = float(np.clip(np.ptp(shown.y) / np.ptp(shown.x), 0.5, 1.0))
        area = Area(LEFT, down + 28, WIDTH - LEFT - RIGHT, round((WIDTH - LEFT - RIGHT) * ratio))
        frame = Frame.of(shown, area)
        clip, name = _clip(area)
        drawn = [bands(shown, area), trails(shown, frame), marks(shown, frame)]
        names = shown.plane.names
        return (
            join(
                legend,
                clip,
                element("g", drawn, clip_path=f"url(#{name})"),
                _ticks(frame.x, frame.y, area),
                _axis_names(names[0], names[1], area),
            ),
            area.top + area.height + 44,
        )


@dataclass(frozen=True)
class Boundary:
    """What networks of two inputs have learned: the regions of the classes, one panel for each network.

    Args:
        title: What is shown.
        panels: By name, at most two.
    """

    title: str
    panels: Mapping[str, Fitted]

    def draw(self, top: float) -> tuple[Markup, float]:
        """Draw it below `top`; return the bottom too."""
        side = (WIDTH - 24 - RIGHT - 14 * (len(self.panels) - 1)) / len(self.panels)
        pieces = []
        for number, (name, shown) in enumerate(self.panels.items()):
            area = Area(24 + number * (side + 14), top + 26, side, side)
            x, y = fitted_axes(shown)
            clip, clipped = _clip(area)
            pieces += [clip, element("g", fitted_pieces(shown, area), clip_path=f"url(#{clipped})")]
            frame = f"M{area.left:.1f} {area.top:.1f}h{side:.1f}v{side:.1f}h{-side:.1f}z"
            pieces += [element("path", d=frame, class_="grid"), _text(name, area.left, top + 18, "ink")]
            ends = f"{tick_text(round(x.low, 1))} to {tick_text(round(x.high, 1))} across, "
            ends += f"{tick_text(round(y.low, 1))} to {tick_text(round(y.high, 1))} up"
            pieces.append(_text(ends, area.left, area.top + side + 17, "soft", font_size=12))
        return join(*pieces), top + side + 60


Picture = Chart | Intervals | Surface | Boundary


def svg(pictures: Sequence[Picture]) -> str:
    """Return pictures, one below the other, as the text of an SVG file."""
    pieces, top = [], 4.0
    for picture in pictures:
        for line in textwrap.wrap(picture.title, 50):
            top += 20
            pieces.append(_text(line, 16, top, "ink", font_size=15, font_weight=600))
        draw: Callable[[float], tuple[Markup, float]] = picture.draw
        drawn, bottom = draw(top + 4)
        pieces.append(drawn)
        top = bottom + 10
    height = round(top)
    paper = element("rect", width=WIDTH, height=height, fill="var(--card)")
    return standalone_svg(WIDTH, height, element("style", Markup(_style_sheet())), paper, *pieces)


def _legend(names: Sequence[tuple[str, int]], top: float) -> tuple[Markup, float]:
    """Write names with their colours, as many in a row as fit; return the bottom too."""
    if len(names) < 2:
        return join(), top
    pieces, left, up = [], 16.0, top + 18
    for name, number in names:
        width = 34 + LETTER * len(name)
        if left > 16 and left + width > WIDTH - 8:
            left, up = 16.0, up + LINE
        colour, dashes = COLOURS[number % len(COLOURS)], _DASHES[number % len(_DASHES)]
        key = f"M{left:.0f} {up - 4:.0f}h20"
        pieces.append(element("path", d=key, class_=f"curve {colour}", stroke_dasharray=dashes or None))
        pieces.append(_text(name, left + 25, up, "ink"))
        left += width + 8
    return join(*pieces), up + 2


def _ticks(x: Axis, y: Axis, area: Area) -> Markup:
    pieces, bottom = [], area.top + area.height
    for tick in x.ticks(6):
        place = float(area.across(float(x.position(tick))))
        pieces.append(_text(tick_text(tick), place, bottom + 18, "soft", text_anchor="middle"))
    for tick in y.ticks(6):
        place = float(area.up(float(y.position(tick))))
        pieces.append(_text(tick_text(tick), area.left - 7, place + 4, "soft", text_anchor="end"))
    return join(*pieces)


def _axis_names(x: str, y: str, area: Area) -> Markup:
    """Write the name across below, and the name up above the axis, where it needs no turned type."""
    middle, bottom = area.left + area.width / 2, area.top + area.height
    across = _text(x, middle, bottom + 37, "soft", text_anchor="middle")
    return join(across, _text(y, 16, area.top - 8, "soft"))


def _across_grid(x: Axis, area: Area) -> Markup:
    lines = "".join(
        f"M{area.across(float(x.position(tick)))} {area.up(1)}V{area.up(0)}" for tick in x.ticks(6)
    )
    return element("path", d=lines, class_="grid")


def _clip(area: Area) -> tuple[Markup, str]:
    """Return a window onto an area, and its name, which is unique in a file."""
    name = f"window{round(area.left)}-{round(area.top)}"
    box = element("rect", x=area.left, y=area.top, width=area.width, height=area.height)
    return element("clipPath", box, id=name), name


def _text(content: str, x: float, y: float, colour: str, **attributes: object) -> Markup:
    return element("text", content, x=f"{x:.1f}", y=f"{y:.1f}", class_=colour, **attributes)


def _style_sheet() -> str:
    light, dark = _LIGHT + variables(0), _DARK + variables(1)
    own = (
        "text.ink{fill:var(--ink)} text.soft{fill:var(--soft)}"
        " text.named{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}"
        " .grid{fill:none;stroke:var(--rule);stroke-width:1}"
        " .mark{fill:none;stroke:var(--soft);stroke-width:1.2;stroke-dasharray:3 3}"
        " path.curve{fill:none;stroke-width:2.2;stroke-linejoin:round}"
        " path.spread{fill-opacity:.15;stroke:none} path.dot{fill:none;stroke-width:7;stroke-linecap:round}"
        " path.each{fill:none;stroke-width:8;stroke-opacity:.4;stroke-linecap:round}"
        " path.whisker{fill:none;stroke-width:3} path.mean{fill:none;stroke-width:4}"
    )
    return f"svg{{{light}}} {rules()} {own} @media (prefers-color-scheme: dark){{svg{{{dark}}}}}"
