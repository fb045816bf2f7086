"""Line plots over training steps."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from thalweg.insight.curves import Buckets, Curve
from thalweg.insight.wording import figure as written
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.frame import area, drawing, figure, legend_key, scale, x_labels
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.figure.svg_paths import dots, grid, outline, path, vertical

MOSTLY = 0.9  # share of positive values that allows a logarithmic axis, which cannot show zeros
READ_POINTS = 300  # points of a curve that the pointer can read
STEP = "step"
WIDE = 8.0  # ratio of highest to lowest value from which a logarithmic axis is shown first


@dataclass(frozen=True)
class Line:
    """A curve.

    Args:
        name: For the legend and the reading; empty for none.
        curve: Values over steps.
        colour: 1.. of the page's palette.
        band: Lowest and highest values around the curve, drawn faintly.
        dots: Mark each point.
        faint: Draw it thin and pale, as one of many; the pointer does not read it.
    """

    name: str
    curve: Curve
    colour: int = 1
    band: Buckets | None = None
    dots: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Span:
    """The length of a run, so that all its plots have one horizontal axis.

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
        log: Whether to show the logarithmic axis first; None decides by the range.
        switch: Offer both axes (where the values are positive).
        marks: Steps to point out, by label.
        span: Length of the run.
        note: A sentence below.
        across: What the horizontal axis shows; other than steps it is named in the note.
    """

    title: str
    key: str
    lines: Sequence[Line]
    log: bool | None = None
    switch: bool = False
    marks: dict[str, float] = field(default_factory=dict)
    span: Span = Span()
    note: str | None = None
    across: str = STEP


def draw(plot: Plot) -> Markup:
    """Draw a plot as a figure element."""
    values = _all_values(plot)
    positive = values[values > 0]
    can_log = len(positive) >= MOSTLY * len(values) > 0
    log_first = can_log and (bool(positive.max() >= WIDE * positive.min()) if plot.log is None else plot.log)
    both = plot.switch and can_log
    x = _step_axis(plot)
    scales = [
        _scale(plot, x, axis_over(values, log=log), log) for log in ([False, True] if both else [log_first])
    ]
    named = [line for line in plot.lines if line.name]
    return figure(
        plot.title,
        element("div", scales, class_="frame marked" if plot.marks else "frame"),
        x_labels(x, STEP if plot.across == STEP else ""),
        legend=[legend_key(line.name, f"c{line.colour}") for line in named] if len(named) > 1 else (),
        reading=_last_values(plot) if plot.across == STEP else "",
        switch=_axis_switch(plot, log_first) if both else (None, None),
        note=plot.note,
        readings=_readings(plot, x),
        class_="plot",
        data_plot=plot.key,
    )


def _scale(plot: Plot, x: Axis, y: Axis, log: bool) -> Markup:
    drawn = drawing(
        plot.title,
        grid(y),
        [vertical(x, step) for step in plot.marks.values()],
        [_line(line, x, y) for line in plot.lines],
    )
    labels = [_mark_label(label, float(x.position(step))) for label, step in plot.marks.items()]
    return scale(y, area(drawn, element("div", labels, class_="marks")), "log" if log else "linear")


def _mark_label(label: str, share: float) -> Markup:
    """Write a mark's label on the side that faces the middle."""
    return element("span", label, class_="left" if share > 0.5 else "right", style=f"left:{100 * share:.2f}%")


def _line(line: Line, x: Axis, y: Axis) -> Markup:
    across, up = x.position(line.curve.step), y.position(line.curve.value)
    with_dots = not line.faint and (line.dots or len(line.curve.finite) == 1)
    return join(
        None
        if line.band is None
        else element("path", d=outline(line.band, x, y), class_=f"band c{line.colour}"),
        element("path", d=path(across, up), class_=f"line c{line.colour}{' faint' if line.faint else ''}"),
        element("path", d=dots(across, up), class_=f"dots c{line.colour}") if with_dots else None,
    )


def _axis_switch(plot: Plot, log_first: bool) -> tuple[Markup, Markup]:
    """Return radio buttons for the axes, and their labels."""
    buttons, labels = [], []
    for name in ("linear", "log"):
        button = f"{plot.key}-{name}"
        buttons.append(
            element(
                "input",
                type="radio",
                name=f"{plot.key}-axis",
                id=button,
                class_=f"pick {name}",
                checked=log_first == (name == "log"),
            )
        )
        labels.append(element("label", name, for_=button, class_=name))
    return join(*buttons), element("div", labels, class_="switch")


def _last_values(plot: Plot) -> str:
    """Read the last values of the curves, shown until the pointer moves."""
    ends = [
        f"{line.name} {written(line.curve.finite.value[-1])}".strip()
        for line in plot.lines
        if len(line.curve.finite)
    ]
    return "end: " + " · ".join(ends) if ends and len(ends) <= 2 else ""


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
    low = 0.0 if 0 <= low < 0.2 * high else low  # runs start at step 0
    room = 0.012 * (high - low)  # shows a dot at the last step in full
    return Axis(low, high + room) if high > low else Axis(low - 0.5, high + 0.5)


def _readings(plot: Plot, x: Axis) -> dict[str, object]:
    """Return what the pointer reads: for each line a few hundred points, rounded."""
    series = []
    for line in (line for line in plot.lines if not line.faint):
        every = max(1, -(-len(line.curve) // READ_POINTS))
        steps, values = line.curve.step[::every], line.curve.value[::every]
        rounded = [float(f"{value:.4g}") for value in values]
        series.append({"name": line.name, "x": [_place(step, plot) for step in steps], "y": rounded})
    readings: dict[str, object] = {"x": [x.low, x.high], "epoch": plot.span.epoch_steps, "series": series}
    return readings if plot.across == STEP else readings | {"across": plot.across}


def _place(value: float, plot: Plot) -> float:
    return round(float(value)) if plot.across == STEP else float(f"{value:.4g}")
