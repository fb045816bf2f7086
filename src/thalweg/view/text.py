"""A run, and two runs side by side, as text for 80 columns; plain where there is no terminal."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from thalweg.insight.compare import Comparison, Figure
from thalweg.insight.curves import Curve, buckets, evaluated, per_step
from thalweg.insight.finder.verdict import in_a_line
from thalweg.insight.outcome import loss_name, outcome, split_sizes, table
from thalweg.insight.settings import active, flat
from thalweg.insight.summary import Statement, summarise
from thalweg.insight.wording import as_number, figure, listing, plural, seconds, setting, size
from thalweg.run.folder.record import Record
from thalweg.view.terminal import Escaped

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*#@"
WIDE = 20.0  # ratio of highest to lowest from which the scale of a sparkline is logarithmic
LEVELS = {"good": "green", "bad": "red", "unclear": "yellow"}


def show(record: Record) -> RenderableType:
    """Show what was trained, how, and with what result.

    Returns:
        Something for `rich.console.Console.print`; `plain` turns it into a string.
    """
    summary = summarise(record)
    headline = Text(summary.headline, style=f"bold {LEVELS.get(summary.level, '')}".strip())
    statements = bullets(summary.statements)
    return Group(headline, Text(), *statements, Text(), facts(_facts(record)), *_sample(record.result))


def compare(comparison: Comparison, records: Sequence[Record] = ()) -> RenderableType:
    """Show how two runs differ in settings and results.

    Args:
        comparison: From `thalweg.insight.compare.compare`.
        records: Both runs, to draw their curves.
    """
    settings: list[RenderableType] = []
    if comparison.differences:
        rows = [Figure(d.key, d.first, d.second) for d in comparison.differences]
        settings = [Text("Settings that differ", style="bold"), _side_by_side(comparison, rows), Text()]
    results = [Text("Results", style="bold"), _side_by_side(comparison, comparison.figures), Text()]
    curves = _curves_of(comparison, records)
    drawn = [Text("Curves, first and last value", style="bold"), curves, Text()] if curves else []
    return Group(*settings, *results, *drawn, *(_bullet(sentence, "") for sentence in comparison.sentences))


def plain(shown: RenderableType, width: int = 80) -> str:
    """Turn something printable into plain text without colours."""
    console = Console(
        file=io.StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False
    )
    console.print(Escaped(shown))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def facts(rows: Iterable[tuple[str, Any]]) -> RenderableType:
    """Return names and values in two columns; rows whose value is empty are left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value:
            grid.add_row(name, str(value) if isinstance(value, Path) else value)
    return grid


def bullets(statements: Iterable[Statement]) -> list[RenderableType]:
    """Return statements as a list; unclear and bad ones in their colour."""
    return [_bullet(known.text, "" if known.level == "good" else LEVELS[known.level]) for known in statements]


def _bullet(text: str, style: str) -> RenderableType:
    row = Table.grid(padding=0)
    row.add_column(width=2)
    row.add_column()
    row.add_row(Text("- ", style=style or "dim"), Text(text, style=style))
    return row


def _facts(record: Record) -> Iterable[tuple[str, RenderableType]]:
    result = outcome(record)
    yield from _about_data(record)
    if result.model:
        size_of = f", {size(result.parameters)} parameters" if result.parameters is not None else ""
        yield "model", Text(f"{result.model}{size_of}")
    if record.recipe:
        yield "recipe", Text(recipe_line(record.recipe))
    if table(record.result, "finding"):
        yield "rate", Text(in_a_line(table(record.result, "finding")))
    losses = per_step(record, "loss")
    if len(losses.finite):
        first, last = (figure(losses.finite.value[end], 3) for end in (0, -1))
        row = Table.grid(padding=(0, 1))
        row.add_row(Text(first), Sparkline(losses), Text(last), Text(loss_name(record) or "", style="dim"))
        yield "loss", row
    cost = _cost(record)
    if cost:
        yield "cost", Text(cost)
    if record.environment:
        yield "with", Text(_environment(record.environment))
    if record.folder is not None:
        yield "folder", Text(str(record.folder))


def _sample(result: Mapping[str, Any]) -> list[RenderableType]:
    """Show what a character model wrote, without control characters."""
    text = result.get("sample")
    if not isinstance(text, str) or not text.strip():
        return []
    printable = "".join(mark if mark.isprintable() or mark == "\n" else " " for mark in text.strip("\n"))
    return [Text(), Text("Sample of text", style="bold"), Text(printable)]


