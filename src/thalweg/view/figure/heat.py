"""Heat maps: tables of numbers as shades of one colour, drawn as one path for each shade."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from thalweg.insight.wording import figure as written
from thalweg.view.figure.axis import Axis, tick_text
from thalweg.view.figure.frame import area, figure, x_labels
from thalweg.view.figure.html import Markup, element, join

SHADES = 16  # steps of opacity; the eye distinguishes about as many in a ramp of one hue
TALL_ROWS = 24  # rows up to which each is named and high


@dataclass(frozen=True)
class Heat:
    """Values by row and time.

    Args:
        title: What is shown.
        rows: Names, from top to bottom.
        step: Time of each column, ascending.
        values: `row column`; NaN is left blank. Shown on a logarithmic ramp.
    """

    title: str
    rows: tuple[str, ...]
    step: Float[np.ndarray, " column"]
    values: Float[np.ndarray, "row column"]


def draw(heat: Heat) -> Markup:
    """Draw a heat map as a figure element; rows are named at the side, thinned where they would collide."""
    shades, (low, high) = _log_shades(heat.values)
    first, last = float(heat.step.min()), float(heat.step.max())
    x = Axis(first, last) if last > first else Axis(first - 0.5, first + 0.5)
    tall = len(heat.rows) <= TALL_ROWS
    names = [element("span", name if tall or row % 2 == 0 else "") for row, name in enumerate(heat.rows)]
    frame = element(
        "div",
        element("div", names, class_="rows"),
        area(cells(shades)),
        element("div", x_labels(x, "step"), class_="under"),
        class_="heat-frame",
        style=f"--rows:{len(heat.rows)};--tall:{1.15 if tall else 0.75}rem",
    )
    readings = {
        "rows": heat.rows,
        "step": [round(float(step)) for step in heat.step],
        "values": [[float(f"{value:.3g}") for value in row] for row in heat.values],
    }
    return figure(
        heat.title,
        frame,
        reading=_last_column(heat),
        switch=(None, ramp(low, high)),
        readings=readings,
        class_="plot heat",
        data_heat=True,
    )


def cells(shades: Int[np.ndarray, "row column"], kind: str = "") -> Markup:
    """Draw shades 1..SHADES (0 is blank) as an SVG stretched to its box."""
    rows, columns = shades.shape
    return element(
        "svg",
        shade_paths(shades, kind),
        viewBox=f"0 0 {columns} {rows}",
        preserveAspectRatio="none",
        shape_rendering="crispEdges",
        aria_hidden="true",
    )


def shade_paths(shades: Int[np.ndarray, "row column"], kind: str = "") -> Markup:
    """Return one path for each shade; equal neighbours in a row are joined."""
    pieces: dict[int, list[str]] = {}
    for row, line in enumerate(shades):
        edges = np.flatnonzero(np.diff(np.concatenate([[-1], line, [-1]])))
        for start, end in pairwise(edges.tolist()):
            if line[start] > 0:
                pieces.setdefault(int(line[start]), []).append(f"M{start} {row}h{end - start}v1H{start}z")
    class_ = f"shade {kind}".strip()
    return join(
        *(
            element("path", d="".join(drawn), class_=class_, fill_opacity=f"{shade / SHADES:.3g}")
            for shade, drawn in sorted(pieces.items())
        )
    )


def shades_of(shares: Float[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    """Turn shares of one into shades; anything above zero gets at least the faintest."""
    return np.ceil(np.clip(np.nan_to_num(shares), 0.0, 1.0) * SHADES).astype(int)


def ramp(left: float, right: float) -> Markup:
    """Return the key of the shades: the values at its faint and its dark end."""
    ends = [element("span", tick_text(float(f"{end:.2g}"))) for end in (left, right)]
    return element("div", ends[0], element("i"), ends[1], class_="ramp")


def _log_shades(
    values: Float[np.ndarray, "row column"],
) -> tuple[Int[np.ndarray, "row column"], tuple[float, float]]:
    """Return shades on a logarithmic ramp, and the values at its ends."""
    shown = np.isfinite(values) & (values > 0)
    if not shown.any():
        return np.zeros(values.shape, int), (0.0, 0.0)
    # Quantiles: a single outlier would leave one shade for all other values.
    low, high = (float(end) for end in np.quantile(values[shown], [0.005, 0.995]))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.log(values / low) / np.log(high / low) if high > low else np.ones(values.shape)
    shades = np.clip(1 + np.round(share * (SHADES - 1)), 1, SHADES)
    return np.where(shown, np.nan_to_num(shades), 0).astype(int), (low, high)


def _last_column(heat: Heat) -> str:
    """Read the lowest and highest value of the last column, shown until the pointer moves."""
    column = heat.values[:, -1]
    if not np.isfinite(column).any():
        return ""
    lowest, highest = (
        f"{heat.rows[row]} {written(column[row], 3)}"
        for row in (int(np.nanargmin(column)), int(np.nanargmax(column)))
    )
    return f"end: {lowest} (lowest) to {highest} (highest)"
