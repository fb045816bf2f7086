"""Curves to decide by: ROC, precision and recall, calibration, gains, errors by range, dependence."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.insight.curves import Buckets, Curve
from thalweg.insight.wording import clipped, count, figure, percent
from thalweg.view.figure.html import Markup, element
from thalweg.view.figure.plot import Line, Plot, draw

FIRST, SECOND, REFERENCE = 1, 2, 3  # of the page's palette
COLOURS = 6
NAME = 40  # characters of a name
FEW = 40  # points of a curve up to which each is marked


def curves(classes: Mapping[str, Any]) -> list[Markup]:
    """Draw the curves of a classifier."""
    binary = classes.get("binary")
    drawn = []
    if binary:
        drawn += [_roc([("", binary["roc"])], f"area {binary['auc']:.3f}")]
        share = float(binary["share"])
        text = f"average precision {binary['average_precision']:.3f}"
        drawn += [_precision([("", binary["precision_recall"])], text, share)]
    elif classes.get("curves"):
        own = classes["curves"]
        areas = {each["class"]: each["auc"] for each in classes["by_class"]}
        text = ", ".join(f"{clipped(each['class'], 16)} {areas[each['class']]:.3f}" for each in own)
        drawn += [_roc([(each["class"], each["roc"]) for each in own], f"areas {text}")]
        text = "each class against the others"
        drawn += [_precision([(each["class"], each["precision_recall"]) for each in own], text, None)]
    if classes.get("calibration"):
        drawn.append(_calibration(classes["calibration"], binary))
    if binary and binary["lift"]:
        drawn.append(_gains(binary))
    return drawn


def _roc(lines: Sequence[tuple[str, Mapping[str, Any]]], text: str) -> Markup:
    drawn = [*_lines(lines), Line("", _curve([0, 1], [0, 1]), REFERENCE, faint=True)]
    note = "Up: share of the positives that are flagged; across: share of the negatives. Grey: chance."
    note += f" {_first(text)}."
    return _plot("ROC curve", "roc", drawn, note, "negatives flagged")


def _precision(lines: Sequence[tuple[str, Mapping[str, Any]]], text: str, share: float | None) -> Markup:
    drawn = _lines(lines)
    note = (
        f"Up: share of the flagged rows that are right; across: share of the positives found. {_first(text)}"
    )
    if share is not None:
        drawn.append(Line("", _curve([0, 1], [share, share]), REFERENCE, faint=True))
        note += f"; grey: all rows flagged, {percent(share)}"
    return _plot("Precision and recall", "precision", drawn, f"{note}.", "recall")


def _calibration(held: Mapping[str, Any], binary: Any) -> Markup:
    bins = held["bins"]
    x, y, low, high = (
        np.array([each[name] for each in bins]) for name in ("stated", "happened", "low", "high")
    )
    lines = [
        Line("", Curve(x, y), FIRST, band=Buckets(x, low, y, high, 1), dots=True),
        Line("", _curve([0, 1], [0, 1]), REFERENCE, faint=True),
    ]
    of = f"class {clipped(binary['positive'], NAME)}" if binary else "the class predicted"
    note = (
        f"Up: how often it was {of}, with 95 % intervals; across: the probability that was stated. Grey: "
        f"right probabilities. On average off by {_points(held['error'])}; right ones would seem off by "
        f"{_points(held['chance'])} on these rows."
    )
    return _plot("Calibration", "calibration", lines, note, "stated probability")


def _gains(binary: Mapping[str, Any]) -> Markup:
    top = np.array([0.0, *(each["top"] for each in binary["lift"]), 1.0])
    found = np.array([0.0, *(each["found"] for each in binary["lift"]), 1.0])
    lines = [
        Line("", Curve(top, found), FIRST, dots=True),
        Line("", _curve([0, 1], [0, 1]), REFERENCE, faint=True),
    ]
    tenth = next((each for each in binary["lift"] if each["top"] == 0.1), None)
    lift = (
        "" if tenth is None else f" The first tenth holds {figure(tenth['lift'], 3)} times as many as chance."
    )
    note = "Up: share of the positives among the rows of the highest scores; across: share of the rows. "
    note += f"Grey: chance.{lift}"
    return _plot("Gains", "gains", lines, note, "rows flagged")


def ranges(values: Mapping[str, Any]) -> list[Markup]:
    """Draw a regression's errors over its predictions."""
    own = values["ranges"]
    if not own:
        return []
    x = np.array([(each["from"] + each["to"]) / 2 for each in own])
    bias, low, high = (
        np.array([np.nan if each[name] is None else each[name] for each in own])
        for name in ("bias", "low", "high")
    )
    zero = Line("", _curve([x.min(), x.max()], [0, 0]), REFERENCE, faint=True)
    mean = Line("mean error", Curve(x, bias), FIRST, band=Buckets(x, low, bias, high, 1), dots=True)
    sizes = [
        Line(name, Curve(x, np.array([each[key] for each in own])), colour, dots=True)
        for colour, (key, name) in enumerate(
            (("rmse", "RMSE"), ("within", "nine in ten within")), start=FIRST
        )
    ]
    note = "Predicted minus true, by ranges of the prediction with equally many rows; shade: 95 % interval."
    return [
        _plot("Mean error by prediction", "bias", [mean, zero], note, "prediction"),
        _plot("Size of errors by prediction", "sizes", sizes, "Across: the prediction.", "prediction"),
    ]


