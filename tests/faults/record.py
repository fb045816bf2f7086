"""What was found, kept for the page: one file for each trial, and the table in docs/durability.md."""

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


def keep(trial: str, lines: list[Line], full: bool) -> None:
    """Keep a trial's lines, with the machine and the day."""
    RESULTS.mkdir(exist_ok=True)
    told = {
        "size": "full" if full else "quick",
        "date": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "lines": [dataclasses.asdict(line) for line in lines],
    }
    (RESULTS / f"{trial}.json").write_text(json.dumps(told, indent=1) + "\n")


def write_page(trials: list[str]) -> None:
    """Put the kept tallies into the page, between its marks."""
    parts = []
    for trial in trials:
        path = RESULTS / f"{trial}.json"
        if path.exists():
            told = json.loads(path.read_text())
            lines = [Line(**line) for line in told["lines"]]
            parts.append(f"**{trial}** ({told['size']}, {told['date']}; {told['machine']})\n\n{table(lines)}")
    text = PAGE.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    PAGE.write_text(before + "\n" + "\n\n".join(parts) + "\n" + after, encoding="utf-8")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
