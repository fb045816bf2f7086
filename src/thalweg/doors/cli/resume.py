"""`thalweg resume`: a run that was broken off goes on; a finished one is extended, or forked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalweg.core.stop_reason import StopReason
from thalweg.doors.cli import ranked
from thalweg.doors.cli.device import use
from thalweg.doors.cli.output import print_json, print_text, write_report
from thalweg.run.resume import Change, resume
from thalweg.run.run import Run, Runs
from thalweg.view import progress as showing
from thalweg.view import text


@dataclass(frozen=True)
class Request:
    """The command's arguments, as they came; see `thalweg resume --help`."""

    run: Path
    epochs: int | None
    steps: int | None
    schedule: str | None
    at: int | None
    set_: list[str] | None
    out: Path | None
    device: Any
    json: bool
    quiet: bool


def run(request: Request) -> int:
    """Go on as asked; return the exit code."""
    use(request.device)
    change = Change(
        request.epochs, request.steps, request.schedule, request.at, tuple(request.set_ or ()), request.out
    )
    found = resume(request.run, change=change, progress=showing.progress(quiet=request.quiet))
    return told(found, request.json, request.quiet)


def told(found: Run | Runs, json: bool, quiet: bool) -> int:
    """Print what came of it; return the exit code."""
    if isinstance(found, Runs):
        return ranked.told(found, json, quiet)
    report = write_report(found.record)
    if json:
        print_json(found.result)
    elif not quiet:
        print_text(text.show(found.record))
        print(f"\nrun    {found.folder}\nreport {report}")
    return StopReason(found.result["stopped"]).facts.exit_code
