"""Line plots that keep their type size at any width.

The curves are an SVG stretched to its box, with strokes that do not stretch; numbers and names are HTML
beside it. So a plot is as readable on a phone as on a wide screen, and switches colours with the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from thalweg.insight.curves import Buckets, Curve
from thalweg.insight.wording import figure
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.html import Markup, data_script, element, join
from thalweg.view.figure.svg_paths import SIDE, dots, grid, mark, outline, path, x_labels, y_labels

MOSTLY = 0.9  # share of positive values that allows a logarithmic axis; zeros have no place on it
READ_POINTS = 300  # points of a curve that the pointer can read
WIDE = 8.0  # highest against lowest value from which a logarithmic axis is shown first


@dataclass(frozen=True)
class Line:
    """A curve.

    Args:
        name: For the legend and the reading; empty for none.
        curve: Values over steps.
        colour: 1.. of the page's palette.
        band: Lowest and highest values around the curve, drawn faintly.
        dots: Mark each point.
    """

    name: str
    curve: Curve
    colour: int = 1
    band: Buckets | None = None
    dots: bool = False


@dataclass(frozen=True)
class Span:
    """How far a run went, so that all its plots have one horizontal axis.

    Args:
        end: Its last step; None when not known.
        epoch_steps: Steps in an epoch, to read epochs; None when there are none.
    """

    end: float | None = None
    epoch_steps: float | None = None


@dataclass(frozen=True)
class Plot:
    """Lines over steps, ready to be drawn.

    Args:
        title: What is shown.
        key: Unique on the page.
        lines: At least one.
        log: Whether to begin with the logarithmic axis; None decides from the range.
        switch: Offer both axes (where the values are positive).
        marks: Steps to point out, by label.
        span: How far the run went.
        note: A sentence below.
    """

    title: str
    key: str
    lines: Sequence[Line]
    log: bool | None = None
    switch: bool = False
    marks: dict[str, float] = field(default_factory=dict)
    span: Span = Span()
    note: str | None = None


def draw(plot: Plot) -> Markup:
    """Draw a plot as a figure element."""
    values = _all_values(plot)
    positive = values[values > 0]
    can_log = len(positive) >= MOSTLY * len(values) > 0
    begin_log = can_log and (bool(positive.max() >= WIDE * positive.min()) if plot.log is None else plot.log)
    scales = [False, True] if plot.switch and can_log else [begin_log]
    x = _step_axis(plot)
    return element(
        "figure",
        _switch(plot, begin_log) if len(scales) == 2 else None,
        _caption(plot, len(scales) == 2),
        element(
            "div",
            [_scale(plot, x, axis_over(values, log=log), log) for log in scales],
            class_="frame marked" if plot.marks else "frame",
        ),
        _step_ticks(x),
        element("p", plot.note, class_="note") if plot.note else None,
        data_script(_readings(plot, x)),
        class_="plot",
        data_plot=plot.key,
    )


def _scale(plot: Plot, x: Axis, y: Axis, log: bool) -> Markup:
    drawing = element(
        "svg",
        grid(y),
        [mark(x, step) for step in plot.marks.values()],
        [_line(line, x, y) for line in plot.lines],
        viewBox=f"0 0 {SIDE} {SIDE}",
        preserveAspectRatio="none",
        role="img",
        aria_label=plot.title,
    )
    labels = [
        element("span", label, class_=_side(x, step), style=f"left:{100 * float(x.place(step)):.2f}%")
        for label, step in plot.marks.items()
    ]
    area = element(
        "div", drawing, element("div", labels, class_="marks"), element("i", class_="cursor"), class_="area"
    )
    return element("div", y_labels(y), area, class_=f"scale {'log' if log else 'linear'}")


def _line(line: Line, x: Axis, y: Axis) -> Markup:
    across, up = x.place(line.curve.step), y.place(line.curve.value)
    parts = (
        []
        if line.band is None
        else [element("path", d=outline(line.band, x, y), class_=f"band c{line.colour}")]
    )
    parts.append(element("path", d=path(across, up), class_=f"line c{line.colour}"))
    if line.dots or len(line.curve.finite) == 1:
        parts.append(element("path", d=dots(across, up), class_=f"dots c{line.colour}"))
    return join(*parts)


def _side(x: Axis, step: float) -> str:
    """Write a mark's label towards the middle."""
    return "left" if float(x.place(step)) > 0.5 else "right"


def _switch(plot: Plot, begin_log: bool) -> Markup:
    return join(
        *(
            element(
                "input",
                type="radio",
                name=f"{plot.key}-axis",
                id=f"{plot.key}-{name}",
                class_=f"pick {name}",
                checked=begin_log == (name == "log"),
            )
            for name in ("linear", "log")
        )
    )


def _caption(plot: Plot, switch: bool) -> Markup:
    named = [line for line in plot.lines if line.name]
    legend = [element("span", element("i", class_=f"key c{line.colour}"), line.name) for line in named]
    labels = [element("label", name, for_=f"{plot.key}-{name}", class_=name) for name in ("linear", "log")]
    return element(
        "figcaption",
        element("h3", plot.title),
        element("div", labels, class_="switch") if switch else None,
        element("div", legend, class_="legend") if len(named) > 1 else None,
        element("output", _last(plot), class_="reading"),
    )


def _last(plot: Plot) -> str:
    """Read the curves' last values, which is what stands there until the pointer moves."""
    said = [
        f"{line.name} {figure(line.curve.finite.value[-1])}".strip()
        for line in plot.lines
        if len(line.curve.finite)
    ]
    return "end: " + " · ".join(said) if said and len(said) <= 2 else ""


def _all_values(plot: Plot) -> Float[np.ndarray, " n"]:
    """Gather what the vertical axis must show: curves in full, bands without their rarest outliers."""
    curves = [line.curve.finite.value for line in plot.lines]
    bands = [
        np.nanquantile(edge, [0.005, 0.995])
        for line in plot.lines
        if line.band is not None and np.isfinite(line.band.high).any()
        for edge in (line.band.low, line.band.high)
    ]
    return np.concatenate([*curves, *bands]) if curves or bands else np.zeros(0)


def _step_axis(plot: Plot) -> Axis:
    ends = [] if plot.span.end is None else [0.0, plot.span.end]
    steps = np.concatenate([*(line.curve.step for line in plot.lines), [*plot.marks.values(), *ends]])
    if not len(steps):
        return Axis(0.0, 1.0)
    low, high = float(steps.min()), float(steps.max())
    low = 0.0 if low < 0.2 * high else low  # runs begin at 0, and read best from there
    room = 0.012 * (high - low)  # so that a dot at the last step is whole
    return Axis(low, high + room) if high > low else Axis(low - 0.5, high + 0.5)


def _step_ticks(x: Axis) -> Markup:
    return x_labels(x, "step")


def _readings(plot: Plot, x: Axis) -> dict[str, object]:
    """Return what the pointer reads: for each line a few hundred points, rounded."""
    series = []
    for line in plot.lines:
        every = max(1, -(-len(line.curve) // READ_POINTS))
        steps, values = line.curve.step[::every], line.curve.value[::every]
        series.append(
            {"name": line.name, "x": [round(float(s)) for s in steps], "y": [_short(v) for v in values]}
        )
    return {"x": [x.low, x.high], "epoch": plot.span.epoch_steps, "series": series}


def _short(value: float) -> float:
    return float(f"{value:.4g}")
