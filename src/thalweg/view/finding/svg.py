"""The picture alone: one SVG file that any viewer opens, light or dark where the viewer says which.

Unlike the page's figures its text is inside, and it keeps its shape: made for a slide or a document.
"""

import numpy as np

from thalweg.insight.finder.finding import LearningRateFinding
from thalweg.insight.finder.verdict import headline
from thalweg.insight.wording import plural
from thalweg.view.figure.axis import Axis, tick_text
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.figure.lr_picture import Mark, Picture, Rung, picture

WIDTH, HEIGHT = 960, 560
LEFT, RIGHT, TOP, BOTTOM = 70, 930, 150, 500  # of the area that is drawn in
LINE = 18  # height of a line of text
PALER = 0.65  # how much paler the shortest rung is than the longest
_COLOURS = {
    "paper": ("#ffffff", "#1a2125"),
    "ink": ("#1d2428", "#e6ebed"),
    "soft": ("#5b666d", "#a3afb5"),
    "rule": ("#e4e6e3", "#2c363b"),
    "lane": ("#0b6a88", "#58bfdc"),
    "fitted": ("#c8560a", "#f39a4f"),
    "bad": ("#b3261e", "#ff8a80"),
}
_OF_MARK = {"chosen": "fitted", "own": "soft", "edge": "bad", "predicted": "bad"}


def render(finding: LearningRateFinding) -> str:
    """Render a finding as an SVG file."""
    shown = picture(finding)
    parts = [
        element("style", Markup(_style())),
        element("rect", width=WIDTH, height=HEIGHT, **_fill("paper")),
        _text(headline(finding), 24, 34, "ink", font_size=20, font_weight=600),
    ]
    parts += [_text("no lane was trained", 24, 64, "soft")] if shown is None else _drawn(shown)
    picture_of = element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        font_family="system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif",
        font_size=13,
    )
    return f"{picture_of}\n"


def _drawn(shown: Picture) -> list[Markup | None]:
    clip = element(
        "clipPath", element("rect", x=LEFT, y=TOP, width=RIGHT - LEFT, height=BOTTOM - TOP), id="area"
    )
    inside = [_rung(rung, shown, _paleness(place, shown)) for place, rung in enumerate(shown.rungs)]
    return [
        _legend(shown),
        clip,
        _interval(shown),
        *_scales(shown),
        element("g", *inside, _fitted(shown), clip_path="url(#area)"),
        *(_mark(mark, shown, line) for line, mark in enumerate(shown.marks)),
        *(_stroke(f"M{_across(shown.x, rate):.1f} {TOP}v14", "bad", 2.5) for rate in shown.lost),
    ]


def _legend(shown: Picture) -> Markup:
    parts, place = [], 24.0
    keys = [(plural(rung.steps, "update"), "lane", _paleness(i, shown)) for i, rung in enumerate(shown.rungs)]
    keys += [] if shown.fitted is None else [("fitted", "fitted", 1.0)]
    for name, colour, opacity in keys:
        parts.append(_stroke(f"M{place:.0f} 56h16", colour, 3, stroke_opacity=opacity))
        parts.append(_text(name, place + 22, 60, "soft"))
        place += 44 + 7.2 * len(name)
    return join(*parts)


def _paleness(place: int, shown: Picture) -> float:
    return round(1 - PALER * (len(shown.rungs) - 1 - place) / max(1, len(shown.rungs) - 1), 3)


def _scales(shown: Picture) -> list[Markup]:
    ticks = shown.y.ticks() if shown.seen else []
    parts = [_stroke(f"M{LEFT} {_up(shown.y, tick):.1f}H{RIGHT}", "rule", 1) for tick in ticks]
    parts += [
        _text(tick_text(tick), LEFT - 8, _up(shown.y, tick) + 4, "soft", text_anchor="end") for tick in ticks
    ]
    parts += [
        _text(tick_text(tick), _across(shown.x, tick), BOTTOM + LINE, "soft", text_anchor="middle")
        for tick in shown.x.ticks()
    ]
    parts.append(_stroke(f"M{LEFT} {BOTTOM}H{RIGHT}", "soft", 1))
    parts.append(_text("loss", LEFT - 8, TOP - 12, "soft", text_anchor="end"))
    parts.append(_text(shown.setting, (LEFT + RIGHT) / 2, BOTTOM + 2.2 * LINE, "soft", text_anchor="middle"))
    return parts


