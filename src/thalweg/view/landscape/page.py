"""Loss surfaces, lines between runs, and curvature, as a page of one self-contained HTML file and as text."""

from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from thalweg.core.stop_reason import StopReason
from thalweg.insight.curves import Curve
from thalweg.insight.landscape.curvature import Curvature
from thalweg.insight.landscape.line import Line
from thalweg.insight.landscape.plane import PARAMETERS
from thalweg.insight.landscape.surface import Landscape, Trail, off
from thalweg.insight.summary import Statement
from thalweg.insight.wording import count, figure, percent, seconds, size
from thalweg.run.folder.describe import environment
from thalweg.view.figure import plot
from thalweg.view.figure.frame import area, drawing, legend_key, table, x_labels
from thalweg.view.figure.frame import figure as figure_of
from thalweg.view.figure.frame import scale as scale_of
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.figure.plot import Plot
from thalweg.view.figure.svg_paths import WHOLE
from thalweg.view.landscape.picture import (
    BANDS,
    Frame,
    bands,
    heights,
    levels,
    marks,
    named_trails,
    rules,
    trails,
    variables,
)
from thalweg.view.report.page import Section, document, head, score, tiles
from thalweg.view.text import bullets

Shown = Landscape | Line | Curvature
MOST_LABELS = 8  # values below the key of the bands


def render(shown: Shown, more: Sequence[Curvature] = (), others: Iterable[Section] = ()) -> str:
    """Render a landscape, a line or a curvature as one HTML file without outside references.

    Args:
        shown: What the page is about.
        more: The curvature of the runs on it.
        others: Further sections.

    Returns:
        The file's text; write it as UTF-8.
    """
    sections: list[Section] = []
    if isinstance(shown, Landscape):
        sections.append(("surface", "Surface", surface(shown)))
        sections.append(("paths", "Paths", _paths(shown)))
    elif isinstance(shown, Line):
        sections.append(("line", "Loss between the runs", line(shown)))
    known = [shown, *more] if isinstance(shown, Curvature) else list(more)
    if known:
        sections.append(("curvature", "Curvature", curvatures(known)))
    sections += others
    return document(
        shown.headline,
        _head(shown),
        sections,
        join(
            f"Drawn by Thalweg {environment()['thalweg']}. Losses are evaluated on the examples named above."
        ),
        style=_style(),
        script=_file("landscape.js"),
    )


def show(shown: Shown, more: Sequence[Curvature] = ()) -> RenderableType:
    """Return the same as text: the result, and what it is."""
    said = [Text(shown.headline, style="bold"), Text(), *bullets(_statements(shown.sentences))]
    for each in more:
        said += [Text(), Text(each.headline, style="bold"), Text(), *bullets(_statements(each.sentences))]
    return Group(*said)


def _statements(sentences: Iterable[str]) -> list[Statement]:
    return [Statement("landscape", text) for text in sentences]


def surface(shown: Landscape) -> Markup:
    """Draw a landscape from above, and as a body that turns."""
    key, aspect = "surface-above", float(np.ptp(shown.x) / np.ptp(shown.y))
    frame, (x, y, lowest) = Frame.of(shown, WHOLE), shown.lowest
    drawn = drawing(f"loss of {shown.name}", bands(shown, WHOLE), trails(shown, frame), marks(shown, frame))
    above = figure_of(
        "From above",
        element("div", scale_of(frame.y, area(drawn, _mark_names(shown, frame))), class_="frame"),
        x_labels(frame.x, ""),
        _levels(shown),
        legend=[legend_key(name, colour) for name, colour in named_trails(shown)],
        reading=f"lowest: {figure(lowest)} at {figure(x, 3)}, {figure(y, 3)}",
        note=_axes(shown),
        readings=_readings(shown, aspect),
        class_="plot surface",
        id=key,
        data_surface=True,
        style=f"--aspect:{float(np.clip(aspect, 0.5, 2.5)):.4g}",
    )
    label = f"the loss of {shown.name} as a surface; drag it, or use the arrow keys, to turn it"
    canvas = element("canvas", "", role="img", tabindex=0, aria_label=label, width=900, height=774)
    turning = figure_of(
        "As a surface",
        canvas,
        reading=None,
        note="Drag to turn it, or use the arrow keys. Paths are drawn at the height of the plane.",
        class_="plot surface",
        data_turning=key,
    )
    return element("div", above, turning, class_="surfaces")


