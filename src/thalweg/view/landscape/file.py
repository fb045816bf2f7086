"""A landscape or a line as an SVG file with its text inside, light and dark, for a slide or a document."""

import numpy as np

from thalweg.insight.landscape.line import Line
from thalweg.insight.landscape.surface import Landscape
from thalweg.insight.wording import clipped, figure
from thalweg.view.figure.axis import Axis, axis_over, tick_text
from thalweg.view.figure.html import Markup, element, join, standalone_svg
from thalweg.view.figure.svg_paths import Area, grid, path
from thalweg.view.landscape.picture import (
    BANDS,
    Frame,
    bands,
    levels,
    marks,
    named_trails,
    rules,
    trails,
    variables,
)

WIDTH, LINE = 760, 19
SIDE, LEFT, TOP = 600, 84, 64
# Width of a letter of the text, on average; of a name in bold; and of the heading. Those of a wide typeface.
LETTER, BOLD, LARGE = 7.0, 9.0, 10.6
_LIGHT = "--card:#ffffff;--ink:#1d2428;--soft:#5b666d;--rule:#e4e6e3;--contour:rgba(10,40,55,.35);"
_DARK = "--card:#151b1f;--ink:#e6ebed;--soft:#a3afb5;--rule:#2c363b;--contour:rgba(255,255,255,.22);"


def svg(shown: Landscape | Line, title: str | None = None) -> str:
    """Render a landscape or a line as an SVG file.

    Args:
        shown: From `thalweg.landscape`.
        title: Its heading; None for the headline.
    """
    heading = title if title is not None else shown.headline
    drawn, height = _surface(shown) if isinstance(shown, Landscape) else _line(shown)
    return standalone_svg(
        WIDTH,
        height,
        element("style", Markup(_style_sheet())),
        element("rect", width=WIDTH, height=height, fill="var(--card)"),
        _text(clipped(heading, int((WIDTH - 48) / LARGE)), 24, 34, "ink", font_size=15, font_weight=600),
        drawn,
    )


def _surface(shown: Landscape) -> tuple[Markup, int]:
    x, y = np.ptp(shown.x), np.ptp(shown.y)
    tall = round(SIDE * float(np.clip(y / x, 0.4, 1.2)))
    area = Area(LEFT, TOP, SIDE, tall)
    frame = Frame.of(shown, area)
    bottom = TOP + tall
    keys, rows = _keys(shown, bottom + 62)
    clip = element("rect", x=LEFT, y=TOP, width=SIDE, height=tall)
    drawn = join(
        element("clipPath", clip, id="window"),
        element("g", bands(shown, area), trails(shown, frame), marks(shown, frame), clip_path="url(#window)"),
        _ticks(frame),
        _text(clipped(shown.plane.names[0], 60), LEFT + SIDE / 2, bottom + 38, "soft", text_anchor="middle"),
        _upright(clipped(shown.plane.names[1], 60), TOP + tall / 2),
        _mark_names(shown, frame),
        _scale(shown, tall),
        keys,
    )
    return drawn, bottom + 62 + rows * LINE


def _ticks(frame: Frame) -> Markup:
    area, pieces = frame.area, []
    for tick in frame.x.ticks(7):
        across = float(area.across(float(frame.x.position(tick))))
        pieces.append(
            _text(tick_text(tick), across, area.top + area.height + 18, "soft", text_anchor="middle")
        )
    for tick in frame.y.ticks(7):
        up = float(area.up(float(frame.y.position(tick))))
        pieces.append(_text(tick_text(tick), area.left - 8, up + 4, "soft", text_anchor="end"))
    return join(*pieces)


def _mark_names(shown: Landscape, frame: Frame) -> Markup:
    pieces = []
    for mark in shown.marks:
        share = float(frame.x.position(mark.at[0]))
        right = share < 0.6
        across = float(frame.area.across(share)) + (10 if right else -10)
        up = float(frame.area.up(float(frame.y.position(mark.at[1])))) - 9
        anchor, loss = "start" if right else "end", f", {figure(mark.loss)}"
        room = frame.area.width * ((1 - share) if right else share) - 14
        name = clipped(mark.name, max(8, min(30, int(room / BOLD) - len(loss)))) + loss
        pieces.append(_text(name, across, up, "ink named", text_anchor=anchor, font_weight=600))
    return join(*pieces)


