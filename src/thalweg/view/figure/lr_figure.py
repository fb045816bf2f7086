"""Loss over learning rate, drawn: a figure of a page, and an SVG file with its text inside for a slide.

Both draw the same pieces; the file brings its own style sheet, light and dark.
"""

from collections.abc import Callable

import numpy as np

from thalweg.insight.finder import finding_io
from thalweg.insight.finder.finding import LearningRateFinding
from thalweg.insight.finder.verdict import headline, sentences
from thalweg.insight.finder.verdict import rate as rate_text
from thalweg.insight.wording import count, plural
from thalweg.insight.wording import figure as written
from thalweg.run.folder.record import Record
from thalweg.view.figure.axis import tick_text
from thalweg.view.figure.frame import LEFT, Mark, drawing, figure, legend_key, marked_frame, x_labels
from thalweg.view.figure.html import Markup, element, join, standalone_svg
from thalweg.view.figure.lr_picture import PICK, Picture, RungLanes, picture
from thalweg.view.figure.svg_paths import SIDE, WHOLE, Area, dots, grid, notches, outline, path, vertical

FAINTEST = 35  # per cent of the full colour in which the shortest rung is drawn
# Of the SVG file, in its units (pixels): size, the area that is drawn in, height of a line of text.
WIDTH, HEIGHT, LINE = 960, 560, 18
PLOT = Area(70, 150, 860, 350)
# Light and dark colour of each kind of thing in the file.
_COLOURS = {
    "paper": ("#ffffff", "#1a2125"),
    "ink": ("#1d2428", "#e6ebed"),
    "soft": ("#5b666d", "#a3afb5"),
    "rule": ("#e4e6e3", "#2c363b"),
    "lane": ("#0b6a88", "#58bfdc"),
    "fitted": ("#c8560a", "#f39a4f"),
    "bad": ("#b3261e", "#ff8a80"),
}
# Stroke colour and width of each class in the file.
_STROKES = {
    ".grid": ("rule", 1),
    ".axis": ("soft", 1),
    ".line.rung": ("lane", 1.2),
    ".dots.rung": ("lane", 5.5),
    ".key.rung": ("lane", 3),
    ".line.c2": ("fitted", 2),
    ".key.c2": ("fitted", 3),
    ".mark.chosen": ("fitted", 2),
    ".mark.own": ("soft", 1.2),
    ".mark.edge": ("bad", 1.2),
    ".mark.predicted": ("bad", 1.2),
    ".lost": ("bad", 2.5),
}
_MARK_COLOURS = {"chosen": "fitted", "own": "soft", "edge": "bad", "predicted": "bad"}