def _axes(shown: Landscape) -> str:
    how = "Contours at equal steps of the loss"
    if shown.scale.log:
        how = "Contours at equal steps of the logarithm of the loss above the lowest"
    if not bool(np.all(shown.scale.height(shown.loss) <= 1.0)):
        how += "; above the highest the surface is cut off"
    first, second = shown.plane.names
    read = f"Across: {first}. Up: {second}. {how}."
    if shown.error is not None:
        read += f" {count(shown.evaluations)} evaluations; contour error {off(shown.error)} of the range."
    return read


def _levels(shown: Landscape) -> Markup:
    labels = [
        element("span", figure(loss, 2), style=f"--band:var(--b{band})")
        for band, loss in enumerate(levels(shown)[:-1])
    ]
    every = -(-BANDS // MOST_LABELS)
    shown_labels = [
        label if band % every == 0 else element("span", "\u00a0", style=f"--band:var(--b{band})")
        for band, label in enumerate(labels)
    ]
    return element("div", shown_labels, class_="levels")


def _mark_names(shown: Landscape, frame: Frame) -> list[Markup]:
    names = []
    for mark in shown.marks:
        across, up = float(frame.x.position(mark.at[0])), float(frame.y.position(mark.at[1]))
        style = f"left:{100 * across:.2f}%;top:{100 * (1 - up):.2f}%"
        side = "name" if across < 0.6 else "name left"
        names.append(element("span", f"{mark.name}, {figure(mark.loss)}", class_=side, style=style))
    return names


def _readings(shown: Landscape, aspect: float) -> dict[str, object]:
    frame = Frame.of(shown, WHOLE)
    paths = []
    for trail, (name, colour) in zip(shown.trails, named_trails(shown), strict=True):
        across, up = frame.x.position(trail.at[:, 0]), frame.y.position(trail.at[:, 1])
        at = [[round(float(u), 4), round(float(v), 4)] for u, v in zip(across, up, strict=True)]
        losses = [float(f"{loss:.4g}") for loss in trail.loss]
        paths.append({"name": name, "colour": colour, "at": at, "step": trail.step.tolist(), "loss": losses})
    return {
        "x": [frame.x.low, frame.x.high],
        "y": [frame.y.low, frame.y.high],
        "aspect": round(float(np.clip(aspect, 0.5, 2.5)), 4),
        "bands": BANDS,
        "height": [[round(float(h), 3) for h in row] for row in heights(shown)],
        "loss": [[float(f"{loss:.4g}") for loss in row] for row in shown.loss],
        "paths": paths,
    }


def _paths(shown: Landscape) -> Markup | None:
    if not shown.trails:
        return None
    exact = shown.plane.kind == PARAMETERS
    head_row = [
        "run",
        "updates",
        "first loss",
        "last loss",
        "lowest loss",
        *([] if exact else ["off the plane"]),
    ]
    rows = [
        element(
            "tr",
            element("th", trail.name, scope="row"),
            *(element("td", text) for text in _trail_cells(trail, exact)),
        )
        for trail in shown.trails
    ]
    return element("div", table(head_row, rows, "by-class paths"), class_="scrolls")


def _trail_cells(trail: Trail, exact: bool) -> list[str]:
    last = figure(trail.loss[-1]) + (" (diverged)" if trail.stopped == StopReason.DIVERGED else "")
    off = [] if exact else [percent(trail.off_plane, 0)]
    return [count(trail.step[-1]), figure(trail.loss[0]), last, figure(np.nanmin(trail.loss)), *off]


def line(shown: Line) -> Markup:
    """Draw the loss and the metric between two runs."""
    losses = [
        plot.Line(f"{split}, straight", Curve(shown.at, values), 1 + number)
        for number, (split, values) in enumerate(shown.loss.items())
    ]
    losses += [
        plot.Line(f"{split}, curve", Curve(shown.at, values), 4 + number)
        for number, (split, values) in enumerate(shown.curve_loss.items())
    ]
    metrics = [
        plot.Line(split, Curve(shown.at, values), 1 + number)
        for number, (split, values) in enumerate(shown.metric.items())
    ]
    note = f"0 is {shown.names[0]}, 1 is {shown.names[1]}."
    drawn = [plot.draw(Plot("Loss", "loss", losses, log=False, switch=True, note=note, across="position"))]
    if shown.metric_name != "loss":
        name = shown.metric_name.replace("_", " ").capitalize()
        drawn.append(plot.draw(Plot(name, "metric", metrics, log=False, note=note, across="position")))
    return element("div", drawn, class_="small-plots")


def curvatures(known: Sequence[Curvature]) -> Markup:
    """Draw the spectral density of some runs, their figures side by side, and sharpness along runs."""
    figures = []
    lines = []
    for number, each in enumerate(known):
        at, share = each.density()
        lines.append(plot.Line(each.name, Curve(at, np.maximum(share, 1e-5 * share.max())), 1 + number))
    note = (
        "Across: eigenvalues. Up: share of all per unit, each drawn as a bell a hundredth of the range wide."
    )
    figures.append(
        plot.draw(Plot("Spectral density", "density", lines, log=True, note=note, across="eigenvalue"))
    )
    figures += [_history(each, number) for number, each in enumerate(known) if each.history is not None]
    return element(
        "div", _compared(known), element("div", figures, class_="small-plots"), class_="factors-list"
    )


def _history(each: Curvature, number: int) -> Markup:
    history = each.history
    assert history is not None
    lines = [plot.Line("largest eigenvalue", Curve(history.step, history.value), 1, dots=True)]
    note = None
    if history.edge is not None and len(history.edge):
        lines.append(plot.Line(history.rule, history.edge, 2))
        note = "Descent on a quadratic of this curvature is stable below the second line."
    return plot.draw(Plot(f"Sharpness along {each.name}", f"sharpness-{number}", lines, log=True, note=note))


def _compared(known: Sequence[Curvature]) -> Markup:
    rows = {
        "loss": [figure(each.loss) for each in known],
        "gradient norm": [figure(each.gradient_norm) for each in known],
        "largest eigenvalue": [figure(each.sharpness) for each in known],
        "smallest eigenvalue": [figure(each.lowest) for each in known],
        "trace": [_with_error(each.trace, each.trace_error) for each in known],
        "largest of Gauss-Newton": [figure(each.gauss_newton) for each in known],
        "directions down": [_with_error(each.index.down, each.index.error, count) for each in known],
        "kind of point": [each.index.kind for each in known],
        "parameters": [count(each.parameters) for each in known],
        "examples": [count(each.examples) for each in known],
    }
    body = [
        element("tr", element("th", name, scope="row"), [element("td", value) for value in values])
        for name, values in rows.items()
    ]
    about = (
        "Rescaling the layers of a network changes these figures and none of its outputs (Dinh et al. 2017)."
    )
    return element(
        "div",
        table(("", *(each.name for each in known)), body, "by-class"),
        element("p", about, class_="note"),
        class_="scrolls",
    )


def _with_error(value: float, error: float, written: Callable[[float], str] = figure) -> str:
    return written(value) if not error else f"{written(value)} \u00b1 {figure(error, 2)}"


def _head(shown: Shown) -> Markup:
    if isinstance(shown, Landscape):
        best, name = score(figure(shown.lowest[2]), "lowest loss on the plane"), shown.name
        facts: list[tuple[str, str | None]] = [
            ("points", count(shown.loss.size)),
            ("evaluations", count(shown.evaluations)),
        ]
        facts.append(("examples", None if shown.plane.kind == PARAMETERS else size(shown.examples)))
    elif isinstance(shown, Line):
        best, name = score(figure(shown.barrier()), "barrier in loss"), " and ".join(shown.names)
        facts = [("distance of the weights", figure(shown.distance))]
        facts += [(f"{split} examples", size(number)) for split, number in shown.examples.items()]
    else:
        best, name = score(figure(shown.sharpness), "largest eigenvalue"), shown.name
        facts = [("parameters", size(shown.parameters)), ("products", count(shown.products))]
    facts.append(("time", seconds(shown.seconds)))
    said = [(text, None) for text in shown.sentences]
    return head(name, shown.headline, [best, tiles(facts)], ("What it is", said))


def _style() -> Markup:
    sheet = _file("landscape.css")
    return Markup(
        sheet.replace("LIGHT", variables(0)).replace("DARK", variables(1)).replace("RULES", rules())
    )


def _file(name: str) -> Markup:
    """Read one of the page's own files; they hold no end tags."""
    return Markup(files("thalweg.view.landscape").joinpath(name).read_text(encoding="utf-8"))