def _interval(shown: Picture) -> Markup | None:
    if shown.interval is None:
        return None
    low, high = (_across(shown.x, end) for end in shown.interval)
    return element(
        "rect", x=f"{low:.1f}", y=TOP, width=f"{high - low:.1f}", height=BOTTOM - TOP, **_fill("fitted", 0.12)
    )


def _rung(rung: Rung, shown: Picture, opacity: float) -> Markup:
    lanes = "".join(
        f"M{_across(shown.x, rate):.1f} {_up(shown.y, loss):.1f}h0"
        for rate, loss in zip(rung.lane_rates, rung.lane_losses, strict=True)
    )
    line = _stroke(_path(shown, rung.rates, rung.means), "lane", 1.2, stroke_opacity=opacity)
    return join(line, _stroke(lanes, "lane", 5.5, stroke_opacity=opacity))


def _fitted(shown: Picture) -> Markup | None:
    fitted = shown.fitted
    if fitted is None:
        return None
    around = _path(shown, np.append(fitted.step, fitted.step[::-1]), np.append(fitted.high, fitted.low[::-1]))
    band = element("path", d=f"{around}Z", **_fill("fitted", 0.2)) if np.isfinite(fitted.low).all() else None
    return join(band, _stroke(_path(shown, fitted.step, fitted.mean), "fitted", 2))


def _mark(mark: Mark, shown: Picture, line: int) -> Markup:
    colour, place = _OF_MARK[mark.kind], _across(shown.x, mark.rate)
    top = TOP - LINE * (len(shown.marks) - line)
    to_left = place > LEFT + 0.6 * (RIGHT - LEFT)
    dashed = {} if mark.kind in ("chosen", "edge") else {"stroke_dasharray": "3 4"}
    return join(
        _stroke(f"M{place:.1f} {top + 3}V{BOTTOM}", colour, 2 if mark.kind == "chosen" else 1.2, **dashed),
        _text(
            mark.label,
            place - 6 if to_left else place + 6,
            top + 13,
            colour,
            text_anchor="end" if to_left else "start",
        ),
    )


def _path(shown: Picture, rates: np.ndarray, losses: np.ndarray) -> str:
    pieces, pen_down = [], False
    for rate, loss in zip(rates, losses, strict=True):
        up = _up(shown.y, loss)
        if np.isfinite(up):
            pieces.append(f"{'L' if pen_down else 'M'}{_across(shown.x, rate):.1f} {up:.1f}")
        pen_down = bool(np.isfinite(up))
    return "".join(pieces)


def _across(x: Axis, rate: float) -> float:
    return LEFT + float(x.place(rate)) * (RIGHT - LEFT)


def _up(y: Axis, loss: float) -> float:
    """Return the height of a loss; far outside it is cut off, for huge numbers are not safe in SVG."""
    return BOTTOM - float(np.clip(y.place(loss), -2.0, 3.0)) * (BOTTOM - TOP)


def _stroke(d: str, colour: str, width: float, **more: object) -> Markup:
    light = _COLOURS[colour][0]
    shape = {"fill": "none", "stroke": light, "stroke_width": width, "stroke_linecap": "round"}
    return element("path", d=d, class_=f"s-{colour}", **shape, **more)


def _text(content: str, x: float, y: float, colour: str, **more: object) -> Markup:
    return element("text", content, x=f"{x:.1f}", y=f"{y:.1f}", **_fill(colour), **more)


def _fill(colour: str, opacity: float | None = None) -> dict[str, object]:
    return {"class_": f"f-{colour}", "fill": _COLOURS[colour][0], "fill_opacity": opacity}


def _style() -> str:
    dark = "".join(
        f".s-{name}{{stroke:{dark}}}.f-{name}{{fill:{dark}}}" for name, (_, dark) in _COLOURS.items()
    )
    return f"@media (prefers-color-scheme: dark){{{dark}}}"