def draw(finding: LearningRateFinding) -> Markup | None:
    """Draw the result of a search as a figure element; None where no lane was trained."""
    shown = picture(finding)
    if shown is None:
        return None
    drawn = drawing(
        f"loss against {shown.setting}",
        _pieces(shown, WHOLE, lambda strength: {"style": f"--deep:{strength}%"}),
        notches(shown.x, list(shown.diverged), SIDE // 24),
    )
    keys = [
        legend_key(plural(rung.steps, "update"), "rung", f"--deep:{strength(i, len(shown.rungs))}%")
        for i, rung in enumerate(shown.rungs)
    ]
    keys += [legend_key("fitted", "c2")] if shown.fitted is not None else []
    return figure(
        f"Loss against {shown.setting}",
        marked_frame(shown.y if shown.has_losses else None, drawn, shown.marks, shown.x),
        x_labels(shown.x, "rate"),
        legend=keys,
        reading=_pick_text(shown),
        note=note(shown),
        readings={"points": _readings(shown)},
        class_="plot rates",
        data_factor=True,
    )


def of_run(record: Record) -> Markup | None:
    """Show how a run's learning rate was found; None where it was not searched for."""
    if not record.finding:
        return None
    finding = finding_io.from_dict(record.finding)
    items = [element("li", sentence.text, class_=sentence.level) for sentence in sentences(finding)]
    return element("div", element("ul", items, class_="findings"), draw(finding), class_="factors-list")


def note(shown: Picture) -> str:
    """Say how to read the figure."""
    several = len(shown.rungs) > 1
    length = "the darker, the longer" if several else f"{plural(shown.rungs[0].steps, 'update')} each"
    lines = [
        (shown.has_losses, f"Dots: lanes, {length}. Lines: means over seeds."),
        (
            shown.fitted is not None,
            "Orange: curve fitted to all lanes for the whole run, drawn at the level of the longest lanes, "
            "with its 90 % band.",
        ),
        (shown.interval is not None, "Shaded: rates that cannot be distinguished from the best."),
        (bool(shown.diverged), "Red marks along the top: rates at which lanes diverged."),
        (shown.above, "The worst lanes lie above the figure."),
    ]
    return " ".join(text for holds, text in lines if holds)


def strength(rung: int, rungs: int) -> int:
    """Return how strongly a rung is drawn, in per cent: the longest in full colour."""
    return round(100 - (100 - FAINTEST) * (rungs - 1 - rung) / max(1, rungs - 1))


def _pieces(shown: Picture, area: Area, style: Callable[[int], dict[str, object]]) -> Markup:
    """Draw interval, grid, lanes, fitted curve and marks into an area.

    Args:
        style: Attributes for a strength in per cent.
    """
    rungs = [
        _rung(rung, shown, area, style(strength(i, len(shown.rungs)))) for i, rung in enumerate(shown.rungs)
    ]
    return join(
        _interval(shown, area),
        grid(shown.y, area) if shown.has_losses else None,
        *rungs,
        _fitted(shown, area),
        *(vertical(shown.x, mark.value, f"mark {mark.kind}", area) for mark in shown.marks),
    )


def _interval(shown: Picture, area: Area) -> Markup | None:
    if shown.interval is None:
        return None
    low, high = (area.across(float(shown.x.position(end))) for end in shown.interval)
    top, bottom = area.up(1), area.up(0)
    return element("path", d=f"M{low} {top}H{high}V{bottom}H{low}Z", class_="interval")


def _rung(rung: RungLanes, shown: Picture, area: Area, style: dict[str, object]) -> Markup:
    line = path(shown.x.position(rung.rates), shown.y.position(rung.means), area)
    lanes = dots(shown.x.position(rung.lane_rates), shown.y.position(rung.lane_losses), area)
    return join(
        element("path", d=line, class_="line rung", **style),
        element("path", d=lanes, class_="dots rung", **style),
    )


def _fitted(shown: Picture, area: Area) -> Markup | None:
    fitted = shown.fitted
    if fitted is None:
        return None
    curve = path(shown.x.position(fitted.step), shown.y.position(fitted.mean), area)
    return join(
        element("path", d=outline(fitted, shown.x, shown.y, area), class_="band c2"),
        element("path", d=curve, class_="line c2"),
    )


def _pick_text(shown: Picture) -> str:
    pick = next((mark for mark in shown.marks if mark.kind == PICK), None)
    if pick is None or shown.interval is None:
        return ""
    low, high = (rate_text(end) for end in shown.interval)
    return f"{pick.label} ({low} to {high})"


def _readings(shown: Picture) -> list[list[object]]:
    """Return what the pointer reads: the position across, and the losses there."""
    texts: dict[float, list[str]] = {}
    for rung in shown.rungs:
        for rate, mean in zip(rung.rates.tolist(), rung.means.tolist(), strict=True):
            loss = "diverged" if rate in rung.diverged else written(mean)
            texts.setdefault(rate, []).append(f"{count(rung.steps)} updates {loss}")
    return [
        [
            round(float(shown.x.position(rate)), 4),
            f"rate {rate_text(rate)} \u00b7 " + " \u00b7 ".join(texts[rate]),
        ]
        for rate in sorted(texts)
        if np.isfinite(rate)
    ]


def svg_file(finding: LearningRateFinding) -> str:
    """Render the figure as a separate SVG file."""
    shown = picture(finding)
    content = [
        element("style", Markup(_style_sheet())),
        element("rect", width=WIDTH, height=HEIGHT, class_="paper"),
        _text(headline(finding), 24, 34, "ink", font_size=20, font_weight=600),
    ]
    content += [_text("no lane was trained", 24, 64, "soft")] if shown is None else _drawn_with_text(shown)
    return standalone_svg(
        WIDTH,
        HEIGHT,
        *content,
    )


def _drawn_with_text(shown: Picture) -> list[Markup]:
    left, top, width, height = PLOT
    clip = element("rect", x=left, y=top, width=width, height=height)
    faint = _pieces(shown, PLOT, lambda strength: {"stroke_opacity": strength / 100})
    return [
        _file_legend(shown),
        element("clipPath", clip, id="area"),
        element("g", faint, clip_path="url(#area)"),
        element("path", d=f"M{left} {top + height}h{width}", class_="axis"),
        notches(shown.x, list(shown.diverged), 14, PLOT),
        *_tick_labels(shown),
        *(_label(mark, shown, line) for line, mark in enumerate(shown.marks)),
    ]


def _file_legend(shown: Picture) -> Markup:
    keys = [
        (plural(rung.steps, "update"), "rung", strength(i, len(shown.rungs)) / 100)
        for i, rung in enumerate(shown.rungs)
    ]
    keys += [] if shown.fitted is None else [("fitted", "c2", 1.0)]
    pieces, left = [], 24.0
    for name, kind, opacity in keys:
        swatch = element("path", d=f"M{left:.0f} 56h16", class_=f"key {kind}", stroke_opacity=opacity)
        pieces += [swatch, _text(name, left + 22, 60, "soft")]
        left += 44 + 7.2 * len(name)
    return join(*pieces)


def _tick_labels(shown: Picture) -> list[Markup]:
    left, top, width, height = PLOT
    side_labels = [("loss", top - 12.0)]
    for tick in shown.y.ticks() if shown.has_losses else []:
        side_labels.append((tick_text(tick), float(PLOT.up(float(shown.y.position(tick)))) + 4))
    below = [(shown.setting, left + width / 2, 2.2 * LINE)]
    for tick in shown.x.ticks():
        below.append((tick_text(tick), float(PLOT.across(float(shown.x.position(tick)))), 1.0 * LINE))
    return [
        *(_text(name, left - 8, y, "soft", text_anchor="end") for name, y in side_labels),
        *(_text(name, x, top + height + y, "soft", text_anchor="middle") for name, x, y in below),
    ]


def _label(mark: Mark, shown: Picture, line: int) -> Markup:
    """Write a mark's label on a separate line above the area, with a leader to it."""
    share = float(shown.x.position(mark.value))
    across = float(PLOT.across(share))
    top = PLOT.top - LINE * (len(shown.marks) - line)
    to_left = share > LEFT
    text_across = across - 6 if to_left else across + 6
    anchor = "end" if to_left else "start"
    return join(
        element("path", d=f"M{across:.1f} {top + 3:.0f}V{PLOT.top:.0f}", class_=f"mark {mark.kind}"),
        _text(mark.label, text_across, top + 13, _MARK_COLOURS[mark.kind], text_anchor=anchor),
    )


def _text(content: str, x: float, y: float, colour: str, **attributes: object) -> Markup:
    return element("text", content, x=f"{x:.1f}", y=f"{y:.1f}", class_=colour, **attributes)


def _style_sheet() -> str:
    dark = _colours(1)
    return f"{_colours(0)} path{{stroke-linecap:round}} .mark.own,.mark.predicted{{stroke-dasharray:3 4}}" + (
        f" @media (prefers-color-scheme: dark){{{dark}}}"
    )


def _colours(which: int) -> str:
    colour = {name: pair[which] for name, pair in _COLOURS.items()}
    rules = [f"text.{name},rect.{name}{{fill:{value}}}" for name, value in colour.items()]
    rules += [
        f"{kind}{{fill:none;stroke:{colour[name]};stroke-width:{width}}}"
        for kind, (name, width) in _STROKES.items()
    ]
    rules += [
        f"{kind}{{fill:{colour['fitted']};fill-opacity:{opacity};stroke:none}}"
        for kind, opacity in ((".interval", 0.12), (".band", 0.2))
    ]
    return "".join(rules)
