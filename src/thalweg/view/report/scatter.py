"""Predicted against true, and how the errors are spread, for numeric targets."""

import numpy as np

from thalweg.insight.answers import Residuals
from thalweg.insight.intervals import Z95
from thalweg.insight.wording import count, figure, percent
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.heat import SHADES, shade_paths
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.figure.svg_paths import SIDE, dots, grid, x_labels, y_labels

POINTS = 800  # answers up to which each is a dot; more are counted into cells
CELLS = 64  # along either side
BARS = 61  # odd, so that one bar stands around zero
SKEWED = 30.0  # 99th against 1st percentile of a positive target, from which the axes are logarithmic


def draw(answers: Residuals, target: str) -> Markup:
    """Draw both figures and say the errors in words."""
    return join(
        _against(answers, target), element("div", _spread(answers, target), _words(answers), class_="beside")
    )


def _against(answers: Residuals, target: str) -> Markup:
    """Draw truth across and prediction up, on one range, with the line where both are equal."""
    both = np.concatenate([answers.target, answers.prediction])
    low, high = np.quantile(answers.target, [0.01, 0.99])
    log = bool((both > 0).all() and low > 0 and high / low > SKEWED)
    axis = axis_over(both, log=log)
    across, up = axis.place(answers.target), axis.place(answers.prediction)
    few = len(across) <= POINTS
    marks = element("path", d=dots(across, up), class_="dots c1") if few else _density(across, up)
    drawing = element(
        "svg",
        grid(axis),
        marks,
        element("path", d=f"M0 {SIDE}L{SIDE} 0", class_="mark"),
        viewBox=f"0 0 {SIDE} {SIDE}",
        preserveAspectRatio="none",
        role="img",
        aria_label="predicted against true",
    )
    note = "Dashed: prediction equals truth." + (
        "" if few else " Shade: how many answers fall there (logarithmic)."
    )
    return element(
        "figure",
        element("figcaption", element("h3", f"Predicted {target} against true")),
        element("div", _scale(axis, drawing), class_="frame square"),
        x_labels(axis, "true"),
        element("p", note, class_="note"),
        class_="plot scatter",
    )


def _scale(axis: Axis, drawing: Markup, labels: bool = True) -> Markup:
    side = y_labels(axis) if labels else element("div", class_="y")
    return element("div", side, element("div", drawing, class_="area"), class_="scale")


def _density(across: np.ndarray, up: np.ndarray) -> Markup:
    counts, _, _ = np.histogram2d(1 - up, across, bins=CELLS, range=[[0, 1], [0, 1]])
    shades = np.ceil(np.log1p(counts) / np.log1p(counts.max()) * SHADES).astype(int)
    scale = SIDE / CELLS
    return element("g", shade_paths(shades), transform=f"scale({scale})", shape_rendering="crispEdges")


def _spread(answers: Residuals, target: str) -> Markup:
    """Draw a histogram of the errors, without the rarest hundredth, which would flatten the rest."""
    reach = float(np.quantile(np.abs(answers.error), 0.99)) or 1.0
    inside = answers.error[np.abs(answers.error) <= reach]
    counts, edges = np.histogram(inside, bins=BARS, range=(-reach, reach))
    axis = Axis(-reach, reach)
    top = max(1, int(counts.max()))
    left, width = SIDE * axis.place(edges[:-1]), SIDE / BARS
    bars = "".join(
        f"M{a:.1f} {SIDE}v{-SIDE * 0.97 * n / top:.1f}h{0.86 * width:.1f}V{SIDE}z"
        for a, n in zip(left, counts, strict=True)
        if n
    )
    drawing = element(
        "svg",
        element("path", d=bars, class_="shade"),
        element("path", d=f"M{SIDE / 2} 0V{SIDE}", class_="mark"),
        viewBox=f"0 0 {SIDE} {SIDE}",
        preserveAspectRatio="none",
        role="img",
        aria_label="errors",
    )
    return element(
        "figure",
        element("figcaption", element("h3", f"Error in {target}: predicted minus true")),
        element("div", _scale(axis, drawing, labels=False), class_="frame low"),
        x_labels(axis, "error"),
        class_="plot",
    )


def _words(answers: Residuals) -> Markup:
    size = np.abs(answers.error)
    half, most = np.quantile(size, [0.5, 0.9])
    mean, sure = float(answers.error.mean()), Z95 * float(answers.error.std() / np.sqrt(len(size)))
    bias = "too high" if mean > 0 else "too low"
    rows = [
        f"Half of the {count(len(size))} answers are off by less than {figure(half, 3)}, nine in ten by less "
        f"than {figure(most, 3)}; the largest error is {figure(size.max(), 3)}.",
        f"On average the answers are {figure(abs(mean), 3)} {bias} (± {figure(sure, 2)} at 95 %)"
        + (", which may be chance." if abs(mean) <= sure else "."),
    ]
    if np.isfinite(answers.r2):
        rows.append(f"{percent(answers.r2)} of the target's variance on the test part is explained (R²).")
    return element("ul", [element("li", row) for row in rows], class_="words")
