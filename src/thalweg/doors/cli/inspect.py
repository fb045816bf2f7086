"""`thalweg show`, `compare`, `report` and `check`: read a folder."""

from pathlib import Path

from thalweg.core.stop_reason import EXIT_DONE, EXIT_FAILED
from thalweg.doors.cli.output import (
    draw_finding,
    print_finding,
    print_json,
    print_sweep,
    print_text,
    write_report,
    write_sweep_report,
)
from thalweg.insight import compare as comparing
from thalweg.insight.finder import finding_io
from thalweg.insight.finder.finding_io import is_finding
from thalweg.insight.ranking import ranking_of
from thalweg.run.folder.record import read
from thalweg.run.folder.sweep_record import is_sweep
from thalweg.run.folder.sweep_record import read as read_sweep
from thalweg.run.verify import examine
from thalweg.view import text

_WORDS = {True: "sound", False: "DAMAGED", None: "-"}


def show(folder: Path, as_json: bool) -> int:
    """Print what was trained, how, and with what result."""
    if is_finding(folder):
        print_finding(finding_io.read(folder), as_json)
    elif is_sweep(folder):
        sweep = read_sweep(folder)
        print_sweep(sweep.result, ranking_of(sweep), as_json)
    else:
        record = read(folder)
        if as_json:
            print_json(record.result)
        else:
            print_text(text.show(record))
    return EXIT_DONE


def compare(first: Path, second: Path, as_json: bool) -> int:
    """Print how two runs differ in settings and in results."""
    comparison = comparing.compare(read(first), read(second))
    if as_json:
        print_json(comparison)
    else:
        print_text(text.compare(comparison))
    return EXIT_DONE


def report(folder: Path, out: Path | None) -> int:
    """Write the report and print its path."""
    if is_finding(folder):
        print(draw_finding(finding_io.read(folder), folder, out))
    elif is_sweep(folder):
        sweep = read_sweep(folder)
        print(write_sweep_report(sweep, ranking_of(sweep), out))
    else:
        print(write_report(read(folder), out))
    return EXIT_DONE


def check(folder: Path, as_json: bool) -> int:
    """Verify every byte that has a checksum; return 3 when something is damaged."""
    inspection = examine(folder)
    if as_json:
        print_json(
            {
                "sound": not inspection.damaged,
                "ended": inspection.ended,
                "writer": None if inspection.writer is None else inspection.writer.get("pid"),
                "resumes_at": inspection.resumes_at,
                "findings": [file._asdict() for file in inspection.files],
                "summary": inspection.summary,
            }
        )
    else:
        for file in inspection.files:
            print(f"{_WORDS[file.sound]:8}{file.name}{f': {file.why}' if file.why else ''}")
        print("\n" + "\n".join(inspection.summary))
    return EXIT_FAILED if inspection.damaged else EXIT_DONE
