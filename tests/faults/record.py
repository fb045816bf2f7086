"""Recorded tallies: one file for each trial, and the tables in docs/durability.md."""

import dataclasses
import datetime
import json
import os
import platform
from pathlib import Path

from tests.faults.tally import Line, table

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "durability.md"
BEGIN, END = "<!-- tally: python -m tests.faults --full --record -->", "<!-- end of tally -->"


def save(trial: str, lines: list[Line], full: bool) -> None:
    """Save the lines of a trial with the machine and the date."""
    RESULTS.mkdir(exist_ok=True)
    tally = {
        "size": "full" if full else "quick",
        "date": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "lines": [dataclasses.asdict(line) for line in lines],
    }
    (RESULTS / f"{trial}.json").write_text(json.dumps(tally, indent=1) + "\n")


def write_page(trials: list[str]) -> None:
    """Write the saved tallies into the page, between its marks."""
    tables = []
    for trial in trials:
        path = RESULTS / f"{trial}.json"
        if path.exists():
            tally = json.loads(path.read_text())
            lines = [Line(**line) for line in tally["lines"]]
            tables.append(
                f"**{trial}** ({tally['size']}, {tally['date']}; {tally['machine']})\n\n{table(lines)}"
            )
    text = PAGE.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    PAGE.write_text(before + "\n" + "\n\n".join(tables) + "\n" + after, encoding="utf-8")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
