"""Figures to decide by as text for a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.insight.decisions.statements import UNREADABLE, said
from thalweg.insight.summary import Statement
from thalweg.insight.wording import clipped, figure, percent
from thalweg.view.text import bullets

NAME = 24  # characters of a name
ERRORS, COLUMNS = 5, 8  # rows that are listed
NOTHING = "-"


def show(entry: Mapping[str, Any]) -> list[RenderableType]:
    """Return sentences and tables; nothing for an entry that is empty or of another version."""
    try:
        tables = list(_tables(entry)) if "rows" in entry and "skipped" not in entry else []
    except UNREADABLE:
        return []
    statements = bullets(Statement(each.kind, each.text, each.level) for each in said(entry))
    spaced = [part for title, table in tables for part in (Text(), Text(title, style="bold"), table)]
    return [*([Text()] if statements else []), *statements, *spaced]


def _tables(entry: Mapping[str, Any]) -> Iterator[tuple[str, RenderableType]]:
    binary = (entry.get("classes") or {}).get("binary")
    if binary:
        rows = [
            (
                f"{each['threshold']:.3g}",
                *(_share(each[name]) for name in ("flagged", "precision", "recall", "f1")),
            )
            for each in binary["thresholds"]
        ]
        title = f"Flagged as {clipped(binary['positive'], NAME)} from this score on"
        yield title, _table(("score", "flagged", "precision", "recall", "F1"), rows)
    for grouped in entry.get("groups") or ():
        yield f"By {clipped(grouped['column'], NAME)}", _groups(grouped["groups"])
    columns = (entry.get("importance") or {}).get("columns") or []
    if columns:
        rows = [
            (clipped(each["column"], NAME), *(figure(each[name], 3) for name in ("rise", "low", "high")))
            for each in columns[:COLUMNS]
        ]
        yield "What the predictions rest on", _table(("column", "rise", "low", "high"), rows)
    if entry.get("worst"):
        yield "Errors worth reading", _worst(entry["worst"][:ERRORS])


def _groups(groups: Sequence[Mapping[str, Any]]) -> Table:
    named = {"accuracy": "accuracy", "flagged": "flagged", "true_positive_rate": "of positives"}
    named |= {"false_positive_rate": "of negatives", "rmse": "RMSE", "mae": "MAE", "bias": "mean error"}
    own = [name for name in named if name in groups[0]]
    values = "rmse" in groups[0]
    rows = [
        (
            clipped(each["group"], NAME),
            str(each["rows"]),
            *(figure(each[name], 3) if values else _share(each[name]) for name in own),
        )
        for each in groups
    ]
    return _table(("group", "rows", *(named[name] for name in own)), rows)


def _worst(rows: Sequence[Mapping[str, Any]]) -> Table:
    values = "error" in rows[0]
    listed = []
    for each in rows:
        place = each.get("file") or ("" if each["row"] is None else str(each["row"]))
        if values:
            cells = [figure(each[name], 4) for name in ("target", "prediction", "error")]
        else:
            cells = [clipped(each[name], 16) for name in ("target", "prediction")] + [
                _share(each["confidence"])
            ]
        listed.append((clipped(place, NAME), *cells))
    return _table(("row", "true", "predicted", "error" if values else "confidence"), listed)


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _share(value: Any) -> str:
    return NOTHING if value is None else percent(value)
