"""What commands print: one JSON object on standard output, or text for people; and the report's file."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from thalweg.core.errors import BadInput
from thalweg.insight.ranking import Ranking
from thalweg.run.folder.filesystem import plain, replace
from thalweg.run.folder.record import Record
from thalweg.run.folder.sweep_record import Sweep
from thalweg.view import text
from thalweg.view.report import render
from thalweg.view.sweep import page


def print_json(value: Any) -> None:
    """Print one JSON object, on one line; NaN and infinities become null."""
    value = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
    json.dump(plain(value), sys.stdout, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def print_text(shown: RenderableType) -> None:
    """Print for a person: colours on a terminal, plain text of 80 columns elsewhere."""
    console = Console()
    if console.is_terminal:
        console.print(shown)
    else:
        sys.stdout.write(text.plain(shown))


def write_report(record: Record, out: Path | None = None) -> Path:
    """Write a run's report; return where it lies."""
    if out is None and record.folder is None:
        raise BadInput(
            "report", "a run that was not saved needs a file to write to", hint="give --out FILE.html"
        )
    return written(out if out is not None else Path(record.folder or ".") / "report.html", render(record))


def write_sweep_report(sweep: Sweep, ranking: Ranking, out: Path | None = None) -> Path:
    """Write a sweep's report; return where it lies."""
    return written(out if out is not None else sweep.folder / "report.html", page.render(sweep, ranking))


def written(path: Path, content: str) -> Path:
    """Write a file that a person looks at; return where it lies."""
    try:
        replace(path, content.encode(), durable=False)
    except OSError as error:
        raise BadInput("report", "the file must be writable", got=str(path), where=error.strerror) from error
    return path
