"""The report's figures per parameter: lines while they are few, heat maps when they are many."""

import numpy as np
from jaxtyping import Float

from thalweg.insight.curves import Curve, LayerHistory, bulk, layer_history
from thalweg.run.folder.record import Record
from thalweg.view.figure import heat
from thalweg.view.figure.html import Markup, element
from thalweg.view.figure.plot import Line, Plot, draw

FEW = 6  # curves that a palette keeps apart for everyone
COLUMNS = 160  # columns of a heat map: enough for a screen, little enough for a file


def layers(record: Record) -> Markup | None:
    """Draw weight norms, gradient norms and update sizes; None when nothing was recorded per layer."""
    history = layer_history(record)
    if history is None:
        return None
    shown = bulk(record, history)
    left_out = len(history.paths) - len(shown.paths)
    figures = [
        ("Update to weight ratio", "update-ratio", shown.update_ratio),
        ("Gradient norm", "layer-gradient", shown.gradient_norm),
        ("Weight norm", "layer-weight", shown.weight_norm),
    ]
    drawn = [_figure(shown, *each) for each in figures if np.isfinite(each[2]).any()]
    if not drawn:
        return None
    note = f"{left_out} biases and scales are left out here; layers.parquet has them." if left_out else None
    kind = "small-plots" if len(shown.paths) <= FEW else "heat-maps"
    return element(
        "div", element("div", drawn, class_=kind), element("p", note, class_="note") if note else None
    )


def _figure(
    history: LayerHistory, title: str, key: str, values: Float[np.ndarray, "parameter time"]
) -> Markup:
    if len(history.paths) > FEW:
        return heat.draw(heat.Heat(title, history.paths, *_thinned(history.step, values)))
    lines = [
        Line(path, Curve(history.step, row), colour, dots=len(history.step) <= FEW)
        for colour, (path, row) in enumerate(zip(history.paths, values, strict=True), start=1)
    ]
    return draw(Plot(title, key, lines))


def _thinned(
    step: Float[np.ndarray, " time"], values: Float[np.ndarray, "parameter time"]
) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, "parameter column"]]:
    """Put the times on an even grid of at most COLUMNS, each column the nearest record."""
    number = min(len(step), COLUMNS)
    centres = step[0] + (np.arange(number) + 0.5) / number * (step[-1] - step[0])
    chosen = np.abs(step[None, :] - centres[:, None]).argmin(axis=1)
    return step[chosen], values[:, chosen]
