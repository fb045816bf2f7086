"""Tables of figures to decide by: thresholds, classes, groups, importance, errors worth reading."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from thalweg.insight.wording import clipped, count, figure, percent, plural
from thalweg.view.figure.axis import Axis
from thalweg.view.figure.frame import table
from thalweg.view.figure.html import Content, Markup, element

NAME = 40  # characters of a name
COLUMNS = 25  # whose importance is listed
NOTHING = "-"
LOSSES = {"log_loss": "log loss", "rmse": "RMSE", "error_rate": "error rate"}


def thresholds(binary: Mapping[str, Any]) -> Markup:
    """List what each threshold does."""
    rows = [(f"{each['threshold']:.3g}", each) for each in binary["thresholds"]]
    if binary.get("cost"):
        own = binary["cost"]["at"]
        rows = sorted(
            [*rows, (f"{figure(own['threshold'], 3)} (least cost)", own)], key=lambda row: row[1]["threshold"]
        )
    names = ("flagged", "precision", "recall", "f1")
    head = (
        "from this score on",
        "rows flagged",
        "precision",
        "recall",
        "F1",
        "false positives",
        "false negatives",
    )
    cells = [
        (label, *(_share(each[name]) for name in names), count(each["fp"]), count(each["fn"]))
        for label, each in rows
    ]
    return _listed(head, cells)


def costs(cost: Mapping[str, Any]) -> Markup:
    """List what a row costs at several thresholds."""
    head = ("what is done", "mean cost of a row")
    rows = [
        (f"flagged from {figure(cost['threshold'], 3)} on", figure(cost["test"], 3)),
        (f"flagged from {cost['usual_threshold']:g} on, as usual", figure(cost["usual"], 3)),
        ("all rows flagged", figure(cost["all"], 3)),
        ("none flagged", figure(cost["none"], 3)),
    ]
    if cost["validation"] is not None:
        text = f"the first on the {plural(cost['rows'], 'validation row')} that chose it"
        rows.append((text, figure(cost["validation"], 3)))
    return _listed(head, rows)


def by_class(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """List the figures of each class."""
    names = ("precision", "recall", "f1")
    head = ("class", "rows", "predicted", "precision", "recall", "F1", "ROC AUC", "average precision")
    cells = [
        (
            clipped(each["class"], NAME),
            count(each["rows"]),
            count(each["predicted"]),
            *(_share(each[name]) for name in names),
            *(_area(each[name]) for name in ("auc", "average_precision")),
        )
        for each in rows
    ]
    return _listed(head, cells)


def groups(grouped: Mapping[str, Any]) -> Markup:
    """List the figures of each group of rows."""
    rows = grouped["groups"]
    name = clipped(grouped["column"], NAME)
    if "accuracy" in rows[0]:
        names = {
            "share": "positives",
            "flagged": "flagged",
            "true_positive_rate": "of the positives",
            "false_positive_rate": "of the negatives",
            "precision": "precision",
        }
        names = {key: text for key, text in names.items() if key in rows[0]}
        head = [name, "rows", "accuracy (95 %)", *names.values(), *(["ROC AUC"] if "auc" in rows[0] else [])]
        cells = [
            (
                clipped(each["group"], NAME),
                count(each["rows"]),
                f"{percent(each['accuracy'])} ({_ends(each, percent)})",
                *(_share(each[key]) for key in names),
                *([_area(each["auc"])] if "auc" in each else []),
            )
            for each in rows
        ]
        return _listed(head, cells)
    cells = [
        (
            clipped(each["group"], NAME),
            count(each["rows"]),
            figure(each["rmse"], 3) + (f" ({_ends(each, figure)})" if each["low"] is not None else ""),
            figure(each["mae"], 3),
            figure(each["bias"], 3),
        )
        for each in rows
    ]
    return _listed((name, "rows", "RMSE (95 %)", "MAE", "mean error"), cells)


def importance(entry: Mapping[str, Any]) -> Markup:
    """List the columns by importance, each with its interval drawn."""
    rows = entry["columns"][:COLUMNS]
    high = max([0.0, *(each["high"] for each in rows)])
    low = min([0.0, *(each["low"] for each in rows)])
    scale = Axis(low, high if high > low else low + 1.0)
    metric = LOSSES.get(entry["metric"], entry["metric"])
    head = ["column", f"rise of the {metric}", "95 % interval", ""]
    has_errors = "errors" in rows[0] and entry["metric"] != "error_rate"
    head[3:3] = ["more errors"] if has_errors else []
    drawn = [
        element(
            "tr",
            element("th", clipped(each["column"], NAME), scope="row"),
            element("td", figure(each["rise"], 3)),
            element("td", f"{figure(each['low'], 3)} to {figure(each['high'], 3)}"),
            element("td", f"{100 * each['errors']:+.2g} points") if has_errors else None,
            element("td", _whisker(scale, each), class_="whiskers"),
        )
        for each in rows
    ]
    return element("div", table(head, drawn, "by-class"), class_="scrolls")


def _whisker(scale: Axis, each: Mapping[str, Any]) -> Markup:
    low, mean, high = (
        min(1.0, max(0.0, float(scale.position(each[name])))) for name in ("low", "rise", "high")
    )
    zero = 100 * float(scale.position(0.0))
    bar = element("i", style=f"left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%")
    line = element("u", style=f"left:{zero:.1f}%")
    return element("div", line, bar, element("b", style=f"left:{100 * mean:.1f}%"))


def worst(rows: Sequence[Mapping[str, Any]]) -> Markup | None:
    """List errors worth reading, with what the model saw."""
    if not rows:
        return None
    values = "error" in rows[0]
    named = "file" in rows[0]
    cells = list(dict.fromkeys(name for each in rows for name in each["cells"]))
    own = ["error"] if values else ["confidence"]
    head = [
        *(["row"] if any(each["row"] is not None for each in rows) else []),
        *(["file"] if named else []),
        *("true", "predicted", *own),
        *(clipped(name, 24) for name in cells),
    ]
    drawn = []
    for each in rows:
        shown: list[str] = [count(each["row"])] if head[0] == "row" else []
        shown += [clipped(each["file"], NAME)] if named else []
        if values:
            shown += [figure(each[name], 4) for name in ("target", "prediction", "error")]
        else:
            shown += [clipped(each[name], NAME) for name in ("target", "prediction")]
            shown += [_share(each["confidence"])]
        shown += [_cell(each["cells"].get(name)) for name in cells]
        drawn.append(tuple(shown))
    return _listed(head, drawn)


def quantiles(values: Mapping[str, Any]) -> Markup:
    """List the quantiles of the error."""
    rows = values["quantiles"]
    head = ("share of the rows", *(percent(each["level"], 0) for each in rows))
    return _listed(head, [("error at most", *(figure(each["error"], 3) for each in rows))])


def _cell(value: Any) -> str:
    if value is None:
        return NOTHING
    return f"{value:g}" if isinstance(value, float) else clipped(value, NAME)


def _share(value: Any) -> str:
    return NOTHING if value is None else percent(value)


def _ends(each: Mapping[str, Any], written: Any) -> str:
    return f"{written(each['low']).removesuffix(' %')} to {written(each['high'])}"


def _listed(head: Iterable[Content], rows: Iterable[Sequence[str]]) -> Markup:
    drawn = [
        element("tr", element("th", first, scope="row"), [element("td", each) for each in others])
        for first, *others in rows
    ]
    return element("div", table(head, drawn, "by-class"), class_="scrolls")


def _area(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"
