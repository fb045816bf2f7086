"""What was understood of a data set: as text, and as a page with the distribution of each column."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.insight.wording import plural
from thalweg.problem.data.data import Data
from thalweg.problem.data.understanding import DATE, NUMBER, Column, Understanding
from thalweg.view.figure.frame import table
from thalweg.view.figure.html import Content, Markup, element, join
from thalweg.view.report.page import document, head, score, tiles

BARS = 24  # of a histogram
MOST_CATEGORIES = 8  # drawn; the rest share a bar
MOST_CLASSES = 12  # named in the text


def show(found: Understanding) -> RenderableType:
    """Show the columns, the splits and the notes as text for 80 columns.

    Returns:
        Something for `rich.console.Console.print`.
    """
    parts: list[RenderableType] = [Text(_headline(found), style="bold"), Text()]
    if found.columns:
        grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
        names = ["column", "type", "missing", "values"]
        names += ["explains"] if _has_target(found) else []
        for name in names:
            grid.add_column(
                name, justify="right" if name in ("missing", "explains") else "left", overflow="fold"
            )
        for column in found.columns:
            cells = [column.name, _kind(column), _missing(column), column.summary()]
            grid.add_row(*map(Text, [*cells, _explains(column)] if _has_target(found) else cells))
        parts += [grid, Text()]
    if found.data is not None:
        grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        for label, text in _facts(found, found.data):
            grid.add_row(Text(label, style="bold"), Text(text))
        parts += [grid, Text()]
    parts += [Text.assemble("- ", note.text[0].upper() + note.text[1:]) for note in found.notes]
    if found.far:
        rows = ", ".join(f"{far.column} {far.value:g} in row {far.row}" for far in found.far[:5])
        parts.append(Text(f"- Far from all other values of its column: {rows}."))
    return Group(*parts)


def render(found: Understanding) -> str:
    """Render what was understood as one HTML file without outside references; write it as UTF-8."""
    sections = [
        ("columns", "Columns", _cards(found) if found.columns else None),
        (
            "examples",
            "Examples",
            None if found.columns or found.data is None else _examples(found, found.data),
        ),
        ("notes", "Notes", _notes(found)),
        ("far", "Far values", _far(found) if found.far else None),
    ]
    figures = tiles([(name, f"{rows:,}") for name, rows in _splits(found)])
    rows = found.columns[0].values.len() if found.columns else sum(rows for _, rows in _splits(found))
    hero = score(f"{rows:,}", "rows" if found.columns else "examples"), figures
    guesses = [note for note in found.notes if note.change]
    verdict = [(_guesses(len(guesses)), None)] if guesses else []
    top = head(found.name, _headline(found), hero, ("What was understood", verdict))
    foot = join(f"Drawn by Thalweg {version('thalweg')}. Nothing was trained.")
    return document(f"{found.name}: data", top, sections, foot)


def _headline(found: Understanding) -> str:
    if found.data is None:
        usable = sum(column.role == "input" for column in found.columns)
        columns = plural(len(found.columns), "column")
        return f"{found.name}: {columns}, {usable} of them usable; no target is named"
    about = found.data
    if about.task == "classification" and about.preparation.target == "class":
        return f"{found.name}: {plural(about.outputs, 'class', 'classes')}"
    what = {"classification": f"{about.outputs} classes of", "regression": "values of", "language": "text in"}
    return f"{found.name}: {what.get(about.task, about.task)} {about.preparation.target}"


def _facts(found: Understanding, data: Data) -> list[tuple[str, str]]:
    """Return what is known of all examples: splits, inputs, classes."""
    rows = _splits(found)
    facts = [("examples", f"{sum(n for _, n in rows):,}: " + ", ".join(f"{s} {n:,}" for s, n in rows))]
    if not found.columns:
        facts.append(("inputs", _inputs(data)))
    counts = found.class_counts().get("train", {})
    if counts:
        shown = [f"{name} ({count:,})" for name, count in counts.items()][:MOST_CLASSES]
        more = f", and {len(counts) - len(shown)} more" if len(counts) > len(shown) else ""
        facts.append(("classes", f"{', '.join(shown)}{more}, in training"))
    return facts


def _examples(found: Understanding, data: Data) -> Markup:
    """List what is known of all examples, and how many of each class every split has."""
    items: list[Content] = [
        element("li", f"{label.capitalize()}: {text}") for label, text in _facts(found, data)[1:]
    ]
    counts = found.class_counts()
    if not 1 < data.outputs <= MOST_CLASSES:
        return element("ul", items, class_="notes")
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            *(element("td", f"{of_split[name]:,}") for of_split in counts.values()),
        )
        for name in next(iter(counts.values()), {})
    ]
    grid = element("div", table(["class", *counts], rows, "by-class"), class_="scrolls") if rows else None
    return element("div", element("ul", items[:1] if rows else items, class_="notes"), grid)


def _inputs(data: Data) -> str:
    shape = data.input_shape
    if data.preparation.columns.is_image:
        height, width, channels = (*shape, 1)[:3]
        colours = {1: "grey", 3: "in colour"}.get(channels, f"{channels} channels")
        return f"pictures of {width} x {height} pixels, {colours}"
    if data.task == "language":
        return f"{shape[0]} characters at a time, {data.outputs} different"
    return "one number" if not shape else " x ".join(map(str, shape)) + " numbers"


def _guesses(number: int) -> str:
    if number == 1:
        return "One guess, which an option changes."
    return f"{number} guesses, which options change."


def _splits(found: Understanding) -> list[tuple[str, int]]:
    return [] if found.data is None else [(name, s.count()) for name, s in found.data.splits.items()]


def _has_target(found: Understanding) -> bool:
    return any(column.explains is not None for column in found.columns)


def _kind(column: Column) -> str:
    return column.kind if column.role == "input" else f"{column.kind} ({column.role})"


def _missing(column: Column) -> str:
    share = column.missing / max(column.values.len(), 1)
    return "" if column.missing == 0 else f"{share:.1%}"


def _explains(column: Column) -> str:
    return "" if column.explains is None else f"{column.explains:.0%}"


def _cards(found: Understanding) -> Markup:
    """Draw one card for each column: its distribution, its range, what is missing."""
    return element("div", [_card(column) for column in found.columns], class_="cards")


def _card(column: Column) -> Markup:
    facts = [_kind(column), f"{column.distinct:,} different"]
    facts += [f"{_missing(column)} missing"] if column.missing else []
    facts += [f"explains {_explains(column)} of the target alone"] if column.explains is not None else []
    facts += [f"written {column.written}"] if column.written and column.kind == NUMBER else []
    return element(
        "figure",
        element("figcaption", element("h3", column.name), element("p", ", ".join(facts), class_="note")),
        _histogram(column) if column.kind in (NUMBER, DATE) else _frequencies(column),
        element("p", column.summary(), class_="note"),
        class_="card",
    )


def _histogram(column: Column) -> Markup | None:
    """Draw how many values fall into each of equal parts of the middle 98 % of the range."""
    values = column.values.drop_nulls().to_physical().to_numpy().astype(float)
    if values.size == 0:
        return None
    low, high = np.quantile(values, [0.01, 0.99])
    if low == high:
        low, high = float(values.min()), float(values.max())
    if low == high:
        return None
    heights, _ = np.histogram(np.clip(values, low, high), bins=BARS, range=(low, high))
    return _bars(f"Distribution of {column.name}", heights.tolist())


def _bars(title: str, heights: Iterable[int]) -> Markup:
    values = list(heights)
    top = max([*values, 1])
    bars = [
        element("rect", x=4 * i, y=f"{40 - 40 * v / top:.2f}", width=3.4, height=f"{40 * v / top:.2f}")
        for i, v in enumerate(values)
    ]
    box = f"0 0 {4 * len(values)} 40"
    return element("svg", element("title", title), bars, viewBox=box, preserveAspectRatio="none", role="img")


def _frequencies(column: Column) -> Markup | None:
    """List the most frequent values with bars."""
    counts = column.values.drop_nulls()
    if counts.len() == 0 or column.distinct == counts.len():
        return None
    frequent = counts.alias("value").value_counts(sort=True, name="rows")
    shown = list(frequent.head(MOST_CATEGORIES).iter_rows())
    rest = counts.len() - sum(rows for _, rows in shown)
    shown += [(f"{frequent.height - MOST_CATEGORIES:,} others", rest)] if rest else []
    top = max(rows for _, rows in shown)
    rows = [
        element(
            "tr",
            element("th", _shortened(str(value)), scope="row"),
            element("td", element("meter", value=n, max=top), f" {n:,}"),
        )
        for value, n in shown
    ]
    return element("table", element("tbody", rows), class_="frequencies")


def _shortened(text: str, limit: int = 32) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _notes(found: Understanding) -> Markup | None:
    items: list[Content] = [element("li", note.text[0].upper() + note.text[1:]) for note in found.notes]
    return element("ul", items, class_="notes") if items else None


def _far(found: Understanding) -> Markup:
    rows = [
        element(
            "tr",
            element("th", str(far.row), scope="row"),
            element("td", far.column),
            element("td", f"{far.value:g}"),
            element("td", f"{far.low:g} to {far.high:g}"),
        )
        for far in found.far
    ]
    note = element("p", "Rows count from 1, without the header.", class_="note")
    return element(
        "div", table(["row", "column", "value", "middle 98 %"], rows, "by-class"), note, class_="scrolls"
    )