def dependence(entry: Mapping[str, Any], title: str) -> list[Markup]:
    """Draw how answers move with the columns that matter most."""
    return [_dependence(each, title, number) for number, each in enumerate(entry.get("dependence") or ())]


def _dependence(one: Mapping[str, Any], title: str, number: int) -> Markup:
    name = clipped(one["column"], NAME)
    if any(isinstance(value, str) for value in one["values"]):
        return _bars(one, name, title)
    x = np.array(one["values"], np.float64)
    lines = []
    for colour, curve in enumerate(one["curves"], start=1):
        mean = np.array(curve["mean"])
        band = None
        if "low" in curve:
            band = Buckets(x, np.array(curve["low"]), mean, np.array(curve["high"]), 1)
        lines.append(Line(clipped(curve["name"], 24), Curve(x, mean), colour, band=band, dots=len(x) <= FEW))
    spread = "; shade: eight in ten rows" if "low" in one["curves"][0] else ""
    note = f"Mean {title} over {count(one['rows'])} rows with this value in place of their own{spread}."
    return _plot(name, f"dependence-{number}", lines, note, name)


def _bars(one: Mapping[str, Any], name: str, title: str) -> Markup:
    """Show the mean answer for each category, with the spread of the rows."""
    single = len(one["curves"]) == 1
    head = ["", "mean", "eight in ten rows"]
    if not single:
        head = ["", *(clipped(curve["name"], 16) for curve in one["curves"])]
    rows = []
    for at, value in enumerate(one["values"]):
        cells = [figure(curve["mean"][at], 2) for curve in one["curves"]]
        if single:
            ends = (one["curves"][0][end][at] for end in ("low", "high"))
            cells.append(" to ".join(figure(end, 2) for end in ends))
        cells = [element("td", cell) for cell in cells]
        rows.append(element("tr", element("th", clipped(value, NAME), scope="row"), cells))
    heading = element("thead", element("tr", [element("th", each, scope="col") for each in head]))
    body = element("table", heading, element("tbody", rows), class_="by-class")
    note = f"Mean {title} over {count(one['rows'])} rows with this value in place of their own."
    inside = element("div", body, class_="scrolls")
    return element(
        "figure",
        element("figcaption", element("h3", name)),
        inside,
        element("p", note, class_="note"),
        class_="plot",
    )


def _lines(lines: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Line]:
    return [
        Line(clipped(name, 24), _curve(points["x"], points["y"]), min(colour, COLOURS))
        for colour, (name, points) in enumerate(lines, start=FIRST)
    ]


def _plot(title: str, key: str, lines: Sequence[Line], note: str, across: str) -> Markup:
    return draw(Plot(title, f"decide-{key}", lines, log=False, note=note, across=across))


def _curve(x: Any, y: Any) -> Curve:
    return Curve(np.asarray(x, np.float64), np.asarray(y, np.float64))


def _first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _points(share: float) -> str:
    return f"{figure(100 * share, 2)} points"