def _scale(shown: Landscape, tall: int) -> Markup:
    """Draw the key of the bands beside the picture, with the losses between them."""
    left, step, pieces = LEFT + SIDE + 14, tall / BANDS, []
    for number, loss in enumerate(levels(shown)):
        bottom = TOP + tall - number * step
        if number < BANDS:
            box = f"M{left} {bottom:.1f}h12v{-step:.1f}h-12z"
            pieces.append(element("path", d=box, class_=f"b{number}"))
        if number % 2 == 0:
            pieces.append(_text(figure(loss, 2), left + 17, bottom + 4, "soft", font_size=11))
    return join(*pieces, _text("loss", left, TOP - 10, "soft", font_size=11))


def _keys(shown: Landscape, top: float) -> tuple[Markup, int]:
    """Write the names of the paths below, as many in a row as fit; return the rows they take."""
    pieces, left, row = [], 24.0, 0
    for name, colour in named_trails(shown):
        text = clipped(name, 60)
        width = 40 + LETTER * len(text)
        if left > 24 and left + width > WIDTH - 16:
            left, row = 24.0, row + 1
        y = top + row * LINE
        pieces += [
            element("path", d=f"M{left:.0f} {y - 4:.0f}h16", class_=f"trail {colour}", style="stroke-width:3")
        ]
        pieces += [_text(text, left + 22, y, "soft")]
        left += width
    return join(*pieces), row + 1 if pieces else 0


def _line(shown: Line) -> tuple[Markup, int]:
    area = Area(LEFT, TOP + 26, SIDE + 50, 330)
    curves = [(f"{split}, straight", losses) for split, losses in shown.loss.items()]
    curves += [(f"{split}, curve", losses) for split, losses in shown.curve_loss.items()]
    x, y = Axis(0.0, 1.0), axis_over(np.concatenate([losses for _, losses in curves]))
    pieces, left = [grid(y, area)], float(LEFT)
    for number, (name, losses) in enumerate(curves):
        colour = f"p{number + 1}"
        line = path(x.position(shown.at), y.position(losses), area)
        pieces.append(element("path", d=line, class_=f"trail {colour}"))
        pieces.append(
            element("path", d=f"M{left:.0f} {TOP}h16", class_=f"trail {colour}", style="stroke-width:3")
        )
        pieces.append(_text(name, left + 22, TOP + 4, "soft"))
        left += 44 + LETTER * len(name)
    for tick in y.ticks():
        up = float(area.up(float(y.position(tick))))
        pieces.append(_text(tick_text(tick), LEFT - 8, up + 4, "soft", text_anchor="end"))
    bottom = area.top + area.height
    ends = zip(shown.names, (0.0, 1.0), ("start", "end"), strict=True)
    for name, share, anchor in ends:
        pieces.append(
            _text(clipped(name, 40), float(area.across(share)), bottom + 20, "soft", text_anchor=anchor)
        )
    pieces.append(_upright("loss", area.top + area.height / 2))
    return join(*pieces), round(bottom + 44)


def _text(content: str, x: float, y: float, colour: str, **attributes: object) -> Markup:
    return element("text", content, x=f"{x:.1f}", y=f"{y:.1f}", class_=colour, **attributes)


def _upright(content: str, y: float) -> Markup:
    turned = f"rotate(-90 26 {y:.0f})"
    return _text(content, 26, y, "soft", text_anchor="middle", transform=turned)


def _style_sheet() -> str:
    light, dark = _LIGHT + variables(0), _DARK + variables(1)
    own = (
        "text.ink{fill:var(--ink)} text.soft{fill:var(--soft)}"
        " .grid{fill:none;stroke:var(--rule);stroke-width:1}"
        " text.named{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}"
    )
    return f"svg{{{light}}} {rules()} {own} @media (prefers-color-scheme: dark){{svg{{{dark}}}}}"
