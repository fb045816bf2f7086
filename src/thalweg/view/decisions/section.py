"""The sections of a page on figures to decide by, from an entry `decisions`."""

from collections.abc import Mapping
from typing import Any

from thalweg.insight.decisions.statements import UNREADABLE, said, sampled
from thalweg.insight.outcome import table
from thalweg.insight.wording import clipped, count, figure
from thalweg.run.folder.record import Record
from thalweg.view.decisions import figures, tables
from thalweg.view.figure.html import Content, Markup, element

OTHER_VERSION = "These figures cannot be shown: result.json was edited, or written by another version."


def decisions(record: Record) -> Markup | None:
    """Draw curves, thresholds, costs and groups of a run; None where it has none."""
    return of_entry(table(record.result, "decisions"))


def columns(record: Record) -> Markup | None:
    """Draw which columns matter and how; None where it is not known."""
    return columns_of(table(record.result, "decisions"))


def errors(record: Record) -> Markup | None:
    """List the errors worth reading; None where there are none."""
    return errors_of(table(record.result, "decisions"))


def of_entry(entry: Mapping[str, Any]) -> Markup | None:
    """Draw curves, thresholds, costs and groups."""
    return _guarded(_decisions, entry)


def columns_of(entry: Mapping[str, Any]) -> Markup | None:
    """Draw importance and dependence."""
    return _guarded(_columns, entry)


def errors_of(entry: Mapping[str, Any]) -> Markup | None:
    """List the errors worth reading."""
    return _guarded(_errors, entry)


def _guarded(maker: Any, entry: Mapping[str, Any]) -> Markup | None:
    if not entry:
        return None
    if entry.get("skipped"):
        return (
            element("p", f"There are none: {clipped(entry['skipped'], 200)}.")
            if maker is _decisions
            else None
        )
    try:
        return maker(entry)
    except UNREADABLE:
        return element("p", OTHER_VERSION, class_="note") if maker is _decisions else None


def _decisions(entry: Mapping[str, Any]) -> Markup:
    classes, values = entry.get("classes"), entry.get("values")
    parts: list[Content] = [_sentences(entry), element("p", f"Figures of {sampled(entry)}.", class_="note")]
    if classes:
        parts.append(element("div", figures.curves(classes), class_="small-plots"))
        binary = classes.get("binary")
        if binary and binary.get("cost"):
            parts.append(_titled("The cost of errors", tables.costs(binary["cost"])))
        if binary:
            title = f"Thresholds for class {clipped(binary['positive'], 40)}"
            parts.append(_titled(title, tables.thresholds(binary)))
        parts.append(_titled("By class", tables.by_class(classes["by_class"])))
    if values:
        parts.append(element("div", figures.ranges(values), class_="small-plots"))
        parts.append(_titled("Quantiles of the error", tables.quantiles(values)))
    for grouped in entry.get("groups") or ():
        parts.append(_titled(f"By {clipped(grouped['column'], 40)}", tables.groups(grouped)))
    return element("div", *parts, class_="decisions")


def _sentences(entry: Mapping[str, Any]) -> Markup:
    items = [
        element("li", each.text, class_="" if each.level == "good" else each.level) for each in said(entry)
    ]
    return element("ul", items, class_="findings")


def _columns(entry: Mapping[str, Any]) -> Markup | None:
    important = entry.get("importance")
    if not important or "skipped" in important or not important["columns"]:
        return None
    rows, of = important["rows"], important["of"]
    sample = f"{count(rows)} rows" if rows == of else f"{count(rows)} of {count(of)} rows, drawn at random"
    listed, every = min(len(important["columns"]), tables.COLUMNS), len(important["columns"])
    left = f" The {listed} first of {every} columns." if listed < every else ""
    metric = tables.LOSSES.get(important["metric"], important["metric"])
    note = (
        f"How much worse the network gets when a column's values are dealt to other rows "
        f"({important['repeats']} times, {sample}; {metric} {figure(important['value'], 3)} before); the "
        "interval covers the choice of rows. Columns that stand in for one another seem less important than "
        f"they are.{left}"
    )
    binary = (entry.get("classes") or {}).get("binary")
    title = "prediction" if entry.get("values") else "probability"
    title = f"probability of {clipped(binary['positive'], 24)}" if binary else title
    drawn = figures.dependence(entry, title)
    return element(
        "div",
        tables.importance(important),
        element("p", note, class_="note"),
        element("div", drawn, class_="small-plots") if drawn else None,
        class_="decisions",
    )


def _errors(entry: Mapping[str, Any]) -> Markup | None:
    listed = tables.worst(entry.get("worst") or ())
    if listed is None:
        return None
    values = entry.get("values")
    text = "The largest errors." if values else "Wrong answers of which the network was most sure."
    rows = (
        " Rows are numbered from 0, as in the file that was read."
        if entry["worst"][0]["row"] is not None
        else ""
    )
    return element("div", element("p", text + rows, class_="note"), listed)


def _titled(title: str, body: Markup) -> Markup:
    return element("div", element("h3", title), body)
