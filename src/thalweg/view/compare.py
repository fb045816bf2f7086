"""Two runs compared on one page: their curves over each other, what differs, and the results of each."""

from thalweg.insight.compare import Comparison, Figure
from thalweg.insight.curves import Curve, buckets, evaluated, per_step, smooth, smoothing_window
from thalweg.insight.outcome import metric_name
from thalweg.run.folder.record import Record
from thalweg.view.figure.frame import table
from thalweg.view.figure.html import Markup, element
from thalweg.view.figure.plot import Line, Plot, draw
from thalweg.view.report.curves import FEW_POINTS
from thalweg.view.report.page import document, footer, head

COLOURS = (1, 2)
# Title, split (None: every update) and column of each figure.
_FIGURES = (
    ("Training loss", None, "loss"),
    ("Validation loss", "validation", "loss"),
    ("Validation metric", "validation", "metric"),
    ("Learning rate", None, "learning_rate"),
)


def render(comparison: Comparison, first: Record, second: Record) -> str:
    """Render a comparison as one HTML file without outside references.

    Args:
        comparison: From `thalweg.insight.compare.compare`.
        first, second: The runs, in its order.

    Returns:
        The file's text; write it as UTF-8.
    """
    rows = [Figure(change.key, change.first, change.second) for change in comparison.differences]
    sections = [
        ("curves", "Curves", curves(comparison, first, second)),
        ("settings", "What differs", _side_by_side(comparison, rows) if rows else None),
        ("results", "Results", _side_by_side(comparison, comparison.figures)),
    ]
    title = f"{comparison.first} and {comparison.second}"
    heading = head("Comparison", title, (), ("Conclusion", [(text, None) for text in comparison.sentences]))
    return document(title, heading, sections, footer(first.environment, None))


def curves(comparison: Comparison, first: Record, second: Record) -> Markup | None:
    """Draw each curve of both runs in one figure; None where neither recorded any."""
    names, runs = (comparison.first, comparison.second), (first, second)
    figures = []
    for title, split, column in _FIGURES:
        known = [
            (name, curve, colour)
            for name, run, colour in zip(names, runs, COLOURS, strict=True)
            if len(curve := _curve(run, split, column))
        ]
        if known:
            lines = [
                Line(name, curve, colour, dots=len(curve) <= FEW_POINTS) for name, curve, colour in known
            ]
            log = False if column == "learning_rate" else None
            figures.append(
                draw(Plot(_titled(title, runs), title.lower().replace(" ", "-"), lines, log=log, switch=True))
            )
    return element("div", element("div", figures, class_="small-plots")) if figures else None


def _curve(record: Record, split: str | None, column: str) -> Curve:
    if split is not None:
        return evaluated(record, split, column).finite
    curve = per_step(record, column).finite
    thinned = buckets(smooth(curve, smoothing_window(len(curve)) if column == "loss" else 1))
    return Curve(thinned.step, thinned.mean).finite


def _titled(title: str, runs: tuple[Record, Record]) -> str:
    """Name the metric, where both runs have the same."""
    names = {metric_name(run) for run in runs}
    name = names.pop() if title.endswith("metric") and len(names) == 1 else None
    return f"Validation {name.replace('_', ' ')}" if name else title


def _side_by_side(comparison: Comparison, rows: list[Figure] | tuple[Figure, ...]) -> Markup:
    body = [element("tr", element("th", row.name, scope="row"), _cell(row, 1), _cell(row, 2)) for row in rows]
    shown = table(("", comparison.first, comparison.second), body, "by-class")
    return element("div", shown, class_="scrolls")


def _cell(row: Figure, which: int) -> Markup:
    text = row.first if which == 1 else row.second
    return element("td", element("b", text) if row.better == which else text)
