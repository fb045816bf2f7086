"""Runs as text: 80 columns, plain, and nothing lost."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.insight import made
from thalweg.insight.compare import compare
from thalweg.insight.curves import Curve
from thalweg.view import text
from thalweg.view.text import sparkline

RECORDS = {
    "classification": made.classification,
    "regression": made.regression,
    "diverged": made.diverged,
    "no validation": lambda: made.classification(validation=False),
    "empty": made.empty,
    "deep": lambda: made.classification(layers=40, classes=100),
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("width", [80, 40])
def test_every_record_fits_its_columns(name, width):
    shown = text.plain(text.show(RECORDS[name]()), width)
    assert shown.strip()
    assert max(map(len, shown.splitlines())) <= width
    assert "\x1b" not in shown


def test_show_says_what_how_and_what_came_of_it():
    shown = text.plain(text.show(made.classification()))
    parts = [
        "mlp:512 on mnist: 95.25 % test accuracy",
        "54,000 train",
        "669.7 k parameters",
        "adamw (lr 0.001",
    ]
    parts += ["warmup-cosine", "batch_size 128", "cross_entropy", "14.2 s", "jax 0.10.2", "runs/made-1"]
    for part in parts:
        assert part in shown


def test_brackets_in_names_are_text_not_styling():
    record = made.classification(classes=2, names=["[red]no[/red]", "[bold"], examples=100, accuracy=0.5)
    record = replace(record, folder=Path("runs/[red]x"), recipe={"[bold]key": "[/red]", "seed": "[red]1"})
    shown = text.plain(text.show(record), 200)
    assert "runs/[red]x" in shown
    assert "[bold]key [/red]" in shown
    assert "class [red]no[/red]," in shown or "class [bold," in shown
    beside = text.plain(text.compare(compare(record, made.classification())), 200)
    for part in ("[red]x", "[bold]key", "[/red]", "[red]1"):
        assert part in beside


def test_a_terminal_gets_colours():
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    console.print(text.show(made.diverged()))
    assert "\x1b[1;31m" in console.file.getvalue()


def test_compare_puts_runs_side_by_side():
    first = made.classification()
    second = replace(
        made.classification(accuracy=0.97), recipe=first.recipe | {"seed": 3}, folder=Path("runs/made-2")
    )
    lines = text.plain(text.compare(compare(first, second))).splitlines()
    assert any(line.split() == ["seed", "0", "3"] for line in lines)
    assert any(line.split()[:3] == ["test", "accuracy", "95.25"] for line in lines)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", RECORDS)
def test_any_two_records_can_be_compared(name):
    assert text.plain(text.compare(compare(made.classification(), RECORDS[name]())))
    assert text.plain(text.compare(compare(RECORDS[name](), made.empty())))


def curve(*values: float) -> Curve:
    return Curve(np.arange(len(values), dtype=float), np.array(values))


def test_sparklines_run_from_lowest_to_highest():
    assert sparkline(curve(1, 2, 3, 4, 5, 6, 7, 8), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(curve(1, 10, 100, 1000), 4) == "▁▃▆█"  # logarithmic: equal ratios, equal steps
    assert sparkline(curve(3, 3, 3), 3) == "▁▁▁"
    assert sparkline(curve(1, float("nan"), 2), 3) == "▁ █"
    assert sparkline(curve(), 10) == ""
    assert sparkline(curve(float("nan"), float("inf")), 10).strip() == ""


def test_sparklines_have_an_ascii_form():
    assert sparkline(curve(*range(8)), 8, ascii_only=True).isascii()
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=80)
    console.print(text.show(made.classification()))
