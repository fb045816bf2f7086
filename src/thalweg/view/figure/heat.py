"""Heat maps: tables of numbers as shades of one colour, drawn as one path for each shade."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from thalweg.insight.wording import figure
from thalweg.view.figure.axis import Axis, tick_text
from thalweg.view.figure.html import Markup, data_script, element, join
from thalweg.view.figure.svg_paths import x_labels

SHADES = 16  # steps of opacity; the eye tells apart about as many in a ramp of one hue


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
    """Draw a heat map as a figure element; rows are named beside it, thinned where they would collide."""
    shades, ends = _log_shades(heat.values)
    low, high = float(heat.step.min()), float(heat.step.max())
    x = Axis(low, high) if high > low else Axis(low - 0.5, low + 0.5)
    tall = 1.15 if len(heat.rows) <= 24 else 0.75  # row height in rem
    every = 1 if len(heat.rows) <= 24 else 2
    names = [element("span", name if row % every == 0 else "") for row, name in enumerate(heat.rows)]
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", heat.title),
            _ramp(ends),
            element("output", _last(heat), class_="reading"),
        ),
        element(
            "div",
            element("div", names, class_="rows"),
            element("div", cells(shades), element("i", class_="cursor"), class_="area"),
            element("div", x_labels(x, "step"), class_="under"),
            class_="heat-frame",
            style=f"--rows:{len(heat.rows)};--tall:{tall}rem",
        ),
        data_script(
            {
                "rows": heat.rows,
                "step": [round(float(s)) for s in heat.step],
                "values": [[float(f"{v:.3g}") for v in row] for row in heat.values],
            }
        ),
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
    """Return one path for each shade; neighbours in a row are joined."""
    found: dict[int, list[str]] = {}
    for row, line in enumerate(shades):
        edges = np.flatnonzero(np.diff(np.concatenate([[-1], line, [-1]])))
        for begin, end in pairwise(edges.tolist()):
            if line[begin] > 0:
                found.setdefault(int(line[begin]), []).append(f"M{begin} {row}h{end - begin}v1H{begin}z")
    return join(
        *(
            element(
                "path",
                d="".join(pieces),
                class_=f"shade {kind}".strip(),
                fill_opacity=f"{shade / SHADES:.3g}",
            )
            for shade, pieces in sorted(found.items())
        )
    )


def shades_of(shares: Float[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    """Turn shares of one into shades; anything above zero gets at least the faintest."""
    return np.ceil(np.clip(np.nan_to_num(shares), 0.0, 1.0) * SHADES).astype(int)


def _log_shades(
    values: Float[np.ndarray, "row column"],
) -> tuple[Int[np.ndarray, "row column"], tuple[float, float]]:
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return np.zeros(values.shape, int), (0.0, 0.0)
    low, high = np.quantile(
        positive, [0.005, 0.995]
    )  # a single outlier would leave one shade for all the others
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.log(values / low) / np.log(high / low) if high > low else np.ones(values.shape)
    shades = np.clip(1 + np.round(share * (SHADES - 1)), 1, SHADES)
    return np.where(np.isfinite(values) & (values > 0), np.nan_to_num(shades), 0).astype(int), (
        float(low),
        float(high),
    )


def _last(heat: Heat) -> str:
    """Read the last column's lowest and highest value: what stands there until the pointer moves."""
    column = heat.values[:, -1]
    if not np.isfinite(column).any():
        return ""
    ends = int(np.nanargmin(column)), int(np.nanargmax(column))
    said = [f"{heat.rows[row]} {figure(column[row], 3)}" for row in ends]
    return f"end: {said[0]} (lowest) to {said[1]} (highest)"


def _ramp(ends: tuple[float, float]) -> Markup:
    low, high = (tick_text(float(f"{end:.2g}")) for end in ends)
    return element("div", element("span", low), element("i"), element("span", high), class_="ramp")
