"""What commands print and write for people and scripts: runs, sweeps, findings, each with its exit code."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from thalweg.core.caller import option_name
from thalweg.core.disk import replace
from thalweg.core.errors import BadInput
from thalweg.core.stop_reason import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, StopReason
from thalweg.doors.cli.json_output import print_json
from thalweg.insight.finder import finding_io
from thalweg.insight.ranking import Ranking, as_dict, ranking_of
from thalweg.run.folder.filesystem import files_of
from thalweg.run.folder.record import Record
from thalweg.run.folder.sweep_record import Sweep, read
from thalweg.run.run import Run, Runs
from thalweg.view import text
from thalweg.view.figure import lr_figure
from thalweg.view.finding import batch_page
from thalweg.view.finding import page as finding_page
from thalweg.view.report import render
from thalweg.view.sweep import page as sweep_page
from thalweg.view.sweep import text as sweep_text
from thalweg.view.terminal import say, terminal

FINDING_PAGE, FINDING_PICTURE = "finding.html", "finding.svg"
# Keys of finding.json that describe the search, and those that `--json` prints: all but the lanes.
FINDING_SUBJECT = ("run", "data", "task", "model")
_FINDING_BRIEF = (
    "setting",
    "value",
    "low",
    "high",
    "default",
    "diverges",
    "predicted_edge",
    "status",
    "reason",
    "cost",
    "lr",
    "noise_scale",
    "largest_useful",
    "fits",
    "table",
    *FINDING_SUBJECT,
)


def print_text(shown: RenderableType) -> None:
    """Print for a person: in colour on a terminal, else as plain text of 80 columns."""
    console = terminal()
    if console.is_terminal:
        console.print(shown)
    else:
        sys.stdout.write(text.plain(shown))


def finish(result: Run | Runs, as_json: bool, quiet: bool) -> int:
    """Write the report of a run or sweep that has ended, and print its result; return the exit code."""
    if isinstance(result, Runs):
        return _finish_sweep(result, as_json, quiet)
    report = write_report(result.record)
    if as_json:
        print_json(result.result)
    elif not quiet:
        print_text(text.show(result.record))
        say(f"\nrun    {result.folder}\nreport {report}")
    return exit_code(result)


def exit_code(run: Run) -> int:
    """Return the exit code of a run that has ended."""
    return StopReason.facts_of(run.result["stopped"]).exit_code


def _finish_sweep(runs: Runs, as_json: bool, quiet: bool) -> int:
    ranking = ranking_of(runs)
    report = None if runs.folder is None else write_sweep_report(read(runs.folder), ranking)
    print_sweep(runs.result, ranking, as_json, quiet)
    if report is not None and not as_json and not quiet:
        say(f"report  {report}")
    if StopReason.INTERRUPTED in runs.result["stopped"]:
        return EXIT_INTERRUPTED
    return EXIT_DONE if ranking.best is not None else EXIT_FAILED


def print_sweep(result: Mapping[str, Any], ranking: Ranking, as_json: bool, quiet: bool = False) -> None:
    """Print a sweep's ranked settings."""
    if as_json:
        print_json(as_dict(result, ranking))
    elif not quiet:
        print_text(sweep_text.show(ranking, result))


def print_finding(finding: Mapping[str, Any], as_json: bool) -> None:
    """Print a finding from the content of finding.json."""
    if as_json:
        print_json(brief(finding))
    elif finding_io.is_of_batches(finding):
        print_text(batch_page.show(finding_io.batch_from_dict(finding), finding))
    else:
        print_text(finding_page.show(finding_io.from_dict(finding), finding))


def brief(finding: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of finding.json that `--json` prints: all but the lanes."""
    return {name: finding[name] for name in _FINDING_BRIEF if name in finding}


def draw_finding(finding: Mapping[str, Any], folder: Path, out: Path | None = None) -> Path:
    """Draw a finding that was read from its folder; return the path of its page."""
    target = out or folder / FINDING_PAGE
    if finding_io.is_of_batches(finding):
        return write_file(target, batch_page.render(finding_io.batch_from_dict(finding), finding))
    rates = finding_io.from_dict(finding)
    if out is None:
        write_file(folder / FINDING_PICTURE, lr_figure.svg_file(rates))
    return write_file(target, finding_page.render(rates, finding))


def write_report(record: Record, out: Path | None = None) -> Path:
    """Write a run's report; return its path."""
    if out is None and record.folder is None:
        raise BadInput(
            "report",
            "a run that was not saved needs a file to write to",
            hint="give a file, such as run.html",
        )
    return write_file(out if out is not None else Path(record.folder or ".") / "report.html", render(record))


def write_sweep_report(sweep: Sweep, ranking: Ranking, out: Path | None = None) -> Path:
    """Write a sweep's report; return its path."""
    target = out if out is not None else sweep.folder / "report.html"
    return write_file(target, sweep_page.render(sweep, ranking))


def write_file(path: Path, content: str) -> Path:
    """Write a text file for people; return its path.

    Raises:
        BadInput: It cannot be written.
    """
    try:
        replace(path, content.encode(), durable=False, files=files_of(path.parent))
    except OSError as error:
        rule, hint = "the file must be writable", f"name another with {option_name('out')}"
        raise BadInput("report", rule, got=str(path), where=error.strerror, hint=hint) from error
    return path
