"""A run, and two runs side by side, as text: at home in 80 columns, plain where there is no terminal."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from thalweg.insight.compare import Comparison, Figure
from thalweg.insight.curves import per_step
from thalweg.insight.finder.verdict import in_a_line
from thalweg.insight.outcome import loss_name, outcome, table
from thalweg.insight.settings import flat, in_force
from thalweg.insight.summary import Statement, Summary, summarise
from thalweg.insight.wording import as_number, count, figure, listing, plural, seconds, setting, size
from thalweg.run.folder.record import Record
from thalweg.view.sparkline import Sparkline

_LEVELS = {"good": "green", "bad": "bold red", "unclear": "yellow"}


def show(record: Record) -> RenderableType:
    """Say what was trained, how, and what came of it.

    Returns:
        Something for `rich.console.Console.print`; `plain` turns it into a string.
    """
    summary = summarise(record)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(record):
        facts.add_row(name, value)
    return Group(
        _headline(summary), Text(), *bullets(summary.statements), Text(), facts, *_sample(record.result)
    )


def compare(comparison: Comparison) -> RenderableType:
    """Say what differs between two runs and what came of it.

    Args:
        comparison: From `thalweg.insight.compare.compare`.
    """
    parts: list[RenderableType] = []
    if comparison.differences:
        rows = [Figure(d.key, d.first, d.second) for d in comparison.differences]
        parts += [Text("What differs", style="bold"), _side_by_side(comparison, rows), Text()]
    parts += [Text("What came of it", style="bold"), _side_by_side(comparison, comparison.figures), Text()]
    return Group(*parts, *(_bullet(sentence, "") for sentence in comparison.sentences))


def plain(shown: RenderableType, width: int = 80) -> str:
    """Turn something printable into plain text without colours."""
    console = Console(
        file=io.StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False
    )
    console.print(shown)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _headline(summary: Summary) -> Text:
    return Text(summary.headline, style=f"bold {_LEVELS.get(summary.level, '')}".strip())


def bullets(findings: Iterable[Statement]) -> list[RenderableType]:
    """Write findings as a list, what is unclear or bad in its colour."""
    return [_bullet(found.text, "" if found.level == "good" else _LEVELS[found.level]) for found in findings]


def _bullet(text: str, style: str) -> RenderableType:
    row = Table.grid(padding=0)
    row.add_column(width=2)
    row.add_column()
    row.add_row(Text("- ", style=style or "dim"), Text(text, style=style))
    return row


def _facts(record: Record) -> Iterable[tuple[str, RenderableType]]:
    found = outcome(record)
    yield from _about_data(record)
    if found.model:
        size_of = f", {size(found.parameters)} parameters" if found.parameters is not None else ""
        yield "model", Text(f"{found.model}{size_of}")
    if record.recipe:
        yield "recipe", Text(recipe_line(record.recipe))
    if table(record.result, "finding"):
        yield "rate", Text(in_a_line(table(record.result, "finding")))
    losses = per_step(record, "loss")
    if len(losses.finite):
        ends = figure(losses.value[0], 3), figure(losses.value[-1], 3)
        row = Table.grid(padding=(0, 1))
        row.add_row(
            Text(ends[0]), Sparkline(losses), Text(ends[1]), Text(loss_name(record) or "", style="dim")
        )
        yield "loss", row
    cost = _cost(record)
    if cost:
        yield "cost", Text(cost)
    if record.environment:
        yield "with", Text(_environment(record.environment))
    if record.folder is not None:
        yield "folder", Text(str(record.folder))


def _sample(result: Mapping[str, Any]) -> list[RenderableType]:
    """Show what a character model writes, without anything that a terminal would obey."""
    text = result.get("sample")
    if not isinstance(text, str) or not text.strip():
        return []
    harmless = "".join(mark if mark.isprintable() or mark == "\n" else " " for mark in text.strip("\n"))
    return [Text(), Text("A sample of text", style="bold"), Text(harmless)]


def _about_data(record: Record) -> Iterable[tuple[str, RenderableType]]:
    data = table(record.problem, "data")
    if not data:
        return
    counts = ", ".join(f"{count(number)} {part}" for part, number in table(data, "counts").items())
    kind = f", {data['task']}" if data.get("task") else ""
    target = f", target {data['target']}" if data.get("target") else ""
    yield "data", Text(f"{data.get('name', 'unnamed')}{kind}{target}" + (f": {counts}" if counts else ""))
    for note in data.get("notes") or ():
        if isinstance(note, Mapping) and note.get("text"):
            yield "", Text(str(note["text"]), style="dim")


def recipe_line(recipe: Mapping[str, Any]) -> str:
    """Write what of a recipe is in force on one line: parts with their settings in brackets."""
    parts = []
    for key, value in in_force(recipe).items():
        if isinstance(value, Mapping):
            inside = ", ".join(f"{k} {setting(v)}" for k, v in flat(value).items() if k != "name")
            name = value.get("name", key)
            parts.append(str(name) + (f" ({inside})" if inside else ""))
        else:
            parts.append(f"{key} {setting(value)}")
    return ", ".join(parts)


def _cost(record: Record) -> str:
    spent = table(record.result, "seconds")
    parts = [f"{name} {seconds(spent[name])}" for name in ("compile", "train", "evaluate") if name in spent]
    total = seconds(spent["total"]) if "total" in spent else ""
    said = [f"{total} ({', '.join(parts)})" if total and parts else total or ", ".join(parts)]
    speed = as_number(record.result.get("examples_per_second"))
    said += [] if speed is None else [f"{size(speed)} examples/s"]
    return ", ".join(part for part in said if part)


def _environment(environment: Mapping[str, Any]) -> str:
    names = [name for name in ("thalweg", "jax", "equinox", "optax", "python") if environment.get(name)]
    parts = [f"{name} {environment[name]}" for name in names]
    if environment.get("device"):
        parts.append(f"on {environment['device']}")
    if environment.get("cores"):
        parts.append(plural(environment["cores"], "core"))
    return listing(parts, limit=len(parts)) if parts else "-"


def _side_by_side(comparison: Comparison, rows: Iterable[Figure]) -> RenderableType:
    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    grid.add_column("", overflow="fold", style="dim")
    grid.add_column(Text(comparison.first), overflow="fold")
    grid.add_column(Text(comparison.second), overflow="fold")
    for row in rows:
        styles = ["bold" if row.better == which else "" for which in (1, 2)]
        grid.add_row(Text(row.name), Text(row.first, style=styles[0]), Text(row.second, style=styles[1]))
    return Padding(grid, (0, 0, 0, 2))
