"""`thalweg show`, `compare` and `report`: reading runs."""

from pathlib import Path

from thalweg.doors.cli import finding, ranked
from thalweg.doors.cli.codes import DONE
from thalweg.doors.cli.output import print_json, print_text, write_report, write_sweep_report
from thalweg.insight import compare as comparing
from thalweg.insight.finder import finding_io as kept
from thalweg.insight.finder.finding_io import is_finding
from thalweg.insight.ranking import ranking_of
from thalweg.run.folder.record import read
from thalweg.run.folder.sweep_record import is_sweep
from thalweg.run.folder.sweep_record import read as read_sweep
from thalweg.view import text


def show(folder: Path, as_json: bool) -> int:
    """Print what was trained, how, and what came of it."""
    if is_finding(folder):
        return finding.show(folder, as_json)
    if is_sweep(folder):
        return ranked.show(read_sweep(folder), as_json)
    record = read(folder)
    if as_json:
        print_json(record.result)
    else:
        print_text(text.show(record))
    return DONE


def compare(first: Path, second: Path, as_json: bool) -> int:
    """Print what differs between two runs, and what came of it."""
    found = comparing.compare(read(first), read(second))
    if as_json:
        print_json(found)
    else:
        print_text(text.compare(found))
    return DONE


def report(folder: Path, out: Path | None) -> int:
    """Write the report and print where it lies."""
    if is_finding(folder):
        print(finding.draw(kept.read(folder), folder, out))
    elif is_sweep(folder):
        sweep = read_sweep(folder)
        print(write_sweep_report(sweep, ranking_of(sweep), out))
    else:
        print(write_report(read(folder), out))
    return DONE
