"""Predicted against true values, and the distribution of the errors, for numeric targets."""

import numpy as np

from thalweg.insight.answers import Residuals
from thalweg.insight.intervals import estimate_mean
from thalweg.insight.wording import count, percent
from thalweg.insight.wording import figure as written
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.frame import drawing, figure, scale, x_labels
from thalweg.view.figure.heat import SHADES, shade_paths
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.figure.svg_paths import SIDE, dots, grid

POINTS = 800  # predictions up to which each is a dot; more are counted in cells
CELLS = 64  # along either side
BARS = 61  # odd, so that one bar is centred at zero
SKEWED = (
    30.0  # ratio of the 99th to the 1st percentile of a positive target from which the axes are logarithmic
)


def draw(answers: Residuals, target: str) -> Markup:
    """Draw both figures, and describe the errors in words."""
    return join(
        _against(answers, target), element("div", _spread(answers, target), _words(answers), class_="beside")
    )


def _against(answers: Residuals, target: str) -> Markup:
    """Draw truth across and prediction up, on one range, with the line where both are equal."""
    both = np.concatenate([answers.target, answers.prediction])
    low, high = np.quantile(answers.target, [0.01, 0.99])
    log = bool((both > 0).all() and low > 0 and high / low > SKEWED)
    axis = axis_over(both, log=log)
    across, up = axis.position(answers.target), axis.position(answers.prediction)
    few = len(across) <= POINTS
    marks = element("path", d=dots(across, up), class_="dots c1") if few else _density(across, up)
    diagonal = element("path", d=f"M0 {SIDE}L{SIDE} 0", class_="mark")
    drawn = drawing("predicted against true", grid(axis), marks, diagonal)
    note = "Dashed: prediction equals truth."
    note += "" if few else " Shade: number of predictions (logarithmic)."
    return figure(
        f"Predicted {target} against true",
        element("div", scale(axis, element("div", drawn, class_="area")), class_="frame square"),
        x_labels(axis, "true"),
        reading=None,
        note=note,
        class_="plot scatter",
    )


def _density(across: np.ndarray, up: np.ndarray) -> Markup:
    counts, _, _ = np.histogram2d(1 - up, across, bins=CELLS, range=[[0, 1], [0, 1]])
    shades = np.ceil(np.log1p(counts) / np.log1p(counts.max()) * SHADES).astype(int)
    return element("g", shade_paths(shades), transform=f"scale({SIDE / CELLS})", shape_rendering="crispEdges")


def _spread(answers: Residuals, target: str) -> Markup:
    """Draw a histogram of the errors without the largest hundredth, which would flatten the rest."""
    reach = float(np.quantile(np.abs(answers.error), 0.99)) or 1.0
    inside = answers.error[np.abs(answers.error) <= reach]
    counts, edges = np.histogram(inside, bins=BARS, range=(-reach, reach))
    axis = Axis(-reach, reach)
    top = max(1, int(counts.max()))
    left, width = SIDE * axis.position(edges[:-1]), SIDE / BARS
    bars = "".join(
        f"M{a:.1f} {SIDE}v{-SIDE * 0.97 * n / top:.1f}h{0.86 * width:.1f}V{SIDE}z"
        for a, n in zip(left, counts, strict=True)
        if n
    )
    zero = element("path", d=f"M{SIDE / 2} 0V{SIDE}", class_="mark")
    drawn = drawing("errors", element("path", d=bars, class_="shade"), zero)
    return figure(
        f"Error in {target}: predicted minus true",
        element("div", scale(None, element("div", drawn, class_="area")), class_="frame low"),
        x_labels(axis, "error"),
        reading=None,
        class_="plot",
    )


def _words(answers: Residuals) -> Markup:
    size = np.abs(answers.error)
    if len(size) == 1:
        return element("p", f"The only prediction is off by {written(size[0], 3)}.")
    half, most = np.quantile(size, [0.5, 0.9])
    rows = [
        f"Half of the {count(len(size))} predictions are off by at most {written(half, 3)}, nine in ten "
        f"by at most {written(most, 3)}; the largest error is {written(size.max(), 3)}."
    ]
    bias = estimate_mean(answers.error)
    if bias is not None and bias.mean:
        side = "too high" if bias.mean > 0 else "too low"
        rows.append(
            f"On average predictions are {written(abs(bias.mean), 3)} {side}"
            + (f" (± {written(bias.half, 2)} at 95 %)" if bias.half else "")
            + (", which may be chance." if abs(bias.mean) <= (bias.half or 0.0) else ".")
        )
    if answers.r2 >= 0:
        rows.append(f"{percent(answers.r2)} of the target's variance on the test split is explained (R²).")
    elif np.isfinite(answers.r2):
        rows.append(
            f"The mean of the test split would be closer to the targets (R² {written(answers.r2, 2)})."
        )
    return element("ul", [element("li", row) for row in rows], class_="words")