def _about_data(record: Record) -> Iterable[tuple[str, RenderableType]]:
    data = table(record.problem, "data")
    if not data:
        return
    counts = ", ".join(f"{number} {split}" for split, number in split_sizes(data))
    kind = f", {data['task']}" if data.get("task") else ""
    target = f", target {data['target']}" if data.get("target") else ""
    yield "data", Text(f"{data.get('name', 'unnamed')}{kind}{target}" + (f": {counts}" if counts else ""))
    for note in data.get("notes") or ():
        if isinstance(note, Mapping) and note.get("text"):
            yield "", Text(str(note["text"]), style="dim")


def recipe_line(recipe: Mapping[str, Any]) -> str:
    """Write the active settings on one line, components with their own settings in brackets."""
    words = []
    for key, value in active(recipe).items():
        if isinstance(value, Mapping):
            inside = ", ".join(f"{k} {setting(v)}" for k, v in flat(value).items() if k != "name")
            name = value.get("name", key)
            words.append(str(name) + (f" ({inside})" if inside else ""))
        else:
            words.append(f"{key} {setting(value)}")
    return ", ".join(words)


def _cost(record: Record) -> str:
    spent = table(record.result, "seconds")
    kinds = [f"{name} {seconds(spent[name])}" for name in ("compile", "train", "evaluate") if name in spent]
    total = seconds(spent["total"]) if "total" in spent else ""
    words = [f"{total} ({', '.join(kinds)})" if total and kinds else total or ", ".join(kinds)]
    speed = as_number(record.result.get("examples_per_second"))
    words += [] if speed is None else [f"{size(speed)} examples/s"]
    return ", ".join(filter(None, words))


def _environment(environment: Mapping[str, Any]) -> str:
    names = [name for name in ("thalweg", "jax", "equinox", "optax", "python") if environment.get(name)]
    words = [f"{name} {environment[name]}" for name in names]
    if environment.get("device"):
        words.append(f"on {environment['device']}")
    if environment.get("mesh"):
        words.append(f"mesh {environment['mesh']}")
    if environment.get("data_on") == "host":
        words.append("training rows on the host")
    if environment.get("cores"):
        words.append(plural(environment["cores"], "core"))
    return listing(words, limit=len(words)) if words else "-"


def _side_by_side(comparison: Comparison, rows: Iterable[Figure]) -> RenderableType:
    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    grid.add_column("", overflow="fold", style="dim")
    grid.add_column(Text(comparison.first), overflow="fold")
    grid.add_column(Text(comparison.second), overflow="fold")
    for row in rows:
        styles = ["bold" if row.better == which else "" for which in (1, 2)]
        grid.add_row(Text(row.name), Text(row.first, style=styles[0]), Text(row.second, style=styles[1]))
    return Padding(grid, (0, 0, 0, 2))


def _curves_of(comparison: Comparison, records: Sequence[Record]) -> RenderableType | None:
    """Draw the losses of both runs below each other; None where neither recorded any."""
    grid, names = Table.grid(padding=(0, 2, 0, 0)), (comparison.first, comparison.second)
    for title, split in (("training loss", None), ("validation loss", "validation")):
        for name, record in zip(names, records, strict=False):
            curve = per_step(record, "loss") if split is None else evaluated(record, split, "loss")
            if len(curve.finite):
                ends = (figure(curve.finite.value[end], 3) for end in (0, -1))
                grid.add_row(
                    Text(title, style="dim"), Text(name), Sparkline(curve, 24), Text(" to ".join(ends))
                )
    return Padding(grid, (0, 0, 0, 2)) if grid.row_count else None


@dataclass(frozen=True)
class Sparkline:
    """A curve as a row of small bars; plain ASCII where the terminal's encoding has no blocks.

    Args:
        curve: Values over steps; blank where they are not finite.
        width: Characters.
    """

    curve: Curve
    width: int = 40

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw within the width available."""
        yield Text(
            sparkline(self.curve, min(self.width, options.max_width), ascii_only=options.ascii_only),
            no_wrap=True,
        )


def sparkline(curve: Curve, width: int = 40, *, ascii_only: bool = False) -> str:
    """Draw a curve's bucket means, lowest to highest, in `width` characters or fewer.

    The scale is logarithmic when all values are positive and the highest is 20 times the lowest or more.
    """
    means = buckets(curve, max(1, width)).mean
    levels = _levels(means)
    marks = _ASCII if ascii_only else _BLOCKS
    return "".join(" " if math.isnan(level) else marks[int(level)] for level in levels)


def _levels(values: Float[np.ndarray, " bucket"]) -> Float[np.ndarray, " bucket"]:
    """Map values to 0..7; NaN stays NaN."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.full(len(values), np.nan)
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and high >= WIDE * low:
        values, low, high = np.log(values), math.log(low), math.log(high)
    if high == low:
        return np.where(np.isfinite(values), 0.0, np.nan)
    return np.where(np.isfinite(values), np.floor((values - low) / (high - low) * 7.999), np.nan)
